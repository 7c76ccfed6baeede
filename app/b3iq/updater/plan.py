"""What an installation has to do: a pure function of the release and of what is there.

The order is the safety argument (docs/release.md): every tree is complete beside its
final path before the first one is moved, and `current` is switched last. So a run that
stops anywhere leaves the old `current` intact, and the next run finishes the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from b3iq.updater.manifest import Accelerator, Archive, Layer, Model, ReleaseManifest
from b3iq.updater.refusals import VersionReused


@dataclass(frozen=True)
class Installed:
    """What a machine has.

    Attributes:
        layers: archive sha256 by install path, of complete shared layers.
        releases: manifest sha256 by version, of complete releases.
        models: model manifest sha256 by name, of models that match it byte for byte.
        links: target by link path below /opt/b3iq.
    """

    layers: Mapping[str, str]
    releases: Mapping[str, str]
    models: Mapping[str, str]
    links: Mapping[str, str]


@dataclass(frozen=True)
class Place:
    """Fetch an archive, unpack it beside its final path, then move it there."""

    archive: Archive

    def __str__(self) -> str:
        return f"place {_name(self.archive)}"


@dataclass(frozen=True)
class Switch:
    """Point a link (below /opt/b3iq) at a target, by one rename."""

    link: str
    target: str

    def __str__(self) -> str:
        return f"switch {self.link} to {self.target}"


Step = Place | Switch


def plan(
    manifest: ReleaseManifest,
    manifest_sha256: str,
    accelerator: Accelerator,
    installed: Installed,
) -> tuple[Step, ...]:
    """The steps from what is installed to the release; empty where it is installed.

    Raises:
        LayerUnknown: the release has no runtime for this accelerator.
        VersionReused: another release of this version is here; it is never overwritten.
    """
    standing = installed.releases.get(manifest.version)
    if standing is not None and standing != manifest_sha256:
        raise VersionReused(
            f"Version {manifest.version} is installed with another content.",
            remedy="A version is published once. Ask who published it; nothing was installed.",
        )
    places: list[Step] = [
        Place(archive)
        for archive in manifest.needed(accelerator)
        if not _present(archive, manifest, installed)
    ]
    node = manifest.layer("node")
    wanted = (
        Switch("updater", manifest.layer("updater").install_path),
        Switch(
            f"{node.install_path}/runtime",
            f"../../{manifest.layer(f'runtime-{accelerator}').install_path}",
        ),
        Switch("current", node.install_path),
    )
    return (*places, *(step for step in wanted if installed.links.get(step.link) != step.target))


def _present(archive: Archive, manifest: ReleaseManifest, installed: Installed) -> bool:
    if isinstance(archive, Model):
        return installed.models.get(archive.name) == archive.manifest_sha256
    if isinstance(archive, Layer) and archive.kind == "node":
        return manifest.version in installed.releases
    return isinstance(archive, Layer) and (
        installed.layers.get(archive.install_path) == archive.sha256
    )


def _name(archive: Archive) -> str:
    if isinstance(archive, Layer):
        return archive.install_path
    return f"models/{archive.name}" if isinstance(archive, Model) else archive.target
