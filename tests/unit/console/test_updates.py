"""The page about updates: what it says is the updater's, and what it can do is ask."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import generate_latest

from b3iq.updates.status import STATUS_FORMAT, Chain, GateResult, Release, UpdateStatus


@pytest.fixture(autouse=True)
def spool(node):
    node.services.paths.update_spool.mkdir(parents=True)


def tell(node, **changes):
    now = datetime.now(UTC)
    status = UpdateStatus(
        format=STATUS_FORMAT, written_at=now, checked_at=now,
        installed=Release(version="1.0.0", sequence=1),
        available=Release(version="1.1.0", sequence=2),
        rollback_to=None, outcome="", automatic=False,
        gates=(GateResult(id="pin", result="failed", reason="<b>pinned</b>", remedy="Unpin."),),
        chain=Chain(
            channel="stable", root_version=3, manifest_sha256="a" * 64, source_commit="b" * 40,
            archives=4, expires={"timestamp": now + timedelta(hours=1)},
        ),
    ).model_copy(update=changes)  # fmt: skip
    node.services.paths.update_status.write_text(status.model_dump_json())


def test_the_page_says_what_is_available_and_why_it_is_not_installed(node, owner):
    tell(node)
    shown = owner.get("/console/updates").text
    assert "1.1.0" in shown
    assert "&lt;b&gt;pinned&lt;/b&gt; Unpin." in shown
    assert "version 3" in shown


def test_going_back_is_offered_only_where_a_former_release_is_kept(node, owner):
    tell(node)
    assert "/console/updates/rollback" not in owner.get("/console/updates").text
    tell(node, rollback_to=Release(version="0.9.0", sequence=1))
    shown = owner.get("/console/updates").text
    assert "/console/updates/rollback" in shown
    assert "0.9.0" in shown


def test_a_status_that_is_not_the_updaters_is_not_believed(node, owner):
    node.services.paths.update_status.write_text('{"installed": "evil"}')
    assert "has not looked yet" in owner.get("/console/updates").text


@pytest.mark.parametrize("verb", ["check", "apply", "rollback"])
def test_a_request_is_one_empty_file_and_one_line_of_the_audit_log(node, owner, verb):
    assert owner.change(f"/console/updates/{verb}").status_code == 303
    [file] = node.services.paths.update_spool.iterdir()
    assert (file.name, file.read_bytes()) == (verb, b"")
    [event] = [e.event for e in node.services.audit.recent(5) if "update" in e.event["action"]]
    assert event["details"] == {"verb": verb}


def test_a_request_that_cannot_be_left_is_not_recorded(node, owner):
    node.services.paths.update_spool.rmdir()
    assert owner.change("/console/updates/apply").status_code == 409
    assert not [e for e in node.services.audit.recent(5) if "update" in e.event["action"]]


def test_the_metrics_say_when_the_signatures_run_out(node):
    tell(node)
    told = generate_latest(node.services.metrics.registry).decode()
    [line] = [x for x in told.splitlines() if x.startswith("b3iq_update_metadata_expires_seconds{")]
    assert 3500 < float(line.split()[-1]) <= 3600
    assert "b3iq_update_available 1.0" in told
