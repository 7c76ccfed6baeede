"""Local keys: shown once, kept as a digest, revocable."""

from __future__ import annotations

from datetime import timedelta

import pytest

from b3iq.credentials import tokens
from b3iq.credentials.errors import (
    ForeignCredential,
    InvalidName,
    InvalidScope,
    Unauthorized,
    UnknownKey,
)
from b3iq.credentials.keys import LocalKeys
from b3iq.store.database import Database


@pytest.fixture
def keys(database, pepper, audit, clock):
    return LocalKeys(database, pepper, audit, clock)


def test_a_key_opens_by_its_secret(keys):
    key, secret = keys.create("laptop", ("inference", "metrics"))
    found = keys.authenticate(secret)
    assert found.key_id == key.key_id
    assert found.scopes == ("inference", "metrics")


def test_the_secret_is_nowhere_in_the_database_files(keys, database, tmp_path):
    _, secret = keys.create("laptop")
    keys.authenticate(secret)
    database.close()
    stored = b"".join(f.read_bytes() for f in tmp_path.iterdir() if f.is_file())
    assert b"laptop" in stored
    assert secret.encode() not in stored
    assert secret.split("_")[3].encode() not in stored


def test_a_revoked_key_is_refused_on_the_next_request_in_every_opener(
    keys, database, pepper, audit
):
    key, secret = keys.create("laptop")
    other = LocalKeys(Database(database.path), pepper, audit)
    assert other.authenticate(secret).key_id == key.key_id
    keys.revoke(key.key_id)
    for opener in (keys, other):
        with pytest.raises(Unauthorized):
            opener.authenticate(secret)


def test_revoking_again_changes_nothing(keys, clock):
    key, _ = keys.create("laptop")
    first = keys.revoke(key.key_id)
    clock.forward(hours=1)
    assert keys.revoke(key.key_id) == first


def test_revoking_one_key_leaves_the_others(keys):
    doomed, _ = keys.create("one")
    _, secret = keys.create("two")
    keys.revoke(doomed.key_id)
    assert keys.authenticate(secret).name == "two"


def test_revoking_an_unknown_key_says_so(keys):
    with pytest.raises(UnknownKey):
        keys.revoke("000000000000")


def test_a_key_ends_at_its_expiry(keys, clock):
    _, secret = keys.create("laptop", expires_at=clock() + timedelta(days=1))
    clock.forward(hours=23)
    keys.authenticate(secret)
    clock.forward(hours=1)
    with pytest.raises(Unauthorized):
        keys.authenticate(secret)


def test_the_right_id_with_another_secret_is_refused(keys):
    key, _ = keys.create("laptop")
    stranger = tokens.mint("local").text.split("_")[3]
    body = f"b3iq_local_{key.key_id}_{stranger[: tokens.SECRET_LENGTH]}"
    with pytest.raises(Unauthorized):
        keys.authenticate(body + tokens._checksum(body))


def test_a_key_planted_in_the_database_by_a_thief_does_not_open(keys, database):
    """Who can write rows but has no pepper cannot make a row that a key opens."""
    token = tokens.mint("local")
    with database.write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO local_key (key_id, name, digest, scopes, created_at) VALUES (?,?,?,?,?)",
            (
                token.id,
                "mine",
                tokens.digest(b"", token.text),
                "inference",
                "2026-03-01T12:00:00.000000Z",
            ),
        )
    with pytest.raises(Unauthorized):
        keys.authenticate(token.text)


@pytest.mark.parametrize("kind", ["gateway", "support"])
@pytest.mark.parametrize("tail", ["", "x", "anything at all"])
def test_a_foreign_credential_is_named_by_class_and_not_repeated(keys, kind, tail):
    text = (tail and f"b3iq_{kind}_{tail}") or tokens.mint(kind).text
    with pytest.raises(ForeignCredential) as refusal:
        keys.authenticate(text)
    assert f"b3iq_{kind}_" in refusal.value.message
    assert text.split("_", 2)[2] not in refusal.value.message


def test_all_refusals_of_a_local_key_are_worded_alike(keys, clock):
    expired = keys.create("a", expires_at=clock())[1]
    key, revoked = keys.create("b")
    keys.revoke(key.key_id)
    unknown = tokens.mint("local").text
    broken = unknown[:-1] + ("0" if unknown[-1] != "0" else "1")
    said = set()
    for text in (expired, revoked, unknown, broken, "", "Bearer x"):
        with pytest.raises(Unauthorized) as refusal:
            keys.authenticate(text)
        said.add((refusal.value.message, refusal.value.code, refusal.value.status))
    assert len(said) == 1


def test_a_setup_token_is_no_local_key(keys):
    with pytest.raises(Unauthorized):
        keys.authenticate(tokens.mint("setup").text)


def test_use_is_noted_for_the_owner(keys, clock):
    _, secret = keys.create("laptop")
    assert keys.list()[0].last_used_at is None
    keys.authenticate(secret)
    first = clock()
    clock.forward(seconds=30)
    keys.authenticate(secret)
    assert keys.list()[0].last_used_at == first
    clock.forward(seconds=31)
    keys.authenticate(secret)
    assert keys.list()[0].last_used_at == clock()


@pytest.mark.parametrize("scopes", [(), ("admin",), ("inference", "owner")])
def test_a_scope_that_does_not_exist_is_refused(keys, scopes):
    with pytest.raises(InvalidScope):
        keys.create("laptop", scopes)
    assert keys.list() == []


@pytest.mark.parametrize(
    "name",
    [
        "",
        "   ",
        "x" * 65,
        "two\nlines",
        "\x1b[31mred",
        "zero\u200bwidth",
        "right\u202eleft",
        "\ud800",
    ],
)
def test_a_name_that_could_deceive_is_refused(keys, name):
    with pytest.raises(InvalidName):
        keys.create(name)


def test_a_name_is_kept_in_one_normal_form(keys):
    key, _ = keys.create("  \uff4captop e\u0301 ")  # a full-width l
    assert key.name == "laptop é"
