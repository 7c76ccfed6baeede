from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from b3iq.models.manifest import manifest_digest
from b3iq.paths import Paths

from .conftest import EngineProcess, body, connect, eventually, send
from .test_http import ENDLESS

Launch = Callable[..., EngineProcess]


def read_all(client: socket.socket) -> str:
    pieces = []
    try:
        while piece := client.recv(65536):
            pieces.append(piece)
    except ConnectionError:
        pass
    return b"".join(pieces).decode(errors="replace")


def test_a_killed_worker_cuts_its_streams_and_comes_back(launch_engine: Launch) -> None:
    engine = launch_engine()
    client = connect(engine)
    send(client, json.dumps(body(**ENDLESS)).encode())
    client.recv(10)
    killed = engine.worker()
    os.kill(killed, signal.SIGKILL)
    assert "[DONE]" not in read_all(client)
    eventually(engine.healthy, 30)
    assert engine.worker() != killed
    assert engine.chat().json()["usage"]["completion_tokens"] == 8


def test_sigterm_lets_a_running_answer_end(launch_engine: Launch) -> None:
    engine = launch_engine()
    client = connect(engine)
    send(client, json.dumps(body(**ENDLESS | {"max_tokens": 600})).encode())
    client.recv(10)
    engine.process.terminate()
    answer = read_all(client)
    assert '"finish_reason":"length"' in answer
    assert "data: [DONE]" in answer
    assert engine.process.wait(40) == 0


def test_sigterm_tells_an_answer_that_lasts_longer_than_the_drain(launch_engine: Launch) -> None:
    engine = launch_engine('drain_s = 3\nprecision = "fp32"\n')
    clients = [connect(engine) for _ in range(8)]
    for client in clients:
        send(client, json.dumps(body(**ENDLESS)).encode())
    for client in clients:
        client.recv(10)
    engine.process.terminate()
    answers = [read_all(client) for client in clients]
    assert engine.process.wait(20) == 0
    told = [answer for answer in answers if '"code":"engine_not_ready"' in answer]
    done = [answer for answer in answers if "data: [DONE]" in answer]
    assert len(told) + len(done) == 8


def test_a_listening_socket_is_taken_over_from_systemd(state: Path) -> None:
    """Socket activation: descriptor 3 is the listener, LISTEN_PID is the process itself."""
    paths = Paths.under(state)
    paths.etc.mkdir(parents=True)
    paths.engine_config.write_text('model = "tiny"\nkv_cache_bytes = 67108864\n')
    listener = socket.socket(socket.AF_UNIX)
    address = state / "activated.sock"
    listener.bind(str(address))
    listener.listen()
    program = (
        "import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ['LISTEN_PID'] = str(os.getpid());"
        "os.execv(sys.executable, [sys.executable, '-m', 'b3iq.engine', *sys.argv[2:]])"
    )
    options = ["--config", str(paths.engine_config), "--paths", str(state)]
    log = state / "log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(listener.fileno()), *options],
            pass_fds=[listener.fileno()],
            env=os.environ | {"LISTEN_FDS": "1"},
            stderr=output,
        )
    engine = EngineProcess(process, address, log)
    try:
        # Nobody connected yet was refused: the kernel queues them until the engine accepts.
        eventually(engine.healthy)
        assert not paths.engine_socket.exists()
    finally:
        engine.stop()
    assert address.exists()


def test_systemd_hears_ready_only_when_the_model_is_loaded(
    launch_engine: Launch, state: Path
) -> None:
    address = state / "notify"
    notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notices.bind(str(address))
    notices.settimeout(60)
    engine = launch_engine(environment={"NOTIFY_SOCKET": str(address), "WATCHDOG_USEC": "200000"})
    heard = [notices.recv(4096).decode()]
    while "READY=1" not in heard[-1]:
        heard.append(notices.recv(4096).decode())
    assert set(heard[:-1]) <= {"WATCHDOG=1"}
    assert "gunicorn" not in "".join(heard).lower()
    assert "model_loaded" in engine.log.read_text()
    while "WATCHDOG=1" not in notices.recv(4096).decode():
        pass
    engine.process.terminate()
    while "STOPPING=1" not in notices.recv(4096).decode():
        pass


def refused_start(launch_engine: Launch, settings: str = "") -> str:
    engine = launch_engine(settings)
    assert engine.process.wait(60) != 0
    return engine.log.read_text()


def test_one_flipped_bit_in_the_weights_stops_serving(launch_engine: Launch, state: Path) -> None:
    weights = Paths.under(state).models / "tiny" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-5] ^= 1
    weights.write_bytes(content)
    assert "model.safetensors has not the digest" in refused_start(launch_engine)


def test_a_manifest_that_the_release_does_not_name_stops_serving(
    launch_engine: Launch, state: Path
) -> None:
    digest = manifest_digest(Paths.under(state).models / "tiny")
    assert launch_engine(f'manifest_sha256 = "{digest}"\n').healthy()
    log = refused_start(launch_engine, f'manifest_sha256 = "{"0" * 64}"\n')
    assert "not the one that the signed release names" in log


@pytest.mark.parametrize("name", ["pytorch_model.bin", "modeling_llama.py"])
def test_a_pickle_or_code_beside_the_model_stops_the_start_before_torch_is_imported(
    launch_engine: Launch, state: Path, name: str
) -> None:
    model_dir = Paths.under(state).models / "tiny"
    (model_dir / name).write_text("import os; os.mkdir('owned')")
    paths = Paths.under(state)
    paths.etc.mkdir(parents=True)
    paths.engine_config.write_text('model = "tiny"\n')
    program = (
        "import sys; from b3iq.engine.main import main; status = main(sys.argv[1:]);"
        "assert not {'torch', 'transformers'} & set(sys.modules); sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "--config", paths.engine_config, "--paths", state],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert name in done.stderr


def test_a_misspelled_setting_is_named(launch_engine: Launch) -> None:
    assert "batch_limmit" in refused_start(launch_engine, "batch_limmit = 3\n")
