"""The second factor: what is kept of it, and every way to use a code twice."""

from __future__ import annotations

import base64
import threading

import pytest
from sqlalchemy import update

from b3iq.credentials.errors import EnrolmentCodeRefused, SecondFactorConflict
from b3iq.credentials.sealing import Sealer, Unreadable
from b3iq.credentials.second_factor import SecondFactor
from b3iq.store.database import Database
from b3iq.store.tables import second_factor
from tests.unit.credentials.conftest import code_of


def accept(factor: SecondFactor, database: Database, code: str) -> bool:
    with database.write() as connection:
        return factor.accept(connection, code)


def at_once(count: int, attempt) -> list[bool]:
    """The outcomes of as many attempts that start together."""
    barrier = threading.Barrier(count)
    outcomes: list[bool] = []

    def run() -> None:
        barrier.wait()
        outcomes.append(attempt())

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def test_it_is_off_until_one_code_was_shown(factor, database, clock):
    secret = factor.begin()
    assert not factor.state().is_on
    assert not accept(factor, database, code_of(secret, clock))
    assert len(factor.confirm(code_of(secret, clock), keep="")) == 10
    assert factor.state().is_on
    assert factor.state().recovery_codes == 10


def test_turning_it_on_ends_the_sessions_that_a_password_alone_had_opened(
    factor, owner, sessions, clock
):
    cookie = sessions.open(owner)
    mine = sessions.authenticate(cookie).session_id
    for _ in range(2):
        sessions.open(owner)
    factor.confirm(code_of(factor.begin(), clock), keep=mine)
    assert [s.session_id for s in sessions.list()] == [mine]


def test_a_wrong_code_leaves_it_off_and_the_secret_waits(factor, clock):
    secret = factor.begin()
    with pytest.raises(EnrolmentCodeRefused):
        factor.confirm(code_of(secret, clock, steps=5), keep="")
    assert not factor.state().is_on
    assert factor.begun() == secret
    factor.confirm(code_of(secret, clock), keep="")


def test_beginning_again_voids_the_secret_before(factor, clock):
    first = factor.begin()
    second = factor.begin()
    with pytest.raises(EnrolmentCodeRefused):
        factor.confirm(code_of(first, clock), keep="")
    factor.confirm(code_of(second, clock), keep="")


def test_what_is_on_is_not_replaced_in_silence(factor, enrolled, database, clock):
    """A thief with a proved session must turn it off first, which asks for the factor."""
    secret, _ = enrolled
    with pytest.raises(SecondFactorConflict):
        factor.begin()
    with pytest.raises(SecondFactorConflict):
        factor.confirm(code_of(secret, clock), keep="")
    assert accept(factor, database, code_of(secret, clock))


def test_nothing_begun_is_nothing_to_confirm(factor):
    for ask in (factor.begun, lambda: factor.confirm("123456", keep=""), factor.renew_codes):
        with pytest.raises(SecondFactorConflict):
            ask()


def test_a_code_works_once(factor, enrolled, database, clock):
    code = code_of(enrolled[0], clock)
    assert accept(factor, database, code)
    assert not accept(factor, database, code)


def test_the_code_that_turned_it_on_opens_nothing_more(factor, database, clock):
    secret = factor.begin()
    code = code_of(secret, clock)
    factor.confirm(code, keep="")
    assert not accept(factor, database, code)


def test_an_older_code_within_the_drift_is_refused_after_a_newer_one(
    factor, enrolled, database, clock
):
    assert accept(factor, database, code_of(enrolled[0], clock, steps=1))
    assert not accept(factor, database, code_of(enrolled[0], clock))
    assert not accept(factor, database, code_of(enrolled[0], clock, steps=-1))


def test_a_used_code_stays_used_after_a_restart_and_when_the_clock_moves_back(
    factor, enrolled, database, pepper, audit, clock
):
    code = code_of(enrolled[0], clock)
    assert accept(factor, database, code)
    clock.forward(seconds=-30)
    restarted = SecondFactor(Database(database.path), pepper, audit, clock)
    assert not accept(restarted, database, code)
    clock.forward(days=-30)
    assert not accept(restarted, database, code_of(enrolled[0], clock))


def test_a_race_on_one_code_has_exactly_one_winner(
    factor, enrolled, database, pepper, audit, clock
):
    code = code_of(enrolled[0], clock)
    openers = [SecondFactor(Database(database.path), pepper, audit, clock) for _ in range(2)]
    taken = iter([*openers] * 25)
    outcomes = at_once(50, lambda: accept(next(taken), database, code))
    assert outcomes.count(True) == 1


def test_a_race_on_one_recovery_code_has_exactly_one_winner(factor, enrolled, database):
    code = enrolled[1][0]
    assert at_once(20, lambda: accept(factor, database, code)).count(True) == 1
    assert factor.state().recovery_codes == 9


def test_each_recovery_code_works_once_however_it_is_typed(factor, enrolled, database):
    for code in enrolled[1]:
        assert accept(factor, database, code.upper().replace("-", " "))
        assert not accept(factor, database, code)
    assert factor.state().recovery_codes == 0


def test_new_recovery_codes_void_the_old_ones(factor, enrolled, database):
    fresh = factor.renew_codes()
    assert not accept(factor, database, enrolled[1][0])
    assert accept(factor, database, fresh[0])


def test_turned_off_nothing_of_it_opens_anything(factor, enrolled, database, clock):
    factor.turn_off()
    factor.turn_off()
    assert not factor.state().is_on
    assert not accept(factor, database, code_of(enrolled[0], clock))
    assert not accept(factor, database, enrolled[1][0])


def test_secret_and_recovery_codes_are_nowhere_in_the_database_files(
    factor, enrolled, database, tmp_path
):
    secret, codes = enrolled
    database.close()
    stored = b"".join(f.read_bytes() for f in tmp_path.iterdir() if f.is_file())
    raw = base64.b32decode(secret)
    for form in (secret.encode(), raw, raw.hex().encode(), base64.b64encode(raw)[:-4]):
        assert form not in stored
    for code in codes:
        assert code.encode() not in stored
        assert code.replace("-", "").encode() not in stored


def test_a_stolen_database_opens_nothing_on_another_node(enrolled, database, audit, clock):
    elsewhere = SecondFactor(database, b"another pepper of 32 bytes ....!", audit, clock)
    assert not accept(elsewhere, database, code_of(enrolled[0], clock))
    assert not accept(elsewhere, database, enrolled[1][0])


def test_a_secret_planted_in_the_database_is_refused(factor, enrolled, database, pepper, clock):
    """Whoever can write to the file knows no key: neither raw nor under another purpose."""
    planted = b"JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
    for sealed in (planted, Sealer(pepper, "something else").seal(planted), b""):
        with database.write() as connection:
            connection.execute(update(second_factor).values(sealed=sealed))
        assert not accept(factor, database, code_of(planted.decode(), clock))


def test_what_was_sealed_cannot_be_changed_unseen(pepper):
    sealer = Sealer(pepper, "test")
    sealed = sealer.seal(b"secret")
    assert sealer.open(sealed) == b"secret"
    assert sealer.seal(b"secret") != sealed
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(Unreadable):
            sealer.open(bytes(changed))
