"""What alembic runs for a migration: the connection is the caller's, and so is the transaction."""

from alembic import context

from aiculturekit.state.schema import metadata

# SQLite does have transactional DDL once the driver leaves BEGIN to us, as ours does; alembic assumes that it does not.
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
