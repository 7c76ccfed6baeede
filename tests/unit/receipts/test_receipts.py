"""Receipts: signed, chained, sealed once, and refused when anything was changed."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError
from sqlalchemy import update

from b3iq.evidence import canonical
from b3iq.evidence.signing import Signer
from b3iq.receipts import verifier
from b3iq.receipts.errors import ReceiptRefused, ReceiptSealed
from b3iq.receipts.log import ReceiptLog
from b3iq.receipts.record import Receipt, ReceiptBody
from b3iq.store import tables
from b3iq.store.database import Database
from b3iq.store.migrate import upgrade

SEED = bytes(range(32))
KEY_ID = "0123456789ab"


@pytest.fixture
def database(tmp_path):
    database = Database(tmp_path / "node.db")
    upgrade(database)
    yield database
    database.close()


@pytest.fixture
def log(database):
    return ReceiptLog(database, Signer(SEED))


def begin(log: ReceiptLog):
    return log.open(
        model_id="b3iq-smoke",
        model_digest="ab" * 32,
        runtime_kind="pytorch",
        key_id_of_local_key=KEY_ID,
    )


def complete(log: ReceiptLog, tokens: int = 5) -> Receipt:
    return log.seal(
        begin(log),
        status="completed",
        prompt_tokens=3,
        completion_tokens=tokens,
        latency_ms=12.6,
        ttft_ms=4.2,
    )


def chain(log: ReceiptLog) -> list[Receipt]:
    return list(reversed(log.recent(500)))


def test_a_sealed_receipt_verifies_offline(log):
    receipt = complete(log)
    verifier.verify_receipt(receipt, log.public_key)
    assert receipt.receipt.status == "completed"
    assert receipt.receipt.usage.total_tokens == 8
    assert receipt.receipt.latency_ms == 13


def test_the_wire_form_is_what_was_released():
    """Golden bytes: if this fails, the format changed, and its name must change with it."""
    body = ReceiptBody.model_validate_json(GOLDEN)
    assert canonical.encode(body) == GOLDEN
    assert canonical.digest(GOLDEN) == GOLDEN_HASH
    assert Signer(SEED).sign(GOLDEN) == GOLDEN_SIGNATURE


def test_the_signed_body_names_neither_key_nor_prompt(log):
    receipt = complete(log)
    assert KEY_ID not in receipt.model_dump_json()
    assert set(receipt.receipt.model_dump()) == {
        "format", "receipt_id", "node_id", "key_id", "sequence", "previous_hash", "status",
        "model_id", "model_digest", "runtime_kind", "usage", "opened_at", "sealed_at",
        "latency_ms", "ttft_ms",
    }  # fmt: skip


def test_every_single_byte_mutation_of_a_receipt_is_refused(log):
    receipt = complete(log)
    text = receipt.model_dump_json().encode()
    for position in range(len(text)):
        mutated = bytearray(text)
        mutated[position] ^= 1
        try:
            changed = Receipt.model_validate_json(bytes(mutated))
        except ValidationError:
            continue
        with pytest.raises(ReceiptRefused):
            verifier.verify_receipt(changed, log.public_key)


def test_a_signature_has_one_spelling(log):
    """The spare bits of base64 at the end of a signature must be zero."""
    receipt = complete(log)
    good = receipt.signature_ed25519
    for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_":
        if last == good[-1]:
            continue
        changed = receipt.model_copy(update={"signature_ed25519": good[:-1] + last})
        with pytest.raises(ReceiptRefused):
            verifier.verify_receipt(changed, log.public_key)


def test_a_receipt_of_another_key_is_refused(log, tmp_path):
    other = Database(tmp_path / "other.db")
    upgrade(other)
    stranger = ReceiptLog(other, Signer(b"x" * 32))
    with pytest.raises(ReceiptRefused, match="another key"):
        verifier.verify_receipt(complete(stranger), log.public_key)
    other.close()


def test_receipts_form_one_chain_from_the_first(log):
    for _ in range(4):
        complete(log)
    receipts = chain(log)
    assert verifier.verify_chain(receipts, log.public_key) == 4
    assert receipts[0].receipt.previous_hash == "0" * 64
    assert [r.receipt.sequence for r in receipts] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "tamper",
    {
        "the first is missing": lambda c: c[1:],
        "one in the middle is missing": lambda c: c[:1] + c[2:],
        "two are swapped": lambda c: [c[1], c[0], *c[2:]],
        "one is doubled": lambda c: [c[0], *c],
    }.items(),
    ids=lambda item: item[0],
)
def test_a_broken_chain_is_refused(log, tamper):
    for _ in range(4):
        complete(log)
    with pytest.raises(ReceiptRefused):
        verifier.verify_chain(tamper[1](chain(log)), log.public_key)


def test_a_forked_log_is_refused(log, tmp_path):
    """The node's key signs two histories: they cannot be mixed into one."""
    other = Database(tmp_path / "fork.db")
    upgrade(other)
    fork = ReceiptLog(other, Signer(SEED))
    for _ in range(3):
        complete(log)
        complete(fork, tokens=99)
    mixed = [*chain(log)[:1], *chain(fork)[1:]]
    with pytest.raises(ReceiptRefused, match="does not follow"):
        verifier.verify_chain(mixed, log.public_key)
    other.close()


def test_a_piece_of_the_chain_verifies_without_its_beginning(log):
    for _ in range(5):
        complete(log)
    assert verifier.verify_run(chain(log)[2:], log.public_key) == 3
    with pytest.raises(ReceiptRefused):
        verifier.verify_run([chain(log)[1], chain(log)[3]], log.public_key)


