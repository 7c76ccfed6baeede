"""A crash or a failing disk at any moment: never a false alarm, never a change unrecorded."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from sqlalchemy import select

from b3iq.store.errors import DiskRefused
from b3iq.store.tables import audit_event, login_throttle
from tests.disks import small_disk
from tests.unit.audit.conftest import Log


def die(*_: object) -> None:
    os._exit(9)


def crash(directory: Path, method: str) -> None:
    """In another process: make a change and end without a word inside a method."""
    child = os.fork()
    if child == 0:
        log = Log(directory)
        setattr(log.checkpoints, method, die)
        log.change("crashed")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def rows(log: Log, table) -> int:
    with log.database.read() as connection:
        return len(connection.execute(select(table)).all())


def test_a_crash_before_the_commit_leaves_neither_change_nor_event(tmp_path):
    crash_after_two(tmp_path, "prepare", events=2)


def test_a_crash_between_commit_and_checkpoint_is_no_false_alarm(tmp_path):
    crash_after_two(tmp_path, "publish", events=3)


def crash_after_two(directory: Path, method: str, events: int) -> None:
    log = Log(directory)
    log.audit.start()
    log.change("one")
    log.change("two")
    log.database.close()
    crash(directory, method)
    after = Log(directory)
    assert after.covered() == 2
    assert after.audit.is_intact()
    assert after.verify() == events
    after.audit.start()
    assert after.covered() == events
    left = [p.name for p in directory.iterdir() if p.name.startswith("checkpoint.json.")]
    assert left == []
    after.database.close()


def test_a_crash_before_the_first_checkpoint_was_published_is_no_false_alarm(tmp_path):
    crash(tmp_path, "publish")
    after = Log(tmp_path)
    # Without `start` there is no first checkpoint: this log cannot be told from a spoilt one.
    assert not after.audit.is_intact()
    after.database.close()
    shutil.rmtree(tmp_path)
    tmp_path.mkdir()
    started = Log(tmp_path)
    started.audit.start()
    started.database.close()
    crash(tmp_path, "publish")
    after = Log(tmp_path)
    assert after.audit.is_intact()
    after.database.close()


def test_a_checkpoint_that_cannot_be_written_refuses_the_change(tmp_path):
    """The disk of the checkpoint is full, the one of the database is not."""
    with small_disk(tmp_path / "small", 1) as disk:
        log = Log(tmp_path, checkpoint=disk.path / "checkpoint.json")
        log.audit.start()
        log.change("before")
        disk.fill()
        with pytest.raises(DiskRefused, match="full; nothing was changed"):
            log.change("after")
        assert rows(log, login_throttle) == rows(log, audit_event) == 1
        disk.free()
        log.change("after")
        assert log.verify() == log.covered() == 2
        log.database.close()


def change_for_ever(log: Log) -> None:
    for number in range(1000):
        log.change(f"{number} " + "x" * 200)


def test_a_full_database_refuses_the_change_and_says_so(log):
    """SQLite's own limit of pages stands for the disk: the same SQLITE_FULL."""
    log.change("before")
    with log.database.read() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(DiskRefused, match="full; nothing was changed") as refused:
        change_for_ever(log)
    assert refused.value.remedy
    assert rows(log, audit_event) == rows(log, login_throttle)
    assert log.verify() == log.covered() == rows(log, audit_event)
