"""`python -m tests.bench.key_check`: what a key and its limits cost a request, in µs.

Median of single calls, on a database of its own with many receipts, none of them held in
the process: what a request pays before its body is read, and never argon2.
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
from tests.unit.node import apps

OUTPUT = Path("build/key-check.json")
CALLS = 2000
# Receipts of the key in its last minute: what the look at its rates has to count.
IN_THE_MINUTE = (0, 60, 600)
OTHERS = 2000
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


def main() -> None:
    """Measure, print and write."""
    with tempfile.TemporaryDirectory(prefix="b3iq-bench-") as state:
        node = apps.make(Path(state))
        try:
            found = measure(node.services)
        finally:
            node.close()
    grid = Table(title="µs per request, median")
    grid.add_column("what")
    grid.add_column("µs", justify="right")
    for what, cost in found.items():
        grid.add_row(what, f"{cost:.1f}")
    Console(highlight=False).print(grid)
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
