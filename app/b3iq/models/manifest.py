"""The model manifest: which files a model is, byte for byte, and what it must answer.

`manifest.json` lies in the model's directory beside the files that it lists. A signed
release names the manifest's own sha256, so the chain is: signature → manifest → files.

Evolution law of the format: `format` names the version; within one version fields are
never renamed, removed or given a new meaning, and an unknown field is refused. A change
makes `b3iq-model-manifest-v2`, and readers keep reading v1.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Sequence
from io import BufferedReader
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from b3iq.models.errors import ModelRefused
from b3iq.schemas import Closed, Sha256, faults

MANIFEST_NAME = "manifest.json"
MANIFEST_LIMIT_BYTES = 1024 * 1024
FILE_LIMIT_BYTES = 1 << 40
_REQUIRED = ("config.json", "tokenizer.json", "tokenizer_config.json")

# One flat name: no separator, no leading dot, so that no path can leave the directory.
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$")]
ModelName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Line = Annotated[str, Field(min_length=1, max_length=1024)]


class ManifestFile(Closed):
    """One file: its flat name, its SHA-256 (hex) and its length in bytes."""

    path: FileName
    sha256: Sha256
    length: Annotated[int, Field(ge=0, le=FILE_LIMIT_BYTES)]


class GoldenMessage(Closed):
    """One chat message of a golden question."""

    role: Literal["system", "user", "assistant"]
    content: Annotated[str, Field(max_length=16384)]


class GoldenAnswer(Closed):
    """A question and the exact text that greedy decoding must answer."""

    name: Line
    messages: Annotated[list[GoldenMessage], Field(min_length=1, max_length=64)]
    max_tokens: Annotated[int, Field(ge=1, le=4096)]
    expect: Annotated[str, Field(max_length=16384)]


class ModelManifest(Closed):
    """`manifest.json`, version 1. `parameters` counts weights, `context_length` tokens."""

    format: Literal["b3iq-model-manifest-v1"] = "b3iq-model-manifest-v1"
    name: ModelName
    version: Annotated[str, Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+-]{0,63}$")]
    description: Line
    architecture: Line
    parameters: Annotated[int, Field(ge=1, le=10**14)]
    context_length: Annotated[int, Field(ge=1, le=1 << 24)]
    licence: Line
    source: Line
    files: Annotated[list[ManifestFile], Field(min_length=1, max_length=512)]
    weights_sha256: Sha256
    golden: Annotated[list[GoldenAnswer], Field(max_length=256)] = Field(default_factory=list)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [file.path for file in self.files]
        if len(set(names)) != len(names):
            raise ValueError("a file is listed twice")
        if MANIFEST_NAME in names:
            raise ValueError("the manifest lists itself")
        missing = [name for name in _REQUIRED if name not in names]
        if missing:
            raise ValueError(f"{missing[0]} is not listed")
        if not any(name.endswith(".safetensors") for name in names):
            raise ValueError("no safetensors file is listed")
        if weights_digest(self.files) != self.weights_sha256:
            raise ValueError("weights_sha256 is not the digest of the listed weights")
        return self


def weights_digest(files: Iterable[ManifestFile]) -> str:
    """SHA-256 over `path NUL sha256 LF` of every safetensors file, sorted by path."""
    weights = sorted(f"{f.path}\0{f.sha256}\n" for f in files if f.path.endswith(".safetensors"))
    return hashlib.sha256("".join(weights).encode()).hexdigest()


def hash_file(path: Path) -> ManifestFile:
    """Hash one file without following a link.

    Raises:
        ModelRefused: the file is missing, a link or not a regular file.
    """
    with _open_regular(path) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return ManifestFile(path=path.name, sha256=digest, length=file.tell())


def _open_regular(path: Path) -> BufferedReader:
    """Open without following a link and without waiting on a pipe."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise ModelRefused(f"{path.name} is missing, unreadable or a link.") from error
    file = os.fdopen(descriptor, "rb")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        file.close()
        raise ModelRefused(f"{path.name} is not a regular file.")
    return file


def write_manifest(
    directory: Path,
    *,
    name: str,
    version: str,
    description: str,
    architecture: str,
    parameters: int,
    context_length: int,
    licence: str,
    source: str,
    golden: Sequence[GoldenAnswer] = (),
) -> ModelManifest:
    """Hash the directory's files and write `manifest.json`; the same input, the same bytes.

    Raises:
        ModelRefused: a link, a file name out of bounds, a required file missing.
    """
    try:
        files = _hash_all(directory)
        manifest = ModelManifest(
            name=name,
            version=version,
            description=description,
            architecture=architecture,
            parameters=parameters,
            context_length=context_length,
            licence=licence,
            source=source,
            files=files,
            weights_sha256=weights_digest(files),
            golden=list(golden),
        )
    except ValidationError as error:
        raise ModelRefused(_explain(error), remedy="Correct the model directory.") from error
    _write(directory / MANIFEST_NAME, manifest)
    return manifest


def _hash_all(directory: Path) -> list[ManifestFile]:
    paths = sorted(path for path in directory.iterdir() if path.name != MANIFEST_NAME)
    return [hash_file(path) for path in paths]


def _write(path: Path, manifest: ModelManifest) -> None:
    text = json.dumps(manifest.model_dump(), indent=2, sort_keys=True, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def read_manifest(directory: Path, manifest_sha256: str | None = None) -> ModelManifest:
    """Read `manifest.json`; the other files are not looked at (see `integrity.verify`).

    Raises:
        ModelRefused: missing, too large, not of the schema, or not the expected digest.
    """
    content = _manifest_bytes(directory)
    if manifest_sha256 is not None and hashlib.sha256(content).hexdigest() != manifest_sha256:
        raise ModelRefused("manifest.json is not the one that the signed release names.")
    try:
        return ModelManifest.model_validate_json(content)
    except ValidationError as error:
        raise ModelRefused(_explain(error)) from error


def manifest_digest(directory: Path) -> str:
    """SHA-256 (hex) of `manifest.json` as it lies in the directory.

    Raises:
        ModelRefused: the manifest is missing, a link or too large.
    """
    return hashlib.sha256(_manifest_bytes(directory)).hexdigest()


def _manifest_bytes(directory: Path) -> bytes:
    with _open_regular(directory / MANIFEST_NAME) as file:
        content = file.read(MANIFEST_LIMIT_BYTES + 1)
    if len(content) > MANIFEST_LIMIT_BYTES:
        raise ModelRefused("manifest.json is larger than any manifest may be.")
    return content


def _explain(error: ValidationError) -> str:
    return f"manifest.json: {faults(error)[0]}."
