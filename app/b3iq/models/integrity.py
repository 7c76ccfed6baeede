"""Is this directory exactly the model that its manifest describes?

1. The manifest's own digest is the one that the signed release names (when one is given).
2. The manifest is of the closed schema.
3. Nothing in the directory could run code or leads out of it (`safe_load`).
4. The directory holds the listed files and nothing else.
5. Every file has the listed length and SHA-256.

The check is of a moment: it holds for as long as nobody can write to the directory. On a
host only root can; in development the operator's own user can change a file after it.
"""

from __future__ import annotations

from pathlib import Path

from b3iq.models import safe_load
from b3iq.models.errors import ModelRefused
from b3iq.models.manifest import MANIFEST_NAME, ModelManifest, hash_file, read_manifest

__all__ = ["ModelRefused", "verify"]


def verify(directory: Path, manifest_sha256: str | None = None) -> ModelManifest:
    """Check every byte of a model directory before anything loads it.

    Args:
        directory: the model's own directory, holding `manifest.json`.
        manifest_sha256: hex digest from the signed release; None only in development, where
            the manifest then vouches for the files but nothing vouches for the manifest.

    Returns:
        The manifest that every file was checked against.

    Raises:
        ModelRefused: naming the fault.
    """
    manifest = read_manifest(directory, manifest_sha256)
    safe_load.check_directory(directory)
    _check_names(directory, manifest)
    for listed in manifest.files:
        path = directory / listed.path
        if path.stat().st_size != listed.length:
            raise ModelRefused(f"{listed.path} has not the length that the manifest lists.")
        if hash_file(path).sha256 != listed.sha256:
            raise ModelRefused(f"{listed.path} has not the digest that the manifest lists.")
    return manifest


def _check_names(directory: Path, manifest: ModelManifest) -> None:
    present = {entry.name for entry in directory.iterdir()} - {MANIFEST_NAME}
    listed = {file.path for file in manifest.files}
    for name in sorted(listed - present):
        raise ModelRefused(f"{name} is listed in the manifest and missing.")
    for name in sorted(present - listed):
        raise ModelRefused(f"{name} is in the directory and not in the manifest.")
