"""The runner: a check that fails in itself is a finding, and what rests on a fault says nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from b3iq.checks.check import Check, Finding, Level, failed, ok, skipped, warning
from b3iq.checks.host import Host
from b3iq.checks.machine import CannotLook
from b3iq.checks.registry import CHECKS
from b3iq.checks.runner import run, select
from b3iq.errors import UsageError
from b3iq.paths import Paths

HOST = Host(Paths.under(Path("/nowhere")), installed=True)
DEVELOPMENT = Host(Paths.under(Path("/nowhere")), installed=False)
SECRET = "canary-of-an-exception"


def check(name: str, finding: Finding | Exception, *needs: str, host_only: bool = False) -> Check:
    def look(_host: Host) -> Finding:
        if isinstance(finding, Exception):
            raise finding
        return finding

    return Check(name, "title", "examines", look, needs, host_only)


def levels(*checks: Check, host: Host = HOST) -> dict[str, Level]:
    return {r.check.id: r.finding.level for r in run(checks, checks, host).results}


@pytest.mark.parametrize(
    ("findings", "status"),
    [
        ([ok("a")], 0),
        ([ok("a"), warning("b", "c"), skipped("d")], 0),
        ([ok("a"), failed("b", "c")], 1),
        ([ok("a"), CannotLook("b")], 2),
        ([ValueError(SECRET)], 2),
        ([CannotLook("a"), failed("b", "c")], 1),
        ([], 0),
    ],
)
def test_the_exit_status_says_the_worst_that_is_known(
    findings: list[Finding | Exception], status: int
) -> None:
    checks = [check(str(number), finding) for number, finding in enumerate(findings)]
    assert run(checks, checks, HOST).exit_code == status


def test_an_exception_in_a_check_is_a_finding_without_its_words() -> None:
    checks = [check("broken", ValueError(SECRET)), check("next", ok("Fine."))]
    report = run(checks, checks, HOST)
    assert [r.finding.level for r in report.results] == [Level.COULD_NOT_RUN, Level.OK]
    assert SECRET not in json.dumps(report.to_json())
    assert "ValueError" in report.results[0].finding.said


@pytest.mark.parametrize("fault", [failed("a", "b"), CannotLook("a"), KeyError("a")])
def test_what_rests_on_a_fault_is_skipped_to_any_depth(fault: Finding | Exception) -> None:
    checks = [check("c", ok("c"), "b"), check("b", ok("b"), "a"), check("a", fault)]
    found = levels(*checks)
    assert found["b"] is found["c"] is Level.SKIPPED


def test_what_rests_on_a_warning_or_on_what_this_node_lacks_is_examined() -> None:
    warned = levels(check("a", warning("a", "b")), check("b", ok("b"), "a"))
    assert warned["b"] is Level.OK
    lacking = levels(
        check("a", failed("a", "b"), host_only=True), check("b", ok("b"), "a"), host=DEVELOPMENT
    )
    assert lacking == {"a": Level.SKIPPED, "b": Level.OK}


def test_a_check_by_itself_still_rests_on_what_it_needs() -> None:
    checks = [check("a", failed("a", "b")), check("b", ok("b"), "a")]
    report = run(checks, checks[1:], HOST)
    assert [r.check.id for r in report.results] == ["b"]
    assert report.results[0].finding.level is Level.SKIPPED
    assert report.exit_code == 0


def test_an_unknown_check_is_refused_and_order_is_the_registrys() -> None:
    with pytest.raises(UsageError, match="no check firewal"):
        select(CHECKS, ["clock", "firewal"])
    chosen = select(CHECKS, ["listeners", "clock"])
    assert [c.id for c in chosen] == ["clock", "listeners"]


def test_ids_are_unique_and_kebab_case_and_needs_exist() -> None:
    ids = [c.id for c in CHECKS]
    assert len(set(ids)) == len(ids)
    assert all(part.isalnum() and part.islower() for name in ids for part in name.split("-"))
    assert {need for c in CHECKS for need in c.needs} <= set(ids)


def test_there_is_one_file_a_check_named_by_its_id() -> None:
    files = {
        path.stem.replace("_", "-")
        for path in Path(run.__code__.co_filename).parent.glob("*.py")
        if "CHECK = Check(" in path.read_text()
    }
    assert files == {c.id for c in CHECKS}
