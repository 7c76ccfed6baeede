"""`python -m tests.bench.key_check`: what a key and its limits cost a request, in µs.

Median of single calls, on a database of its own with many receipts, none of them held in
the process: what a request pays before its body is read, and never argon2. Beside it, what the
shortest answer of the smallest model costs over HTTP that somebody would really serve.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from b3iq.credentials.keys import LocalKey
from b3iq.credentials.limits import KeyLimits
from b3iq.node.limits import Admission, check_address
from b3iq.node.services import Services
from b3iq.store.clock import utc_now
from tests.bench.load import prompts, through_path
from tests.bench.midsize import midsize
from tests.integration.openai.served import serving
from tests.unit.node import apps

OUTPUT = Path("build/key-check.json")
CALLS = 2000
# Receipts of the key in its last minute: what the look at its rates has to count.
IN_THE_MINUTE = (0, 60, 600)
OTHERS = 2000
# With the template's own three, a prompt of 128 tokens.
PROMPT_WORDS = 125
ANSWERS = 20
# What a key with every limit pays, at one request a second.
LIMITED = ("secret of the key", "address, three networks", "rates, 60 receipts in the minute")
RATES = KeyLimits(requests_per_minute=100_000, tokens_per_minute=1_000_000_000)
ADDRESSES = KeyLimits(addresses=("127.0.0.0/8", "192.0.2.0/24", "2001:db8::/32"))


def median_us(call: Callable[[], object]) -> float:
    """Microseconds of one call."""
    call()
    taken = []
    for _ in range(CALLS):
        began = time.perf_counter_ns()
        call()
        taken.append(time.perf_counter_ns() - began)
    return round(statistics.median(taken) / 1000, 1)


def work(services: Services, key_id: str, count: int) -> None:
    """So many sealed receipts of a key."""
    for _ in range(count):
        opened = services.receipts.open(
            model_id="m", model_digest="ab" * 32, runtime_kind="pytorch", key_id_of_local_key=key_id
        )
        services.receipts.seal(opened, status="completed", prompt_tokens=128, completion_tokens=1)


def look(services: Services, key: LocalKey) -> None:
    """What the gate does for a key with rates."""
    with services.database.read() as connection:
        Admission(key).look(connection, utc_now())


def measure(services: Services) -> dict[str, float]:
    """Microseconds by what is measured."""
    work(services, "another", OTHERS)
    key, secret = services.keys.create("plain")
    placed, _ = services.keys.create("placed", limits=ADDRESSES)
    found = {
        "secret of the key": median_us(lambda: services.keys.authenticate(secret)),
        "address, three networks": median_us(lambda: check_address(placed, "127.0.0.1")),
        "rates, none set": median_us(lambda: check_rates(services, key)),
    }
    for count in IN_THE_MINUTE:
        rated, _ = services.keys.create("rated", limits=RATES)
        work(services, rated.key_id, count)
        found[f"rates, {count} receipts in the minute"] = median_us(
            lambda key=rated: look(services, key)
        )
    return found


def check_rates(services: Services, key: LocalKey) -> None:
    """The same for a key without rates: nothing is asked of the database."""
    if Admission(key).has_rates:
        look(services, key)


def check_us() -> dict[str, float]:
    """`measure` on a node of its own."""
    with tempfile.TemporaryDirectory(prefix="b3iq-bench-") as state:
        node = apps.make(Path(state))
        try:
            return measure(node.services)
        finally:
            node.close()


def answer_us() -> float:
    """One token after a prompt of 128, whole path: the first answer warms up and is left out."""
    with (
        tempfile.TemporaryDirectory(prefix="b3iq-bench-") as state,
        serving(Path(state), midsize()) as served,
    ):
        taken = []
        for number in range(ANSWERS + 1):
            taken.append(through_path(served, prompts(1, number, PROMPT_WORDS), 1).seconds)
            asked = served.last_receipt()["usage"]["prompt_tokens"]
            if asked != 128:
                raise RuntimeError(f"the prompt has {asked} tokens")
        return round(1e6 * statistics.median(taken[1:]), 1)


def cost() -> dict[str, float]:
    """What is measured, with the sum for a key that has every limit, and its share of an answer."""
    found = check_us()
    whole = sum(found[part] for part in LIMITED)
    answer = answer_us()
    return found | {
        "a key with limits, in all": round(whole, 1),
        "one token after 128, whole path": answer,
        "share of the key, percent": round(100 * whole / answer, 3),
    }


def report(found: dict[str, float]) -> Table:
    """One line each."""
    grid = Table(title="µs per request, median")
    grid.add_column("what")
    grid.add_column("µs", justify="right")
    for what, number in found.items():
        grid.add_row(what, f"{number:,.3f}" if "percent" in what else f"{number:,.1f}")
    return grid


def main() -> None:
    """Measure, print and write."""
    found = cost()
    Console(highlight=False).print(report(found))
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
