"""An engine and a node that answer, for machines without systemd."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from b3iq.updater import services

if TYPE_CHECKING:
    from tests.attacks.conftest import Machine


class _Unix(ThreadingHTTPServer):
    address_family = 1

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "engine", 0


@pytest.fixture
def running(
    installed: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Machine]:
    """The machine with an engine and a node that say what the release behind `current` says."""
    root = installed.root

    class Answers(BaseHTTPRequestHandler):
        def address_string(self) -> str:
            return "client"

        def log_message(self, *_arguments: object) -> None:
            return

        def do_GET(self) -> None:
            self._say({"status": "ok"})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            word = (root / "opt/b3iq/current/app/version").read_text()
            if word == "silent":
                return
            self._say({"choices": [{"message": {"content": word}}]})

        def _say(self, body: object) -> None:
            raw = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

    (root / "run/b3iq").mkdir(parents=True)
    (root / "etc/b3iq").mkdir(parents=True)
    node = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    engine = _Unix(str(root / "run/b3iq/engine.sock"), Answers)  # type: ignore[arg-type] # AF_UNIX
    (root / "etc/b3iq/node.toml").write_text(f"listen_port = {node.server_port}\n")
    (root / "etc/b3iq/engine.toml").write_text('model = "b3iq-tiny"\n')
    commands = tmp_path / "commands"
    commands.mkdir()
    (commands / "systemctl").write_text(
        '#!/bin/sh\n[ "$1" = show ] && printf "Id=b3iq-node.service\\nActiveState=active\\n"\n'
        "exit 0\n"
    )
    (commands / "journalctl").write_text("#!/bin/sh\necho the last words\n")
    for command in commands.iterdir():
        command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:/usr/bin:/bin")
    monkeypatch.setattr(services, "_READY_S", 1.0)
    for server in (node, engine):
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield installed
    for server in (node, engine):
        server.shutdown()
        server.server_close()
