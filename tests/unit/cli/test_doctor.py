"""`b3iq doctor` as typed, against a real node, a broken one and none at all."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from b3iq.checks.check import Level
from b3iq.checks.registry import CHECKS
from b3iq.checks.runner import run as run_checks
from b3iq.cli import doctor
from tests.integration.node_process import NodeProcess, node_process
from tests.unit.checks.fake_host import installed
from tests.unit.cli.conftest import B3IQ

# The node of these tests has no engine beside it.
NO_ENGINE = {"engine-settings", "engine-answers"}


@pytest.fixture(scope="module")
def own() -> Iterator[NodeProcess]:
    """A node that these tests may break."""
    with node_process() as node:
        node.state.chmod(0o700)
        node.start()
        yield node


def examine(node: NodeProcess, *arguments: str) -> tuple[int, dict[str, dict[str, str]]]:
    line = [B3IQ, "--state", str(node.state), "doctor", "--json", *arguments]
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)
    assert done.stderr == ""
    said: dict[str, Any] = json.loads(done.stdout)
    assert said["exit_code"] == done.returncode
    return done.returncode, {found["id"]: found for found in said["checks"]}


def failed(found: dict[str, dict[str, str]]) -> set[str]:
    return {name for name, said in found.items() if said["result"] in {"failed", "could_not_run"}}


def test_a_node_without_an_engine_fails_for_that_and_nothing_else(own: NodeProcess) -> None:
    status, found = examine(own)
    assert (status, failed(found)) == (1, NO_ENGINE)
    assert found["node-answers"]["result"] == found["admin-answers"]["result"] == "ok"


def test_what_only_a_host_has_is_skipped_and_says_so(own: NodeProcess) -> None:
    _, found = examine(own)
    for check in (check for check in CHECKS if check.host_only):
        assert found[check.id]["result"] == "skipped"
        assert "installed host" in found[check.id]["finding"]


@pytest.mark.parametrize(
    ("path", "mode", "check"),
    [
        ("credentials/b3iq-token-pepper", 0o644, "secret-files"),
        ("state/node/node.db", 0o640, "secret-files"),
        ("credentials", 0o750, "secret-files"),
        (".", 0o755, "file-permissions"),
    ],
)
def test_a_mode_that_lets_others_in_is_found(
    own: NodeProcess, path: str, mode: int, check: str
) -> None:
    place = own.state / path
    before = place.stat().st_mode
    place.chmod(mode)
    try:
        _, found = examine(own)
    finally:
        place.chmod(before)
    assert failed(found) == NO_ENGINE | {check}


def test_a_node_that_is_down_is_examined_without_it(own: NodeProcess) -> None:
    own.stop()
    try:
        status, found = examine(own)
    finally:
        own.start()
    assert (status, failed(found)) == (1, NO_ENGINE | {"node-answers"})
    assert found["admin-answers"]["result"] == "skipped"


def test_doctor_changes_no_file_and_leaves_no_trace_in_the_database(own: NodeProcess) -> None:
    def listing() -> dict[str, tuple[int, int]]:
        # The node's own log grows by a line for each question.
        files = [path for path in own.state.rglob("*") if path != own.log]
        return {str(path): (path.stat().st_ctime_ns, path.stat().st_size) for path in files}

    before = listing()
    examine(own)
    assert listing() == before


def test_one_check_is_asked_for_by_its_id(own: NodeProcess) -> None:
    status, found = examine(own, "node-answers")
    assert (status, set(found)) == (0, {"node-answers"})


def test_an_unknown_check_is_named(own: NodeProcess) -> None:
    line = [B3IQ, "--state", str(own.state), "doctor", "--json", "firewall"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "firewall" in json.loads(done.stderr)["error"]["detail"]


@pytest.mark.parametrize("arguments", [[], ["--state", "/nowhere"]])
def test_where_no_node_is_doctor_could_not_run(arguments: list[str]) -> None:
    if not arguments and Path("/opt/b3iq").exists():
        pytest.skip("a node is installed on this machine")
    done = subprocess.run([B3IQ, *arguments, "doctor"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""


def test_the_list_names_every_check() -> None:
    done = subprocess.run([B3IQ, "doctor", "--list", "--json"], capture_output=True, check=True)
    assert [entry["id"] for entry in json.loads(done.stdout)["checks"]] == [c.id for c in CHECKS]


def test_doctor_needs_nothing_that_the_nodes_layer_lacks() -> None:
    # On a host it runs with the node's packages; the updater's and the engine's are not there.
    lacking = ["tuf", "securesystemslib", "zstandard", "backports", "torch", "transformers"]
    script = f"import sys; sys.modules.update(dict.fromkeys({lacking}))\nimport b3iq.cli.doctor"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_findings_and_remedies_fit_a_terminal_of_80_columns(tmp_path: Path) -> None:
    fake = installed(tmp_path)
    fake.host.at("/etc/credstore.encrypted/b3iq-token-pepper").chmod(0o644)
    fake.machine.clock = fake.machine.clock.replace(year=2020)
    fake.machine.scores.clear()
    report = run_checks(CHECKS, CHECKS, fake.host)
    shown = io.StringIO()
    doctor.show_report(Console(file=shown, width=80), report)
    lines = shown.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    text = " ".join(shown.getvalue().split())
    for level in (Level.FAILED, Level.COULD_NOT_RUN):
        assert report.count(level), level
    for result in report.results:
        assert result.check.id in text
        if result.finding.level in {Level.FAILED, Level.WARNING, Level.COULD_NOT_RUN}:
            # Wrapped in its column, so word by word.
            assert result.finding.remedy.split()[0] in text


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare(1)")
def test_without_any_network_every_check_still_ends(own: NodeProcess) -> None:
    # A namespace with nothing in it, not even loopback: the node's port is out of reach there.
    line = ["unshare", "--net", "--map-root-user", B3IQ, "--state", str(own.state), "doctor"]
    done = subprocess.run([*line, "--json"], capture_output=True, text=True, check=False)
    if "unshare failed" in done.stderr:
        pytest.skip("this machine lets nobody make a namespace")
    found = {entry["id"]: entry for entry in json.loads(done.stdout)["checks"]}
    assert (done.returncode, failed(found)) == (1, NO_ENGINE | {"node-answers"})
