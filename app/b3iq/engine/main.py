"""Entry point of the engine's process: `python -m b3iq.engine --config FILE --paths …`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from b3iq import logs
from b3iq.config import EngineConfig, load
from b3iq.errors import B3iqError
from b3iq.models import safe_load
from b3iq.paths import Paths


def main(arguments: list[str] | None = None) -> int:
    """Serve until a signal ends the process; returns the exit status of a refused start."""
    os.umask(0o077)
    options = _parse(arguments)
    logs.configure()
    try:
        config = load(EngineConfig, options.config)
        if options.check:
            return 0
        model_dir = options.paths.models / config.model
        # Before anything is imported that could run a model's code.
        safe_load.check_directory(model_dir)
    except B3iqError as error:
        print(f"b3iq-engine: {error.message}", file=sys.stderr)
        return error.exit_code
    # No hub, no telemetry, no advisory network calls: the engine has no network.
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
    from b3iq.engine.application import EngineApplication

    EngineApplication(config, model_dir, options.socket or options.paths.engine_socket).run()
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="b3iq-engine", description="B3IQ inference engine.")
    parser.add_argument("--config", type=Path, required=True, help="engine.toml")
    parser.add_argument(
        "--paths",
        type=lambda text: Paths.system() if text == "system" else Paths.under(Path(text)),
        required=True,
        metavar="system|DIR",
        help="the host's layout, or a development node's directory",
    )
    parser.add_argument(
        "--socket", type=Path, help="where to listen, unless systemd hands a socket over"
    )
    parser.add_argument(
        "--check", action="store_true", help="read the settings, say what is wrong, and exit"
    )
    return parser.parse_args(arguments)
