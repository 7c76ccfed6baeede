"""Small real releases, and archives that no publisher would make."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import zstandard

from b3iq.models.manifest import GoldenAnswer, GoldenMessage, write_manifest

Members = list[tuple[tarfile.TarInfo, bytes]]


def directory(name: str) -> tuple[tarfile.TarInfo, bytes]:
    """A directory member."""
    return special(name, tarfile.DIRTYPE, mode=0o755)


def file(name: str, content: bytes = b"x", mode: int = 0o644) -> tuple[tarfile.TarInfo, bytes]:
    """A plain file member."""
    member, _ = special(name, tarfile.REGTYPE, mode=mode)
    member.size = len(content)
    return member, content


def special(
    name: str, kind: bytes, *, link: str = "", mode: int = 0o644
) -> tuple[tarfile.TarInfo, bytes]:
    """A member of any kind."""
    member = tarfile.TarInfo(name)
    member.type = kind
    member.linkname = link
    member.mode = mode
    return member, b""


def tar(members: Members) -> bytes:
    """An uncompressed archive of exactly these members."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for member, content in members:
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@dataclass
class Packed:
    """An archive with what a manifest would say of it; tests change what it says."""

    members: Members
    suffix: str = ".tar.zst"
    claims: dict[str, Any] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        """The compressed bytes."""
        plain = tar(self.members)
        if self.suffix == ".tar.gz":
            return gzip.compress(plain, mtime=0)
        return zstandard.ZstdCompressor().compress(plain)

    def describe(self, target: str) -> dict[str, Any]:
        """The fields of `b3iq.updater.manifest.Archive`."""
        content = self.content
        return {
            "target": target,
            "sha256": hashlib.sha256(content).hexdigest(),
            "length": len(content),
            "unpacked_bytes": sum(len(raw) for _, raw in self.members),
            "entries": len(self.members),
        } | self.claims


def node_layer(text: bytes = b"node 1") -> Packed:
    """`app/`, `lib/` and an executable."""
    return Packed(
        [
            directory("app"),
            file("app/version", text),
            directory("bin"),
            file("bin/b3iq", b"#!/bin/sh\n", 0o755),
        ]
    )


def runtime_layer() -> Packed:
    """One library."""
    return Packed([directory("lib"), file("lib/torch.py", b"torch = 1\n")])


def updater_layer() -> Packed:
    """A gzip archive, as a host without zstd needs it."""
    return Packed([directory("bin"), file("bin/b3iq-updater", b"#!/bin/sh\n", 0o755)], ".tar.gz")


def model(extra: Members | None = None, answer: str = "hello") -> tuple[Packed, str]:
    """A model that the integrity check accepts, and its manifest's digest."""
    header = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    with TemporaryDirectory() as work:
        place = Path(work)
        (place / "config.json").write_text('{"model_type": "llama"}')
        (place / "tokenizer.json").write_text("{}")
        (place / "tokenizer_config.json").write_text("{}")
        (place / "model.safetensors").write_bytes(
            len(header).to_bytes(8, "little") + header + b"0000"
        )
        write_manifest(
            place,
            name="b3iq-tiny",
            version="1",
            description="Four bytes of weights.",
            architecture="llama",
            parameters=1,
            context_length=8,
            licence="none",
            source="tests",
            golden=[
                GoldenAnswer(
                    name="greeting",
                    messages=[GoldenMessage(role="user", content="hi")],
                    max_tokens=4,
                    expect=answer,
                )
            ],
        )
        members = [file(path.name, path.read_bytes()) for path in sorted(place.iterdir())]
        manifest = (place / "manifest.json").read_bytes()
    return Packed(members + (extra or [])), hashlib.sha256(manifest).hexdigest()


class Release:
    """A release as target files; `edit` changes its manifest before it is encoded."""

    def __init__(
        self,
        version: str = "1.0.0",
        sequence: int = 1,
        *,
        node: Packed | None = None,
        runtime: Packed | None = None,
        updater: Packed | None = None,
        tiny: tuple[Packed, str] | None = None,
        edit: Callable[[dict[str, Any]], None] = lambda _manifest: None,
    ) -> None:
        layers = {
            "node": node or node_layer(f"node {version}".encode()),
            "runtime-cpu": runtime or runtime_layer(),
            "updater": updater or updater_layer(),
        }
        packed_model, model_sha256 = tiny or model()
        self.version = version
        self.manifest: dict[str, Any] = {
            "format": "b3iq-release-manifest-v1",
            "version": version,
            "sequence": sequence,
            "source_commit": "0" * 40,
            "source_dirty": False,
            "source_sha256": "0" * 64,
            "layers": [_layer(name, packed, version) for name, packed in layers.items()],
            "models": [
                packed_model.describe(f"models/b3iq-tiny/{model_sha256[:12]}.tar.zst")
                | {"name": "b3iq-tiny", "version": "1", "manifest_sha256": model_sha256}
            ],
            "data_schema": {"lowest": 0, "highest": 1},
            "health": {"units": ["b3iq-node.service"], "golden": [], "soak_s": 0},
        }
        archives = [*layers.values(), packed_model]
        described = [*self.manifest["layers"], *self.manifest["models"]]
        self.archives = {
            entry["target"]: packed.content
            for entry, packed in zip(described, archives, strict=True)
        }
        edit(self.manifest)
        self.channel = {
            "format": "b3iq-channel-v1",
            "channel": "stable",
            "version": version,
            "sequence": sequence,
        }

    @property
    def targets(self) -> dict[str, bytes]:
        """Target files by TUF path."""
        return self.archives | {
            f"releases/{self.version}/release-manifest.json": json.dumps(self.manifest).encode(),
            "channels/stable.json": json.dumps(self.channel).encode(),
        }

    def target(self, name: str) -> str:
        """Target path of `node`, `runtime-cpu`, `updater` or `model`."""
        if name == "model":
            return str(self.manifest["models"][0]["target"])
        index = ("node", "runtime-cpu", "updater").index(name)
        return str(self.manifest["layers"][index]["target"])


def _layer(name: str, packed: Packed, version: str) -> dict[str, Any]:
    sha256 = hashlib.sha256(packed.content).hexdigest()
    node = name == "node"
    shared = f"layers/{name}-{sha256[:12]}"
    target = f"releases/{version}/node" if node else f"releases/{shared}"
    return packed.describe(target + packed.suffix) | {
        "kind": name.partition("-")[0],
        "accelerator": "cpu" if name == "runtime-cpu" else None,
        "install_path": f"releases/{version}" if node else shared,
    }
