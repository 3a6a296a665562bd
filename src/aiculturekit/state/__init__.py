"""What must not be forgotten: releases, the journal, applied documents, replicas, ports, changes, settings.

Promise: one code path for SQLite and PostgreSQL; a change is in force or it is not, never half; opening an older
database migrates it, opening a newer one is refused. May not: decide anything.
"""

from aiculturekit.state.opening import open

__all__ = ["open"]
