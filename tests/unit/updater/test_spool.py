"""A node that was taken over may put anything into its spool; root hears a verb or nothing."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from b3iq.updater import spool
from b3iq.updates import requests
from b3iq.updates.requests import SpoolClosed


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "spool").mkdir()
    return tmp_path / "spool"


@pytest.mark.parametrize("verb", requests.VERBS)
def test_a_verb_is_heard_once(place: Path, verb) -> None:
    requests.drop(place, verb)
    requests.drop(place, verb)
    assert spool.take(place) == verb
    assert spool.take(place) is None
    assert list(place.iterdir()) == []


def test_going_back_is_heard_before_going_on_and_all_requests_are_spent(place: Path) -> None:
    for verb in ("check", "apply", "rollback"):
        requests.drop(place, verb)
    assert spool.take(place) == "rollback"
    assert spool.take(place) is None


def test_a_node_without_a_spool_says_so_and_an_updater_without_one_hears_nothing(tmp_path) -> None:
    assert spool.take(tmp_path / "none") is None
    with pytest.raises(SpoolClosed) as refused:
        requests.drop(tmp_path / "none", "check")
    assert str(tmp_path) not in refused.value.message


def _link(place: Path) -> None:
    (place.parent / "target").write_bytes(b"")
    (place / "apply").symlink_to(place.parent / "target")


def _hard_link(place: Path) -> None:
    (place.parent / "target").write_bytes(b"")
    os.link(place.parent / "target", place / "apply")


def _content(place: Path) -> None:
    (place / "apply").write_text("rollback; rm -rf /")


def _fifo(place: Path) -> None:
    os.mkfifo(place / "apply")


def _sparse(place: Path) -> None:
    with (place / "apply").open("wb") as file:
        file.truncate(1 << 40)


def _empty_directory(place: Path) -> None:
    (place / "apply").mkdir()


def _full_directory(place: Path) -> None:
    (place / "apply/deep/deeper").mkdir(parents=True)


ATTACKS = [_link, _hard_link, _content, _fifo, _sparse, _empty_directory, _full_directory]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: a.__name__)
def test_what_is_no_empty_plain_file_says_nothing_and_triggers_no_second_time(
    place: Path, attack
) -> None:
    attack(place)
    assert spool.take(place) is None
    assert not os.path.lexists(place / "apply")
    if attack in (_link, _hard_link):
        assert (place.parent / "target").exists()


def test_other_names_are_neither_heard_nor_touched(place: Path) -> None:
    names = ["..apply", "apply ", "Apply", "install", "apply\n", "-rf"]
    for name in [*names, *map(str, range(2000))]:
        (place / name).touch()
    assert spool.take(place) is None
    assert {path.name for path in place.iterdir()} >= set(names)


def test_a_spool_that_is_a_link_is_not_followed(place: Path, tmp_path: Path) -> None:
    requests.drop(place, "apply")
    (tmp_path / "elsewhere").symlink_to(place)
    with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
        spool.take(tmp_path / "elsewhere")
    assert (place / "apply").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_a_user_whom_the_spool_is_not_for_says_nothing(place: Path) -> None:
    os.chown(place, 0, 4711)
    (place / "apply").touch()
    os.chown(place / "apply", 4712, 4713)
    assert spool.take(place) is None
    (place / "apply").touch()
    os.chown(place / "apply", 4712, 4711)
    assert spool.take(place) == "apply"
    assert stat.S_ISDIR(place.stat().st_mode)
