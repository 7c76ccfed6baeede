"""Whoever can write the database, and has no key, cannot change the log unnoticed."""

from __future__ import annotations

import json

import pytest

from b3iq.audit.errors import AuditRefused, NothingToAccept
from b3iq.audit.record import AuditEvent, Checkpoint
from b3iq.audit.verifier import Verifier
from b3iq.evidence import canonical
from b3iq.evidence.signing import Signer
from tests.unit.audit.conftest import SIGNER, Log

EVENTS = 6


@pytest.fixture
def full(log):
    for number in range(EVENTS):
        log.change(f"change {number}")
    assert log.verify() == EVENTS
    return log


def edit(log: Log, number: int, *, anew: bool) -> None:
    """Change what event `number` says; with `anew` make its hash, and all after it, fit."""
    previous = None
    for entry in log.audit.following(number - 1):
        event = AuditEvent.model_validate(entry.event)
        if event.sequence == number:
            event = event.model_copy(update={"actor": "admin"})
        if previous is not None and anew:
            event = event.model_copy(update={"previous_hash": previous})
        body = canonical.encode(event)
        previous = canonical.digest(body) if anew else entry.event_hash
        log.sql(
            "UPDATE audit_event SET body = ?, event_hash = ? WHERE sequence = ?",
            body,
            previous,
            event.sequence,
        )


def swap(log: Log, first: int, second: int) -> None:
    log.sql("UPDATE audit_event SET sequence = 999 WHERE sequence = ?", first)
    log.sql("UPDATE audit_event SET sequence = ? WHERE sequence = ?", first, second)
    log.sql("UPDATE audit_event SET sequence = ? WHERE sequence = 999", second)


def renumber(log: Log) -> None:
    """Close the gap of a deleted event, in the rows and in what they say."""
    log.sql("DELETE FROM audit_event WHERE sequence = 3")
    for entry in log.audit.following(3):
        body = json.dumps({**entry.event, "sequence": entry.sequence - 1}).encode()
        log.sql("UPDATE audit_event SET sequence = ?, body = ? WHERE sequence = ?",
                entry.sequence - 1, body, entry.sequence)  # fmt: skip


FAULTS = {
    "an edit": (lambda log: edit(log, 3, anew=False), "Event 3 was changed"),
    "an edit of the last event": (lambda log: edit(log, EVENTS, anew=False), "was changed"),
    "an edit whose chain was made anew": (lambda log: edit(log, 3, anew=True), "made anew"),
    "a body that is no JSON": (
        lambda log: log.sql("UPDATE audit_event SET body = ? WHERE sequence = 2", b"\xff{"),
        "Event 2 was changed: it is not in its form",
    ),
    "a field that was added": (
        lambda log: log.sql(
            "UPDATE audit_event SET body = json_set(body, '$.note', 'x') WHERE sequence = 2"
        ),
        "not in its form",
    ),
    "a deletion": (
        lambda log: log.sql("DELETE FROM audit_event WHERE sequence = 3"),
        "Event 3 is missing",
    ),
    "a deletion of the first": (
        lambda log: log.sql("DELETE FROM audit_event WHERE sequence = 1"),
        "Event 1 is missing",
    ),
    "a deletion whose gap was closed": (renumber, "Event 3 was changed"),
    "a reorder": (lambda log: swap(log, 2, 4), "Event 2 is missing: event 4 stands"),
    "a truncation by one": (
        lambda log: log.sql("DELETE FROM audit_event WHERE sequence = ?", EVENTS),
        "ends at event 5, and a signed checkpoint names event 6",
    ),
    "a truncation to nothing": (lambda log: log.sql("DELETE FROM audit_event"), "ends at event 0"),
}


@pytest.mark.parametrize(("plant", "words"), FAULTS.values(), ids=FAULTS)
def test_a_fault_planted_in_the_database_is_found(full, plant, words):
    plant(full)
    with pytest.raises(AuditRefused, match=words):
        full.verify()


