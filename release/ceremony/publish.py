"""Step 8 of the ceremony: from the staging directory to the public one, once a client accepts it.

Targets come first, then metadata, and `timestamp.json` last by a rename: a reader finds the
former repository or the new one. A publication that was killed is finished by the next.
"""

from __future__ import annotations

import json
import shutil
from datetime import datetime
from pathlib import Path

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Timestamp

from b3iq.updater import floors, fsops, trust
from b3iq.updater.fetch import Repository
from b3iq.updater.manifest import digest
from release.ceremony.staging import CeremonyRefused, Staging
from release.ceremony.steps import complete

LOG = "publications.jsonl"


def publish(
    directory: Path, public: Path, channel: str, now: datetime, future: datetime, reason: str
) -> None:
    """Publish a staging directory.

    Args:
        future: a date until which nothing of the release may expire.
        reason: why no independent client and no older one looked at it; kept in
            `publications.jsonl` beside the staging directory's metadata.

    Raises:
        CeremonyRefused: signatures lack, something expires before `future`, the public
            repository is newer, or no reason is given.
        Refused: our own client refuses the staged repository.
    """
    if not reason.strip():
        raise CeremonyRefused(
            "No independent client has looked at the repository.",
            remedy="Say with --without-independent-client REASON why it is published anyhow.",
        )
    staging = Staging(directory)
    complete(staging, staging.roles())
    _not_older(staging, public)
    _accepted(staging, directory, channel, now, future)
    with (directory / LOG).open("a") as log:
        entry = {"time": f"{now:%Y-%m-%dT%H:%M:%SZ}", "without_independent_client": reason}
        log.write(json.dumps(entry) + "\n")
    for part in ("targets", "metadata"):
        for file in sorted((directory / part).rglob("*")):
            if file.is_file() and file.name != "timestamp.json" and not file.name.startswith("."):
                _copy(file, public / file.relative_to(directory))
    fsops.flush_file_system(public)
    raw = staging.path("timestamp", 0).read_bytes()
    fsops.write_file(public / "metadata/timestamp.json", raw, 0o644)


def _not_older(staging: Staging, public: Path) -> None:
    path = public / "metadata/timestamp.json"
    if not path.exists():
        return
    try:
        there = Metadata[Timestamp].from_bytes(path.read_bytes())
    except RepositoryError as error:
        raise CeremonyRefused("The public timestamp is unreadable.") from error
    here = staging.read("timestamp")
    older = here.signed.version < there.signed.version
    if older or (here.signed.version == there.signed.version and here != there):
        raise CeremonyRefused(
            f"The public repository has timestamp {there.signed.version}; "
            f"{here.signed.version} is staged.",
            remedy="Run resign on the staging directory that was published last.",
        )


def _accepted(
    staging: Staging, directory: Path, channel: str, now: datetime, future: datetime
) -> None:
    root = staging.path("root", 1).read_bytes()
    repository = Repository(str(directory))
    release = trust.verify(repository, root, floors.first(digest(root)), channel, now)
    early = sorted(role for role, expires in release.expires.items() if expires <= future)
    if early:
        raise CeremonyRefused(
            f"Expired by {future:%Y-%m-%d}: {', '.join(early)}.", remedy="Sign them anew first."
        )
    for archive in release.manifest.archives():
        for _ in trust.checked_stream(repository, archive.target, archive.sha256, archive.length):
            pass


def _copy(file: Path, place: Path) -> None:
    fsops.make_directory(place.parent, 0o755)
    if place.exists():
        if fsops.hash_file(place) != fsops.hash_file(file):
            raise CeremonyRefused(
                f"{place.name} is published with another content.",
                remedy="What is published never changes: stage the next version.",
            )
        return
    partial = place.with_name(f".{place.name}.new")
    shutil.copyfile(file, partial)
    partial.chmod(0o644)
    partial.rename(place)
