"""How databases of older versions become today's: alembic's folder.

Promise: from empty, the migrations lead to exactly `schema.metadata` (held by a test); a migration is one transaction.
May not: be imported where no migration is due, or use the repositories, whose shape is today's and not that of its
time.
"""
