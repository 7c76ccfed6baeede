"""The setup token: one node, one owner, one hour."""

from __future__ import annotations

import threading

import pytest

from b3iq.credentials import tokens
from b3iq.credentials.errors import (
    AlreadyClaimed,
    InvalidName,
    SetupTokenRefused,
    WeakPassword,
)
from b3iq.credentials.owners import Owners
from b3iq.credentials.setup_tokens import SetupTokens
from b3iq.store.database import Database

PASSWORD = "correct horse battery"


@pytest.fixture
def setup(database, pepper, owners, audit, clock):
    return SetupTokens(database, pepper, owners, audit, clock)


def test_a_claim_makes_the_owner(setup, owners):
    token, _ = setup.mint()
    assert not owners.is_claimed()
    setup.claim(token, "Ada", PASSWORD)
    assert owners.is_claimed()
    assert owners.authenticate("Ada", PASSWORD).name == "Ada"


def test_a_token_works_once(setup):
    token, _ = setup.mint()
    setup.claim(token, "Ada", PASSWORD)
    with pytest.raises(AlreadyClaimed):
        setup.claim(token, "Eve", PASSWORD)


def test_a_token_lives_sixty_minutes(setup, clock):
    token, expires_at = setup.mint()
    assert (expires_at - clock()).total_seconds() == 3600
    clock.forward(minutes=59, seconds=59)
    setup.check(token)
    clock.forward(seconds=1)
    with pytest.raises(SetupTokenRefused):
        setup.claim(token, "Ada", PASSWORD)


def test_a_clock_moved_back_does_not_revive_a_token(setup, clock):
    token, _ = setup.mint()
    clock.forward(minutes=-1)
    with pytest.raises(SetupTokenRefused):
        setup.check(token)


def test_minting_again_makes_the_token_before_void(setup):
    old, _ = setup.mint()
    new, _ = setup.mint()
    with pytest.raises(SetupTokenRefused):
        setup.claim(old, "Eve", PASSWORD)
    setup.claim(new, "Ada", PASSWORD)


def test_a_claimed_node_mints_no_token(setup):
    token, _ = setup.mint()
    setup.claim(token, "Ada", PASSWORD)
    with pytest.raises(AlreadyClaimed):
        setup.mint()


@pytest.mark.parametrize(
    "text", ["", "x", tokens.mint("setup").text, tokens.mint("local").text], ids=range(4)
)
def test_another_token_is_refused(setup, text):
    setup.mint()
    with pytest.raises(SetupTokenRefused):
        setup.claim(text, "Eve", PASSWORD)


def test_without_a_minted_token_nothing_claims(setup):
    with pytest.raises(SetupTokenRefused):
        setup.claim(tokens.mint("setup").text, "Eve", PASSWORD)


@pytest.mark.parametrize(
    ("name", "password", "refusal"),
    [("", PASSWORD, InvalidName), ("Ada", "eleven char", WeakPassword), ("Ada", "", WeakPassword)],
)
def test_a_correctable_mistake_does_not_use_up_the_token(setup, name, password, refusal):
    token, _ = setup.mint()
    with pytest.raises(refusal) as caught:
        setup.claim(token, name, password)
    assert caught.value.message
    setup.claim(token, "Ada", PASSWORD)


def test_a_hundred_claims_at_once_make_exactly_one_owner(
    setup, database, pepper, owners, audit, clock
):
    """Each claimant opens the database itself, so only its transactions decide."""
    token, _ = setup.mint()
    databases = [Database(database.path) for _ in range(10)]
    barrier = threading.Barrier(100)
    outcomes: list[str] = []

    def claim(number: int) -> None:
        opener = databases[number % 10]
        rival = SetupTokens(opener, pepper, Owners(opener, owners.passwords, clock), audit, clock)
        barrier.wait()
        try:
            outcomes.append(rival.claim(token, f"rival {number}", PASSWORD).name)
        except (AlreadyClaimed, SetupTokenRefused):
            outcomes.append("refused")

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for opener in databases:
        opener.close()
    winners = [name for name in outcomes if name != "refused"]
    assert len(outcomes) == 100
    assert len(winners) == 1
    assert owners.authenticate(winners[0], PASSWORD).name == winners[0]
