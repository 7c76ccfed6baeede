"""How Alembic runs the migrations: on the connection that `store.migrate` hands over."""

from __future__ import annotations

from alembic import context

from b3iq.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # The caller's transaction is the transaction; SQLite has transactional DDL.
    transactional_ddl=False,
)
context.run_migrations()
