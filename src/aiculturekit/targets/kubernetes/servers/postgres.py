"""PostgreSQL by its own image: the cluster is made on the first start; users, databases and privileges by a Job, in one session. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from aiculturekit.plan.documents import Document
from aiculturekit.resources.backends.postgres import scripts
from aiculturekit.resources.servers import Credential
from aiculturekit.targets.kubernetes.objects import Owned
from aiculturekit.targets.kubernetes.places import Cluster
from aiculturekit.targets.kubernetes.servers import settings, stateful

PORT = 5432
USER = 999
"""The user `postgres` of the image: initdb looks its own number up."""
OWNER = "postgres"
_USUAL = "18"
_PROGRAMS = 'export PATH="$PATH:$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1)"\n'
"""Debian keeps them apart by version."""
_START = f"""\
cluster={stateful.DATA}/cluster
if [ ! -s "$cluster/PG_VERSION" ]; then
  rm -rf "$cluster.new"
  printf '%s\\n' "${stateful.PASSWORD}" > /tmp/password
  initdb -D "$cluster.new" -U {OWNER} --auth-local=trust --auth-host=scram-sha-256 --pwfile=/tmp/password --encoding=UTF8 --data-checksums
  rm /tmp/password
  echo 'host all all all scram-sha-256' >> "$cluster.new/pg_hba.conf"
  mv "$cluster.new" "$cluster"
fi
exec postgres -D "$cluster" -c listen_addresses='*' -c port={PORT} -c unix_socket_directories=/tmp \\
  -c shared_preload_libraries=pg_stat_statements
"""
"""What is half made by a crash is made anew."""

GIVEN = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "username", "PGPASSWORD": "password", "PGDATABASE": "database"}
"""The client's own variables, and what of a user's Secret is in them."""
ARRIVAL = f"{_PROGRAMS}until psql -X -q -c 'SELECT 1' > /dev/null; do sleep 1; done"


def image(document: Document, *, cluster: Cluster) -> str:
    return f"{cluster.mirror}/library/postgres:{document.body.get('version') or _USUAL}"


def databases(document: Document) -> list[str]:
    return scripts.databases(document.name, document.body)


def server(app: str, document: Document, *, cluster: Cluster) -> Iterator[Owned]:
    probe = {
        "kind": "exec",
        "command": f"{_PROGRAMS}pg_isready -q -h /tmp -p {PORT} -U {OWNER}",
        "every": 5.0,
        "timeout": 3.0,
        "fails": 3,
    }
    yield stateful.rendered(
        app,
        document,
        image=image(document, cluster=cluster),
        script=_PROGRAMS + _START,
        port=PORT,
        user=USER,
        probe=probe,
        grace=30.0,
        cluster=cluster,
    )


def script(document: Document) -> str:
    """psql reads the passwords from its environment: they are in no command and in no text."""
    return (
        f'{_PROGRAMS}export PGPASSWORD="${stateful.PASSWORD}" PGCONNECT_TIMEOUT=5\n'
        f"until pg_isready -q -h {document.name} -p {PORT}; do sleep 1; done\n"
        f"psql -X -q -v ON_ERROR_STOP=1 -h {document.name} -p {PORT} -U {OWNER} -d postgres <<'SQL'\n{sql(document)}\nSQL\n"
    )


def sql(document: Document) -> str:
    names, users = databases(document), document.body["users"]
    credentials = [Credential(login, verb, login, "") for login, verb in users]
    numbers = {login: at for at, (login, _) in enumerate(users)}
    parts = [f"\\getenv pw{at} {settings.variable(at)}" for at in numbers.values()]
    parts.append(scripts.cluster(names, credentials, password=lambda one: f":'pw{numbers[one.user]}'"))
    for database in names:
        parts += [scripts.connect(database), scripts.contents(database, extensions=document.body.get("extensions", ()))]
    parts += [scripts.connect("postgres"), scripts.shut_out(list(numbers), owner=OWNER)]
    return "\n".join(parts)
