"""The database keeps what was committed, to itself, under many threads."""

from __future__ import annotations

import stat
import threading

import pytest
from sqlalchemy import insert, inspect, select, text
from sqlalchemy.exc import IntegrityError, OperationalError

from b3iq.store.clock import utc_now
from b3iq.store.database import Database
from b3iq.store.migrate import upgrade
from b3iq.store.tables import login_throttle, metadata, owner


@pytest.fixture
def database(tmp_path):
    database = Database(tmp_path / "state" / "node.db")
    upgrade(database)
    yield database
    database.close()


def counter(connection) -> int:
    return connection.execute(select(login_throttle.c.failures)).scalar_one()


def start_counter(database: Database) -> None:
    with database.write() as connection:
        connection.execute(
            insert(login_throttle).values(client="c", failures=0, failed_at=utc_now())
        )


def increment(database: Database) -> None:
    with database.write() as connection:
        value = counter(connection)
        connection.execute(login_throttle.update().values(failures=value + 1))


def test_the_migrations_make_exactly_the_tables_that_the_code_describes(database):
    with database.read() as connection:
        found = inspect(connection)
        made = {
            table: {
                (c["name"], str(c["type"]), c["nullable"] and not c["primary_key"])
                for c in found.get_columns(table)
            }
            for table in found.get_table_names()
            if table != "alembic_version"
        }
        described = {
            name: {(c.name, str(c.type.compile(connection.dialect)), c.nullable) for c in table.c}
            for name, table in metadata.tables.items()
        }
    assert made == described


def test_upgrading_again_changes_nothing(database):
    start_counter(database)
    upgrade(database)
    with database.read() as connection:
        assert counter(connection) == 0


def test_a_database_that_a_newer_release_expanded_still_opens(database):
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        connection.execute(text("ALTER TABLE owner ADD COLUMN from_the_future TEXT"))
    upgrade(database)
    with database.read() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == (
            "9999"
        )
        assert connection.execute(select(owner)).all() == []


def test_nobody_else_can_read_the_files(database, tmp_path):
    start_counter(database)
    with database.read():
        files = sorted((tmp_path / "state").iterdir())
        assert [f.name for f in files] == ["node.db", "node.db-shm", "node.db-wal"]
        assert {stat.S_IMODE(f.stat().st_mode) for f in files} == {0o600}
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


def test_a_file_that_was_left_readable_is_closed_when_it_is_opened(tmp_path):
    path = tmp_path / "node.db"
    path.touch(mode=0o644)
    Database(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_link_in_place_of_the_database_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").touch()
    (tmp_path / "node.db").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        Database(tmp_path / "node.db")


def test_a_commit_survives_a_power_cut(database):
    with database.read() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2  # FULL


def test_a_second_owner_is_impossible_whatever_the_code_does(database):
    row = {"name": "x", "password_hash": "x", "claimed_at": utc_now()}
    for owner_id in (1, 2):
        with database.write() as connection:
            if owner_id == 1:
                connection.execute(insert(owner).values(id=1, **row))
                continue
            with pytest.raises(IntegrityError):
                connection.execute(insert(owner).values(id=2, **row))


def test_a_failed_transaction_leaves_nothing(database):
    start_counter(database)

    def fail() -> None:
        with database.write() as connection:
            connection.execute(login_throttle.update().values(failures=7))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with database.read() as connection:
        assert counter(connection) == 0


def test_read_then_write_loses_no_update_among_threads_and_other_openers(database):
    start_counter(database)
    # Each opener has a lock of its own: only SQLite stands between them.
    openers = [Database(database.path) for _ in range(4)]
    threads = [
        threading.Thread(target=lambda o=opener: [increment(o) for _ in range(10)])
        for opener in openers
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for opener in openers:
        opener.close()
    with database.read() as connection:
        assert counter(connection) == 80


def test_a_reader_is_not_stopped_by_a_writer_and_sees_one_state(database):
    start_counter(database)
    with database.write() as writing:
        writing.execute(login_throttle.update().values(failures=1))
        with database.read() as reading:
            assert counter(reading) == 0


def test_a_naive_time_is_refused(database):
    with pytest.raises(Exception, match="aware"), database.write() as connection:
        connection.execute(
            insert(login_throttle).values(
                client="c", failures=0, failed_at=utc_now().replace(tzinfo=None)
            )
        )


def test_a_read_transaction_cannot_take_the_write_lock_from_a_writer(database):
    start_counter(database)
    other = Database(database.path)
    with database.write(), other.read() as reading:
        reading.exec_driver_sql("PRAGMA busy_timeout = 0")
        with pytest.raises(OperationalError, match="locked"):
            reading.execute(login_throttle.update().values(failures=9))
    other.close()
