"""What a key has used, counted from its receipts, whatever the clock does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from b3iq.evidence.signing import Signer
from b3iq.receipts import usage
from b3iq.receipts.log import ReceiptLog
from b3iq.store.database import Database
from b3iq.store.migrate import upgrade

MINUTE = timedelta(seconds=60)


class Used:
    """A log of receipts, a clock, and what keys have used by it."""

    def __init__(self, path):
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)
        self.path = path
        self.open_database()

    def open_database(self):
        self.database = Database(self.path)
        upgrade(self.database)
        self.log = ReceiptLog(self.database, Signer(bytes(range(32))), lambda: self.now)

    def open(self, key="k"):
        return self.log.open(
            model_id="m",
            model_digest="ab" * 32,
            runtime_kind="pytorch",
            key_id_of_local_key=key,
        )

    def seal(self, opened, prompt=0, completion=0, status="completed"):
        self.log.seal(opened, status=status, prompt_tokens=prompt, completion_tokens=completion)

    def work(self, prompt=0, completion=0, key="k", status="completed"):
        self.seal(self.open(key), prompt, completion, status)

    def ask(self, what=usage.usage, *more, key="k"):
        with self.database.read() as connection:
            return what(connection, key, self.now, *more)

    def counts(self, key="k"):
        found = self.ask(key=key)
        return found.requests, found.tokens

    def forward(self, **parts):
        self.now += timedelta(**parts)


@pytest.fixture
def used(tmp_path):
    used = Used(tmp_path / "node.db")
    yield used
    used.database.close()


def test_requests_and_tokens_of_one_key_count_for_it_alone(used):
    used.work(3, 5)
    used.work(10, 1, key="other")
    assert used.counts() == (1, 8)
    assert used.counts("nobody") == (0, 0)


@pytest.mark.parametrize("status", ["completed", "aborted", "failed"])
def test_an_answer_is_charged_however_it_ends(used, status):
    used.work(3, 5, status=status)
    assert used.counts() == (1, 8)


def test_a_request_leaves_the_minute_after_sixty_seconds(used):
    used.work(3, 5)
    used.forward(seconds=59.9)
    assert used.counts() == (1, 8)
    used.forward(seconds=0.1)
    assert used.counts() == (0, 0)


def test_a_long_answer_is_charged_when_it_ends_and_not_when_it_began(used):
    opened = used.open()
    used.forward(minutes=5)
    assert used.counts() == (0, 0)
    used.seal(opened, 100, 900)
    assert used.counts() == (0, 1000)
    used.forward(seconds=60)
    assert used.counts() == (0, 0)


def test_a_running_answer_counts_with_what_was_noted_of_it(used):
    opened = used.open()
    assert used.counts() == (1, 0)
    used.log.progress(opened, prompt_tokens=7, completion_tokens=20)
    assert used.counts() == (1, 27)
    used.seal(opened, 7, 30)
    assert used.counts() == (1, 37)


def test_what_the_engine_refused_does_not_count(used):
    used.log.withdraw(used.open())
    assert used.counts() == (0, 0)


def test_the_counts_survive_a_restart_and_a_crash(used):
    used.work(3, 5)
    opened = used.open()
    used.log.progress(opened, prompt_tokens=2, completion_tokens=2)
    used.database.close()
    used.open_database()
    used.log.recover()
    assert used.counts() == (2, 12)


def test_a_receipt_of_an_earlier_release_counts_as_long_ago(used):
    used.work(3, 5)
    with used.database.write() as connection:
        connection.exec_driver_sql("UPDATE receipt SET sealed_at = NULL")
    assert used.counts() == (0, 0)


@pytest.mark.parametrize("jump", [{"days": 400}, {"days": -400}, {"hours": -1}, {"minutes": -1}])
def test_a_clock_that_jumps_opens_one_minute_anew_and_no_more(used, jump):
    for _ in range(5):
        used.work(1, 1)
    used.forward(**jump)
    assert used.counts() == (0, 0)
    used.work(1, 1)
    assert used.counts() == (1, 2)


def test_a_clock_that_walks_the_same_hour_again_does_not_count_it_again(used):
    """Full use of an hour must not lock the key out while that hour is lived again."""
    for _ in range(30):
        used.forward(minutes=1)
        used.work(1, 1)
    used.forward(minutes=-30)
    for _ in range(30):
        used.forward(minutes=1)
        used.work(1, 1)
        assert used.counts() == (1, 2)


@pytest.mark.parametrize("back_s", [0.5, 20, 59])
def test_a_small_step_back_gives_nothing_and_locks_out_for_two_minutes_at_most(used, back_s):
    used.work(1, 1)
    used.forward(seconds=-back_s)
    assert used.counts() == (1, 2)
    used.forward(seconds=120)
    assert used.counts() == (0, 0)


def test_the_wait_for_a_request_is_until_one_too_many_has_left(used):
    for _ in range(3):
        used.work()
        used.forward(seconds=10)
    # Opened 30, 20 and 10 seconds ago.
    assert used.ask(usage.requests_fall_below, 3) == timedelta(seconds=30)
    assert used.ask(usage.requests_fall_below, 1) == timedelta(seconds=50)


def test_the_wait_for_tokens_is_until_enough_of_them_have_left(used):
    for tokens in (100, 10, 1):
        used.work(0, tokens)
        used.forward(seconds=10)
    assert used.ask(usage.tokens_fall_below, 111) == timedelta(seconds=30)
    assert used.ask(usage.tokens_fall_below, 11) == timedelta(seconds=40)
    assert used.ask(usage.tokens_fall_below, 1) == timedelta(seconds=50)
    running = used.open()
    used.log.progress(running, prompt_tokens=500, completion_tokens=0)
    assert used.ask(usage.tokens_fall_below, 111) == MINUTE


def test_what_admission_raises_leaves_no_receipt(used):
    def refuse(_connection, _now):
        raise KeyError

    with pytest.raises(KeyError):
        used.log.open(
            model_id="m",
            model_digest="ab" * 32,
            runtime_kind="pytorch",
            key_id_of_local_key="k",
            admit=refuse,
        )
    assert used.counts() == (0, 0)
    assert used.log.recover() == []
