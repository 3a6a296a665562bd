"""MySQL's protocol by MariaDB's own image, or by MySQL's where one of its versions is asked for: data is made on the first start; users,
databases and privileges by a Job. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from aiculturekit.plan.documents import Document
from aiculturekit.resources.backends.mysql import scripts
from aiculturekit.resources.servers import Credential
from aiculturekit.targets.kubernetes.objects import Owned
from aiculturekit.targets.kubernetes.places import Cluster
from aiculturekit.targets.kubernetes.servers import settings, stateful

PORT = 3306
OWNER = scripts.OWNER
USER = 999
"""The user `mysql` of both images."""
_USUAL = "11.8"
_MYSQL = re.compile(r"[89](\.|$)")
_BIRTH, _WANTED, _SURPLUS = "/tmp/birth.sql", "/tmp/wanted.sql", "/tmp/surplus.sql"  # noqa: S108
_STATEMENTS = f"""\
CREATE USER IF NOT EXISTS {scripts.account(OWNER)};
ALTER USER {scripts.account(OWNER)} IDENTIFIED BY '{settings.said(stateful.PASSWORD)}';
GRANT ALL PRIVILEGES ON *.* TO {scripts.account(OWNER)} WITH GRANT OPTION;
CREATE USER IF NOT EXISTS {scripts.account(scripts.VIEWER, "localhost")} ACCOUNT LOCK;
"""
"""Read by the server before it lets anybody in. The administrator comes from the settling Job, through the network; the viewer of a
laptop has nobody here."""
_MAKE = {
    True: "mariadb-install-db --no-defaults --datadir=$fresh --auth-root-authentication-method=socket --skip-test-db",
    False: "mysqld --no-defaults --initialize-insecure --datadir=$fresh",
}
_LEFT = {True: "", False: "DROP USER IF EXISTS 'root'@'localhost';\n"}
"""MySQL is born with an administrator without a password, MariaDB's is the operating system's."""
_START = """\
cluster={data}/cluster fresh={data}/cluster.new
if [ ! -d $cluster ]; then
  rm -rf $fresh
  {make} > /tmp/made.log 2>&1 || {{ cat /tmp/made.log; exit 1; }}
  mv $fresh $cluster
fi
exec {program} --no-defaults --datadir=$cluster --socket=/tmp/mysql.sock --pid-file=/tmp/mysql.pid --init-file={birth} --port={port} \\
  --bind-address=0.0.0.0 --skip-name-resolve --character-set-server=utf8mb4 --skip-log-bin --loose-mysqlx=OFF --loose-local-infile=OFF
"""
"""What is half made by a crash is made anew."""

GIVEN = {"HOST": "host", "LOGIN": "username", "MYSQL_PWD": "password"}
_CLIENT = "client=$(command -v mariadb || command -v mysql)\n"
ARRIVAL = (
    f'{_CLIENT}until $client --no-defaults -h "$HOST" -P {PORT} -u "$LOGIN" -e "SELECT 1" > /dev/null; do sleep 1; done'
)


def image(document: Document, *, cluster: Cluster) -> str:
    version = str(document.body.get("version") or _USUAL)
    return f"{cluster.mirror}/library/{'mariadb' if _is_mariadb(document) else 'mysql'}:{version}"


def databases(document: Document) -> list[str]:
    return scripts.databases(document.name, document.body)


def server(app: str, document: Document, *, cluster: Cluster) -> Iterator[Owned]:
    is_mariadb = _is_mariadb(document)
    start = _START.format(
        data=stateful.DATA,
        make=_MAKE[is_mariadb],
        program="mariadbd" if is_mariadb else "mysqld",
        birth=_BIRTH,
        port=PORT,
    )
    yield stateful.rendered(
        app,
        document,
        image=image(document, cluster=cluster),
        script=settings.written(_BIRTH, _STATEMENTS + _LEFT[is_mariadb]) + start,
        port=PORT,
        user=USER,
        probe={"kind": "tcp", "every": 5.0, "timeout": 2.0, "fails": 3},
        grace=60.0,
        cluster=cluster,
    )


def script(document: Document) -> str:
    """The client reads the administrator's password from its environment and the others' from its input: they are no argument of a process.
    What takes away is asked of the server first, statement by statement: nobody loses for a moment what he keeps."""
    ask = f"$client --no-defaults -h {document.name} -P {PORT} -u {OWNER} -N -B -r"
    return (
        f'{_CLIENT}export MYSQL_PWD="${stateful.PASSWORD}"\n'
        f"ask() {{ {ask}; }}\n"
        'until echo "SELECT 1" | ask > /dev/null; do sleep 1; done\n'
        + settings.written(_WANTED, _lines(wanted(document)))
        + settings.written(_SURPLUS, _lines(surplus(document)))
        + f"ask < {_WANTED}\nask < {_SURPLUS} > /tmp/less.sql\nask < /tmp/less.sql\n"
    )


def wanted(document: Document) -> Iterator[str]:
    """Databases, logins, and what each may in them."""
    names = databases(document)
    for one in names:
        yield f"CREATE DATABASE IF NOT EXISTS {scripts.name(one)} CHARACTER SET utf8mb4"
    for at, (login, verb) in enumerate(document.body["users"]):
        who = scripts.account(scripts.user(login))
        yield f"CREATE USER IF NOT EXISTS {who}"
        yield f"ALTER USER {who} IDENTIFIED BY '{settings.said(settings.variable(at))}' ACCOUNT UNLOCK"
        yield from scripts.grants(Credential(login, verb, login, ""), names)


def surplus(document: Document) -> Iterator[str]:
    """Queries whose rows are the statements that take away what is beyond a verb, and lock out who is none of the users: what runs in such
    a login's name goes on."""
    users = document.body["users"]
    for login, verb in users:
        yield scripts.beyond(Credential(login, verb, login, ""), databases(document))
    yield scripts.strangers([scripts.user(login) for login, _ in users])


def _lines(statements: Iterator[str]) -> str:
    return "".join(f"{one};\n" for one in statements)


def _is_mariadb(document: Document) -> bool:
    return not _MYSQL.match(str(document.body.get("version") or _USUAL))
