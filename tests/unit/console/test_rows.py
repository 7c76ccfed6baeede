from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from b3iq.console import rows


def test_a_time_is_shown_in_utc_whatever_zone_it_came_in():
    time = datetime(2026, 11, 4, 1, 5, 9, tzinfo=timezone(timedelta(hours=3)))
    assert rows.moment(time) == "3 Nov 2026, 22:05"
    assert rows.moment(time, seconds=True) == "3 Nov 2026, 22:05:09"
    assert rows.moment(datetime(2026, 11, 4, 1, 5, tzinfo=UTC)) == "4 Nov 2026, 01:05"


def test_scopes_are_shown_in_words_and_an_unknown_one_is_not_hidden():
    assert rows.scope_text(("inference", "metrics")) == "run models, read metrics"
    assert rows.scope_text(("embeddings",)) == "embeddings"
