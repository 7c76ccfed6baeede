"""A release that does not work is left again, and the one before serves as it did."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from b3iq.updater import journal, services, status
from b3iq.updater.main import main
from tests.attacks.conftest import Machine
from tests.attacks.parts import Release, model, node_layer, updater_layer
from tests.attacks.simulator import Simulator

GOLDEN: list[dict[str, Any]] = [
    {
        "name": "greeting",
        "model": "b3iq-tiny",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 4,
        "expect": "well",
    }
]


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


def _offer(simulator: Simulator, version: str, sequence: int, says: str, answer: str) -> None:
    simulator.offer(
        Release(
            version,
            sequence,
            node=node_layer(says.encode()),
            updater=updater_layer(),
            tiny=model(answer=answer),
            edit=lambda manifest: manifest["health"].update(golden=GOLDEN),
        )
    )
    simulator.publish()


def _try(machine: Machine, simulator: Simulator, *options: str) -> tuple[int, dict[str, Any]]:
    return machine.install(simulator, simulator.trusted_root, "--trial", *options)


def _sequence(machine: Machine) -> int:
    return int(json.loads(machine.floors.read_bytes())["sequence"])


def _state(machine: Machine) -> Any:
    return journal.read(status.rooted(machine.root))


def _model(machine: Machine) -> bytes:
    return (machine.root / "var/lib/b3iq/models/b3iq-tiny/manifest.json").read_bytes()


def test_a_release_that_works_is_committed_and_can_be_left_again(
    running: Machine, simulator: Simulator
) -> None:
    before = _model(running)
    _offer(simulator, "1.1.0", 2, "well", "good day")
    status_, answer = _try(running, simulator)
    assert (status_, answer["outcome"]["result"]) == (0, "committed")
    assert (running.version(), _sequence(running)) == ("1.1.0", 2)
    assert _model(running) != before
    assert main(["rollback", "--json", "--root-directory", str(running.root)]) == 0
    assert (running.version(), _sequence(running)) == ("1.0.0", 2)
    assert _model(running) == before


@pytest.mark.parametrize("says", ["wrong", "silent"])
def test_a_release_that_answers_wrongly_or_not_at_all_is_left_and_not_tried_again(
    running: Machine, simulator: Simulator, says: str
) -> None:
    before = _model(running)
    _offer(simulator, "1.1.0", 2, says, "good day")
    assert _try(running, simulator)[1]["outcome"]["result"] == "rolled_back"
    assert (running.version(), _sequence(running)) == ("1.0.0", 1)
    assert _model(running) == before
    assert (running.floors.parent / "last-failure.log").read_text() == "the last words\n"
    assert _try(running, simulator)[1]["refused"]["code"] == "known_bad"
    again = _try(running, simulator, "--retry-known-bad")[1]
    assert again["outcome"]["result"] == "rolled_back"
    _offer(simulator, "1.2.0", 3, "well", "good day")
    assert _try(running, simulator)[1]["outcome"]["result"] == "committed"


def test_a_damaged_state_keeps_the_release_that_runs(
    running: Machine, simulator: Simulator
) -> None:
    (running.floors.parent / "state.json").write_text("{")
    _offer(simulator, "1.1.0", 2, "well", "good day")
    assert _try(running, simulator)[1]["refused"]["code"] == "state_unreadable"
    assert running.version() == "1.0.0"
