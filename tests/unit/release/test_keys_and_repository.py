"""Signing keys in files, and the repository that they sign."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tuf.api.metadata import Metadata, Root, Targets

from release import keys
from release.repository import Publisher

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _publisher(place: Path, now: datetime = NOW) -> Publisher:
    keys.create(place / "keys")
    publisher = Publisher(place / "repository", keys.load(place / "keys"), now)
    publisher.create_root()
    return publisher


def _target(place: Path, text: str) -> Path:
    path = place / text
    path.write_text(text)
    return path


def _files(place: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(place)): path.read_bytes()
        for path in sorted(place.rglob("*"))
        if path.is_file()
    }


def test_keys_are_private_and_made_once(tmp_path: Path) -> None:
    keys.create(tmp_path / "keys")
    before = _files(tmp_path)
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "keys").iterdir()} == {0o600}
    keys.create(tmp_path / "keys")
    assert _files(tmp_path) == before
    assert len(before) == sum(role.count for role in keys.ROLES.values())


def test_a_run_killed_while_it_writes_a_key_leaves_none_that_is_broken(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        sys.addaudithook(lambda event, _: os._exit(9) if event == "os.rename" else None)
        keys.create(tmp_path / "keys")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert not list((tmp_path / "keys").glob("*.pem"))
    keys.create(tmp_path / "keys")
    assert len(keys.load(tmp_path / "keys")) == len(keys.ROLES)


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    keys.create(tmp_path)
    (tmp_path / "root-1.pem").chmod(0o640)
    with pytest.raises(keys.KeysUnusable, match=r"root-1\.pem may be read by others"):
        keys.load(tmp_path)


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    keys.create(tmp_path)
    (tmp_path / "targets-2.pem").unlink()
    with pytest.raises(keys.KeysUnusable, match=r"targets-2\.pem"):
        keys.load(tmp_path)


def test_root_and_targets_need_two_of_three_keys_and_no_role_shares_one(tmp_path: Path) -> None:
    _publisher(tmp_path).publish({"channels/x": _target(tmp_path, "x")})
    root = Metadata[Root].from_file(str(tmp_path / "repository/metadata/1.root.json"))
    assert root.signed.consistent_snapshot
    for role in ("root", "targets"):
        assert (len(root.signed.roles[role].keyids), root.signed.roles[role].threshold) == (3, 2)
    targets = Metadata[Targets].from_file(str(tmp_path / "repository/metadata/1.targets.json"))
    delegated = targets.signed.delegations
    assert delegated is not None
    assert delegated.roles is not None
    assert [(r.name, r.terminating, r.paths) for r in delegated.roles.values()] == [
        ("releases", True, ["releases/*/*"]),
        ("models", True, ["models/*/*"]),
        ("channels", True, ["channels/*"]),
    ]
    owners = [*root.signed.roles.values(), *delegated.roles.values()]
    used = [keyid for role in owners for keyid in role.keyids]
    assert len(used) == len(set(used)) == 11


def test_a_publication_touches_only_the_roles_that_changed(tmp_path: Path) -> None:
    publisher = _publisher(tmp_path)
    first = {"channels/x": _target(tmp_path, "x"), "models/m/1": _target(tmp_path, "m")}
    publisher.publish(first)
    publisher.publish(first | {"channels/x": _target(tmp_path, "y")})
    names = {path.name for path in (tmp_path / "repository/metadata").iterdir()}
    assert {"2.channels.json", "2.snapshot.json", "1.models.json", "1.targets.json"} <= names
    assert "2.models.json" not in names
    assert publisher.target("channels/x") == b"y"
    assert publisher.target("channels/unknown") is None


def test_targets_that_are_no_longer_listed_are_removed(tmp_path: Path) -> None:
    publisher = _publisher(tmp_path)
    publisher.publish({"releases/1/a": _target(tmp_path, "a")})
    publisher.publish({"releases/2/b": _target(tmp_path, "b")})
    [kept] = [path for path in (tmp_path / "repository/targets").rglob("*") if path.is_file()]
    assert kept.read_text() == "b"


def test_refresh_signs_only_what_is_past_half_of_its_life(tmp_path: Path) -> None:
    _publisher(tmp_path).publish({"channels/x": _target(tmp_path, "x")})
    before = _files(tmp_path / "repository")
    assert not _publisher(tmp_path, NOW + timedelta(days=3)).refresh()
    assert _files(tmp_path / "repository") == before
    assert _publisher(tmp_path, NOW + timedelta(days=4)).refresh()
    after = _files(tmp_path / "repository")
    assert set(after) - set(before) == {"metadata/2.snapshot.json"}
    assert _publisher(tmp_path, NOW + timedelta(days=46)).refresh()
    new = set(_files(tmp_path / "repository")) - set(after)
    assert new == {f"metadata/{name}.json" for name in (
        "2.releases", "2.models", "2.channels", "3.snapshot",
    )}  # fmt: skip


def test_a_repository_of_other_keys_is_not_signed_over(tmp_path: Path) -> None:
    _publisher(tmp_path)
    for key in (tmp_path / "keys").iterdir():
        key.unlink()
    with pytest.raises(keys.KeysUnusable, match="other keys"):
        _publisher(tmp_path)
