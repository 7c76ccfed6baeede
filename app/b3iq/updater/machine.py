"""What a decision needs to know of this machine: its room, what it can run, what it is doing."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
from pathlib import Path

from b3iq.paths import Paths
from b3iq.updater.gates import Space
from b3iq.updater.manifest import Accelerator, Archive, Model, ReleaseManifest

# What must stay free besides; `b3iq.updater.fsops.require_space` asks for the same.
_MARGIN = 64 * 1024 * 1024
# A file takes whole blocks; half a block a file is the usual waste.
_BLOCK_WASTE = 2048
_PATIENCE_S = 5.0
_ANSWER_LIMIT = 256 * 1024


class _AdminConnection(http.client.HTTPConnection):
    """HTTP over the administrator's socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("node", timeout=_PATIENCE_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_PATIENCE_S)
        self.sock.connect(str(self._path))


def streams(paths: Paths) -> int:
    """Answers that the node is making; 0 where no node answers, which holds nothing back."""
    connection = _AdminConnection(paths.admin_socket)
    try:
        connection.request("GET", "/admin/status")
        told = json.loads(connection.getresponse().read(_ANSWER_LIMIT))["streams"]
    except (OSError, http.client.HTTPException, ValueError, TypeError, KeyError):
        return 0
    finally:
        connection.close()
    return told if isinstance(told, int) and told >= 0 else 0


def spaces(paths: Paths, places: tuple[Archive, ...]) -> tuple[Space, ...]:
    """What the archives need and what is free, a line for each file system."""
    needed: dict[int, tuple[list[str], int, int]] = {}

    def count(what: str, path: Path, amount: int) -> None:
        existing = _existing(path)
        device = existing.stat().st_dev
        names, sum_, _ = needed.get(device, ([], _MARGIN, 0))
        free = shutil.disk_usage(existing).free
        needed[device] = ([*names, what] if what not in names else names, sum_ + amount, free)

    for place in places:
        unpacked = place.unpacked_bytes + place.entries * _BLOCK_WASTE
        count("downloads", paths.updater_state, place.length)
        if isinstance(place, Model):
            count("models", paths.models, unpacked)
        else:
            count("releases", paths.opt, unpacked)
    return tuple(Space(" and ".join(names), sum_, free) for names, sum_, free in needed.values())


def unmet(manifest: ReleaseManifest, accelerator: Accelerator, root: Path) -> tuple[str, ...]:
    """What the release requires of a machine and this one lacks, in sentences.

    Args:
        root: where the machine's file system begins.
    """
    lacking = []
    if f"runtime-{accelerator}" not in {layer.name for layer in manifest.layers}:
        lacking.append(f"The release has no runtime for {accelerator}.")
    if accelerator == "cuda" and not (root / "proc/driver/nvidia/version").is_file():
        lacking.append("NVIDIA's driver is not loaded.")
    return tuple(lacking)


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)
