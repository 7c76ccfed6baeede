"""Where an audit log is read from: the running node, page by page, or an exported file."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import click
from pydantic import ValidationError

from b3iq.audit.errors import AuditRefused
from b3iq.audit.record import Checkpoint
from b3iq.cli import output
from b3iq.cli.client import AdminClient
from b3iq.errors import UsageError
from b3iq.paths import Paths

_PAGE = 500


@dataclass(frozen=True)
class Source:
    """A log as it was found; nothing of it is trusted yet.

    Attributes:
        public_key: what the node says its key is; empty for a file.
        checkpoints: those that came with the log.
        entries: begins to read the events, oldest first.
        fault: why no checkpoint came with it, if none did.
    """

    public_key: str
    checkpoints: Sequence[Checkpoint]
    entries: Callable[[], Iterator[dict[str, Any]]]
    fault: str = ""


@contextmanager
def of_node(paths: Paths) -> Iterator[Source]:
    """The log of the running node, right or wrong.

    Raises:
        NodeUnreachable, NodeRefused
    """
    client = AdminClient(paths)
    first = client.get("/admin/audit", after=0, limit=_PAGE)
    kept, fault = [], ""
    if first["checkpoint"] is None:
        fault = first["checkpoint_fault"] or "The node's checkpoint is gone."
    else:
        kept = [Checkpoint.model_validate(first["checkpoint"])]

    def entries() -> Iterator[dict[str, Any]]:
        page = first["data"]
        while page:
            yield from page
            page = client.get("/admin/audit", after=page[-1]["sequence"], limit=_PAGE)["data"]

    with _progress(first["size"]) as shown:
        yield Source(first["public_key_ed25519"], kept, lambda: shown(entries()), fault)


@contextmanager
def of_file(path: Path) -> Iterator[Source]:
    """The log of an export.

    Raises:
        AuditRefused: it does not end with a checkpoint.
        UsageError: it cannot be read.
    """
    checkpoint = read_checkpoint(path)
    with _opened(path) as file:

        def entries() -> Iterator[dict[str, Any]]:
            for number, line in enumerate(file, 1):
                entry = _object(line)
                if "signature_ed25519" in entry:
                    return
                if not isinstance(entry.get("event_hash"), str) or "event" not in entry:
                    raise AuditRefused(f"Line {number} of the export is not an event.")
                yield entry

        yield Source("", [checkpoint], entries)


def read_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint in the last line of a file: alone, of an export, or of the journal.

    Raises:
        AuditRefused: there is none.
        UsageError: the file cannot be read.
    """
    last = ""
    with _opened(path) as file:
        for line in file:
            last = line.strip() or last
    found = _object(last)
    alone = found if "signature_ed25519" in found else found.get("checkpoint")
    try:
        return Checkpoint.model_validate(alone)
    except ValidationError:
        raise AuditRefused(f"{path} does not end with a checkpoint; was it cut?") from None


@contextmanager
def _opened(path: Path) -> Iterator[IO[str]]:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            yield file
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}.", remedy="`b3iq audit export` makes one."
        ) from error


def _object(line: str) -> dict[str, Any]:
    try:
        # The journal's own lines begin with a priority such as <6>.
        found = json.loads(line[line.index("{") :])
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


@contextmanager
def _progress(
    size: int,
) -> Iterator[Callable[[Iterator[dict[str, Any]]], Iterator[dict[str, Any]]]]:
    """A bar on standard error for a person who waits; nothing for programs and pipes."""
    if output.is_json() or not sys.stderr.isatty() or size <= _PAGE:
        yield lambda entries: entries
        return
    with click.progressbar(length=size, label="Reading the log", file=sys.stderr) as bar:

        def shown(entries: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
            for entry in entries:
                bar.update(1)
                yield entry

        yield shown
