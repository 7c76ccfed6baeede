"""The real machine: what it reads of itself, and that a command cannot hold or break doctor."""

from __future__ import annotations

import http.server
import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from b3iq import systemd
from b3iq.checks import listeners, machine
from b3iq.checks.host import Host
from b3iq.checks.machine import CannotLook, Machine
from b3iq.paths import Paths
from tests.contract.test_roles_units import unit


def test_a_command_that_is_not_there_is_no_traceback() -> None:
    with pytest.raises(CannotLook, match="could not be run"):
        Machine().run("b3iq-no-such-command")


def test_a_command_that_fails_without_output_says_its_last_words() -> None:
    with pytest.raises(CannotLook, match="No such file"):
        Machine().run("ls", "/no/such/place")


def test_a_command_sees_nothing_of_the_callers_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY", "1")
    seen = Machine().run("env", "--").split()
    assert sorted(line.split("=")[0] for line in seen) == ["LC_ALL", "PATH"]


@contextmanager
def serving(body: bytes, status: int = 200) -> Iterator[int]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Silent."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("body", "status", "answer"),
    [
        (b'{"status": "ok"}', 200, {"status": "ok"}),
        (b'{"status": "ok"}', 503, None),
        (b"<html>", 200, None),
        (b'"text"', 200, None),
        (b"[" * 100_000, 200, None),
    ],
)
def test_only_a_good_json_object_is_an_answer(
    body: bytes, status: int, answer: dict[str, str] | None
) -> None:
    with serving(body, status) as port:
        assert Machine().get("/health", port=port) == answer


@contextmanager
def pouring(head: bytes, drop: bytes) -> Iterator[int]:
    """A server that never comes to an end."""
    ended = threading.Event()

    def pour(server: socket.socket) -> None:
        with server.accept()[0] as connection, suppress(OSError):
            connection.sendall(head)
            while not ended.wait(0 if len(drop) > 1 else 0.2):
                connection.sendall(drop)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=pour, args=(server,), daemon=True)
        thread.start()
        yield server.getsockname()[1]
        ended.set()
        thread.join()


@pytest.mark.parametrize(
    ("head", "drop"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nx: ", b"a", id="a header without end"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n", b"[" * 65536, id="a body without end"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n", b"[", id="a body that drips"),
    ],
)
def test_a_hostile_server_can_neither_hold_doctor_nor_fill_it(
    head: bytes, drop: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_ANSWER_S", 1.0)
    with pouring(head, drop) as port:
        assert Machine().get("/health", port=port) is None


def test_a_socket_on_which_nobody_listens_is_no_answer(tmp_path: Path) -> None:
    assert Machine().get("/health", socket=tmp_path / "none.sock") is None


def test_a_listener_of_this_machine_is_found_where_the_kernel_says_it_is() -> None:
    # The reader of /proc/net/tcp, against a socket whose address is known.
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        lines = Host(Paths.under(Path("/")), installed=False).read("/proc/net/tcp").splitlines()[1:]
        found = {listeners.parse_address(line.split()[1]) for line in lines}
    assert ("127.0.0.1", port) in {(str(address), number) for address, number in found}


def test_the_score_of_a_real_unit_is_read(tmp_path: Path) -> None:
    try:
        Machine().run("systemd-analyze", "--version")
    except CannotLook:
        pytest.skip("needs systemd's own tool")
    path = tmp_path / "b3iq-node.service"
    path.write_text(unit("node", "cpu"))
    said = Machine().run("systemd-analyze", "security", "--no-pager", "--offline=yes", str(path))
    score = systemd.parse_exposure(said)
    assert score is not None
    assert 0 < score <= 1.2


def test_a_unit_that_systemd_does_not_know_has_no_properties() -> None:
    text = "Id=a.service\nActiveState=active\nExecStart={ path=/x ; argv[]=/x --a=b }\n"
    found = systemd.parse_show(text, ["a.service", "b.service"])
    assert found["a.service"]["ExecStart"] == "{ path=/x ; argv[]=/x --a=b }"
    assert found["b.service"] == {}


@pytest.mark.parametrize(
    ("text", "version"), [("systemd 252 (252.39)\n+PAM", 252), ("systemd 257~rc", 257), ("", None)]
)
def test_the_version_of_systemd_is_a_number(text: str, version: int | None) -> None:
    assert systemd.parse_version(text) == version


def test_an_owner_without_a_name_is_a_number(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(json.dumps({}))
    if os.geteuid() == 0:
        os.chown(path, 54321, 54322)
        assert Machine().owner(path) == "54321:54322"
        os.chown(path, 0, 0)
        assert Machine().owner(path) == "root:root"
    else:
        assert Machine().owner(path).count(":") == 1
