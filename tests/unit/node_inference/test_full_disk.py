"""A full or read-only disk: security changes are refused first, answers go on for a while."""

from __future__ import annotations

import pytest

from b3iq.audit.record import Checkpoint
from b3iq.audit.verifier import Verifier
from b3iq.node.engine_client import EngineClient
from tests.disks import small_disk
from tests.unit.node import apps
from tests.unit.node_inference.scripted_engine import DONE, END, STREAM_HEAD, chunked, event

MIB = 1024 * 1024
WHOLE = [STREAM_HEAD, chunked(event("Hi", None, 1) + event("", "stop", 1) + DONE), END]


@pytest.fixture
def disk(tmp_path):
    with small_disk(tmp_path / "disk", 16) as disk:
        yield disk


@pytest.fixture
def unclaimed(disk, scripted):
    node = apps.make(disk.path, disk_reserve_bytes=6 * MIB)
    object.__setattr__(node.services, "engine", EngineClient(scripted.path, connect_s=5))
    scripted.script = WHOLE
    yield node
    node.close()


@pytest.fixture
def node(unclaimed):
    unclaimed.claim()
    return unclaimed


@pytest.fixture
def ask(unclaimed):
    client, key = unclaimed.app.test_client(), unclaimed.key()

    def post():
        body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
        headers = apps.bearer(key)
        return client.post("/v1/chat/completions", json=body, headers=headers, buffered=True)

    return post


def key_ids(node) -> list[str]:
    return [key.key_id for key in node.services.keys.list()]


def verified(node) -> int:
    log = node.services.audit
    signed = Checkpoint.model_validate_json(node.paths.audit_checkpoint.read_bytes())
    verifier = Verifier([signed], log.public_key)
    for entry in log.following(0):
        verifier.add(entry.event_hash, entry.event)
    verifier.finish()
    return verifier.size


def use_up_the_rest(disk, ask) -> None:
    """Until the first answer has to take from the reserve."""
    disk.fill()
    assert ask().status_code == 200
    disk.fill()


def test_changes_are_refused_with_the_remedy_and_nothing_is_half_done(node, disk, ask):
    browser = node.browser()
    assert browser.log_in().status_code == 303
    form = {"csrf_token": browser.csrf_token()}
    before, events = key_ids(node), verified(node)
    use_up_the_rest(disk, ask)
    answers = [
        node.admin("/admin/keys", "POST", json={"name": "late"}),
        node.admin(f"/admin/keys/{before[0]}/revoke", "POST"),
        browser.post("/console/keys", {**form, "name": "late", "scope": "inference"}),
        browser.post("/logout", form),
        node.browser().log_in(),
        node.browser().log_in("the wrong password"),
    ]
    assert [answer.status_code for answer in answers] == [503] * 6
    error = answers[0].get_json()["error"]
    assert error["code"] == "disk_unavailable"
    assert "nothing was changed. Free some space" in error["detail"]
    assert str(disk.path) not in answers[0].text
    assert key_ids(node) == before
    assert ask().status_code == 200
    assert verified(node) == events


def test_a_claim_that_cannot_be_recorded_makes_no_owner_and_leaves_the_link_good(
    unclaimed, disk, ask
):
    token = unclaimed.mint()
    body = {"token": token, "owner_name": "Ada", "password": apps.PASSWORD}
    client = unclaimed.app.test_client()
    use_up_the_rest(disk, ask)
    assert client.post("/setup/claim", json=body, headers=apps.HOST).status_code == 503
    assert unclaimed.admin("/admin/setup-token", "POST").status_code == 503
    assert not unclaimed.services.owners.is_claimed()
    disk.free()
    assert client.post("/setup/claim", json=body, headers=apps.HOST).status_code == 201


def test_answers_go_on_while_the_reserve_lasts_and_then_name_the_disk(node, disk, ask):
    disk.fill()
    served = 0
    while (answer := ask()).status_code == 200:
        served += 1
        if served % 50 == 0:
            disk.fill()  # somebody else takes what the reserve gave up
        assert served < 20_000
    assert served >= 100
    assert answer.status_code == 503
    assert answer.get_json()["error"]["code"] == "disk_unavailable"
    assert "disk that holds the node's state is full" in answer.get_json()["error"]["message"]
    assert node.paths.disk_reserve.stat().st_size == 0


def test_with_space_again_everything_is_as_before(node, disk, ask):
    use_up_the_rest(disk, ask)
    assert node.admin("/admin/keys", "POST", json={"name": "late"}).status_code == 503
    disk.free()
    assert node.admin("/admin/keys", "POST", json={"name": "late"}).status_code == 201
    assert node.paths.disk_reserve.stat().st_size == 6 * MIB
    assert ask().status_code == 200
    assert node.services.audit.is_intact()
    assert verified(node) == node.services.audit.size()


def test_a_full_disk_lets_the_owner_look(node, disk, ask):
    browser = node.browser()
    assert browser.log_in().status_code == 303
    use_up_the_rest(disk, ask)
    assert browser.get("/console/").status_code == 200


def test_a_read_only_disk_refuses_changes_and_answers_and_says_why(node, disk, ask):
    before, events = key_ids(node), verified(node)
    node.services.database.close()
    disk.read_only()
    refused = node.admin("/admin/keys", "POST", json={"name": "late"})
    assert refused.status_code == 503
    assert "cannot be written; nothing was changed" in refused.get_json()["error"]["detail"]
    assert ask().status_code == 503
    disk.writable()
    assert key_ids(node) == before
    assert ask().status_code == 200
    assert verified(node) == events
