"""Limits and a new secret for a key, in the console."""

from __future__ import annotations

import re

import pytest

from b3iq.console.limit_form import FIELDS
from b3iq.credentials.errors import Unauthorized
from b3iq.credentials.limits import NO_LIMITS, KeyLimits

EVERY = {
    "models": "b3iq-smoke, other",
    "requests_per_minute": "60",
    "tokens_per_minute": "5000",
    "concurrency": "2",
    "addresses": "192.0.2.7, 2001:db8::/32",
}
EVERY_SET = KeyLimits(
    models=("b3iq-smoke", "other"),
    requests_per_minute=60,
    tokens_per_minute=5000,
    concurrency=2,
    addresses=("192.0.2.7/32", "2001:db8::/32"),
)


@pytest.fixture
def key(node):
    return node.services.keys.create("laptop")[0]


def post(owner, path, **form):
    return owner.post(path, {"csrf_token": owner.csrf_token(), **form})


def secret_in(text: str) -> str:
    found = re.search(r"b3iq_local_\w+", text)
    assert found
    return found[0]


def opens(node, secret) -> bool:
    try:
        node.services.keys.authenticate(secret)
    except Unauthorized:
        return False
    return True


def test_a_key_is_made_with_every_limit(node, owner):
    form = {"name": "laptop", "scope": "inference", "expires_days": "3", **EVERY}
    assert post(owner, "/console/keys", **form).status_code == 201
    (key,) = node.services.keys.list()
    assert key.limits == EVERY_SET
    assert (key.expires_at - key.created_at).days in {2, 3}


def test_the_form_shows_the_limits_of_the_key_and_sends_them_back_unchanged(node, owner, key):
    node.services.keys.change(key.key_id, EVERY_SET)
    text = owner.get(f"/console/keys/{key.key_id}").text
    shown = dict(re.findall(r'name="(\w+)" type="text" value="([^"]*)"', text))
    assert set(shown) == {field.name for field in FIELDS}
    answer = post(owner, f"/console/keys/{key.key_id}/limits", **shown)
    assert answer.headers["location"] == "/console/?notice=key-limited"
    assert node.services.keys.get(key.key_id).limits == EVERY_SET
    assert "60 requests/min, 5,000 tokens/min, 2 at once" in owner.get("/console/").text


def test_an_emptied_field_lifts_its_limit(node, owner, key):
    node.services.keys.change(key.key_id, EVERY_SET)
    post(owner, f"/console/keys/{key.key_id}/limits", concurrency="3")
    assert node.services.keys.get(key.key_id).limits == KeyLimits(concurrency=3)


@pytest.mark.parametrize(
    ("field", "typed"),
    [
        ("requests_per_minute", "many"),
        ("requests_per_minute", "0"),
        ("requests_per_minute", "-1"),
        ("requests_per_minute", "٣"),  # a digit to Python, not to us
        ("tokens_per_minute", "9" * 40),
        ("concurrency", "1.5"),
        ("addresses", "localhost"),
        ("addresses", "192.0.2.7/24"),
        ("models", "x" * 300),
        ("expires_days", "0"),
        ("expires_days", "99999999"),
    ],
)
def test_what_cannot_be_is_refused_beside_its_field_and_changes_nothing(
    node, owner, key, field, typed
):
    for path in (f"/console/keys/{key.key_id}/limits", "/console/keys"):
        answer = post(owner, path, name="other", scope="inference", **{field: typed})
        assert answer.status_code == 400
        assert f'id="limit-{field}-error" class="field-error" role="alert">' in answer.text
        assert f'value="{typed}"' in answer.text
    assert [k.limits for k in node.services.keys.list()] == [NO_LIMITS]


def test_the_limits_of_a_form_with_a_fault_are_open_and_others_closed(owner):
    assert '<details class="more">' in owner.get("/console/").text
    answer = post(owner, "/console/keys", name="x", scope="inference", concurrency="no")
    assert '<details class="more" open>' in answer.text


def test_a_new_secret_is_shown_once_and_the_old_one_is_dead(node, owner, key):
    old = node.services.keys.rotate(key.key_id)[1]
    answer = post(owner, f"/console/keys/{key.key_id}/rotate", overlap_minutes="0")
    new = secret_in(answer.text)
    assert (opens(node, old), opens(node, new)) == (False, True)
    assert new not in owner.get(f"/console/keys/{key.key_id}").text


def test_with_an_overlap_both_secrets_open_and_the_page_says_until_when(node, owner, key):
    old = node.services.keys.rotate(key.key_id)[1]
    new = secret_in(post(owner, f"/console/keys/{key.key_id}/rotate", overlap_minutes="60").text)
    assert (opens(node, old), opens(node, new)) == (True, True)
    assert "one before it is good until" in owner.get(f"/console/keys/{key.key_id}").text


@pytest.mark.parametrize("typed", ["-1", "999999", "soon", ""])
def test_an_overlap_that_the_page_does_not_offer_is_none(node, owner, key, typed):
    old = node.services.keys.rotate(key.key_id)[1]
    post(owner, f"/console/keys/{key.key_id}/rotate", overlap_minutes=typed)
    assert not opens(node, old)


def test_rotating_in_the_console_ends_the_streams_of_the_old_secret(node, owner, key):
    with node.services.streams.take(key.key_id) as slot:
        post(owner, f"/console/keys/{key.key_id}/rotate")
        assert slot.is_cut()


def test_a_key_that_is_over_offers_nothing_and_takes_nothing(node, owner, key):
    node.services.keys.revoke(key.key_id)
    text = owner.get(f"/console/keys/{key.key_id}").text
    assert "It opens nothing" in text
    assert f"/console/keys/{key.key_id}/" not in text
    for what in ("limits", "rotate"):
        assert post(owner, f"/console/keys/{key.key_id}/{what}").status_code == 409


def test_a_key_that_is_not_there_is_a_404(owner):
    assert owner.get("/console/keys/000000000000").status_code == 404
