"""A database, a clock that tests move, and a pepper."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyotp
import pytest
from argon2 import PasswordHasher

from b3iq.audit.checkpoints import CheckpointFile
from b3iq.audit.log import AuditLog
from b3iq.credentials.logins import Logins
from b3iq.credentials.owners import Owners
from b3iq.credentials.passwords import Passwords
from b3iq.credentials.second_factor import SecondFactor
from b3iq.credentials.sessions import Sessions
from b3iq.evidence.signing import Signer
from b3iq.store.database import Database
from b3iq.store.migrate import upgrade

PEPPER = bytes(range(32))


class MovableClock:
    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **parts: float) -> None:
        self.now += timedelta(**parts)


@pytest.fixture
def clock():
    return MovableClock()


@pytest.fixture
def database(tmp_path):
    database = Database(tmp_path / "node.db")
    upgrade(database)
    yield database
    database.close()


@pytest.fixture
def pepper():
    return PEPPER


@pytest.fixture
def audit(database, tmp_path, clock):
    checkpoints = CheckpointFile(tmp_path / "checkpoint.json", Signer(PEPPER), "node-test")
    return AuditLog(database, checkpoints, clock=clock)


@pytest.fixture
def owners(database, clock):
    # The cheapest argon2: these tests are not about its cost.
    cheap = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    return Owners(database, cheap, clock)


PASSWORD = "correct horse battery"


@pytest.fixture
def owner(database, owners):
    with database.write() as connection:
        return owners.add(connection, "Ada", owners.passwords.hash(PASSWORD))


@pytest.fixture
def sessions(database, pepper, audit, clock):
    return Sessions(database, pepper, audit, clock)


@pytest.fixture
def factor(database, pepper, audit, clock):
    return SecondFactor(database, pepper, audit, clock)


@pytest.fixture
def logins(database, pepper, owners, sessions, factor, clock):
    return Logins(database, pepper, owners, sessions, factor, clock)


def code_of(secret: str, clock: MovableClock, steps: int = 0) -> str:
    """What the owner's app shows, some steps of 30 seconds from now."""
    return pyotp.HOTP(secret).at(int(clock.now.timestamp()) // 30 + steps)


@pytest.fixture
def enrolled(factor, clock):
    """A second factor that is on, and whose first code lies behind: secret, recovery codes."""
    secret = factor.begin()
    codes = factor.confirm(code_of(secret, clock), keep="")
    clock.forward(minutes=2)
    return secret, codes
