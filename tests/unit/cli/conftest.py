"""The real command against a real node process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.node_process import NodeProcess, node_process

B3IQ = str(Path(sys.executable).with_name("b3iq"))
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def node():
    with node_process() as node:
        node.start()
        yield node


@pytest.fixture
def run(node: NodeProcess) -> Run:
    """`run("keys", "list")`: the finished command, pointed at the node."""

    def command(*arguments: str, state: Path | None = None) -> subprocess.CompletedProcess[str]:
        line = [B3IQ, "--state", str(state or node.state), *arguments]
        return subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)

    return command


@pytest.fixture
def run_json(run: Run) -> Callable[..., dict[str, Any]]:
    """The same with `--json`, which must succeed."""

    def command(*arguments: str) -> dict[str, Any]:
        done = run(*arguments, "--json")
        assert (done.returncode, done.stderr) == (0, "")
        return dict(json.loads(done.stdout))

    return command


@pytest.fixture
def host_key():
    """systemd-creds makes a key for the machine; one that was not there is removed again."""
    path = Path("/var/lib/systemd/credential.secret")
    was_there = path.exists()
    yield
    if not was_there:
        path.unlink(missing_ok=True)
