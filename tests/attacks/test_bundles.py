"""A bundle comes on a stick that anybody held: what is unpacked, and what is believed of it."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from b3iq.updater import bundle
from b3iq.updater.refusals import Refused
from tests.attacks.conftest import Machine
from tests.attacks.node import Node
from tests.attacks.parts import Release
from tests.attacks.simulator import Simulator


def tar(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for member, content in members:
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def plain(name: str, content: bytes = b"x") -> tuple[tarfile.TarInfo, bytes]:
    return tarfile.TarInfo(name), content


def special(name: str, kind: bytes, target: str = "") -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member, b""


HOSTILE = {
    "a path that climbs": [plain("metadata/../../escaped")],
    "an absolute path": [plain("/metadata/escaped")],
    "a path outside": [plain("escaped")],
    "a hidden file": [plain("metadata/.hidden")],
    "a link": [special("metadata/link", tarfile.SYMTYPE, "/etc/passwd")],
    "a link for a directory": [
        special("targets", tarfile.SYMTYPE, "/tmp"),  # noqa: S108 - never followed
        plain("targets/escaped"),
    ],
    "a hard link": [special("metadata/link", tarfile.LNKTYPE, "/etc/passwd")],
    "a device": [special("metadata/device", tarfile.CHRTYPE)],
    "a fifo": [special("metadata/fifo", tarfile.FIFOTYPE)],
    "a directory": [special("metadata/directory", tarfile.DIRTYPE)],
    "a file twice": [plain("metadata/a"), plain("metadata/a", b"other")],
    "a file that is a directory too": [plain("metadata/a"), plain("metadata/a/b")],
    "a path that is too deep": [plain("targets" + "/a" * 9)],
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_bundle_with_anything_but_plain_files_of_a_repository_leaves_nothing(
    case: str, tmp_path: Path
) -> None:
    (tmp_path / "state").mkdir()
    file = tar(tmp_path / "bundle.tar", plain("metadata/1.root.json"), *HOSTILE[case])
    with pytest.raises(Refused) as refused:
        bundle.unpack(file, tmp_path / "state" / "incoming")
    assert refused.value.code == "archive_refused"
    assert list((tmp_path / "state").iterdir()) == []
    assert not (tmp_path / "escaped").exists()


@pytest.mark.parametrize("keep", [1, 511, 700, 1030])
def test_a_bundle_that_was_cut_off_leaves_nothing(tmp_path: Path, keep: int) -> None:
    whole = tar(tmp_path / "whole.tar", plain("metadata/a", b"a" * 1000)).read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[:keep])
    with pytest.raises(Refused):
        bundle.unpack(tmp_path / "cut.tar", tmp_path / "incoming")
    assert not (tmp_path / "incoming").exists()


def test_a_bundle_of_too_many_files_and_one_that_is_a_pipe_are_refused(tmp_path: Path) -> None:
    many = tar(tmp_path / "many.tar", *(plain(f"targets/{n}", b"") for n in range(10_001)))
    os.mkfifo(tmp_path / "pipe")
    for file in (many, tmp_path / "pipe"):
        with pytest.raises(Refused):
            bundle.unpack(file, tmp_path / "incoming")
        assert not (tmp_path / "incoming").exists()


@pytest.fixture
def newer(simulator: Simulator) -> Simulator:
    simulator.offer(Release(version="1.1.0", sequence=2))
    simulator.publish()
    return simulator


def test_check_and_plan_change_nothing_and_apply_installs(
    running: Machine, newer: Simulator
) -> None:
    node, before = Node(running, newer), running.tree()
    status, found = node.run("check")
    assert (status, found["newer"], found["version"]) == (0, True, "1.1.0")
    assert node.told()["available"] == {"version": "1.1.0", "sequence": 2}
    status, found = node.run("plan")
    assert status == 0
    assert found["fetch_bytes"] == sum(item["length"] for item in found["fetch"]) > 0
    assert running.tree() == before
    assert node.run("apply")[0] == 0
    assert running.version() == "1.1.0"
    assert (node.told()["installed"], node.told()["available"]) == (
        {"version": "1.1.0", "sequence": 2}, None
    )  # fmt: skip
    assert node.run("apply")[1]["changed"] is False


def test_a_pin_holds_an_operator_too_and_explain_names_the_gate(
    installed: Machine, newer: Simulator
) -> None:
    node, before = Node(installed, newer, pin="1.0.5"), installed.tree()
    status, answer = node.run("apply", "--now")
    assert (status, answer["refused"]["code"]) == (1, "gates_closed")
    assert installed.tree() == before
    status, gates = node.run("explain")
    assert status == 0
    assert "pin" in {gate["id"] for gate in gates if gate["result"] == "failed"}


def test_a_delay_waits_and_an_operator_may_not_want_to(running: Machine, newer: Simulator) -> None:
    node = Node(running, newer, delay_hours=24)
    assert node.run("apply")[0] == 1
    assert running.version() == "1.0.0"
    assert node.run("apply", "--now")[0] == 0
    assert running.version() == "1.1.0"


def test_a_refused_repository_is_explained_and_what_was_known_before_stays(
    installed: Machine, newer: Simulator
) -> None:
    node = Node(installed, newer)
    assert node.run("check")[0] == 0
    (installed.work / "served/metadata/timestamp.json").write_bytes(b"{}")
    status, gates = node.run("explain")
    assert status == 0
    assert [(gate["id"], gate["result"]) for gate in gates] == [("verified", "failed")]
    told = node.told()
    assert told["gates"] == gates
    assert told["available"]["version"] == "1.1.0"


def test_a_bundle_goes_from_a_node_with_a_network_to_one_without(
    running: Machine, newer: Simulator, tmp_path: Path
) -> None:
    node, file = Node(running, newer), tmp_path / "b3iq.tar"
    assert node.run("export-bundle", "--output", str(file))[0] == 0
    lonely = Node(running, newer, repository="")
    assert lonely.run("check")[1]["refused"]["code"] == "no_repository"
    assert lonely.run("import-bundle", str(file))[0] == 0
    assert running.version() == "1.0.0"
    assert lonely.run("apply")[0] == 0
    assert running.version() == "1.1.0"
    assert not (running.root / "var/lib/b3iq/updater/bundle").exists()


def test_a_bundle_with_one_changed_byte_is_not_kept(
    installed: Machine, newer: Simulator, tmp_path: Path
) -> None:
    node, file = Node(installed, newer, repository=""), tmp_path / "b3iq.tar"
    served = installed.work / "served"
    [target] = [p for p in served.rglob("*node*1.1.0*") if p.is_file()] or [
        max(served.glob("targets/**/*.tar.*"), key=lambda p: p.stat().st_mtime)
    ]
    raw = bytearray(target.read_bytes())
    raw[len(raw) // 2] ^= 1
    target.write_bytes(raw)
    bundle.write(served, file)
    status, answer = node.run("import-bundle", str(file))
    assert (status, answer["refused"]["code"]) == (1, "target_tampered")
    assert not list((installed.root / "var/lib/b3iq/updater").glob("*bundle*/*"))


def test_a_bundle_of_former_days_is_refused_as_a_rollback(
    running: Machine, simulator: Simulator, tmp_path: Path
) -> None:
    old = simulator.write(tmp_path / "old")
    bundle.write(old, tmp_path / "old.tar")
    simulator.offer(Release(version="1.1.0", sequence=2))
    simulator.publish()
    node = Node(running, simulator)
    assert node.run("apply")[0] == 0
    status, answer = node.run("import-bundle", str(tmp_path / "old.tar"))
    assert (status, answer["refused"]["code"]) == (1, "rollback")
