"""`b3iq keys` with limits and rotation, as typed."""

from __future__ import annotations

import json
import re
import stat

import pytest

from b3iq.cli.key_limits import REMOVABLE
from b3iq.credentials.limits import KeyLimits

NONE = dict.fromkeys(KeyLimits.model_fields)
EVERY = [
    ("--model", "b3iq-smoke", "--model", "other"),
    ("--requests-per-minute", "60"),
    ("--tokens-per-minute", "5000"),
    ("--concurrency", "2"),
    ("--allow-address", "192.0.2.7", "--allow-address", "2001:db8::/32"),
]
EVERY_SET = {
    "models": ["b3iq-smoke", "other"],
    "requests_per_minute": 60,
    "tokens_per_minute": 5000,
    "concurrency": 2,
    "addresses": ["192.0.2.7/32", "2001:db8::/32"],
}


@pytest.fixture
def key_id(run_json):
    return run_json("keys", "create", "limited")["key"]["key_id"]


def opens(node, secret) -> bool:
    with node.client() as client:
        headers = {"Authorization": f"Bearer {secret}"}
        # 503 is past the gate: no engine runs.
        return client.get("/v1/models", headers=headers).status_code == 503


def test_a_key_is_made_with_every_limit(run_json):
    words = [word for option in EVERY for word in option]
    assert run_json("keys", "create", "every", *words)["key"]["limits"] == EVERY_SET


def test_each_limit_is_set_alone_and_lifted_alone(run_json, key_id):
    for words in EVERY:
        run_json("keys", "limit", key_id, *words)
    assert run_json("keys", "limit", key_id, "--expires-days", "2")["limits"] == EVERY_SET
    left = dict(EVERY_SET)
    for name, field in REMOVABLE.items():
        changed = run_json("keys", "limit", key_id, "--remove", name)
        if field in left:
            left[field] = None
        assert changed["limits"] == left
    assert changed["expires_at"] is None
    assert left == NONE


def test_what_a_key_is_limited_to_is_said_in_a_line_and_in_the_list(run, key_id):
    done = run("keys", "limit", key_id, "--concurrency", "2", "--requests-per-minute", "60")
    assert done.stdout == f"Key {key_id}: limits: 60 requests/min; 2 at once. Expires: never.\n"
    listed = run("keys", "list").stdout
    assert re.search(rf"^{key_id} +60 requests/min; 2 at once *$", listed, re.MULTILINE)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Nothing to change"),
        (("--concurrency", "2", "--remove", "concurrency"), "set and removed"),
        (("--requests-per-minute", "0"), "requests-per-minute"),
        (("--remove", "everything"), "--remove"),
    ],
)
def test_a_change_that_says_nothing_or_two_things_is_a_usage_error(run, key_id, words, said):
    done = run("keys", "limit", key_id, *words)
    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("--allow-address", "localhost"),
        ("--allow-address", "192.0.2.7/24"),
        ("--concurrency", "9999"),
    ],
)
def test_a_limit_that_cannot_be_is_refused_and_changes_nothing(run, run_json, key_id, words):
    done = run("keys", "limit", key_id, "--json", *words)
    assert done.returncode == 1
    assert json.loads(done.stderr)["error"]["code"] == "invalid_request"
    (key,) = [k for k in run_json("keys", "list")["data"] if k["key_id"] == key_id]
    assert key["limits"] == NONE


def test_a_rotated_key_has_a_new_secret_in_a_private_file_and_the_old_one_is_dead(
    run, run_json, node, tmp_path
):
    made = run_json("keys", "create", "rotated", "--concurrency", "2")
    path = tmp_path / "key"
    done = run("keys", "rotate", made["key"]["key_id"], "--file", str(path))
    assert done.returncode == 0, done.stderr
    new = path.read_text().strip()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert new not in done.stdout + done.stderr
    assert opens(node, new)
    assert not opens(node, made["secret"])


def test_with_an_overlap_the_old_secret_opens_beside_the_new_one(run_json, node):
    made = run_json("keys", "create", "overlapping")
    rotated = run_json("keys", "rotate", made["key"]["key_id"], "--overlap-minutes", "5")
    assert rotated["key"]["key_id"] == made["key"]["key_id"]
    assert rotated["key"]["previous_until"]
    assert opens(node, made["secret"])
    assert opens(node, rotated["secret"])


def test_no_secret_is_lost_when_its_file_cannot_be_written(run, run_json, node, tmp_path):
    made = run_json("keys", "create", "kept")
    path = tmp_path / "key"
    path.write_text("precious")
    assert run("keys", "rotate", made["key"]["key_id"], "--file", str(path)).returncode == 2
    assert opens(node, made["secret"])


def test_what_is_revoked_is_neither_rotated_nor_changed(run, key_id):
    run("keys", "revoke", key_id)
    for words in (("rotate", key_id), ("limit", key_id, "--concurrency", "1")):
        done = run("keys", *words)
        assert done.returncode == 1
        assert "keys create" in done.stderr
