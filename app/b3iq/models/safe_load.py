"""What a model directory may hold before any library that could run its code is imported.

Everything is an allow-list by name. JSON files are walked for the keys by which
transformers, in one version or another, was made to import code from a model's directory
or from a hub (`auto_map`; `_attn_implementation_internal`, which loaded code despite
`trust_remote_code=False` before transformers 5.3; a `trust_remote_code` of the file's own).
"""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path
from typing import Any

from b3iq.models.errors import ModelRefused
from b3iq.models.manifest import MANIFEST_NAME

_ALLOWED = re.compile(
    r"manifest\.json|config\.json|generation_config\.json|tokenizer\.json|tokenizer_config\.json"
    r"|special_tokens_map\.json|added_tokens\.json|vocab\.json|merges\.txt|chat_template\.jinja"
    r"|model(-\d{5}-of-\d{5})?\.safetensors|model\.safetensors\.index\.json"
    r"|LICEN[CS]E(\.txt|\.md)?|NOTICE(\.txt)?|README\.md"
)
# Suffixes of formats that run code when they are loaded: named in the refusal.
_CODE = {
    **dict.fromkeys((".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".npy"), "a pickle"),
    **dict.fromkeys((".py", ".pyc", ".so", ".sh"), "code"),
}
FORBIDDEN_KEYS = frozenset(
    {
        "auto_map",
        "trust_remote_code",
        "_attn_implementation_internal",
        "_attn_implementation",
        "attn_implementation",
        "_experts_implementation_internal",
        "custom_pipelines",
        "custom_generate",
        "kernel_config",
    }
)
_JSON_LIMIT_BYTES = 256 * 1024 * 1024
_DEPTH_LIMIT = 64
# Some 150 bytes a tensor: a hundred thousand tensors in one file.
_SAFETENSORS_HEADER_LIMIT_BYTES = 16 * 1024 * 1024


def check_directory(directory: Path) -> None:
    """Refuse a directory with a link, a pickle, code, or a config that asks for code.

    Raises:
        ModelRefused: naming the first fault found, in order of file name.
    """
    try:
        entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
    except OSError as error:
        raise ModelRefused("The model's directory is missing or unreadable.") from error
    for entry in entries:
        _check_entry(entry)
    for entry in entries:
        path = Path(entry.path)
        if path.suffix == ".json" and path.name != MANIFEST_NAME:
            check_json(path)
        elif path.suffix == ".safetensors":
            check_safetensors(path)


def _check_entry(entry: os.DirEntry[str]) -> None:
    name = entry.name.encode("ascii", "backslashreplace").decode()
    if entry.is_symlink():
        raise ModelRefused(f"{name} is a symbolic link.")
    if not stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode):
        raise ModelRefused(f"{name} is not a regular file.")
    kind = _CODE.get(Path(name).suffix.lower())
    if kind is not None:
        raise ModelRefused(f"{name} is {kind}: only safetensors weights are loaded, never code.")
    if not _ALLOWED.fullmatch(entry.name):
        raise ModelRefused(f"{name} is not a file that a model directory may hold.")


def check_json(path: Path) -> None:
    """Refuse one JSON file that asks for code anywhere in it.

    Raises:
        ModelRefused: not JSON, too large, nested too deeply, or with a forbidden key.
    """
    if path.stat().st_size > _JSON_LIMIT_BYTES:
        raise ModelRefused(f"{path.name} is larger than any such file may be.")
    try:
        document = json.loads(path.read_bytes(), object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as error:
        raise ModelRefused(f"{path.name} is not plain JSON.") from error
    if path.name == "vocab.json":
        return
    if path.name == "tokenizer.json" and isinstance(document, dict):
        # A vocabulary's keys are tokens, any word at all; they name no setting.
        model = document.get("model")
        if isinstance(model, dict):
            document["model"] = {key: value for key, value in model.items() if key != "vocab"}
    _walk(document, path.name, 0)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Two readers of a file with a key given twice may disagree about its value."""
    keys = {key for key, _ in pairs}
    if len(keys) != len(pairs):
        raise ValueError("duplicate key")
    return dict(pairs)


def _walk(value: object, name: str, depth: int) -> None:
    if depth > _DEPTH_LIMIT:
        raise ModelRefused(f"{name} is nested deeper than any such file may be.")
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in FORBIDDEN_KEYS:
                raise ModelRefused(f"{name} asks for remote code or kernels by `{key}`.")
            _walk(inner, name, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _walk(inner, name, depth + 1)


def check_safetensors(path: Path) -> None:
    """Refuse a file that only bears the name: the header must be a JSON object that fits.

    Format: https://huggingface.co/docs/safetensors (8 bytes little-endian header length N,
    N bytes of JSON, then the tensors).

    Raises:
        ModelRefused: the file is no safetensors file.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        fits = 2 <= length <= min(size - 8, _SAFETENSORS_HEADER_LIMIT_BYTES)
        header = file.read(length) if fits else b""
    try:
        plain = fits and isinstance(json.loads(header), dict)
    except (ValueError, RecursionError):
        plain = False
    if not plain:
        raise ModelRefused(f"{path.name} is not a safetensors file.")
