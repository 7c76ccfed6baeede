"""What the console shows in each state of the node; the browser tests show how it is used."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest


def make_key(owner, **changes):
    form = {"csrf_token": owner.csrf_token(), "name": "laptop", "scope": "inference"}
    return owner.post("/console/keys", form | changes)


def seal(node, status: str) -> str:
    receipts = node.services.receipts
    opened = receipts.open(model_id="m", model_digest="0" * 64, runtime_kind="pytorch")
    done = receipts.seal(opened, status=status, prompt_tokens=37, completion_tokens=12)
    return done.receipt_hash


def test_every_address_of_an_unclaimed_node_leads_to_the_setup(node):
    for path in ("/", "/login"):
        assert node.browser().get(path).headers["location"] == "/setup/"
    assert node.browser().get("/setup/").status_code == 200


def test_the_root_leads_the_owner_to_the_console(owner):
    assert owner.get("/").headers["location"] == "/console/"


def test_a_claimed_node_has_no_setup_page_left(owner):
    answer = owner.get("/setup/")
    assert answer.status_code == 404
    assert "already has its owner" in answer.text
    assert "<form" not in answer.text.split("<main")[1]


def test_without_an_engine_the_console_still_works_and_says_what_to_do(owner):
    text = owner.get("/console/").text
    assert "The engine does not answer." in text
    assert "journalctl -u b3iq-engine" in text
    assert make_key(owner).status_code == 201


def test_each_empty_list_says_what_fills_it(owner):
    text = owner.get("/console/").text
    assert "No key yet." in text
    assert "No receipt yet." in text


@pytest.mark.parametrize("status", ["completed", "aborted", "failed"])
def test_a_receipt_is_listed_with_its_status_counts_and_hash(node, owner, status):
    receipt_hash = seal(node, status)
    text = owner.get("/console/").text
    assert f">{status}</span>" in text
    assert f">{receipt_hash}</code>" in text
    assert '<td role="cell" data-label="Tokens in" class="number">37</td>' in text
    assert '<td role="cell" data-label="Tokens out" class="number">12</td>' in text


def test_only_the_last_receipts_are_listed_newest_first(node, owner):
    hashes = [seal(node, "completed") for _ in range(11)]
    text = owner.get("/console/").text
    assert hashes[0] not in text
    places = [text.index(receipt_hash) for receipt_hash in hashes[1:]]
    assert places == sorted(places, reverse=True)


def test_an_expired_key_is_shown_as_such_and_cannot_be_revoked(node, owner):
    node.services.keys.create("trial", expires_at=datetime.now(UTC) - timedelta(minutes=1))
    text = owner.get("/console/").text
    assert ">expired</span>" in text
    assert "Revoke the key trial" not in text


def test_a_form_sent_twice_makes_one_key(node, owner):
    assert make_key(owner).status_code == 201
    again = make_key(owner, name=" laptop ")
    assert again.status_code == 409
    assert "already has this name" in again.text
    assert len(node.services.keys.list()) == 1


def test_the_name_of_a_revoked_key_is_free_again(node, owner):
    make_key(owner)
    (key,) = node.services.keys.list()
    owner.post(f"/console/keys/{key.key_id}/revoke", {"csrf_token": owner.csrf_token()})
    assert make_key(owner).status_code == 201


@pytest.mark.parametrize("name", ["", "   ", "x" * 65, "two\nlines", "\u202eright to left"])
def test_a_name_that_cannot_be_is_refused_beside_its_field_and_makes_no_key(node, owner, name):
    answer = make_key(owner, name=name)
    assert answer.status_code == 400
    assert 'id="key-name-error" class="field-error" role="alert">A name has' in answer.text
    assert node.services.keys.list() == []


@pytest.mark.parametrize("scope", ["admin", ""])
def test_a_scope_that_does_not_exist_makes_no_key(node, owner, scope):
    assert make_key(owner, scope=scope).status_code == 400
    assert node.services.keys.list() == []


def test_revoking_a_key_that_does_not_exist_is_a_page_that_leads_back(owner):
    form = {"csrf_token": owner.csrf_token()}
    answer = owner.post("/console/keys/000000000000/revoke", form)
    assert answer.status_code == 404
    assert 'href="/"' in answer.text


def test_revoking_in_the_console_ends_the_streams_of_the_key(node, owner):
    make_key(owner)
    (key,) = node.services.keys.list()
    with node.services.streams.take(key.key_id) as slot:
        owner.post(f"/console/keys/{key.key_id}/revoke", {"csrf_token": owner.csrf_token()})
        assert slot.is_cut()


def test_activity_says_who_did_what_and_when_newest_first(node, owner):
    make_key(owner)
    (key,) = node.services.keys.list()
    node.admin(f"/admin/keys/{key.key_id}/revoke", "POST")
    text = owner.get("/console/").text.split('id="activity"')[1]
    places = [text.index(words) for words in ("Revoked a local key", "Created a local key",
                                              "Logged in", "Claimed the node")]  # fmt: skip
    assert places == sorted(places)
    assert '<td role="cell" data-label="Who">Administrator</td>' in text
    assert '<td role="cell" data-label="From" class="address">this machine</td>' in text
    assert "laptop" in text


def test_refused_attempts_are_shown_with_their_number(node, owner):
    for _ in range(2):
        node.browser().log_in("not the password")
    text = owner.get("/console/").text
    assert '<span class="badge badge-warn">Login refused</span>' in text
    assert "2 times that day" in text


def test_a_broken_audit_log_alarms_the_owner(node, owner):
    assert "does not match its checkpoint" not in owner.get("/console/").text
    node.paths.audit_checkpoint.unlink()
    assert "does not match its checkpoint" in owner.get("/console/").text


def test_a_throttled_login_says_how_long_to_wait(node):
    node.claim()
    browser = node.browser()
    for _ in range(5):
        browser.log_in("not the password")
    answer = browser.log_in()
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0
    assert "Wait " in answer.text


def test_a_refused_login_keeps_the_name_and_never_the_password(node):
    node.claim()
    answer = node.browser().log_in("a wrong secret word")
    assert 'value="Ada"' in answer.text
    assert "a wrong secret word" not in answer.text


def test_no_page_of_the_owner_is_kept_by_a_cache(owner):
    for answer in (owner.get("/console/"), make_key(owner), owner.get("/login")):
        assert answer.headers["cache-control"] == "no-store"
