"""Release repositories as an adversary, a careless publisher or an accident would make them."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tuf.api.metadata import Metadata, Timestamp

from release import keys
from release.repository import Publisher


def copy(repository: Path, destination: Path) -> Path:
    """A copy whose files may be changed; the big ones are shared until they are."""
    return Path(shutil.copytree(repository, destination, copy_function=_link))


def _link(source: str, destination: str) -> None:
    Path(destination).hardlink_to(source)


def _replace(path: Path, raw: bytes) -> None:
    path.unlink()  # the original shares the inode
    path.write_bytes(raw)


def tampered(repository: Path, destination: Path, layer: str) -> Path:
    """One bit of the archive whose name contains `layer` is flipped."""
    changed = copy(repository, destination)
    archive = next(path for path in (changed / "targets").rglob("*") if layer in path.name)
    raw = bytearray(archive.read_bytes())
    raw[len(raw) // 2] ^= 1
    _replace(archive, bytes(raw))
    return changed


def metadata_only(repository: Path, destination: Path) -> Path:
    """Without the archives, for what is refused before they are read."""
    copy(repository / "metadata", destination / "metadata")
    return destination


def expired(repository: Path, destination: Path, signers: Path) -> Path:
    """The timestamp ran out yesterday, rightly signed: a frozen repository."""
    changed = copy(repository, destination)
    path = changed / "metadata" / "timestamp.json"
    metadata = Metadata[Timestamp].from_file(str(path))
    metadata.signed.version += 1
    metadata.signed.expires = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
    for number, signer in enumerate(keys.load(signers)["timestamp"]):
        metadata.sign(signer, append=number > 0)
    _replace(path, metadata.to_bytes())
    return changed


def other_root(directory: Path) -> Path:
    """The root of another publisher, with keys of its own."""
    now = datetime.now(UTC)
    keys.create(directory / "keys")
    publisher = Publisher(directory / "repository", keys.load(directory / "keys"), now)
    root = directory / "trusted-root.json"
    root.write_bytes(publisher.create_root())
    return root
