"""`b3iq serve`: node and engine in the foreground, for a machine without root or systemd.

The same processes as on a host, with their state in one directory. Ctrl-C stops both.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import tomllib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO, Any

import click
from rich.console import Console
from rich.markup import escape

from b3iq.cli import output
from b3iq.cli.client import AdminClient, NodeUnreachable
from b3iq.cli.supervise import Child, Interrupts
from b3iq.config import EngineConfig, NodeConfig, load
from b3iq.credentials import secret_files, tls_pair
from b3iq.errors import B3iqError, UsageError
from b3iq.models.manifest import read_manifest
from b3iq.node.engine_client import EngineClient
from b3iq.node.server import refuse_taken_port
from b3iq.paths import Paths

_DEFAULT_MODEL = Path("build/models/b3iq-smoke")
_REMEDY = "Make the embedded model with `make model`, or name a model with --model-dir."


class AlreadyServing(B3iqError):
    """Another `b3iq serve` uses the same state directory."""

    code = "already_serving"
    title = "The state directory is in use"


@click.command()
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the node keeps everything (default: ~/.local/state/b3iq).",
)
@click.option(
    "--model-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="A model directory with its manifest (default: the one used last, or "
    "build/models/b3iq-smoke).",
)
@click.option("--port", type=click.IntRange(1, 65535), help="Listen here (default: 8831).")
@output.json_option
@click.pass_context
def serve(ctx: click.Context, state: Path | None, model_dir: Path | None, port: int | None) -> None:
    """Run node and engine in the foreground on 127.0.0.1. Ctrl-C stops both."""
    state = (state or ctx.find_root().params.get("state") or _default_state()).absolute()
    paths = Paths.under(state)
    interrupts = Interrupts()
    with _only_one(state):
        secret_files.create_missing(paths.credentials)
        node = _settle(NodeConfig, paths.node_config, {"listen_port": port})
        if node.has_lan:
            secret_files.create_pair(paths.credentials, partial(tls_pair.make, node.lan_names))
        refuse_taken_port(node)
        model = _install_model(paths, model_dir)
        engine = _settle(EngineConfig, paths.engine_config, {"model": model})
        paths.run.mkdir(mode=0o700, parents=True, exist_ok=True)
        children = [
            _child("engine", paths.engine_config, state),
            _child("node", paths.node_config, state),
        ]
        try:
            _run(paths, node, children, interrupts)
        finally:
            # The node first: its streams end, and their receipts are sealed, by the engine.
            children[1].stop(node.drain_s + 10, interrupts.hurried)
            children[0].stop(engine.drain_s + 10, interrupts.hurried)


def _run(paths: Paths, node: NodeConfig, children: list[Child], interrupts: Interrupts) -> None:
    console = output.terminal(stderr=True)
    engine = EngineClient(paths.engine_socket, connect_s=1.0)
    admin = AdminClient(paths)
    with console.status("Starting the node…") as status:
        if not _wait(lambda: _answers(admin), children, interrupts):
            return
        status.update("Loading the model…")
        if not _wait(engine.is_healthy, children, interrupts):
            return
    _announce(admin, node, engine.models()[0].id, paths)
    while not interrupts.asked():
        for child in children:
            if child.keep_running():
                console.print(f"The {child.name} had ended and was started again.")
        interrupts.pause()
    console.print("Stopping: running answers are finished first; Ctrl-C again stops at once.")


def _wait(ready: Callable[[], bool], children: list[Child], interrupts: Interrupts) -> bool:
    """Wait until `ready`; False if the operator does not want to wait any longer."""
    while not ready():
        if interrupts.asked():
            return False
        for child in children:
            child.keep_running()
        interrupts.pause()
    return True


def _answers(admin: AdminClient) -> bool:
    try:
        admin.get("/admin/status")
    except NodeUnreachable:
        return False
    return True


def _announce(admin: AdminClient, node: NodeConfig, model: str, paths: Paths) -> None:
    status = admin.get("/admin/status")
    facts: dict[str, Any] = {
        "base_url": f"http://localhost:{node.listen_port}",
        "model": model,
        "state": str(paths.etc.parent),
        "claimed": status["claimed"],
    }
    if not status["claimed"]:
        facts["setup"] = admin.post("/admin/setup-token")

    def for_people(console: Console) -> None:
        where = escape(f"b3iq --state {facts['state']}")
        console.print(f"[bold green]Serving[/] {escape(model)} on {facts['base_url']}/v1")
        if "setup" in facts:
            console.print("\nClaim the node in a browser. This link works once, for an hour:")
            console.print(facts["setup"]["url"], soft_wrap=True, markup=False)
        else:
            console.print(f"Console: {facts['base_url']}")
        console.print("\nA key for a client, and a first question:")
        console.print("  mkdir -pm 700 .secrets")
        console.print(f"  {where} keys create laptop --file .secrets/laptop-key", soft_wrap=True)
        console.print(
            f"  b3iq chat --base-url {facts['base_url']} --api-key-file .secrets/laptop-key "
            "--temperature 0 'Hello!'",
            soft_wrap=True,
        )
        console.print("\nCtrl-C stops everything.")

    output.show(facts, for_people)
    sys.stdout.flush()


def _child(name: str, config: Path, state: Path) -> Child:
    command = [sys.executable, "-m", f"b3iq.{name}", "--config", str(config), "--paths"]
    logs = state / "log"
    logs.mkdir(mode=0o700, exist_ok=True)
    return Child(name, [*command, str(state)], logs / f"{name}.log")


def _default_state() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "b3iq"


class _only_one:  # noqa: N801 - read as a sentence where it is used
    """Holds the state directory, 0700, for one `b3iq serve`."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._file: IO[bytes] | None = None

    def __enter__(self) -> None:
        self._state.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._state.chmod(0o700)
        self._file = (self._state / "serve.lock").open("wb")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise AlreadyServing(
                f"Another `b3iq serve` uses {self._state}.",
                remedy="Stop it, or name another directory with --state.",
            ) from error

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()


def _settle(schema: type[Any], path: Path, wanted: dict[str, Any]) -> Any:  # noqa: ANN401 - of the schema
    """Settings in `path` with what was asked for on the command line; other lines are kept."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    present = tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    present |= {name: value for name, value in wanted.items() if value is not None}
    # JSON's strings, numbers, booleans and arrays are TOML's too.
    lines = [f"{name} = {json.dumps(value)}\n" for name, value in present.items()]
    path.write_text("".join(lines), encoding="utf-8")
    return load(schema, path)


def _install_model(paths: Paths, model_dir: Path | None) -> str:
    """The name of the model to serve, linked into the state directory."""
    paths.models.mkdir(mode=0o700, parents=True, exist_ok=True)
    if model_dir is None:
        if paths.engine_config.exists():
            used = load(EngineConfig, paths.engine_config).model
            if (paths.models / used).is_dir():
                return used
        model_dir = _DEFAULT_MODEL
    if not (model_dir / "manifest.json").is_file():
        raise UsageError(f"There is no model in {model_dir}.", remedy=_REMEDY)
    name = read_manifest(model_dir).name
    place = paths.models / name
    if place.is_symlink():
        place.unlink()
    if not place.exists():
        place.symlink_to(model_dir.absolute(), target_is_directory=True)
    return name
