"""The audit log: one with the change it records, one chain, and no flood."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError
from sqlalchemy import select

from b3iq.audit import tally
from b3iq.audit.actions import DETAILS, Action, Actor
from b3iq.audit.log import AuditLog
from b3iq.audit.record import AuditEvent, Checkpoint
from b3iq.evidence import canonical
from b3iq.store.tables import audit_event, login_throttle
from tests.unit.audit.conftest import SIGNER, Log


def count(log: Log, table) -> int:
    with log.database.read() as connection:
        return len(connection.execute(select(table)).all())


def test_a_change_and_its_event_are_one(log):
    log.change()
    assert (count(log, login_throttle), count(log, audit_event)) == (1, 1)
    assert log.verify() == log.covered() == 1


def test_a_change_that_fails_leaves_no_event_and_no_checkpoint(log):
    def fail() -> None:
        with log.database.write() as connection:
            log.audit.append(connection, "logout")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert count(log, audit_event) == 0
    assert log.covered() == 0
    names = {path.name for path in log.path.parent.iterdir()}
    assert not {name for name in names if name.startswith("checkpoint.json.")}


def test_two_changes_in_one_transaction_are_two_links_and_one_commit(log):
    with log.database.write() as connection:
        log.audit.append(connection, "login", as_="owner")
        log.audit.append(connection, "logout", as_="owner")
    assert log.verify() == log.covered() == 2


def test_the_wire_forms_are_what_was_released():
    """Golden bytes: if this fails, the format changed, and its name must change with it."""
    event = AuditEvent.model_validate_json(GOLDEN)
    assert canonical.encode(event) == GOLDEN
    assert canonical.digest(GOLDEN) == GOLDEN_HASH
    checkpoint = Checkpoint.model_validate_json(GOLDEN_CHECKPOINT)
    assert SIGNER.sign(canonical.encode(checkpoint.checkpoint)) == checkpoint.signature_ed25519


def test_an_action_has_its_own_details_and_no_others(log):
    with log.database.write() as connection, pytest.raises(ValueError, match="no such details"):
        log.audit.append(connection, "logout", password="canary")
    assert count(log, audit_event) == 0


def test_every_action_has_its_line_of_details():
    assert set(DETAILS) == set(Action.__args__)


def test_an_event_that_a_newer_release_wrote_still_verifies(log):
    body = canonical_of(action="wallet_opened", details={"new_fact": 3})
    log.sql(
        "INSERT INTO audit_event VALUES (1, ?, ?)", canonical.digest(body), body
    )  # as a release would that knows more actions
    log.change()
    assert log.verify() == 2


@pytest.mark.parametrize(
    "change",
    [{"details": {"x": 1.5}}, {"details": {"x": None}}, {"details": {"X y": "a"}}, {"extra": 1},
     {"actor": "root"}, {"action": "Log In"}, {"sequence": 0}, {"subject": "x" * 65}],
    ids=str,
)  # fmt: skip
def test_a_form_that_no_release_wrote_is_refused(change):
    with pytest.raises(ValidationError):
        AuditEvent.model_validate({**AuditEvent.model_validate_json(GOLDEN).model_dump(), **change})


def test_many_threads_and_openers_append_to_one_chain_without_a_gap(log, another):
    threads = [
        threading.Thread(target=lambda w=writer, n=n: [w.change(f"{n} {i}") for i in range(10)])
        for n in range(8)
        for writer in (log, another)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert log.verify() == 160
    assert log.audit.is_intact()
    # Two openers may publish in the other order; the next event brings it up again.
    log.change()
    assert log.covered() == 161


def test_the_log_is_read_in_pages_from_either_end(log):
    for number in range(7):
        log.change(str(number))
    assert [e.sequence for e in log.audit.recent(3)] == [7, 6, 5]
    assert [e.sequence for e in log.audit.recent(3, before=5)] == [4, 3, 2]
    assert [e.sequence for e in log.audit.following(5, 3)] == [6, 7]
    assert log.audit.following(7) == []


class Stage:
    """Who acts and when, as a test sets it."""

    def __init__(self) -> None:
        self.actor = Actor("visitor", "192.0.2.1")
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def stage():
    return Stage()


@pytest.fixture
def watched(log, stage):
    return AuditLog(log.database, log.checkpoints, lambda: stage.actor, lambda: stage.now)


def told(watched) -> list[tuple[str, int]]:
    events = [AuditEvent.model_validate(e.event) for e in watched.following(0)]
    return [(event.client, event.details["day_count"]) for event in events]


def test_a_flood_of_bad_logins_leaves_a_handful_of_events_with_their_counts(log, watched):
    for _ in range(1000):
        watched.refuse("login_refused")
    assert told(watched) == [("192.0.2.1", 2**n) for n in range(10)]
    assert log.verify() == 10


def test_a_flood_from_many_addresses_is_bounded_and_still_seen(watched, stage):
    for number in range(2000):
        stage.actor = Actor("visitor", f"2001:db8::{number:x}")
        watched.refuse("login_refused")
    clients = [client for client, _ in told(watched)]
    assert len(clients) == tally.CLIENTS_TOLD_APART + 11
    assert clients.count("others") == 11


def test_each_kind_of_refusal_and_each_day_is_counted_by_itself(watched, stage):
    watched.refuse("login_refused")
    watched.refuse("setup_claim_refused")
    stage.now += timedelta(days=1)
    watched.refuse("login_refused")
    assert [number for _, number in told(watched)] == [1, 1, 1]


def test_who_was_refused_is_a_visitor_whatever_cookie_came_along(watched, stage):
    stage.actor = Actor("owner", "loopback")
    watched.refuse("login_refused")
    assert watched.recent(1)[0].event["actor"] == "visitor"


def canonical_of(**changes: object) -> bytes:
    event = AuditEvent.model_validate_json(GOLDEN)
    return canonical.encode(event.model_copy(update=changes))


GOLDEN = (
    b'{"action":"local_key_created","actor":"owner","at":"2026-03-01T12:00:00.000Z",'
    b'"client":"loopback","details":{"expires_at":"never","scopes":"inference metrics"},'
    b'"format":"b3iq-audit-v1","previous_hash":'
    b'"0000000000000000000000000000000000000000000000000000000000000000",'
    b'"sequence":1,"subject":"0123456789ab"}'
)
GOLDEN_HASH = "fac24104c42434ed5a865a483a0bd7ffbd8c7d5fa47a41e6ccc0b1e7d43d2acb"
GOLDEN_CHECKPOINT = (
    b'{"checkpoint":{"format":"b3iq-audit-checkpoint-v1","node_id":"node-test","key_id":"5'
    b'6475aa75463474c","size":1,"head_hash":"fac24104c42434ed5a865a483a0bd7ffbd8c7d5fa47a4'
    b'1e6ccc0b1e7d43d2acb","at":"2026-03-01T12:00:00.000Z"},"signature_ed25519":"fCOaW3lPm'
    b'ZmrgJwhQiYIvz6cHaTWqcuiOnEnY-cqx-K59Uf-ODTcDskkHvzxw-tGi_GiiN9HfOY-xYUkDYB-CA"}'
)
