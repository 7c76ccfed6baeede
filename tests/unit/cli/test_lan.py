"""`b3iq lan` as typed: what is shown, made and imported, and what is never printed."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from b3iq.cli.encryption import EncryptionFailed, encrypt
from b3iq.credentials import tls_pair
from tests.integration.lan_process import LISTEN, lan_node
from tests.unit.cli.conftest import B3IQ

FINGERPRINT = r"(?:[0-9A-F]{2}:){31}[0-9A-F]{2}"
SETTINGS = 'lan_listen_address = "192.168.1.10"\nlan_allow = ["192.168.1.0/24"]\n'


@pytest.fixture(scope="module")
def opened():
    with lan_node() as (node, lan):
        yield node, lan


def b3iq(state: Path, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [B3IQ, "--state", str(state), *arguments],
        input=stdin,
        capture_output=True,
        check=False,
        timeout=60,
    )
    out, err = done.stdout.decode(), done.stderr.decode()
    return subprocess.CompletedProcess(done.args, done.returncode, out, err)


def told(done: subprocess.CompletedProcess[str]) -> dict:
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_a_node_that_is_closed_says_so(run):
    assert "loopback only" in run("lan").stdout
    assert json.loads(run("lan", "--json").stdout)["lan"] is None
    assert re.search(r"^lan +off$", run("status").stdout, re.MULTILINE)
    done = run("lan", "certificate")
    assert done.returncode == 2
    assert "node_lan_listen_address" in done.stderr


def test_the_fingerprint_that_is_shown_is_the_one_that_clients_meet(opened, tmp_path):
    node, lan = opened
    with lan.tls() as connection:
        der = connection.getpeercert(binary_form=True)
    (tmp_path / "met.der").write_bytes(der)
    command = ["openssl", "x509", "-inform", "DER", "-in", "met.der"]
    command += ["-noout", "-fingerprint", "-sha256"]
    said = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    met = said.stdout.strip().partition("=")[2]
    for verb in ("lan", "status"):
        assert re.findall(FINGERPRINT, b3iq(node.state, verb).stdout) == [met]
    facts = told(b3iq(node.state, "lan", "--json"))
    assert facts["claimed"] is False
    assert facts["lan"]["fingerprint_sha256"] == met
    assert "nobody: not claimed yet" in b3iq(node.state, "lan").stdout
    pem = b3iq(node.state, "lan", "certificate").stdout
    assert tls_pair.describe(pem.encode()).fingerprint == met
    assert told(b3iq(node.state, "lan", "certificate", "--json"))["pem"] == pem


def test_what_is_shown_fits_a_terminal(opened):
    node, _ = opened
    # The fingerprint is as long as it is, and is copied whole.
    lines = [x for x in b3iq(node.state, "lan").stdout.splitlines() if "sha-256" not in x]
    assert lines
    assert max(map(len, lines)) <= 80


def test_a_certificate_is_made_anew_for_what_the_settings_say(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/node.toml").write_text(SETTINGS)
    first = told(b3iq(tmp_path, "lan", "renew", "--json"))
    second = told(b3iq(tmp_path, "lan", "renew", "--name", "node.lan", "--json"))
    assert (first["names"], second["names"]) == (["192.168.1.10"], ["node.lan"])
    assert first["fingerprint_sha256"] != second["fingerprint_sha256"]
    pair = tmp_path / "credentials/b3iq-lan-tls"
    assert stat.S_IMODE(pair.stat().st_mode) == 0o600
    assert stat.S_IMODE(pair.parent.stat().st_mode) == 0o700
    assert [path.name for path in pair.parent.iterdir()] == ["b3iq-lan-tls"]
    assert tls_pair.describe(pair.read_bytes()).fingerprint == second["fingerprint_sha256"]


def split(directory: Path) -> tuple[Path, Path]:
    """An operator's own pair, in two files."""
    pair = tls_pair.make(["own.lan"])
    at = pair.index(b"-----BEGIN CERTIFICATE")
    key, certificate = directory / "own.key", directory / "own.pem"
    key.write_bytes(pair[:at])
    key.chmod(0o600)
    certificate.write_bytes(pair[at:])
    return certificate, key


