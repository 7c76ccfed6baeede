"""`python -m tests.bench`: the whole path against the bare engine loop, as ratios of one run.

Bare loop and path are measured in turn, round after round, on the same prompts, because
the machine's speed drifts by more than what is measured. Prefill is included. Writes
build/bench.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from b3iq.config import EngineConfig
from b3iq.engine.service import Engine
from tests.bench.load import ANSWER_TOKENS, Run, prompts, through_engine, through_path
from tests.bench.midsize import NAME, midsize
from tests.integration.openai.served import Served, serving

SMOKE = Path("build/models/b3iq-smoke")
OUTPUT = Path("build/bench.json")
STREAMS = (1, 8, 32)
KV_CACHE_BYTES = 1024 * 1024 * 1024


def measure(
    model_dir: Path, name: str, rounds: int, streams: tuple[int, ...], console: Console
) -> dict[int, tuple[list[Run], list[Run]]]:
    """Bare and path runs by number of streams, from one run of both."""
    settings = {"kv_cache_bytes": KV_CACHE_BYTES}
    config = EngineConfig(model=name, **settings)
    with (
        tempfile.TemporaryDirectory(prefix="b3iq-bench-") as state,
        Progress(console=console) as bar,
    ):
        work = bar.add_task(f"{name}: starting", total=1 + (rounds + 1) * len(streams))
        engine = Engine(config, model_dir).start()
        try:
            engine.wait_ready()
            with serving(Path(state), model_dir, None, settings) as served:
                bar.update(work, advance=1)
                results: dict[int, tuple[list[Run], list[Run]]] = {n: ([], []) for n in streams}
                for turn in range(rounds + 1):
                    for count in streams:
                        bar.update(work, advance=1, description=f"{name}: {count} streams")
                        bare, path = one_turn(engine, served, count, turn)
                        if turn > 0:  # the first touches memory and warms caches
                            results[count][0].append(bare)
                            results[count][1].append(path)
                return results
        finally:
            engine.stop()


def one_turn(engine: Engine, served: Served, count: int, turn: int) -> tuple[Run, Run]:
    """Bare and path on the same prompts; who goes first changes from turn to turn."""
    asked = prompts(count, seed=1000 * turn + count)
    if turn % 2:
        path = through_path(served, asked, ANSWER_TOKENS)
        return through_engine(engine, asked, ANSWER_TOKENS), path
    bare = through_engine(engine, asked, ANSWER_TOKENS)
    return bare, through_path(served, asked, ANSWER_TOKENS)


def ratios(results: dict[int, tuple[list[Run], list[Run]]]) -> dict[str, float]:
    """Median of the ratios of each round."""
    return {
        f"path_over_engine_{count}": round(
            statistics.median(p.rate / b.rate for b, p in zip(bare, path, strict=True)), 3
        )
        for count, (bare, path) in results.items()
    }


def table(name: str, results: dict[int, tuple[list[Run], list[Run]]]) -> Table:
    """Medians, lowest and highest, and the ratios."""
    grid = Table(title=f"{name}, tokens/s, median (lowest to highest)")
    for column in (
        "streams",
        "bare engine loop",
        "whole path",
        "path / engine",
        "node CPU, µs/token",
    ):
        grid.add_column(column, justify="right")
    for count, (bare, path) in results.items():
        ratio = [p.rate / b.rate for b, p in zip(bare, path, strict=True)]
        grid.add_row(
            str(count),
            spread([run.rate for run in bare], "{:.1f}"),
            spread([run.rate for run in path], "{:.1f}"),
            spread(ratio, "{:.3f}"),
            spread([1e6 * run.node_cpu_s / run.tokens for run in path], "{:.0f}"),
        )
    return grid


def spread(values: list[float], form: str) -> str:
    """`median (lowest to highest)`."""
    low, middle, high = (
        form.format(value) for value in (min(values), statistics.median(values), max(values))
    )
    return f"{middle} ({low} to {high})"


def detail(results: dict[int, tuple[list[Run], list[Run]]]) -> dict[str, dict[str, list[float]]]:
    """Every round's rates, for whoever wants to look closer."""
    return {
        str(count): {
            "engine_tokens_per_s": [round(run.rate, 2) for run in bare],
            "path_tokens_per_s": [round(run.rate, 2) for run in path],
            "node_cpu_us_per_token": [round(1e6 * run.node_cpu_s / run.tokens) for run in path],
        }
        for count, (bare, path) in results.items()
    }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--streams", type=int, nargs="+", default=STREAMS)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args()
    console = Console(highlight=False)
    with console.status("Making the 135M model (once)…"):
        models = {NAME: midsize()}
    if (SMOKE / "manifest.json").is_file():
        models["b3iq-smoke"] = SMOKE
    found = {}
    for name, directory in models.items():
        results = measure(directory, name, options.rounds, tuple(options.streams), console)
        console.print(table(name, results))
        found[name] = {"ratios": ratios(results), "streams": detail(results)}
    report = {
        "ratios": found[NAME]["ratios"],
        "answer_tokens": ANSWER_TOKENS,
        "rounds": options.rounds,
        "cores": len(os.sched_getaffinity(0)),
        "load_average": os.getloadavg(),
        "models": found,
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    console.print(f"Written to {options.output}.")


if __name__ == "__main__":
    main()
