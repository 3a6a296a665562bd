"""What alembic runs for a migration: the connection is the caller's, and so is the transaction."""

from alembic import context

from aiculturekit.state.schema import metadata

# alembic finds the connection within a transaction and leaves it open: what is migrated and the new revision's stamp
# are committed together, by the caller, or not at all.
context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
