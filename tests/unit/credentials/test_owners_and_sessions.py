"""The owner's password, sessions and the login throttle."""

from __future__ import annotations

import threading

import pytest
from argon2 import extract_parameters
from argon2.profiles import RFC_9106_LOW_MEMORY

from b3iq.credentials.errors import LoginRefused, TooManyAttempts, Unauthorized, WeakPassword
from b3iq.credentials.passwords import NOBODY, Passwords
from b3iq.credentials.sessions import Sessions
from b3iq.credentials.throttle import LONGEST_WAIT, LoginThrottle
from b3iq.store.database import Database
from tests.unit.credentials.conftest import PASSWORD


def test_the_password_is_kept_as_argon2id_of_the_recommended_cost():
    encoded = Passwords().hash(PASSWORD)
    assert extract_parameters(encoded) == RFC_9106_LOW_MEMORY
    assert encoded.startswith("$argon2id$")


def test_an_unknown_name_costs_the_same_verification_as_a_known_one():
    assert extract_parameters(NOBODY) == RFC_9106_LOW_MEMORY


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("Ada", "wrong password!"),
        ("Eve", PASSWORD),
        ("", ""),
        ("Ada", "x" * 5000),
        ("Ada", "\ud800"),
    ],
)
def test_a_wrong_login_is_refused_in_the_same_words(owners, owner, name, password):
    with pytest.raises(LoginRefused) as refusal:
        owners.authenticate(name, password)
    assert refusal.value.message == LoginRefused().message


def test_nobody_logs_in_to_an_unclaimed_node(owners):
    with pytest.raises(LoginRefused):
        owners.authenticate("Ada", PASSWORD)


def test_a_password_is_the_same_however_the_keyboard_composed_it(database, owners):
    with database.write() as connection:
        owners.add(connection, "Ada", owners.passwords.hash("ve\u0301ronique's cat"))
    assert owners.authenticate("Ada", "v\u00e9ronique's cat")


@pytest.mark.parametrize(
    ("password", "rule"), [("eleven char", "12 characters"), ("x" * 2000, "1024 bytes")]
)
def test_a_password_of_a_wrong_length_is_refused_with_the_rule(owners, password, rule):
    with pytest.raises(WeakPassword, match=rule):
        owners.passwords.hash(password)


def test_a_session_is_found_by_its_cookie_and_only_by_it(sessions, owner):
    cookie = sessions.open(owner)
    assert sessions.authenticate(cookie).owner == owner
    for other in ("", cookie[:-1], cookie + "x", cookie.swapcase()):
        with pytest.raises(Unauthorized):
            sessions.authenticate(other)


def test_cookie_and_csrf_token_are_nowhere_in_the_database_files(
    sessions, owner, database, tmp_path
):
    cookie = sessions.open(owner)
    token = sessions.authenticate(cookie).csrf_token
    database.close()
    stored = b"".join(f.read_bytes() for f in tmp_path.iterdir() if f.is_file())
    assert b"Ada" in stored
    assert cookie.encode() not in stored
    assert token.encode() not in stored


def test_a_session_does_not_show_its_csrf_token_when_printed(sessions, owner):
    session = sessions.authenticate(sessions.open(owner))
    assert session.csrf_token not in repr(session)


def test_two_sessions_have_different_csrf_tokens(sessions, owner):
    one, two = (sessions.authenticate(sessions.open(owner)).csrf_token for _ in range(2))
    assert one != two


def test_a_session_ends_after_15_idle_minutes(sessions, owner, clock):
    cookie = sessions.open(owner)
    clock.forward(minutes=14, seconds=59)
    sessions.authenticate(cookie)
    clock.forward(minutes=14, seconds=59)
    sessions.authenticate(cookie)
    clock.forward(minutes=15)
    with pytest.raises(Unauthorized):
        sessions.authenticate(cookie)


def test_a_session_ends_after_8_hours_of_use(sessions, owner, clock):
    cookie = sessions.open(owner)
    for _ in range(8 * 6 - 1):
        clock.forward(minutes=10)
        sessions.authenticate(cookie)
    clock.forward(minutes=10)
    with pytest.raises(Unauthorized):
        sessions.authenticate(cookie)


def test_a_closed_session_is_ended_on_the_server(sessions, owner, database, pepper, audit):
    cookie = sessions.open(owner)
    other_opener = Sessions(Database(database.path), pepper, audit)
    sessions.close(cookie)
    sessions.close(cookie)
    for opener in (sessions, other_opener):
        with pytest.raises(Unauthorized):
            opener.authenticate(cookie)


def guesses_until_blocked(throttle: LoginThrottle, client: str) -> int:
    for number in range(1000):
        try:
            throttle.admit(client)
        except TooManyAttempts:
            return number
    raise AssertionError("never blocked")


def test_guessing_is_slowed_after_five_attempts(database, clock):
    throttle = LoginThrottle(database, clock)
    assert guesses_until_blocked(throttle, "10.0.0.9") == 5
    with pytest.raises(TooManyAttempts) as refusal:
        throttle.admit("10.0.0.9")
    assert 0 < refusal.value.retry_after_s <= 31


def test_each_further_guess_waits_longer_up_to_a_bound(database, clock):
    throttle = LoginThrottle(database, clock)
    guesses_until_blocked(throttle, "a")
    waits = []
    for _ in range(8):
        with pytest.raises(TooManyAttempts) as refusal:
            throttle.admit("a")
        waits.append(refusal.value.retry_after_s)
        clock.forward(seconds=waits[-1])
        throttle.admit("a")
    assert waits == sorted(waits)
    assert waits[0] < waits[-1] <= LONGEST_WAIT.total_seconds()


def test_the_throttle_survives_a_restart(database, clock):
    guesses_until_blocked(LoginThrottle(database, clock), "a")
    with pytest.raises(TooManyAttempts):
        LoginThrottle(Database(database.path), clock).admit("a")


def test_a_remote_attacker_cannot_lock_out_the_local_console(database, clock):
    throttle = LoginThrottle(database, clock)
    guesses_until_blocked(throttle, "203.0.113.5")
    throttle.admit("127.0.0.1")


def test_the_right_password_clears_the_count(database, clock):
    throttle = LoginThrottle(database, clock)
    for _ in range(4):
        throttle.admit("a")
    throttle.clear("a")
    assert guesses_until_blocked(throttle, "a") == 5


def test_a_clock_moved_back_locks_nobody_out_for_longer_than_the_wait(database, clock):
    throttle = LoginThrottle(database, clock)
    guesses_until_blocked(throttle, "a")
    clock.forward(days=-300)
    with pytest.raises(TooManyAttempts) as refusal:
        throttle.admit("a")
    assert refusal.value.retry_after_s <= LONGEST_WAIT.total_seconds()
    clock.forward(seconds=refusal.value.retry_after_s)
    throttle.admit("a")


def test_asking_while_blocked_does_not_prolong_the_wait(database, clock):
    throttle = LoginThrottle(database, clock)
    guesses_until_blocked(throttle, "a")
    for _ in range(29):
        clock.forward(seconds=1)
        with pytest.raises(TooManyAttempts):
            throttle.admit("a")
    clock.forward(seconds=1)
    throttle.admit("a")


def test_a_hundred_guesses_at_once_get_no_more_than_five_tries(database, clock):
    throttle = LoginThrottle(database, clock)
    admitted: list[bool] = []

    def guess() -> None:
        try:
            throttle.admit("a")
        except TooManyAttempts:
            return
        admitted.append(True)

    threads = [threading.Thread(target=guess) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(admitted) == 5
