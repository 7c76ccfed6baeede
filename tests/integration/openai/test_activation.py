"""The node as systemd starts it: sockets inherited, readiness told, no connection dropped."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from b3iq.credentials import secret_files, tls_pair
from b3iq.paths import Paths
from tests.integration.lan_process import LISTEN, Lan, lan_settings
from tests.integration.openai.served import read_answer

HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
# What systemd does between fork and exec (sd_listen_fds(3)): descriptors from 3 on, own PID.
START = (
    "import fcntl, os, sys\n"
    "given = [fcntl.fcntl(int(n), fcntl.F_DUPFD, 100) for n in sys.argv[1].split(',')]\n"
    "for number, fd in enumerate(given, 3): os.dup2(fd, number)\n"
    "os.environ.update(LISTEN_FDS=str(len(given)), LISTEN_PID=str(os.getpid()))\n"
    "os.execv(sys.executable, [sys.executable, *sys.argv[2:]])\n"
)
NODE = ["-m", "b3iq.node"]
# A node that is told to stop in the moment in which it has said that it is ready.
STOPPED_WHEN_READY = """
import os, signal
from b3iq.node import main, server

ready = server.NodeServer._ready

def ready_then_stopped(self, worker):
    ready(self, worker)
    os.kill(os.getppid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)

server.NodeServer._ready = ready_then_stopped
main.main()
"""


class Systemd:
    """The parts of systemd that a socket-activated service sees."""

    def __init__(self, directory: Path) -> None:
        self.paths = Paths.under(directory)
        self.paths.run.mkdir(mode=0o700)
        secret_files.create_missing(self.paths.credentials)
        self.paths.etc.mkdir()
        self.paths.node_config.write_text("")
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.admin = socket.socket(socket.AF_UNIX)
        self.admin.bind(str(self.paths.admin_socket))
        self.admin.listen()
        self.notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notices.bind(str(directory / "notify"))
        self.notices.settimeout(60)
        self.directory = directory
        # As the socket unit lists them.
        self.listeners = [self.tcp, self.admin]

    @contextmanager
    def service(self, program: list[str] = NODE) -> Iterator[subprocess.Popen[bytes]]:
        fds = [listener.fileno() for listener in self.listeners]
        options = ["--config", str(self.paths.node_config), "--paths", str(self.directory)]
        process = subprocess.Popen(
            [sys.executable, "-c", START, ",".join(map(str, fds)), *program, *options],
            pass_fds=fds,
            env={**os.environ, "NOTIFY_SOCKET": str(self.directory / "notify")},
        )
        try:
            self.until_noticed("READY=1")
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) == 0

    def until_noticed(self, word: str) -> None:
        while word not in self.notices.recv(4096).decode().split("\n"):
            pass

    def connect(self) -> socket.socket:
        connection = socket.create_connection(self.tcp.getsockname())
        connection.settimeout(60)
        return connection


@pytest.fixture
def systemd(short_dir: Path, request) -> Systemd:
    directory = short_dir / f"a{abs(hash(request.node.name)) % 10_000}"
    directory.mkdir(mode=0o700)
    return Systemd(directory)


def test_inherited_sockets_are_served_as_soon_as_readiness_is_told(systemd):
    with systemd.service():
        with systemd.connect() as connection:
            connection.sendall(HEALTH)
            assert read_answer(connection)[0] == 200
        transport = httpx.HTTPTransport(uds=str(systemd.paths.admin_socket))
        with httpx.Client(transport=transport) as client:
            assert client.get("http://node/admin/status").json()["claimed"] is False


def test_the_setup_link_names_the_port_that_is_configured(systemd):
    with systemd.service():
        transport = httpx.HTTPTransport(uds=str(systemd.paths.admin_socket))
        with httpx.Client(transport=transport) as client:
            url = client.post("http://node/admin/setup-token").json()["url"]
        assert url.startswith("http://localhost:8831/setup/#token=")


def test_a_stop_is_told_even_in_the_moment_of_readiness(systemd):
    with systemd.service(["-c", STOPPED_WHEN_READY]):
        systemd.until_noticed("STOPPING=1")


def test_a_restart_drops_no_connection(systemd):
    with systemd.service() as first:
        first.send_signal(signal.SIGTERM)
        systemd.until_noticed("STOPPING=1")
        first.wait(timeout=60)
        # Between two lives of the service: systemd's socket takes it.
        waiting = systemd.connect()
        waiting.sendall(HEALTH)
    with systemd.service(), waiting:
        status, body = read_answer(waiting)
    assert (status, json.loads(body)) == (200, {"status": "ok"})
    assert systemd.paths.admin_socket.exists()


@pytest.mark.parametrize("first", [False, True], ids=["listed last", "listed first"])
def test_an_inherited_lan_socket_is_told_by_its_address_and_speaks_tls(systemd, first):
    with socket.create_server((LISTEN, 0)) as listener:
        systemd.listeners.insert(0 if first else 2, listener)
        port = listener.getsockname()[1]
        lines = [f"{n} = {json.dumps(v)}\n" for n, v in lan_settings(port).items()]
        systemd.paths.node_config.write_text("".join(lines))
        pair = tls_pair.make([LISTEN])
        secret_files.create_pair(systemd.paths.credentials, lambda: pair)
        lan = Lan(port, tls_pair.describe(pair).pem)
        with systemd.service():
            with lan.client() as client:
                # Over TLS, and not claimed yet.
                assert client.get("/health").json()["error"]["code"] == "node_not_claimed"
            with lan.connect() as connection:
                connection.sendall(HEALTH)
                assert read_answer(connection)[0] == 400
            with systemd.connect() as connection:
                connection.sendall(HEALTH)
                assert read_answer(connection)[0] == 200


def test_an_inherited_socket_that_the_settings_do_not_know_is_never_answered(systemd):
    with socket.create_server((LISTEN, 0)) as listener:
        systemd.listeners.append(listener)
        with systemd.service(), socket.create_connection(listener.getsockname()) as connection:
            connection.settimeout(60)
            connection.sendall(HEALTH)
            with suppress(ConnectionResetError):
                assert connection.recv(65536) == b""
