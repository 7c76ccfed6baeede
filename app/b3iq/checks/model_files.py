"""A model on the disk is not the one that the signed release names."""

from __future__ import annotations

from b3iq.checks.check import Check, Finding, failed, ok
from b3iq.checks.host import Host
from b3iq.models import integrity
from b3iq.models.errors import ModelRefused
from b3iq.models.manifest import MANIFEST_NAME, read_manifest

_REMEDY = "Run the install playbook: it installs a damaged model again."


def _look(host: Host) -> Finding:
    config = host.engine_config
    directory = host.paths.models / config.model
    try:
        if host.deep:
            integrity.verify(directory, config.manifest_sha256)
            return ok(f"Every byte of {config.model} is as its manifest lists it.")
        manifest = read_manifest(directory, config.manifest_sha256)
    except ModelRefused as error:
        return failed(f"{config.model}: {error.detail}", _REMEDY)
    listed = {file.path: file.length for file in manifest.files}
    found = {p.name: p.lstat().st_size for p in directory.iterdir() if p.name != MANIFEST_NAME}
    if found != listed:
        wrong = sorted(name for name, _ in found.items() ^ listed.items())
        return failed(f"{config.model}: {wrong[0]} is not as its manifest lists it.", _REMEDY)
    return ok(f"The files of {config.model} have their lengths; --deep reads them.")


CHECK = Check(
    id="model-files",
    title="the model is whole",
    examines="manifest, file names and lengths; with `--deep` every byte",
    look=_look,
    needs=("engine-settings",),
)
