"""The durable memory of the update state machine: one small file, replaced atomically."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from b3iq.paths import Paths
from b3iq.updater import fsops, status
from b3iq.updater import manifest as manifest_
from b3iq.updater.manifest import ReleaseManifest
from b3iq.updater.phases import Release, State
from b3iq.updater.refusals import ManifestRefused, StateUnreadable

FILE_NAME = "state.json"


def state_file(paths: Paths) -> Path:
    """Where the state is."""
    return paths.updater_state / FILE_NAME


def read(paths: Paths) -> State:
    """The state; without a file, that of a machine whose updater kept none yet.

    Raises:
        StateUnreadable: it is damaged; whatever runs goes on running (I4).
    """
    remedy = "The release that runs keeps running. Restore the file from a backup, or start a new "
    remedy += f"one with `recover --forget-state`: {state_file(paths)}"
    try:
        return State.model_validate_json(state_file(paths).read_bytes())
    except FileNotFoundError:
        return State(current=standing(paths))
    except OSError as error:
        raise StateUnreadable(
            f"The state of the updater cannot be read: {error.strerror}.", remedy=remedy
        ) from error
    except ValidationError as error:
        raise StateUnreadable("The state of the updater is damaged.", remedy=remedy) from error


def write(paths: Paths, state: State) -> State:
    """Make a state durable; returns it.

    Raises:
        DiskFailed, NoSpace: the former one stands.
    """
    with fsops.named_failures():
        fsops.make_directory(paths.updater_state, 0o700)
        data = state.model_dump_json(indent=1).encode() + b"\n"
        fsops.write_file(state_file(paths), data, 0o600)
    return state


def reference(manifest: ReleaseManifest, sha256: str) -> Release:
    """A release as the state names it."""
    return Release(
        version=manifest.version,
        sequence=manifest.sequence,
        manifest_sha256=sha256,
        data_lowest=manifest.data_schema.lowest,
        data_highest=manifest.data_schema.highest,
    )


def standing(paths: Paths) -> Release | None:
    """The release behind `current`."""
    try:
        raw = (paths.current / status.RELEASE_MANIFEST).read_bytes()
        manifest = manifest_.parse(ReleaseManifest, raw, status.RELEASE_MANIFEST)
    except (OSError, ManifestRefused):
        return None
    return reference(manifest, manifest_.digest(raw))
