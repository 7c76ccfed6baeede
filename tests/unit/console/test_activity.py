"""The table of recent activity has words for whatever the log may hold."""

from __future__ import annotations

import pytest

from b3iq.audit.actions import DETAILS
from b3iq.audit.log import Entry
from b3iq.console import activity
from b3iq.console.activity import ActivityRow

EVENT = {
    "format": "b3iq-audit-v1",
    "sequence": 1,
    "previous_hash": "0" * 64,
    "at": "2026-03-01T12:00:00.000Z",
    "actor": "owner",
    "client": "192.0.2.7",
    "action": "local_key_revoked",
    "subject": "0123456789ab",
    "details": {},
}


def row(**changes: object) -> ActivityRow:
    return ActivityRow.of(Entry(1, "0" * 64, EVENT | changes), {"0123456789ab": "laptop"})


def test_every_action_has_its_words():
    assert set(activity._WHAT) == set(DETAILS)


def test_a_key_is_named_as_the_owner_named_it():
    assert (row().about, row().where, row().who) == ("laptop", "192.0.2.7", "Owner")
    assert row(subject="cdefghijklmn").about == "cdefghijklmn"


def test_an_action_of_a_newer_release_is_shown_and_not_hidden():
    assert row(action="wallet_opened", details={"new": 1}).what == "wallet opened"


@pytest.mark.parametrize(
    "spoilt", [None, "text", 7, [], {}, EVENT | {"at": "2026-99-99T99:99:99.000Z"}], ids=str
)
def test_an_entry_that_cannot_be_read_is_shown_as_changed(spoilt):
    assert ActivityRow.of(Entry(3, "0" * 64, spoilt), {}).what == "Entry was changed"
