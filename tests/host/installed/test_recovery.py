"""A killed engine ends one answer and no more; a restarted node drops no connection."""

from __future__ import annotations

import json
import subprocess
import time

import openai
import pytest

from tests.host.installed.conftest import Node
from tests.lab.host import Host

DEADLINE_S = 30.0
LONG = {
    "model": "b3iq-smoke",
    # The longest answer that the model knows: some 300 tokens.
    "messages": [{"role": "user", "content": "Count to 100."}],
    "temperature": 0,
    "max_tokens": 400,
    "stream": True,
}

# Runs on the host: a new connection for each request while the node restarts three times.
LOAD = """
import collections, http.client, json, subprocess, threading, time
headers = {{"Authorization": "Bearer " + {key!r}, "Host": "localhost:8831"}}
outcomes, stop = collections.Counter(), threading.Event()
def client():
    while not stop.is_set():
        connection = http.client.HTTPConnection("127.0.0.1", 8831, timeout=30)
        try:
            connection.request("GET", "/v1/models", headers=headers)
            outcomes[str(connection.getresponse().status)] += 1
        except Exception as error:
            outcomes[type(error).__name__] += 1
        connection.close()
        time.sleep(0.01)
threads = [threading.Thread(target=client) for _ in range(4)]
for thread in threads: thread.start()
pids = set()
for _ in range({restarts}):
    subprocess.run(["systemctl", {verb!r}, {unit!r}], check=True)
    pids.add(subprocess.run(["systemctl", "show", "-P", "MainPID", "b3iq-node.service"],
                            capture_output=True, text=True).stdout)
    time.sleep(0.5)
stop.set()
for thread in threads: thread.join()
print(json.dumps({{"outcomes": outcomes, "processes": len(pids)}}))
"""


def load(node: Node, verb: str, unit: str) -> tuple[dict[str, int], int]:
    script = LOAD.format(key=node.key, verb=verb, unit=unit, restarts=3)
    said = json.loads(node.host.run("python3 -", stdin=script, timeout=110).stdout)
    return said["outcomes"], said["processes"]


def test_a_restart_of_the_node_drops_no_connection(node: Node) -> None:
    outcomes, processes = load(node, "restart", "b3iq-node.service")
    assert processes == 3, "the node was not restarted"
    assert set(outcomes) == {"200"}, outcomes
    assert outcomes["200"] > 100


def test_the_same_load_sees_a_restart_of_the_sockets(node: Node) -> None:
    # What the test above would report if systemd did not hold the sockets meanwhile.
    outcomes, _ = load(node, "restart", "b3iq-node.socket")
    assert set(outcomes) > {"200"}, outcomes


class Killer:
    """Kills the engine's worker at once when told: the SSH session is open already."""

    def __init__(self, host: Host) -> None:
        kill = "read _; systemctl kill --signal=KILL --kill-whom=all b3iq-engine.service"
        self._ssh = subprocess.Popen(
            host.ssh(f"echo ready; {kill}"), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._ssh.stdout is not None
        assert self._ssh.stdout.readline() == b"ready\n"

    def kill(self) -> None:
        self._ssh.communicate(b"\n", timeout=DEADLINE_S)
        assert self._ssh.returncode == 0


def test_an_engine_killed_in_mid_stream_fails_that_answer_and_comes_back(node: Node) -> None:
    killer = Killer(node.host)
    client = node.client()
    before = node.host.run("systemctl show -P MainPID b3iq-node.service").stdout
    streams = [client.chat.completions.create(**LONG) for _ in range(16)]
    first = next(iter(streams[0]))
    assert first.choices
    killer.kill()

    # The SDK raises on the error event, with the receipt within.
    failures = []
    for stream in streams:
        try:
            for _ in stream:
                pass
        except openai.APIError as error:
            failures.append(error)
    assert failures, "every answer had ended before the engine was killed"
    for error in failures:
        assert error.code == "engine_failed"
        receipt = node.receipt(error.body["b3iq"]["receipt_hash"])
        assert receipt["status"] == "failed"

    assert _answers_again(node), "the engine did not come back"
    assert node.host.run("systemctl show -P MainPID b3iq-node.service").stdout == before


def _answers_again(node: Node) -> bool:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        try:
            node.client().chat.completions.create(
                model="b3iq-smoke",
                messages=[{"role": "user", "content": "Hello!"}],
                max_tokens=8,
            )
        except openai.APIError:
            time.sleep(0.2)
        else:
            return True
    return False


def test_the_node_answers_at_once_while_the_engine_is_down(node: Node) -> None:
    node.host.run("systemctl stop b3iq-engine.socket b3iq-engine.service")
    try:
        assert node.host.run("b3iq status --json").returncode == 0
        with pytest.raises(openai.InternalServerError) as raised:
            node.client().chat.completions.create(
                model="b3iq-smoke", messages=[{"role": "user", "content": "Hello!"}]
            )
        assert raised.value.code == "engine_unavailable"
        assert "retry-after" in raised.value.response.headers
    finally:
        node.host.run("systemctl start b3iq-engine.socket b3iq-engine.service")
    assert _answers_again(node)
