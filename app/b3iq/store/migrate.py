"""Bring a database to the schema of this release (Alembic, run at node start)."""

from __future__ import annotations

import logging
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from b3iq.store.database import Database

MIGRATIONS = Path(__file__).parent / "migrations"

_log = logging.getLogger(__name__)


def upgrade(database: Database) -> None:
    """Apply what is missing, in one write transaction: all of it or nothing.

    A database that a newer release has expanded is left as it is: migrations
    contract only a release later, so a rolled-back node can work on it.
    """
    config = Config()
    # Alembic interpolates `%` in options as configparser does.
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    with database.write() as connection:
        applied = MigrationContext.configure(connection).get_current_heads()
        if not known.issuperset(applied):
            _log.warning("database_is_newer", extra={"revisions": list(applied)})
            return
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
