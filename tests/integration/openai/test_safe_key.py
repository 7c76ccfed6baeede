"""The documented way to use a key with curl shows it to no process listing."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.integration.openai.served import Served
from tests.integration.watcher import Watcher

README = Path(__file__).parents[3] / "README.md"
(EXAMPLE,) = re.findall(r"(?sm)^```sh\n(.*?)^```", README.read_text(encoding="utf-8"))
USES = ("cat", "curl", "mkdir", "mktemp", "rm")


@pytest.fixture
def watcher(served: Served, tmp_path: Path) -> Watcher:
    watcher = Watcher(tmp_path, served.key)
    watcher.know(*USES)
    return watcher


@pytest.fixture
def environment(served: Served, tmp_path_factory) -> dict[str, str]:
    key_file = tmp_path_factory.mktemp("operator") / "b3iq-local-key"
    key_file.touch(mode=0o600)
    key_file.write_text(f"{served.key}\n")
    return {
        "B3IQ_LOCAL_BASE_URL": served.base_url,
        "B3IQ_LOCAL_KEY_FILE": str(key_file),
    }


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
def test_the_documented_example_is_answered_and_leaks_no_key(
    served, watcher, environment, tmp_path, shell
):
    done, watched = watcher.run(shell, EXAMPLE, environment)
    answer = json.loads(done.stdout)
    assert served.receipt(answer["b3iq"]["receipt_hash"])["status"] == "completed"
    assert watched.leaks == set()
    assert set(watched.programs) == set(USES)
    assert served.key not in done.stderr
    assert watched.modes == {0o600}
    assert list((tmp_path / ".secrets").iterdir()) == []
    assert (tmp_path / ".secrets").stat().st_mode & 0o777 == 0o700


LEAKS = {
    "an argument of curl": (
        'curl -H "Authorization: Bearer $(cat "$B3IQ_LOCAL_KEY_FILE")" "$B3IQ_LOCAL_BASE_URL"',
        "cmdline curl",
    ),
    "an environment variable": (
        'export KEY="$(cat "$B3IQ_LOCAL_KEY_FILE")"\ncurl "$B3IQ_LOCAL_BASE_URL/health"',
        "environ curl",
    ),
}


@pytest.mark.parametrize(("script", "place"), LEAKS.values(), ids=LEAKS.keys())
def test_the_watcher_finds_a_leak_that_is_planted(watcher, environment, script, place):
    done, watched = watcher.run("/bin/sh", script, environment)
    assert done.returncode == 0
    assert place in watched.leaks


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
def test_an_interrupted_example_leaves_no_key_behind(environment, tmp_path, shell):
    """Ctrl-C while curl waits for a node that takes the connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        environment["B3IQ_LOCAL_BASE_URL"] = f"http://127.0.0.1:{listener.getsockname()[1]}"
        script = subprocess.Popen(
            [shell, "-c", EXAMPLE],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], **environment},
            start_new_session=True,
            # Whoever starts the tests in the background hands down that Ctrl-C is ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        connection, _ = listener.accept()
        assert len(list((tmp_path / ".secrets").iterdir())) == 1
        os.killpg(script.pid, signal.SIGINT)
        script.wait(30)
        connection.close()
    assert list((tmp_path / ".secrets").iterdir()) == []
