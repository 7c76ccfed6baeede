"""Rotation: a new secret for the same key, and the end of the old one."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from b3iq.credentials.errors import Unauthorized, UnknownKey
from b3iq.credentials.keys import LocalKeys
from b3iq.credentials.limits import KeyLimits
from b3iq.store.database import Database

TEN = timedelta(minutes=10)


@pytest.fixture
def keys(database, pepper, audit, clock):
    return LocalKeys(database, pepper, audit, clock)


def opens(keys, secret) -> bool:
    try:
        keys.authenticate(secret)
    except Unauthorized:
        return False
    return True


def test_a_rotated_key_keeps_its_id_name_scopes_limits_and_expiry(keys, clock):
    key, old = keys.create("laptop", ("metrics",), clock() + TEN, KeyLimits(concurrency=3))
    _, new = keys.rotate(key.key_id)
    found = keys.authenticate(new)
    for name in ("key_id", "name", "scopes", "limits", "created_at", "expires_at"):
        assert getattr(found, name) == getattr(key, name)
    assert new != old


def test_the_old_secret_is_dead_at_once_in_every_opener(keys, database, pepper, audit, clock):
    key, old = keys.create("laptop")
    other = LocalKeys(Database(database.path), pepper, audit, clock)
    assert opens(other, old)
    _, new = keys.rotate(key.key_id)
    for opener in (keys, other):
        assert not opens(opener, old)
        assert opens(opener, new)


def test_with_an_overlap_both_open_until_it_ends(keys, clock):
    key, old = keys.create("laptop")
    _, new = keys.rotate(key.key_id, TEN)
    clock.forward(minutes=9, seconds=59)
    assert opens(keys, old)
    assert opens(keys, new)
    clock.forward(seconds=1)
    assert not opens(keys, old)
    assert opens(keys, new)


def test_the_two_secrets_of_an_overlap_can_be_told_apart(keys):
    key, old = keys.create("laptop")
    _, new = keys.rotate(key.key_id, TEN)
    assert keys.authenticate(old).generation + 1 == keys.authenticate(new).generation


def test_rotating_again_leaves_one_secret_before_at_most(keys):
    key, first = keys.create("laptop")
    _, second = keys.rotate(key.key_id, TEN)
    _, third = keys.rotate(key.key_id, TEN)
    assert [opens(keys, secret) for secret in (first, second, third)] == [False, True, True]
    _, fourth = keys.rotate(key.key_id)
    assert [opens(keys, secret) for secret in (second, third, fourth)] == [False, False, True]


def test_revoking_during_an_overlap_ends_both(keys):
    key, old = keys.create("laptop")
    _, new = keys.rotate(key.key_id, TEN)
    keys.revoke(key.key_id)
    assert not opens(keys, old)
    assert not opens(keys, new)


def test_an_overlap_does_not_outlive_the_key(keys, clock):
    key, old = keys.create("laptop", expires_at=clock() + timedelta(minutes=1))
    keys.rotate(key.key_id, TEN)
    clock.forward(minutes=1)
    assert not opens(keys, old)


def test_no_secret_of_a_rotation_is_in_the_database_files(keys, database, tmp_path):
    key, old = keys.create("laptop")
    _, new = keys.rotate(key.key_id, TEN)
    database.close()
    stored = b"".join(f.read_bytes() for f in tmp_path.iterdir() if f.is_file())
    for secret in (old, new):
        assert secret.split("_")[3].encode() not in stored


def test_a_hundred_rotations_at_once_leave_exactly_one_secret(keys):
    key, first = keys.create("laptop")
    secrets = [first]

    def rotate() -> None:
        secrets.append(keys.rotate(key.key_id)[1])

    threads = [threading.Thread(target=rotate) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(secrets)) == 101
    assert [opens(keys, secret) for secret in secrets].count(True) == 1
    assert keys.list()[0].generation == 100


@pytest.mark.parametrize("key_id", ["000000000000", "", "€"])
def test_rotating_what_is_no_key_says_so(keys, key_id):
    with pytest.raises(UnknownKey):
        keys.rotate(key_id)
