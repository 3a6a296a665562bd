"""PostgreSQL: one cluster for each resource, its files below `cluster/`, its administrator reachable through a socket only.

    scripts     what a server is told, as text for psql: pure
    clusters    its files on disk, before it runs
    sessions    the administrator's door to a running one
    servers     the three together, with the shape of a backend

Verbs are three roles without a login (aic_read, aic_write, aic_admin); a credential is a login that is in one of them. What an
administrator's login makes belongs to aic_admin, so that any other administrator may change it, and the default privileges of
aic_admin let readers read and writers write it. (https://www.postgresql.org/docs/18/sql-alterdefaultprivileges.html)
"""

from aiculturekit.resources.backends.postgres.clusters import OWNER
from aiculturekit.resources.backends.postgres.scripts import VIEWER, databases
from aiculturekit.resources.backends.postgres.servers import Postgres
from aiculturekit.resources.backends.postgres.sessions import MAINTENANCE, place, sql

__all__ = ["MAINTENANCE", "OWNER", "VIEWER", "Postgres", "databases", "place", "sql"]
