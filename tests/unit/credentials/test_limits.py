"""What a key may use, as it is kept and read."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from b3iq.credentials import limits
from b3iq.credentials.errors import KeyNotLive, UnknownKey
from b3iq.credentials.keys import LocalKeys
from b3iq.credentials.limits import NO_LIMITS, KeyLimits

EVERY = KeyLimits(
    models=("a", "b"),
    requests_per_minute=60,
    tokens_per_minute=1000,
    concurrency=2,
    addresses=("192.0.2.0/24", "2001:db8::/32"),
)


@pytest.fixture
def keys(database, pepper, audit, clock):
    return LocalKeys(database, pepper, audit, clock)


def test_a_key_without_limits_may_use_everything():
    assert NO_LIMITS.allows_model("anything")
    assert NO_LIMITS.allows_address("203.0.113.9")
    assert not NO_LIMITS.has_rates


def test_limits_come_back_with_the_key_as_they_were_set(keys):
    _, secret = keys.create("laptop", limits=EVERY)
    assert keys.authenticate(secret).limits == EVERY
    assert keys.list()[0].limits == EVERY


@pytest.mark.parametrize(
    "wrong",
    [
        {"requests_per_minute": 0},
        {"requests_per_minute": -1},
        {"requests_per_minute": 1.5},
        {"requests_per_minute": True},
        {"requests_per_minute": 10**9},
        {"tokens_per_minute": 0},
        {"concurrency": 0},
        {"concurrency": 513},
        {"models": []},
        {"models": [""]},
        {"models": ["line\nbreak"]},
        {"models": ["x"] * 33},
        {"models": "b3iq-smoke"},
        {"addresses": []},
        {"addresses": ["localhost"]},
        {"addresses": ["192.0.2.7/24"]},
        {"addresses": ["192.0.2.0/33"]},
        {"addresses": ["0x7f.1"]},
        {"weekly": 5},
    ],
)
def test_a_limit_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValidationError):
        KeyLimits.model_validate(wrong)


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("192.0.2.7", True),
        ("::ffff:192.0.2.7", True),  # as a listener for both families shows it
        ("2001:db8::1", True),
        ("192.0.3.1", False),
        ("::1", False),
        ("2001:db9::1", False),
        ("", False),
        (None, False),
        ("192.0.2.7, 10.0.0.1", False),
    ],
)
def test_an_address_is_allowed_only_within_the_networks_of_the_list(address, allowed):
    assert EVERY.allows_address(address) is allowed


@pytest.mark.parametrize("text", ['{"weekly": 5}', "{", '{"concurrency": "many"}'])
def test_limits_that_this_release_does_not_understand_open_nothing(keys, database, text):
    _, secret = keys.create("from the future")
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE local_key SET limits = ?", (text,))
    found = keys.authenticate(secret).limits
    assert not found.allows_model("b3iq-smoke")
    assert not found.allows_address("127.0.0.1")
    assert limits.read(limits.write(found)) == found


def test_a_change_names_what_changes_and_leaves_the_rest(keys):
    key, secret = keys.create("laptop", limits=EVERY)
    keys.change(key.key_id, KeyLimits(concurrency=5, models=None))
    found = keys.authenticate(secret).limits
    assert (found.concurrency, found.models) == (5, None)
    assert (found.requests_per_minute, found.addresses) == (60, EVERY.addresses)


def test_a_change_of_limits_leaves_the_expiry_and_the_other_way_round(keys, clock):
    end = clock()
    clock.forward(days=-2)
    key, _ = keys.create("laptop", expires_at=end)
    assert keys.change(key.key_id, KeyLimits(concurrency=1)).expires_at == end
    changed = keys.change(key.key_id, NO_LIMITS, expires_at=None, keep_expiry=False)
    assert (changed.expires_at, changed.limits.concurrency) == (None, 1)


def test_what_has_ended_is_not_opened_again_by_a_change(keys, clock):
    revoked, _ = keys.create("a")
    keys.revoke(revoked.key_id)
    expired, _ = keys.create("b", expires_at=clock())
    for key in (revoked, expired):
        with pytest.raises(KeyNotLive):
            keys.change(key.key_id, NO_LIMITS, expires_at=None, keep_expiry=False)
        with pytest.raises(KeyNotLive):
            keys.rotate(key.key_id)
    with pytest.raises(UnknownKey):
        keys.change("000000000000", NO_LIMITS)
