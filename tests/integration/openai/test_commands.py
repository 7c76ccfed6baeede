"""`b3iq serve` and `b3iq chat` as somebody types them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.openai.served import Served, free_port, leftovers

B3IQ = str(Path(sys.executable).with_name("b3iq"))


def b3iq(*arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [B3IQ, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
        check=False,
    )


@pytest.fixture
def key_file(served: Served, tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.touch(mode=0o600)
    path.write_text(served.key)
    return path


def test_a_question_is_answered_with_its_receipt(served, key_file):
    done = b3iq(
        "chat", "--base-url", served.base_url, "--api-key-file", str(key_file),
        "--temperature", "0", "--max-tokens", "12", "hello", "there",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    receipt_hash = done.stdout.split("receipt ")[1].split()[0]
    assert served.receipt(receipt_hash)["status"] == "completed"


def test_the_environment_names_node_and_key_file(served, key_file):
    done = b3iq(
        "chat", "--json", "--max-tokens", "3", "hello",
        B3IQ_LOCAL_BASE_URL=served.base_url, B3IQ_LOCAL_KEY_FILE=str(key_file),
    )  # fmt: skip
    answer = json.loads(done.stdout)
    assert answer["finish_reason"] in {"stop", "length"}
    assert served.receipt(answer["b3iq"]["receipt_hash"])


def test_the_key_is_read_from_standard_input(served):
    done = b3iq(
        "chat", "--base-url", served.base_url, "--api-key-stdin", "--max-tokens", "3", "hello",
        stdin=served.key,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_conversation_goes_on_until_the_input_ends(served, key_file):
    done = b3iq(
        "chat", "--base-url", served.base_url, "--api-key-file", str(key_file),
        "--max-tokens", "4", stdin="hello\nand again\n",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("receipt ") == 2


def test_a_refusal_is_shown_with_its_words(served, key_file):
    done = b3iq(
        "chat", "--base-url", served.base_url, "--api-key-file", str(key_file),
        "--model", "none", "hello",
    )  # fmt: skip
    assert done.returncode == 1
    assert "not installed" in done.stderr


def test_a_node_that_is_not_there_is_said_so(key_file):
    done = b3iq(
        "chat", "--base-url", "http://localhost:9", "--api-key-file", str(key_file), "hello"
    )
    assert done.returncode == 1
    assert "b3iq serve" in done.stderr


def test_serve_without_a_model_says_how_to_make_one(tmp_path):
    none = str(tmp_path / "none")
    done = b3iq("serve", "--state", str(tmp_path), "--model-dir", none, "--port", str(free_port()))
    assert done.returncode == 2
    assert "make model" in done.stderr


def test_serve_on_a_port_that_is_taken_says_so(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        done = b3iq("serve", "--state", str(tmp_path), "--port", str(other.getsockname()[1]))
    assert done.returncode == 2
    assert "Cannot listen on 127.0.0.1" in done.stderr
    assert leftovers(tmp_path) == []


def test_one_state_directory_has_one_node(served):
    done = b3iq("serve", "--state", str(served.state))
    assert done.returncode == 1
    assert "Another `b3iq serve`" in done.stderr


def test_serve_keeps_its_state_private(served):
    # Nobody else gets into the directory, whatever lies in it; secrets and logs twice so.
    places = [served.state, *served.state.glob("credentials/*"), *served.state.glob("log/*")]
    assert len(places) >= 5
    assert [place for place in places if place.stat().st_mode & 0o077] == []


def test_an_interrupt_while_the_model_loads_leaves_nothing(tmp_path, served):
    model = (served.state / "state" / "models" / served.model).resolve()
    state = tmp_path / "s"
    command = [B3IQ, "serve", "--state", str(state), "--model-dir", str(model)]
    command += ["--port", str(free_port())]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    while not (state / "log" / "node.log").exists():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 0
    assert leftovers(state) == []
