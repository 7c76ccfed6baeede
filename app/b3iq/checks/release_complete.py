"""`current` leads to no release, or to one of which a part is missing."""

from __future__ import annotations

from b3iq.checks.check import Check, Finding, failed, judged
from b3iq.checks.host import Host
from b3iq.updater import manifest as manifest_
from b3iq.updater import status
from b3iq.updater.manifest import ReleaseManifest
from b3iq.updater.plan import Installed
from b3iq.updater.refusals import ManifestRefused

_REMEDY = "Run the install playbook: it places what is missing and keeps everything else."


def _look(host: Host) -> Finding:
    try:
        raw = (host.paths.current / status.RELEASE_MANIFEST).read_bytes()
        release = manifest_.parse(ReleaseManifest, raw, status.RELEASE_MANIFEST)
    except OSError:
        return failed("/opt/b3iq/current leads to no release.", _REMEDY)
    except ManifestRefused:
        return failed("The manifest of the installed release is damaged.", _REMEDY)
    return judged(
        _faults(release, status.read(host.paths)),
        fine=f"Release {release.version} is complete.",
        remedy=_REMEDY,
    )


def _faults(release: ReleaseManifest, installed: Installed) -> list[str]:
    node, updater = release.layer("node"), release.layer("updater")
    runtime = installed.links.get(f"{node.install_path}/runtime", "")
    used = [
        layer
        for layer in release.layers
        if layer.accelerator and runtime.endswith(layer.install_path)
    ]
    faults = []
    if installed.links.get("current") != node.install_path:
        faults.append(f"current does not lead to {node.install_path}")
    if installed.links.get("updater") != updater.install_path:
        faults.append("the updater is not the release's")
    if not used:
        faults.append("its runtime is none of the release's")
    faults += [
        f"{layer.install_path} is missing or incomplete"
        for layer in (updater, *used)
        if installed.layers.get(layer.install_path) != layer.sha256
    ]
    return faults


CHECK = Check(
    id="release-complete",
    title="the installed release is whole",
    examines="`/opt/b3iq/current`, its manifest and the marks of its layers",
    look=_look,
    host_only=True,
)
