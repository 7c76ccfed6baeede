"""The audit log of a real node, checked by the command as an auditor runs it."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from b3iq.audit.checkpoints import CheckpointFile
from b3iq.audit.log import AuditLog
from b3iq.credentials import secret_files
from b3iq.evidence.signing import Signer, public_text
from b3iq.receipts.log import ReceiptLog
from b3iq.store.database import Database
from tests.integration.node_process import NodeProcess, node_process

B3IQ = str(Path(sys.executable).with_name("b3iq"))
MANY = 600  # more than a page


@pytest.fixture(scope="module")
def recorded() -> Iterator[NodeProcess]:
    """A node that was claimed and used, and whose log is longer than a page; not running."""
    with node_process() as node:
        node.start()
        with node.client() as client:
            assert node.claim(client).status_code == 201
        key_id, _ = node.new_key()
        node.admin.post(f"/admin/keys/{key_id}/revoke")
        node.stop()
        _lengthen(node)
        yield node


def _lengthen(node: NodeProcess) -> None:
    database = Database(node.paths.database)
    signer = Signer(secret_files.read(secret_files.NODE_IDENTITY, node.paths))
    node_id = ReceiptLog(database, signer).node_id
    log = AuditLog(database, CheckpointFile(node.paths.audit_checkpoint, signer, node_id))
    for _ in range(MANY // 100):
        with database.write() as connection:
            for _ in range(100):
                log.append(connection, "local_key_revoked", "000000000000")
    database.close()


@pytest.fixture
def node(recorded) -> Iterator[NodeProcess]:
    """A copy of it, to be spoilt and started."""
    with node_process() as node:
        for name in ("state", "credentials"):
            shutil.rmtree(node.state / name, ignore_errors=True)
            shutil.copytree(recorded.state / name, node.state / name)
        yield node


def b3iq(node: NodeProcess | None, *arguments: str) -> subprocess.CompletedProcess[str]:
    where = [] if node is None else ["--state", str(node.state)]
    environment = {**os.environ, "COLUMNS": "80"}
    return subprocess.run(
        [B3IQ, *where, "audit", *arguments],
        capture_output=True, text=True, check=False, timeout=60, env=environment,
    )  # fmt: skip


def sql(node: NodeProcess, statements: str) -> None:
    """Change the real database behind the back of the real node."""
    connection = sqlite3.connect(node.paths.database)
    connection.executescript(statements)
    connection.close()


def verified(node: NodeProcess) -> dict:
    done = b3iq(node, "verify", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


@dataclass(frozen=True)
class Export:
    """A good export, and what the node said of its log when it was made."""

    path: Path
    found: dict

    def verify(self, path: Path, key: str | None = None) -> subprocess.CompletedProcess[str]:
        """Where no node is, as an auditor who pins the key does."""
        pinned = self.found["public_key_ed25519"] if key is None else key
        return b3iq(None, "verify", "--file", str(path), f"--public-key={pinned}", "--json")


@pytest.fixture(scope="module")
def export(recorded, tmp_path_factory) -> Export:
    path = tmp_path_factory.mktemp("export") / "audit.jsonl"
    recorded.start()
    found = verified(recorded)
    assert b3iq(recorded, "export", "--file", str(path)).returncode == 0
    recorded.stop()
    return Export(path, found)


def test_a_log_of_several_pages_verifies_live_and_as_an_export(export):
    assert export.found["verified"] == export.found["covered_by_checkpoint"] == MANY + 5
    assert stat.S_IMODE(export.path.stat().st_mode) == 0o600
    offline = export.verify(export.path)
    assert (offline.returncode, offline.stderr) == (0, "")
    assert json.loads(offline.stdout) == {**export.found, "key_was_pinned": True}


FAULTS = {
    "an edit": (
        "UPDATE audit_event SET body = replace(body, '\"admin\"', '\"owner\"') WHERE sequence = 4",
        "Event 4 was changed",
    ),
    "a deletion": ("DELETE FROM audit_event WHERE sequence = 300", "Event 300 is missing"),
    "a reorder": (
        """UPDATE audit_event SET sequence = 99999 WHERE sequence = 10;
        UPDATE audit_event SET sequence = 10 WHERE sequence = 11;
        UPDATE audit_event SET sequence = 11 WHERE sequence = 99999;""",
        "Event 10 is missing: event 11 stands in its place",
    ),
    "a truncation": (
        "DELETE FROM audit_event WHERE sequence > 400",
        f"ends at event 400, and a signed checkpoint names event {MANY + 5}",
    ),
}


@pytest.mark.parametrize(("statement", "words"), FAULTS.values(), ids=FAULTS)
def test_a_fault_planted_in_the_database_is_found(node, export, tmp_path, statement, words):
    node.start()
    sql(node, statement)
    done = b3iq(node, "verify")
    assert done.returncode == 1
    assert words in done.stderr.replace("\n", " ")
    # What was exported as evidence shows the same, elsewhere.
    evidence = tmp_path / "evidence.jsonl"
    assert b3iq(node, "export", "--file", str(evidence)).returncode == 0
    offline = export.verify(evidence)
    assert offline.returncode == 1
    assert words in json.loads(offline.stderr)["error"]["detail"]


def test_a_truncation_is_still_found_after_more_changes_and_a_restart(node):
    sql(node, "DELETE FROM audit_event WHERE sequence > 500")
    node.start()
    node.new_key()
    node.stop()
    node.start()
    done = b3iq(node, "verify", "--json")
    assert done.returncode == 1
    assert json.loads(done.stderr)["error"]["code"] == "audit_log_broken"
    assert "audit_log_broken" in node.log.read_text()


def test_a_log_whose_checkpoint_is_gone_is_refused_and_can_still_be_exported(
    node, export, tmp_path
):
    node.paths.audit_checkpoint.unlink()
    node.start()
    done = b3iq(node, "verify")
    assert done.returncode == 1
    assert "checkpoint is gone" in done.stderr
    evidence = tmp_path / "evidence.jsonl"
    assert b3iq(node, "export", "--file", str(evidence)).returncode == 0
    assert len(evidence.read_text().splitlines()) == MANY + 5
    assert "was it cut?" in json.loads(export.verify(evidence).stderr)["error"]["detail"]


def test_an_accepted_truncation_stays_on_record(node):
    sql(node, "DELETE FROM audit_event WHERE sequence > 500")
    node.start()
    assert b3iq(node, "accept").returncode == 0
    assert verified(node)["verified"] == 501
    listed = b3iq(node, "list", "--limit", "1").stdout
    assert "audit_log_accepted" in listed
    assert f"checkpoint_size={MANY + 5}" in re.sub(r"\s", "", listed)


def test_a_log_cut_with_its_checkpoint_is_found_by_the_journal(node, tmp_path):
    node.start()
    before = node.paths.audit_checkpoint.read_bytes()
    node.new_key()
    node.stop()
    line = [text for text in node.log.read_text().splitlines() if "audit_checkpoint" in text][-1]
    kept = tmp_path / "line"
    kept.write_text(line + "\n")
    sql(node, "DELETE FROM audit_event WHERE sequence = (SELECT max(sequence) FROM audit_event)")
    node.paths.audit_checkpoint.write_bytes(before)
    node.start()
    assert verified(node)["verified"] == MANY + 5  # the weakness that the documents name
    done = b3iq(node, "verify", "--checkpoint", str(kept))
    assert done.returncode == 1
    assert "was cut" in done.stderr


def test_a_power_cut_between_changes_is_no_false_alarm(node):
    node.start()
    for _ in range(3):
        node.new_key()
        node.kill()
        node.start()
    assert verified(node)["verified"] == MANY + 8


CUTS = {
    "cut in the middle": lambda text: text[: len(text) // 2],
    "cut at its end": lambda text: text[: text.rindex("\n", 0, -1) + 1],
    "empty": lambda text: "",
    "a line that is no event": lambda text: "{}\n" + text,
    "one event fewer": lambda text: text[text.index("\n") + 1 :],
    "one event twice": lambda text: text[: text.index("\n") + 1] + text,
}


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_a_spoilt_export_is_refused(export, tmp_path, cut):
    spoilt = tmp_path / "audit.jsonl"
    spoilt.write_text(cut(export.path.read_text()))
    done = export.verify(spoilt)
    assert done.returncode == 1
    assert json.loads(done.stderr)["error"]["code"] == "audit_log_broken"


def test_an_export_is_not_believed_without_a_key_of_the_auditor(export):
    assert b3iq(None, "verify", "--file", str(export.path)).returncode == 2
    for key in (public_text(Signer(b"x" * 32).public_key), "nonsense", ""):
        assert export.verify(export.path, key).returncode == 1, key
