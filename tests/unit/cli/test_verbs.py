"""The administrator's verbs, as typed."""

from __future__ import annotations

import json
import re
import stat
import subprocess
from pathlib import Path

import pytest

from b3iq.cli.main import VERBS, cli
from tests.unit.cli.conftest import B3IQ


def test_help_names_every_verb():
    done = subprocess.run([B3IQ, "--help"], capture_output=True, text=True, check=True)
    assert set(re.findall(r"^  ([a-z][a-z-]*)  +[A-Z]", done.stdout, re.MULTILINE)) == set(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_loads_and_has_json(verb):
    command = cli.get_command(None, verb)
    leaves = getattr(command, "commands", {verb: command}).values()
    for leaf in leaves:
        assert "--json" in {option for p in leaf.params for option in p.opts}, leaf.name


@pytest.mark.parametrize("verb", VERBS)
def test_no_verb_takes_a_secret_as_an_argument(verb):
    command = cli.get_command(None, verb)
    for leaf in getattr(command, "commands", {verb: command}).values():
        offered = [p for p in leaf.params if not getattr(p, "hidden", False)]
        names = {option for parameter in offered for option in parameter.opts}
        assert not names & {"--key", "--api-key", "--token", "--password", "--secret"}


def test_a_key_typed_as_an_argument_is_refused_without_being_repeated(run):
    done = run("chat", "--api-key", "b3iq_local_canary", "hello")
    assert done.returncode == 2
    assert "process listings" in done.stderr
    assert "canary" not in done.stdout + done.stderr


def test_an_unknown_verb_is_a_usage_error(run):
    assert run("destroy").returncode == 2


def test_a_key_goes_into_a_new_private_file_and_nowhere_else(run, tmp_path, node):
    path = tmp_path / "key"
    done = run("keys", "create", "laptop", "--file", str(path))
    assert done.returncode == 0
    secret = path.read_text().strip()
    assert secret.startswith("b3iq_local_")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert secret not in done.stdout + done.stderr
    with node.client() as client:
        headers = {"Authorization": f"Bearer {secret}"}
        # Past the gate: no engine runs.
        assert client.get("/v1/models", headers=headers).status_code == 503


def test_a_key_file_is_never_overwritten_and_no_key_is_lost(run, run_json, tmp_path):
    path = tmp_path / "key"
    path.write_text("precious")
    before = run_json("keys", "list")["data"]
    done = run("keys", "create", "laptop", "--file", str(path))
    assert done.returncode == 2
    assert "not overwritten" in done.stderr
    assert path.read_text() == "precious"
    assert run_json("keys", "list")["data"] == before


def test_a_refused_key_leaves_no_file(run, tmp_path):
    done = run("keys", "create", "laptop", "--scope", "all", "--file", str(tmp_path / "key"))
    assert done.returncode == 1
    assert "inference, metrics" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_key_is_shown_once_and_labelled_so(run):
    done = run("keys", "create", "shown")
    assert "one time" in done.stdout
    assert re.search(r"^b3iq_local_\w{12}_\w{40}$", done.stdout, re.MULTILINE)
    assert "b3iq_local_" not in run("keys", "list").stdout


def test_a_key_is_listed_with_its_state(run, run_json):
    key_id = run_json("keys", "create", "doomed", "--scope", "metrics")["key"]["key_id"]
    listed = run("keys", "list").stdout
    assert re.search(rf"{key_id}.*doomed.*metrics.*never.*active", listed.replace("\n", " "))
    assert run("keys", "revoke", key_id).returncode == 0
    assert run("keys", "revoke", key_id).returncode == 0
    states = {key["key_id"]: key["revoked_at"] for key in run_json("keys", "list")["data"]}
    assert states[key_id]


@pytest.mark.parametrize("key_id", ["000000000000", "../status", "a/b", "", "%2e"])
def test_revoking_what_is_no_key_says_so(run, key_id):
    done = run("keys", "revoke", "--json", "--", key_id)
    assert done.returncode == 1
    assert json.loads(done.stderr)["error"]["detail"]


def test_a_name_that_looks_like_markup_is_shown_as_it_is(run):
    assert run("keys", "create", "[red]x[/red]").returncode == 0
    assert "[red]x[/red]" in run("keys", "list").stdout


def test_a_name_that_looks_like_a_picture_is_shown_as_it_is(run):
    """A fingerprint with :AB: in it was, one time in nine, printed with a picture instead."""
    assert run("keys", "create", "12:AB:CD:34").returncode == 0
    assert "12:AB:CD:34" in run("keys", "list").stdout


def test_the_setup_link_goes_into_a_private_file_and_is_made_anew(run, tmp_path):
    path = tmp_path / "setup-url"
    links = []
    for _ in range(2):
        done = run("setup-url", "--file", str(path))
        assert done.returncode == 0
        links.append(path.read_text().strip())
        assert links[-1].split("#")[1] not in done.stdout + done.stderr
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert links[0] != links[1]
    assert links[1].startswith("http://localhost:")
    assert [entry.name for entry in tmp_path.iterdir()] == ["setup-url"]


def test_the_setup_link_is_printed_on_a_line_of_its_own(run):
    done = run("setup-url")
    form = r"^http://localhost:\d+/setup/#token=b3iq_setup_\w{12}_\w{40}$"
    assert re.search(form, done.stdout, re.MULTILINE)
    assert "One-time" in done.stdout


def test_the_status_is_told_to_people_and_programs(run, run_json):
    assert run_json("status")["engine"] == "unavailable"
    assert "not claimed" in run("status").stdout


def test_receipts_of_an_idle_node_are_an_empty_run(run, run_json):
    assert run_json("receipts", "--verify")["verified"] == 0
    assert "0 receipts" in run("receipts", "--verify").stdout


def test_the_audit_log_names_who_made_a_key_and_verifies(run, run_json):
    key_id = run_json("keys", "create", "audited")["key"]["key_id"]
    newest = run_json("audit", "list", "--limit", "1")["data"][0]["event"]
    assert (newest["actor"], newest["action"]) == ("admin", "local_key_created")
    assert newest["subject"] == key_id
    assert key_id in run("audit", "list").stdout
    key = run_json("audit", "verify")["public_key_ed25519"]
    found = run_json("audit", "verify", f"--public-key={key}")
    assert found["key_was_pinned"] is True
    assert found["verified"] == found["covered_by_checkpoint"] > 0


def test_older_events_are_reached_by_their_number(run, run_json):
    run_json("keys", "create", "older")
    run_json("keys", "create", "newer")
    newest = run_json("audit", "list", "--limit", "1")["data"][0]["sequence"]
    older = run_json("audit", "list", "--limit", "1", "--before", str(newest))["data"]
    assert [entry["sequence"] for entry in older] == [newest - 1]
    assert f"--before {newest}" in run("audit", "list", "--limit", "1").stdout


def test_without_a_node_every_verb_says_how_to_start_one(run, tmp_path):
    for verb in (["status"], ["setup-url"], ["keys", "list"], ["receipts"], ["audit", "verify"]):
        done = run(*verb, state=tmp_path)
        assert done.returncode == 1
        assert "systemctl start b3iq-node" in done.stderr
        assert "Traceback" not in done.stderr


def test_an_error_is_json_for_programs(run, tmp_path):
    done = run("status", "--json", state=tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert set(json.loads(done.stderr)["error"]) == {"code", "detail", "remedy"}


def test_a_key_with_an_end_has_it(run_json):
    key = run_json("keys", "create", "brief", "--expires-days", "2")["key"]
    assert key["expires_at"] > key["created_at"]


def test_secrets_are_made_once_and_never_printed(run, tmp_path):
    first = run("credentials", "create", "--json", state=tmp_path)
    again = run("credentials", "create", "--json", state=tmp_path)
    names = ["b3iq-token-pepper", "b3iq-node-identity"]
    assert json.loads(first.stdout) == {"changed": True, "created": names}
    assert json.loads(again.stdout) == {"changed": False, "created": []}
    for name in names:
        path = tmp_path / "credentials" / name
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert len(path.read_bytes()) == 32
    assert stat.S_IMODE((tmp_path / "credentials").stat().st_mode) == 0o700


def test_a_secret_that_is_there_is_never_replaced(run, tmp_path):
    run("credentials", "create", state=tmp_path)
    directory = tmp_path / "credentials"
    pepper = (directory / "b3iq-token-pepper").read_bytes()
    (directory / "b3iq-node-identity").unlink()
    done = run("credentials", "create", "--json", state=tmp_path)
    assert json.loads(done.stdout)["created"] == ["b3iq-node-identity"]
    assert (directory / "b3iq-token-pepper").read_bytes() == pepper


def test_an_installed_node_gets_no_plain_secret_files(tmp_path):
    done = subprocess.run(
        [B3IQ, "credentials", "create"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "--encrypt" in done.stderr


@pytest.mark.usefixtures("host_key")
def test_encrypted_secrets_open_with_systemd_creds_and_in_no_other_way(run, tmp_path):
    directory = tmp_path / "credstore"
    done = run("credentials", "create", "--encrypt", "--directory", str(directory), "--json")
    if done.returncode:
        # Only a machine without systemd-creds or a host key may refuse, and says so.
        assert "systemd-creds" in json.loads(done.stderr)["error"]["detail"]
        assert not [path for path in directory.iterdir() if not path.name.startswith(".")]
        return
    assert json.loads(done.stdout)["changed"] is True
    for name in ("b3iq-token-pepper", "b3iq-node-identity"):
        path = directory / name
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        opened = subprocess.run(
            ["systemd-creds", "decrypt", f"--name={name}", str(path), "-"],
            capture_output=True,
            check=True,
        ).stdout
        assert len(opened) == 32
        assert opened not in path.read_bytes()
    again = run("credentials", "create", "--encrypt", "--directory", str(directory), "--json")
    assert json.loads(again.stdout) == {"changed": False, "created": []}
    assert {path.name for path in Path(directory).iterdir()} == {
        "b3iq-token-pepper",
        "b3iq-node-identity",
    }
