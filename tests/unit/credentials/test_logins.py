"""Logging in by two steps, proving it again, and what ends the sessions of an owner."""

from __future__ import annotations

import pytest

from b3iq.credentials.account import Account
from b3iq.credentials.errors import (
    ChallengeOver,
    CodeRefused,
    InvalidName,
    LoginRefused,
    Unauthorized,
    UnknownSession,
    WeakPassword,
)
from b3iq.credentials.logins import CodeNeeded, LoggedIn
from tests.unit.credentials.conftest import PASSWORD, code_of

WRONG = [("Ada", "wrong password!"), ("Eve", PASSWORD), ("", "")]


@pytest.fixture
def account(database, owners, audit):
    return Account(database, owners, audit)


@pytest.fixture
def session(owner, sessions):
    return sessions.authenticate(sessions.open(owner))


def challenge(logins, name="Ada", password=PASSWORD) -> str:
    step = logins.begin(name, password, "Firefox on Linux")
    assert isinstance(step, CodeNeeded)
    return step.challenge


def test_without_a_second_factor_the_password_opens_a_session(logins, owner, sessions):
    step = logins.begin("Ada", PASSWORD, "Firefox on Linux")
    assert isinstance(step, LoggedIn)
    assert sessions.authenticate(step.cookie).owner == owner
    assert [s.browser for s in sessions.list()] == ["Firefox on Linux"]


@pytest.mark.usefixtures("owner")
@pytest.mark.parametrize(("name", "password"), WRONG)
def test_without_a_second_factor_a_wrong_password_is_refused_at_once(logins, name, password):
    with pytest.raises(LoginRefused):
        logins.begin(name, password, "")


def test_with_a_second_factor_password_and_code_open_a_session(
    logins, owner, sessions, enrolled, clock
):
    step = logins.finish(challenge(logins), code_of(enrolled[0], clock), "Safari on iPhone")
    assert sessions.authenticate(step.cookie).owner == owner


@pytest.mark.usefixtures("owner")
def test_the_password_alone_opens_no_session(logins, sessions, enrolled):
    challenge(logins)
    assert sessions.list() == []


@pytest.mark.usefixtures("owner")
@pytest.mark.parametrize(("name", "password"), WRONG)
def test_the_first_step_does_not_tell_a_wrong_password_from_a_right_one(
    logins, enrolled, clock, name, password
):
    """A password guesser sees the same page, and at its end the same words."""
    code = code_of(enrolled[0], clock)
    with pytest.raises(CodeRefused) as wrong_password:
        logins.finish(challenge(logins, name, password), code, "")
    with pytest.raises(CodeRefused) as wrong_code:
        logins.finish(challenge(logins), "000000", "")
    assert wrong_password.value.message == wrong_code.value.message
    # And the code that came with the wrong password was not used up.
    assert logins.finish(challenge(logins), code, "").cookie


@pytest.mark.usefixtures("owner")
def test_a_challenge_works_once_and_for_five_minutes(logins, enrolled, clock):
    first = challenge(logins)
    logins.finish(first, code_of(enrolled[0], clock), "")
    with pytest.raises(ChallengeOver):
        logins.finish(first, code_of(enrolled[0], clock, steps=1), "")
    late = challenge(logins)
    clock.forward(minutes=5)
    with pytest.raises(ChallengeOver):
        logins.finish(late, code_of(enrolled[0], clock), "")
    early = challenge(logins)
    clock.forward(days=-1)
    with pytest.raises(ChallengeOver):
        logins.finish(early, code_of(enrolled[0], clock), "")


@pytest.mark.usefixtures("owner")
@pytest.mark.parametrize("text", ["", "x", "a" * 43])
def test_a_challenge_that_was_never_made_is_over(logins, enrolled, clock, text):
    with pytest.raises(ChallengeOver):
        logins.finish(text, code_of(enrolled[0], clock), "")


@pytest.mark.usefixtures("owner")
def test_a_mistyped_code_can_be_typed_again(logins, enrolled, clock):
    begun = challenge(logins)
    with pytest.raises(CodeRefused):
        logins.finish(begun, "000000", "")
    assert logins.finish(begun, code_of(enrolled[0], clock), "").cookie


@pytest.mark.usefixtures("owner")
def test_a_challenge_made_with_the_old_password_is_void_after_its_change(
    logins, enrolled, account, clock
):
    begun = challenge(logins)
    account.change_password("another good password", keep="")
    with pytest.raises(ChallengeOver):
        logins.finish(begun, code_of(enrolled[0], clock), "")


def test_a_session_is_not_opened_for_a_password_that_was_changed_meanwhile(
    owner, owners, sessions, account
):
    """The hash takes time; a login that saw the old one must not outlive the change."""
    seen = owners.authenticate("Ada", PASSWORD)
    account.change_password("another good password", keep="")
    with pytest.raises(LoginRefused):
        sessions.open(seen)


