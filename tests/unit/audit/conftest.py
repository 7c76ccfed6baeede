"""A real database with an audit log, a change that it records, and the offline verifier."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import insert

from b3iq.audit.checkpoints import CheckpointFile
from b3iq.audit.log import AuditLog
from b3iq.audit.record import Checkpoint
from b3iq.audit.verifier import Verifier
from b3iq.evidence.signing import Signer
from b3iq.store.clock import utc_now
from b3iq.store.database import Database
from b3iq.store.migrate import upgrade
from b3iq.store.tables import login_throttle

SEED = bytes(range(32))
SIGNER = Signer(SEED)


class Log:
    """One opener of the database and of the checkpoint, as a process has them."""

    def __init__(
        self, directory: Path, signer: Signer = SIGNER, checkpoint: Path | None = None
    ) -> None:
        self.path = checkpoint or directory / "checkpoint.json"
        self.database = Database(directory / "node.db")
        upgrade(self.database)
        self.checkpoints = CheckpointFile(self.path, signer, "node-test")
        self.audit = AuditLog(self.database, self.checkpoints)

    def change(self, name: str = "change") -> None:
        """A change of something else and its event, in one transaction."""
        with self.database.write() as connection:
            row = {"client": name, "failures": 0, "failed_at": utc_now()}
            connection.execute(insert(login_throttle).prefix_with("OR REPLACE").values(row))
            self.audit.append(connection, "local_key_revoked", name[:12])

    def sql(self, statement: str, *values: object) -> None:
        """What somebody with the file, and no key, can do to the log."""
        with self.database.write() as connection:
            connection.exec_driver_sql(statement, tuple(values))

    def verify(self) -> int:
        """As an auditor with the pinned key and the node's checkpoint."""
        signed = Checkpoint.model_validate_json(self.path.read_bytes())
        verifier = Verifier([signed], SIGNER.public_key)
        for entry in self.audit.following(0, 100_000):
            verifier.add(entry.event_hash, entry.event)
        verifier.finish()
        return verifier.size

    def covered(self) -> int:
        checkpoint = self.audit.checkpoint()
        return -1 if checkpoint is None else checkpoint.checkpoint.size


@pytest.fixture
def log(tmp_path):
    log = Log(tmp_path)
    log.audit.start()
    yield log
    log.database.close()


@pytest.fixture
def another(tmp_path, log):
    """A second opener of the same files."""
    made = Log(tmp_path)
    yield made
    made.database.close()