def test_every_single_byte_mutation_of_an_event_is_found(full):
    entry = full.audit.following(2, 1)[0]
    body = canonical.encode(AuditEvent.model_validate(entry.event))
    for position in range(len(body)):
        mutated = bytearray(body)
        mutated[position] ^= 1
        full.sql("UPDATE audit_event SET body = ? WHERE sequence = 3", bytes(mutated))
        with pytest.raises(AuditRefused, match="Event 3"):
            full.verify()


@pytest.mark.parametrize("plant", ["truncation", "edit"])
def test_later_events_and_restarts_do_not_cover_a_fault_up(full, another, plant):
    """The node makes no checkpoint of a log that has lost what the last one names."""
    if plant == "truncation":
        full.sql("DELETE FROM audit_event WHERE sequence > 3")
    else:
        edit(full, EVENTS, anew=True)
    assert not full.audit.is_intact()
    for number in range(5):
        full.change(f"later {number}")
    another.audit.start()
    another.change("after a restart")
    assert full.covered() == EVENTS
    with pytest.raises(AuditRefused):
        full.verify()


def test_a_fault_is_told_to_the_journal_at_every_start_and_change(full, another, caplog):
    full.sql("DELETE FROM audit_event WHERE sequence = ?", EVENTS)
    another.audit.start()
    another.change()
    assert [r.getMessage() for r in caplog.records].count("audit_log_broken") == 2


def test_an_administrator_accepts_a_fault_and_the_log_says_so_for_ever(full):
    full.sql("DELETE FROM audit_event WHERE sequence = ?", EVENTS)
    event = full.audit.accept()
    assert event.action == "audit_log_accepted"
    assert event.details["checkpoint_size"] == EVENTS
    full.change()
    assert full.verify() == full.covered() == EVENTS + 1


def test_a_log_that_holds_cannot_be_accepted(full):
    with pytest.raises(NothingToAccept):
        full.audit.accept()


def test_an_edit_cannot_be_accepted_away(full):
    """Accepting settles the checkpoint, never a link of the chain."""
    edit(full, 3, anew=False)
    with pytest.raises(NothingToAccept):
        full.audit.accept()
    with pytest.raises(AuditRefused):
        full.verify()


SPOILT = {
    "gone": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "no JSON": lambda path: path.write_bytes(b"\xff\xfe"),
    "of another size": lambda path: path.write_text(
        path.read_text().replace(f'"size":{EVENTS}', '"size":2')
    ),
    "a directory": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_a_checkpoint_that_was_spoilt_is_a_fault_and_is_not_replaced(full, spoil):
    spoil(full.path)
    assert not full.audit.is_intact()
    full.change()
    assert not full.audit.is_intact()


def test_a_checkpoint_of_another_key_is_refused(full):
    stranger = Log(full.path.parent, Signer(b"x" * 32))
    signed = stranger.checkpoints.sign(EVENTS, full.audit.following(EVENTS - 1)[0].event_hash,
                                       stranger.audit._clock())  # fmt: skip
    stranger.database.close()
    full.path.write_text(signed.model_dump_json())
    assert not full.audit.is_intact()
    with pytest.raises(AuditRefused, match="another key"):
        full.verify()


def test_a_log_cut_together_with_its_checkpoint_is_found_by_one_kept_elsewhere(full):
    kept = Checkpoint.model_validate_json(full.path.read_bytes())
    old = full.checkpoints.sign(3, full.audit.following(2)[0].event_hash, full.audit._clock())
    full.sql("DELETE FROM audit_event WHERE sequence > 3")
    full.path.write_text(old.model_dump_json())
    assert full.verify() == 3  # the weakness that the documents name
    verifier = Verifier([kept], SIGNER.public_key)
    for entry in full.audit.following(0):
        verifier.add(entry.event_hash, entry.event)
    with pytest.raises(AuditRefused, match="was cut"):
        verifier.finish()
