"""`python -m tests.soak`: the boundary tried many times over, counted and reported.

Everything runs against nodes of its own on loopback, bounded in count and time. Prints a
table, writes build/soak.json, and ends with status 1 if anything was violated or the time
was over before all was tried.
"""

from __future__ import annotations

import argparse
import json
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench import key_check
from tests.integration.boundary import METHODS, PATHS, Holders, sweep
from tests.integration.fuzz import as_everybody
from tests.integration.node_process import NodeProcess, node_process
from tests.integration.openai.served import serving
from tests.soak import races
from tests.soak.scanner import Scanner, hits, missed
from tests.unit.engine.tiny_model import build

OUTPUT = Path("build/soak.json")
_RIVALS = 100
_SHOWN = 20


@dataclass
class Finding:
    """One line of the report; `violations` are words that quote no secret."""

    what: str
    tried: int
    violations: list[str]
    seconds: float = 0.0
    detail: dict[str, Any] = field(default_factory=dict)


def routes(*, claimed: bool) -> Finding:
    """Every route by every method by every credential class."""
    with _node(claimed=claimed) as node:
        holders = Holders(node, claimed=claimed)
        tally = sweep(holders)
    verdicts: dict[str, dict[str, int]] = {}
    for (holder, verdict), count in sorted(tally.cases.items()):
        verdicts.setdefault(holder, {})[verdict] = count
    state = "claimed" if claimed else "unclaimed"
    sizes = f"{len(PATHS)} routes, {len(METHODS)} methods, {len(holders.names)} classes"
    return Finding(f"{sizes}, {state}", tally.total, tally.wrong, detail={"by_class": verdicts})


def revocations(count: int) -> Finding:
    """Keys revoked while they are used."""
    with _node(claimed=False) as node:
        tried, wrong = races.revocations(node, count)
    return Finding(f"{count} revocations under use", tried, wrong, detail={"revoked": count})


def claims(rounds: int) -> Finding:
    """Claims at once; one owner each time."""
    wrong = []
    for _ in range(rounds):
        with _node(claimed=False) as node:
            statuses = races.claims(node, _RIVALS)
        if statuses != {201: 1, 404: _RIVALS - 1}:
            wrong.append(str(dict(statuses)))
    return Finding(f"{_RIVALS} claims at once, {rounds} times", rounds * _RIVALS, wrong)


def fuzzing(examples: int) -> Finding:
    """Requests made from the API description, different ones each time."""
    with tempfile.TemporaryDirectory(prefix="b3iq-") as directory:
        where = Path(directory)
        with serving(where / "state", build(where / "tiny")) as served:
            start = secrets.randbits(32)
            found = as_everybody(served, examples, start=start)
    detail: dict[str, Any] = {"start": start}
    detail |= {"by_class": dict(found.cases), "by_status": dict(sorted(found.statuses.items()))}
    wrong = sorted(found.faults)
    wrong += [f"status {status}" for status in found.statuses if status >= 500]
    return Finding("fuzz cases", found.cases.total(), wrong, detail=detail)


def recall(count: int) -> Finding:
    """Minted tokens that the shipped gitleaks rule reports."""
    unseen = missed(Scanner(), count)
    return Finding("minted tokens found by the rule", count, ["a token missed"] * unseen)


def precision(count: int) -> Finding:
    """Strings that are no tokens, of which it reports none."""
    wrong = ["a false hit"] * len(hits(Scanner(), count))
    return Finding("random strings passed over by it", count, wrong)


class OutOfTime(BaseException):
    """The whole soak has taken as long as it may; nothing that is tried may swallow this."""


def _end(*_: object) -> None:
    raise OutOfTime


@contextmanager
def _node(*, claimed: bool) -> Iterator[NodeProcess]:
    with node_process() as node:
        node.start()
        if claimed:
            with node.client() as client:
                node.claim(client).raise_for_status()
        yield node


def report(findings: list[Finding]) -> Table:
    """What was tried and what went wrong, one line each."""
    grid = Table(title="The boundary under soak")
    for column in ("what", "tried", "violations", "seconds"):
        grid.add_column(column, justify="left" if column == "what" else "right")
    for found in findings:
        cells = (f"{found.tried:,}", str(len(found.violations)), f"{found.seconds:.0f}")
        grid.add_row(found.what, *cells)
    return grid


def _timed(step: Callable[[], Finding]) -> Finding:
    began = time.monotonic()
    found = step()
    found.seconds = round(time.monotonic() - began, 1)
    return found


def _tell(console: Console, found: Finding) -> None:
    console.print(f"{found.what}: {found.tried:,}, {len(found.violations)} violations")
    for violation in found.violations[:_SHOWN]:
        console.print(f"  {violation}", markup=False, style="red")


def _steps(options: argparse.Namespace) -> list[Callable[[], Finding]]:
    return [
        lambda: routes(claimed=False),
        lambda: routes(claimed=True),
        lambda: revocations(options.revocations),
        lambda: claims(options.claims),
        lambda: recall(options.minted),
        lambda: precision(options.random),
        lambda: fuzzing(options.examples),
    ]


def main() -> int:
    """Run, print and write; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--revocations", type=int, default=1_000)
    parser.add_argument("--claims", type=int, default=3, help="rounds of 100 at once")
    parser.add_argument("--examples", type=int, default=60, help="per route, class and kind")
    parser.add_argument("--minted", type=int, default=100_000)
    parser.add_argument("--random", type=int, default=1_000_000)
    parser.add_argument("--minutes", type=int, default=60, help="the end, whatever is done by then")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args()
    console = Console(highlight=False)
    signal.signal(signal.SIGALRM, _end)
    signal.alarm(60 * options.minutes)
    findings: list[Finding] = []
    cost: dict[str, float] = {}
    try:
        for step in _steps(options):
            findings.append(_timed(step))
            _tell(console, findings[-1])
        cost = key_check.cost()
    except OutOfTime:
        over = f"the {options.minutes} minutes were over"
        findings.append(Finding("all the rest", 0, [over]))
    signal.alarm(0)
    console.print(report(findings))
    if cost:
        console.print(key_check.report(cost))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    everything = {"findings": [asdict(found) for found in findings], "key_check_us": cost}
    told = json.dumps(everything, indent=2, ensure_ascii=False)
    options.output.write_text(f"{told}\n", encoding="utf-8")
    console.print(f"Written to {options.output}.")
    return 1 if any(found.violations for found in findings) else 0


if __name__ == "__main__":
    sys.exit(main())