def test_a_proof_holds_for_five_minutes(sessions, owner, clock):
    cookie = sessions.open(owner)
    clock.forward(minutes=4, seconds=59)
    assert sessions.authenticate(cookie).is_proved
    clock.forward(seconds=1)
    assert not sessions.authenticate(cookie).is_proved


def test_a_proof_of_the_future_proves_nothing(sessions, owner, clock):
    cookie = sessions.open(owner)
    clock.forward(minutes=-1)
    assert not sessions.authenticate(cookie).is_proved


def test_proving_again_asks_for_password_and_code(logins, sessions, owner, enrolled, clock):
    cookie = sessions.open(owner)
    clock.forward(minutes=6)
    session = sessions.authenticate(cookie)
    code = code_of(enrolled[0], clock)
    for password, typed in (("wrong password!", code), (PASSWORD, ""), (PASSWORD, "000000")):
        with pytest.raises(CodeRefused):
            logins.prove(session, password, typed)
        assert not sessions.authenticate(cookie).is_proved
    logins.prove(session, PASSWORD, code)
    assert sessions.authenticate(cookie).is_proved


def test_a_proof_counts_for_its_own_session_alone(logins, sessions, owner, clock):
    mine, other = sessions.open(owner), sessions.open(owner)
    clock.forward(minutes=6)
    logins.prove(sessions.authenticate(mine), PASSWORD, "")
    assert sessions.authenticate(mine).is_proved
    assert not sessions.authenticate(other).is_proved


def test_an_ended_session_proves_nothing(logins, sessions, session):
    sessions.revoke(session.session_id)
    with pytest.raises(Unauthorized):
        logins.prove(session, PASSWORD, "")


def test_a_session_is_ended_by_its_id(sessions, owner, session):
    other = sessions.open(owner)
    sessions.revoke(session.session_id)
    with pytest.raises(UnknownSession):
        sessions.revoke(session.session_id)
    assert sessions.authenticate(other)
    assert len(sessions.list()) == 1


def test_all_sessions_are_ended_but_the_one_to_keep(sessions, owner, session):
    others = [sessions.open(owner) for _ in range(3)]
    assert sessions.revoke_all(keep=session.session_id) == 3
    for cookie in others:
        with pytest.raises(Unauthorized):
            sessions.authenticate(cookie)
    assert [s.session_id for s in sessions.list()] == [session.session_id]
    assert sessions.revoke_all() == 1


def test_a_clock_moved_back_does_not_lengthen_a_session(sessions, owner, clock):
    """Else a stolen cookie would live for as long as the clock has to catch up."""
    cookie = sessions.open(owner)
    clock.forward(days=-300)
    with pytest.raises(Unauthorized):
        sessions.authenticate(cookie)
    fresh = sessions.open(owner)
    assert sessions.authenticate(fresh)


def test_an_ended_session_is_not_listed(sessions, owner, clock):
    sessions.open(owner)
    clock.forward(minutes=15)
    assert sessions.list() == []


@pytest.mark.parametrize("change", ["name", "password"])
def test_another_name_or_password_ends_every_other_session(
    account, owners, sessions, owner, session, change
):
    thief = sessions.open(owner)
    if change == "name":
        account.rename("Grace", keep=session.session_id)
        assert owners.authenticate("Grace", PASSWORD).name == "Grace"
    else:
        account.change_password("another good password", keep=session.session_id)
        assert owners.authenticate("Ada", "another good password")
    with pytest.raises(LoginRefused):
        owners.authenticate("Ada", PASSWORD)
    with pytest.raises(Unauthorized):
        sessions.authenticate(thief)
    assert [s.session_id for s in sessions.list()] == [session.session_id]


def test_a_change_that_cannot_be_changes_nothing(account, owners, sessions, owner, session):
    sessions.open(owner)
    with pytest.raises(InvalidName):
        account.rename("two\nlines", keep=session.session_id)
    with pytest.raises(WeakPassword):
        account.change_password("short", keep=session.session_id)
    assert owners.authenticate("Ada", PASSWORD)
    assert len(sessions.list()) == 2


@pytest.mark.parametrize("of", ["cookie", "challenge"])
def test_cookie_and_challenge_are_nowhere_in_the_database_files(
    logins, owner, enrolled, sessions, database, tmp_path, of
):
    secret = sessions.open(owner) if of == "cookie" else challenge(logins)
    assert secret not in repr(logins.begin("Ada", PASSWORD, ""))
    database.close()
    stored = b"".join(f.read_bytes() for f in tmp_path.iterdir() if f.is_file())
    assert secret.encode() not in stored