@pytest.mark.parametrize("by", ["file", "stdin"])
def test_an_own_certificate_is_imported_and_its_key_never_shown(tmp_path, by):
    certificate, key = split(tmp_path)
    how = ["--key-file", str(key)] if by == "file" else ["--key-stdin"]
    stdin = b"" if by == "file" else key.read_bytes()
    line = ["lan", "import", "--certificate-file", str(certificate), *how]
    done = b3iq(tmp_path / "state", *line, stdin=stdin)
    assert done.returncode == 0
    assert "own.lan" in done.stdout
    assert "systemctl restart b3iq-node" in done.stdout
    assert "PRIVATE" not in done.stdout + done.stderr
    kept = tmp_path / "state/credentials/b3iq-lan-tls"
    assert key.read_bytes() in kept.read_bytes()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_a_refused_import_leaves_the_certificate_that_was_there(tmp_path):
    certificate, key = split(tmp_path)
    state = tmp_path / "state"
    b3iq(state, "lan", "renew", "--name", "node.lan")
    kept = state / "credentials/b3iq-lan-tls"
    before = kept.read_bytes()
    line = ["lan", "import", "--certificate-file", str(certificate)]
    key.chmod(0o644)
    open_key = b3iq(state, *line, "--key-file", str(key))
    assert (open_key.returncode, "chmod 600" in open_key.stderr) == (2, True)
    foreign = b3iq(state, *line, "--key-stdin", stdin=tls_pair.make(["x"]))
    assert (foreign.returncode, "not the one" in foreign.stderr) == (1, True)
    assert b3iq(state, *line).returncode == 2
    absent = b3iq(state, *line, "--key-file", str(tmp_path / "none"))
    assert absent.returncode == 2
    assert kept.read_bytes() == before


def test_credentials_come_with_a_certificate_when_a_name_is_given(tmp_path):
    line = ["credentials", "create", "--lan-name", "node.lan", "--lan-name", LISTEN, "--json"]
    made = told(b3iq(tmp_path, *line))
    assert made["created"][-1] == "b3iq-lan-tls"
    pair = (tmp_path / "credentials/b3iq-lan-tls").read_bytes()
    assert tls_pair.describe(pair).names == ("node.lan", LISTEN)
    assert told(b3iq(tmp_path, *line)) == {"changed": False, "created": []}


def test_settings_of_a_lan_without_a_certificate_stop_at_the_check(tmp_path):
    (tmp_path / "node.toml").write_text(SETTINGS)
    line = [sys.executable, "-m", "b3iq.node", "--config", str(tmp_path / "node.toml")]
    line += ["--paths", str(tmp_path), "--check"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no certificate" in done.stderr
    assert "b3iq lan renew" in done.stderr
    b3iq(tmp_path, "lan", "renew", "--name", "node.lan")
    assert subprocess.run(line, check=False).returncode == 0
    (tmp_path / "node.toml").write_text('lan_listen_address = "192.168.1.10"\n')
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert (done.returncode, "lan_allow is empty" in done.stderr) == (2, True)


@pytest.mark.usefixtures("host_key")
def test_an_encrypted_pair_is_replaced_whole(tmp_path):
    try:
        encrypt("b3iq-lan-tls", b"first", tmp_path)
    except EncryptionFailed as error:
        pytest.skip(error.detail)
    assert not encrypt("b3iq-lan-tls", b"refused", tmp_path)
    assert encrypt("b3iq-lan-tls", b"second", tmp_path, replace=True)
    path = tmp_path / "b3iq-lan-tls"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    command = ["systemd-creds", "decrypt", "--name=b3iq-lan-tls", str(path), "-"]
    assert subprocess.run(command, capture_output=True, check=True).stdout == b"second"