def test_an_edit_in_the_database_is_found(log, database):
    complete(log)
    with database.write() as connection:
        body = json.loads(connection.execute(tables.receipt.select()).one().body)
        body["usage"]["completion_tokens"] = 1
        connection.execute(update(tables.receipt).values(body=json.dumps(body).encode()))
    with pytest.raises(ReceiptRefused):
        verifier.verify_receipt(log.recent(1)[0], log.public_key)


def test_a_receipt_is_sealed_once(log):
    opened = begin(log)
    counts = {"prompt_tokens": 1, "completion_tokens": 1}
    first = log.seal(opened, status="aborted", **counts)
    with pytest.raises(ReceiptSealed):
        log.seal(opened, status="completed", **counts)
    assert log.recent(5) == [first]


def test_an_open_receipt_is_not_listed_and_takes_no_number(log):
    begin(log)
    assert log.recent(5) == []
    assert complete(log).receipt.sequence == 1


def test_what_a_crash_left_open_is_sealed_as_interrupted_with_the_last_counts(log, database):
    counted, uncounted = begin(log), begin(log)
    log.progress(counted, prompt_tokens=3, completion_tokens=41)
    log.seal(begin(log), status="completed", prompt_tokens=1, completion_tokens=1)
    seen: list[Receipt] = []
    after_crash = ReceiptLog(database, Signer(SEED), on_seal=seen.append)
    recovered = after_crash.recover()
    assert [r.receipt.receipt_id for r in recovered] == [
        counted.receipt_id,
        uncounted.receipt_id,
    ]
    assert [r.receipt.usage.completion_tokens for r in recovered] == [41, 0]
    assert {r.receipt.status for r in recovered} == {"interrupted"}
    assert seen == recovered
    assert verifier.verify_chain(chain(after_crash), log.public_key) == 3
    assert after_crash.recover() == []


def test_late_progress_does_not_touch_a_sealed_receipt(log):
    opened = begin(log)
    sealed = log.seal(opened, status="completed", prompt_tokens=1, completion_tokens=2)
    log.progress(opened, prompt_tokens=9, completion_tokens=9)
    assert log.recent(1) == [sealed]


def test_a_withdrawn_receipt_leaves_nothing_and_a_sealed_one_cannot_be_withdrawn(log):
    opened = begin(log)
    log.withdraw(opened)
    assert log.recover() == []
    sealed = begin(log)
    log.seal(sealed, status="failed", prompt_tokens=0, completion_tokens=0)
    with pytest.raises(ReceiptSealed):
        log.withdraw(sealed)
    assert len(log.recent(5)) == 1


def test_many_threads_and_openers_seal_into_one_unbroken_chain(log, database):
    logs = [log, *(ReceiptLog(Database(database.path), Signer(SEED)) for _ in range(3))]
    threads = [
        threading.Thread(target=lambda writer=writer: [complete(writer) for _ in range(5)])
        for writer in logs
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verifier.verify_chain(chain(log), log.public_key) == 60


def test_the_node_keeps_its_name_when_its_key_is_rotated(log, database):
    rotated = ReceiptLog(database, Signer(b"n" * 32))
    assert rotated.node_id == log.node_id
    assert complete(rotated).receipt.key_id != complete(log).receipt.key_id


def test_times_are_utc_with_milliseconds(database):
    moment = datetime(2026, 3, 1, 12, 0, 0, 123_999, UTC)
    log = ReceiptLog(database, Signer(SEED), clock=lambda: moment)
    assert complete(log).receipt.opened_at == "2026-03-01T12:00:00.123Z"


def test_a_field_that_the_format_does_not_have_is_refused(log):
    body = json.loads(complete(log).model_dump_json())
    body["receipt"]["prompt"] = "hello"
    with pytest.raises(ValidationError):
        Receipt.model_validate(body)


def test_a_negative_count_is_refused_before_it_is_signed(log):
    with pytest.raises(ValidationError):
        log.seal(begin(log), status="completed", prompt_tokens=-1, completion_tokens=0)


def test_a_signature_that_is_not_base64_is_refused_not_a_crash(log):
    receipt = complete(log)
    body = receipt.model_copy(update={"signature_ed25519": "é" * 86})
    with pytest.raises(ReceiptRefused):
        verifier.verify_receipt(body, log.public_key)


GOLDEN = (
    b'{"format":"b3iq-receipt-v1","key_id":"56475aa75463474c","latency_ms":120,'
    b'"model_digest":"abababababababababababababababababababababababababababababababab",'
    b'"model_id":"b3iq-smoke","node_id":"node-56475aa75463474c","opened_at":'
    b'"2026-03-01T12:00:00.000Z","previous_hash":'
    b'"0000000000000000000000000000000000000000000000000000000000000000","receipt_id":'
    b'"0a0a0a0a-0000-4000-8000-000000000000","runtime_kind":"pytorch","sealed_at":'
    b'"2026-03-01T12:00:00.120Z","sequence":1,"status":"completed","ttft_ms":null,"usage":'
    b'{"completion_tokens":5,"prompt_tokens":3,"total_tokens":8}}'
)
GOLDEN_HASH = "b51c5b4cdb6d1ee265d2a3a94100b0d9167ffddaeb40dfaa0e8824b1dc9d2bb3"
GOLDEN_SIGNATURE = (
    "pJs91Hp5xg7lZQpHkDpDmtJNH4XNvrVi_TdadDv8kI97VckOix-zwNWim3k9p58zOKeOAhX7vwQFLvO3Cr7IAg"
)
