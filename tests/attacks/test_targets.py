"""Attacks on what is signed: targets, delegations, manifests and archives."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable
from typing import Any

import pytest

from tests.attacks.conftest import Machine
from tests.attacks.parts import (
    Packed,
    Release,
    directory,
    file,
    model,
    node_layer,
    runtime_layer,
    special,
)
from tests.attacks.simulator import Simulator, target_path


def _served(release: Release, target: str) -> str:
    return target_path(target, hashlib.sha256(release.targets[target]).hexdigest())


@pytest.mark.parametrize("part", ["node", "runtime-cpu", "updater", "model"])
def test_a_tampered_archive_is_refused(machine: Machine, simulator: Simulator, part: str) -> None:
    release = Release()
    name = _served(release, release.target(part))
    content = simulator.files[name]
    simulator.files[name] = content[:-1] + bytes([content[-1] ^ 1])
    assert machine.refused(simulator, simulator.trusted_root) == "target_tampered"
    simulator.files[name] = content[:-1]
    assert machine.refused(simulator, simulator.trusted_root) == "target_tampered"
    simulator.files[name] = content + b"\0" * 4096
    assert machine.refused(simulator, simulator.trusted_root) == "too_large"
    del simulator.files[name]
    assert machine.refused(simulator, simulator.trusted_root) == "repository_unreachable"


@pytest.mark.parametrize("target", ["channels/stable.json", "releases/1.0.0/release-manifest.json"])
def test_a_tampered_manifest_or_channel_is_refused(
    machine: Machine, simulator: Simulator, target: str
) -> None:
    name = _served(Release(), target)
    simulator.files[name] = simulator.files[name].replace(b"1.0.0", b"1.0.1")
    assert machine.refused(simulator, simulator.trusted_root) == "target_tampered"


def test_a_channel_signed_with_an_absurd_length_is_refused(
    machine: Machine, simulator: Simulator
) -> None:
    simulator.add("channels", "channels/stable.json", b" " * 100_000)
    simulator.publish()
    assert machine.refused(simulator, simulator.trusted_root) == "too_large"


def test_a_missing_delegation_is_refused(machine: Machine, simulator: Simulator) -> None:
    delegations = simulator.roles["targets"].delegations
    assert delegations is not None
    assert delegations.roles is not None
    del delegations.roles["releases"]
    simulator.publish()
    assert machine.refused(simulator, simulator.trusted_root) == "target_not_signed"


@pytest.mark.parametrize("thief", ["models", "channels"])
def test_a_role_cannot_sign_outside_its_delegation(
    machine: Machine, simulator: Simulator, thief: str
) -> None:
    release = Release("6.6.6", 6, node=node_layer(b"stolen"))
    for path, content in release.targets.items():
        simulator.add(thief, path, content)
    simulator.publish()
    code = "target_not_signed" if thief == "channels" else None
    if code is None:
        # The channels role still points at 1.0.0, which is what gets installed.
        assert machine.install(simulator, simulator.trusted_root)[1]["version"] == "1.0.0"
    else:
        assert machine.refused(simulator, simulator.trusted_root) == code


def test_what_a_terminating_delegation_lacks_is_looked_for_nowhere_else(
    machine: Machine, simulator: Simulator
) -> None:
    """CVE-2025-2886 of tough: a later delegation of the same paths must not be asked."""
    stolen = Release("6.6.6", 6, node=node_layer(b"stolen"))
    simulator.delegate("other", "releases/*/*")
    for path, content in stolen.targets.items():
        role = path.partition("/")[0]
        simulator.add("other" if role == "releases" else role, path, content)
    simulator.publish()
    assert machine.refused(simulator, simulator.trusted_root) == "target_not_signed"


def test_an_unknown_channel_is_refused(machine: Machine, simulator: Simulator) -> None:
    code = machine.refused(simulator, simulator.trusted_root, "--channel", "beta")
    assert code == "target_not_signed"


def _edit(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda manifest: manifest.update(changes)


def _edit_layer(index: int, **changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda manifest: manifest["layers"][index].update(changes)


MANIFESTS: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "another digest": (_edit_layer(0, sha256="0" * 64), "manifest_mismatch"),
    "another length": (_edit_layer(0, length=1), "manifest_mismatch"),
    "another sequence": (_edit(sequence=7), "manifest_mismatch"),
    "an unknown field": (_edit(run_first="rm -rf /"), "manifest_refused"),
    "an unknown kind of layer": (_edit_layer(1, kind="kernel"), "manifest_refused"),
    "a layer less": (lambda m: m["layers"].pop(0), "manifest_refused"),
    "a layer twice": (lambda m: m["layers"].append(m["layers"][0]), "manifest_refused"),
    "an install path that leaves": (
        _edit_layer(0, install_path="../../etc/cron.d"),
        "manifest_refused",
    ),
    "an install path of another layer": (
        _edit_layer(1, install_path="layers/updater-000000000000"),
        "manifest_refused",
    ),
    "a target path that leaves": (
        _edit_layer(0, target="releases/../../x.tar.zst"),
        "manifest_refused",
    ),
    "a model name that leaves": (
        lambda m: m["models"][0].update(name="../opt"),
        "manifest_refused",
    ),
    "a newer format": (_edit(format="b3iq-release-manifest-v2"), "manifest_refused"),
    "no runtime for this accelerator": (
        _edit_layer(1, accelerator="cuda"),
        "manifest_refused",
    ),
    "another model manifest": (
        lambda m: m["models"][0].update(manifest_sha256="0" * 64),
        "manifest_mismatch",
    ),
    "fewer bytes than it has": (_edit_layer(0, unpacked_bytes=1), "too_large"),
    "more bytes than it has": (_edit_layer(0, unpacked_bytes=999), "manifest_mismatch"),
    "fewer entries than it has": (_edit_layer(0, entries=1), "too_large"),
}


@pytest.mark.parametrize("fault", MANIFESTS)
def test_a_signed_manifest_that_lies_is_refused(machine: Machine, fault: str) -> None:
    edit, reason = MANIFESTS[fault]
    adversary = Simulator()
    adversary.offer(Release(edit=edit))
    adversary.publish()
    assert machine.refused(adversary, adversary.trusted_root) == reason


def test_an_accelerator_without_a_layer_is_refused(machine: Machine, simulator: Simulator) -> None:
    code = machine.refused(simulator, simulator.trusted_root, "--accelerator", "cuda")
    assert code == "layer_unknown"


def _sparse() -> tuple[tarfile.TarInfo, bytes]:
    member, content = file("lib/sparse", b"x")
    member.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}
    return member, content


EVIL_MEMBERS: dict[str, list[tuple[tarfile.TarInfo, bytes]]] = {
    "a path that climbs": [file("../evil")],
    "a path that climbs inside": [directory("lib"), file("lib/../../evil")],
    "an absolute path": [file("/etc/cron.d/evil")],
    "a double slash": [directory("lib"), file("lib//evil")],
    "a dot": [file("./evil")],
    "a name that hides": [file("evil\u202egnp.exe")],
    "a line break": [file("evil\nname")],
    "a link out": [special("evil", tarfile.SYMTYPE, link="/etc/passwd")],
    "a relative link out": [special("evil", tarfile.SYMTYPE, link="../../../etc")],
    "a link inside": [file("good"), special("evil", tarfile.SYMTYPE, link="good")],
    "a file through a link": [
        special("lib", tarfile.SYMTYPE, link="/tmp"),  # noqa: S108 - the attack's own target
        file("lib/evil"),
    ],
    "a hard link out": [special("evil", tarfile.LNKTYPE, link="/etc/passwd")],
    "a hard link inside": [file("good"), special("evil", tarfile.LNKTYPE, link="good")],
    "a character device": [special("evil", tarfile.CHRTYPE)],
    "a block device": [special("evil", tarfile.BLKTYPE)],
    "a pipe": [special("evil", tarfile.FIFOTYPE)],
    "a contiguous file": [special("evil", tarfile.CONTTYPE)],
    "the same file twice": [file("good", b"1"), file("good", b"2")],
    "a file over a directory": [directory("lib"), file("lib")],
    "a file below a file": [file("lib"), file("lib/evil")],
    "a file in no directory": [file("nowhere/evil")],
    "a sparse file": [directory("lib"), _sparse()],
}


@pytest.mark.parametrize("evil", EVIL_MEMBERS)
@pytest.mark.parametrize("part", ["node", "model"])
def test_an_archive_with_an_evil_member_is_refused(
    machine: Machine, tmp_path: Any, evil: str, part: str
) -> None:
    adversary = Simulator()
    if part == "node":
        release = Release(node=Packed([*node_layer().members, *EVIL_MEMBERS[evil]]))
    else:
        release = Release(tiny=model(extra=EVIL_MEMBERS[evil]))
    adversary.offer(release)
    adversary.publish()
    assert machine.refused(adversary, adversary.trusted_root) == "archive_refused"
    assert not list(tmp_path.rglob("*evil*"))


def test_what_is_no_archive_is_refused(machine: Machine) -> None:
    class Garbage(Packed):
        @property
        def content(self) -> bytes:
            return b"PK not a zstd frame"

    adversary = Simulator()
    adversary.offer(Release(node=Garbage(node_layer().members)))
    adversary.publish()
    assert machine.refused(adversary, adversary.trusted_root) == "archive_refused"


def test_an_archive_that_unpacks_without_end_is_refused(machine: Machine) -> None:
    bomb = Packed(
        [*node_layer().members, file("zeros", b"\0" * 50_000_000)],
        claims={"unpacked_bytes": 1000},
    )
    adversary = Simulator()
    adversary.offer(Release(node=bomb))
    adversary.publish()
    assert machine.refused(adversary, adversary.trusted_root) == "too_large"


def test_an_archive_cannot_bring_its_own_mark_of_completeness(machine: Machine) -> None:
    forged = Packed([*runtime_layer().members, file("layer.json", b"{}")])
    adversary = Simulator()
    adversary.offer(Release(runtime=forged))
    adversary.publish()
    assert machine.refused(adversary, adversary.trusted_root) == "manifest_mismatch"


def test_a_model_that_is_not_its_manifest_is_refused(machine: Machine) -> None:
    adversary = Simulator()
    adversary.offer(Release(tiny=model(extra=[file("modeling.py", b"import os")])))
    adversary.publish()
    assert machine.refused(adversary, adversary.trusted_root) == "manifest_mismatch"


def test_set_user_id_and_write_permission_for_others_do_not_survive(
    machine: Machine,
) -> None:
    adversary = Simulator()
    node = Packed([*node_layer().members, file("bin/suid", b"x", 0o6777)])
    adversary.offer(Release(node=node))
    adversary.publish()
    assert machine.install(adversary, adversary.trusted_root)[0] == 0
    modes = {
        path.stat().st_mode & 0o7777
        for path in (machine.root / "opt/b3iq").rglob("*")
        if path.is_file() and not path.is_symlink()
    }
    assert modes == {0o644, 0o755}
