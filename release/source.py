"""The source of a release: what git knows of the package, and whether it was committed."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

from release.archive import BuildFailed

PACKAGE = "app/b3iq"
# A change in any of these makes another release.
_INPUTS = ("app", "release")


@dataclass(frozen=True)
class Source:
    """Files of `app/b3iq` in the working tree.

    Attributes:
        commit: git commit that the working tree stands on.
        dirty: the inputs of a release differ from that commit.
        files: by path relative to `app/`; the second value is the executable bit.
    """

    commit: str
    dirty: bool
    files: dict[str, bytes]

    @property
    def sha256(self) -> str:
        """Digest over (path NUL sha256 LF) of the sorted files."""
        digest = hashlib.sha256()
        for path, content in sorted(self.files.items()):
            digest.update(f"{path}\0{hashlib.sha256(content).hexdigest()}\n".encode())
        return digest.hexdigest()

    def subset(self, prefixes: tuple[str, ...]) -> Source:
        """Only the files below these paths (relative to `app/`)."""
        kept = {path: raw for path, raw in self.files.items() if path.startswith(prefixes)}
        return Source(self.commit, self.dirty, kept)

    def write(self, destination: Path) -> None:
        """Write the files below `destination`."""
        for path, content in self.files.items():
            file = destination / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)


def read(checkout: Path) -> Source:
    """Read the package from a git checkout, ignored files left out.

    Raises:
        BuildFailed: not a git checkout with a commit.
    """
    commit = _git(checkout, "rev-parse", "HEAD").strip()
    listed = _git(checkout, "ls-files", "-z", "-co", "--exclude-standard", "--", PACKAGE)
    paths = [checkout / name for name in listed.split("\0") if name]
    files = {
        str(path.relative_to(checkout / "app")): path.read_bytes()
        for path in paths
        if path.is_file() and not path.is_symlink()
    }
    dirty = bool(_git(checkout, "status", "--porcelain", "--", *_INPUTS))
    return Source(commit, dirty, files)


def _git(checkout: Path, *arguments: str) -> str:
    try:
        return subprocess.run(
            ["git", "-C", str(checkout), *arguments], check=True, capture_output=True, text=True
        ).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise BuildFailed(
            f"git {arguments[0]} failed in {checkout}.",
            remedy="A release is built from a git checkout with at least one commit.",
        ) from error
