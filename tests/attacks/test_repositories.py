"""Repositories over HTTP, exported ones, and directories that are not what they seem."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from b3iq.updater.fetch import UrlFetcher
from tests.attacks.conftest import Machine
from tests.attacks.parts import Release
from tests.attacks.simulator import Simulator

Serve = Callable[[type[BaseHTTPRequestHandler] | partial[SimpleHTTPRequestHandler]], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts HTTP servers on loopback and stops them."""
    servers = []

    def start(handler: type[BaseHTTPRequestHandler] | partial[SimpleHTTPRequestHandler]) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)  # type: ignore[arg-type]
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        pass


def test_a_repository_over_http_installs(
    machine: Machine, simulator: Simulator, serve: Serve
) -> None:
    directory = simulator.write(machine.work / "served")
    address = serve(partial(_Quiet, directory=str(directory)))
    assert machine.install(address, simulator.trusted_root)[0] == 0
    assert machine.version() == "1.0.0"


def test_a_server_that_never_stops_sending_is_refused(
    machine: Machine, simulator: Simulator, serve: Serve
) -> None:
    sent = []

    class Endless(_Quiet):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                for _ in range(1000):
                    self.wfile.write(b" " * 65536)
                    sent.append(65536)

    assert machine.refused(serve(Endless), simulator.trusted_root) == "too_large"
    assert sum(sent) < 20_000_000


def test_a_server_that_drips_bytes_is_refused(
    machine: Machine, simulator: Simulator, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = simulator.write(machine.work / "served")
    monkeypatch.setattr(UrlFetcher, "grace_s", 0.0)
    monkeypatch.setattr(UrlFetcher, "floor_bytes_per_s", 1 << 50)
    address = serve(partial(_Quiet, directory=str(directory)))
    assert machine.refused(address, simulator.trusted_root) == "repository_unreachable"


def test_a_server_that_is_not_there_is_refused(machine: Machine, simulator: Simulator) -> None:
    address = "http://127.0.0.1:9/"
    assert machine.refused(address, simulator.trusted_root) == "repository_unreachable"


def test_a_pipe_in_place_of_a_file_does_not_hang(machine: Machine, simulator: Simulator) -> None:
    directory = simulator.write(machine.work / "pipe")
    (directory / "metadata/timestamp.json").unlink()
    os.mkfifo(directory / "metadata/timestamp.json")
    assert machine.refused(directory, simulator.trusted_root) == "repository_unreachable"


def test_what_is_no_repository_is_a_wrong_call(machine: Machine, simulator: Simulator) -> None:
    status, answer = machine.install(machine.work / "nowhere", simulator.trusted_root)
    assert (status, answer["refused"]["code"]) == (2, "usage")


@pytest.fixture
def state(tmp_path: Path) -> tuple[str, str]:
    """Options that keep the operator's floors in this test."""
    return ("--state-directory", str(tmp_path / "state"))


def test_an_export_installs_with_the_same_root_and_is_idempotent(
    machine: Machine, simulator: Simulator, state: tuple[str, str]
) -> None:
    simulator.rotate("root")
    simulator.publish()
    output = machine.work / "export"
    options = ("--accelerator", "cpu", "--output", str(output), *state)
    status, first = machine.run("export", simulator, simulator.trusted_root, *options)
    assert (status, first["changed"]) == (0, True)
    assert (output / first["updater"]["archive"]).is_file()
    status, second = machine.run("export", simulator, simulator.trusted_root, *options)
    assert (status, second["changed"]) == (0, False)
    assert machine.install(output, simulator.trusted_root)[0] == 0


def test_an_export_holds_nothing_but_one_release(
    machine: Machine, simulator: Simulator, state: tuple[str, str]
) -> None:
    output = machine.work / "export"
    options = ("--accelerator", "cpu", "--output", str(output), *state)
    machine.run("export", simulator, simulator.trusted_root, *options)
    simulator.offer(Release("1.1.0", 2))
    simulator.publish()
    status, answer = machine.run("export", simulator, simulator.trusted_root, *options)
    assert (status, answer["changed"]) == (0, True)
    names = {str(path.relative_to(output)) for path in output.rglob("*") if path.is_file()}
    assert not [name for name in names if "1.0.0" in name]
    assert sum(name.startswith("targets/") for name in names) == 7


def test_an_export_of_a_tampered_repository_writes_nothing_that_verifies(
    machine: Machine, simulator: Simulator, state: tuple[str, str]
) -> None:
    [name] = [path for path in simulator.files if path.endswith("node.tar.zst")]
    simulator.files[name] = b"tampered"
    output = machine.work / "export"
    options = ("--accelerator", "cpu", "--output", str(output), *state)
    status, answer = machine.run("export", simulator, simulator.trusted_root, *options)
    assert (status, answer["refused"]["code"]) == (1, "target_tampered")
    assert not (output / "metadata/timestamp.json").exists()


def test_an_export_over_its_own_repository_is_a_wrong_call(
    machine: Machine, simulator: Simulator, state: tuple[str, str]
) -> None:
    served = simulator.write(machine.work / "served")
    options = ("--accelerator", "cpu", "--output", str(served), *state)
    status, _ = machine.run("export", served, simulator.trusted_root, *options)
    assert status == 2


def test_verify_reads_every_archive_and_remembers_what_it_saw(
    machine: Machine, simulator: Simulator, state: tuple[str, str]
) -> None:
    status, answer = machine.run("verify", simulator, simulator.trusted_root, *state)
    assert (status, answer["changed"], answer["version"]) == (0, False, "1.0.0")
    former = dict(simulator.files)
    simulator.publish_snapshot()
    assert machine.run("verify", simulator, simulator.trusted_root, *state)[0] == 0
    simulator.files = former
    status, answer = machine.run("verify", simulator, simulator.trusted_root, *state)
    assert (status, answer["refused"]["code"]) == (1, "rollback")
