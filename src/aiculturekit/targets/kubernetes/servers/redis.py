"""Redis' protocol by Valkey's own image: every write is on disk before its answer; users, made by a Job, are kept beside the data. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from aiculturekit.plan.documents import Document
from aiculturekit.resources.backends import redis
from aiculturekit.targets.kubernetes.objects import Owned
from aiculturekit.targets.kubernetes.places import Cluster
from aiculturekit.targets.kubernetes.servers import settings, stateful

PORT = 6379
OWNER = redis.OWNER
USER = 999
_USUAL = "9"
_START = f"""\
cd {stateful.DATA}
touch users.acl
sed -i '/^user {OWNER} /d;/^user default /d' users.acl
digest=$(printf %s "${stateful.PASSWORD}" | sha256sum | cut -d ' ' -f 1)
printf 'user default off resetpass\\nuser {OWNER} on #%s ~* &* +@all\\n' "$digest" >> users.acl
exec valkey-server --bind '*' --port {PORT} --dir {stateful.DATA} --aclfile {stateful.DATA}/users.acl \\
  --appendonly yes --appendfsync always --save '' --maxmemory-policy noeviction
"""

GIVEN = {"HOST": "host", "LOGIN": "username", "REDISCLI_AUTH": "password"}
"""The client's variables, and what of a user's Secret is in them."""
ARRIVAL = (
    f'until valkey-cli -h "$HOST" -p {PORT} --user "$LOGIN" --no-auth-warning -e PING > /dev/null; do sleep 1; done'
)


def image(document: Document, *, cluster: Cluster) -> str:
    return f"{cluster.mirror}/valkey/valkey:{document.body.get('version') or _USUAL}"


def databases(document: Document) -> list[str]:
    return []


def server(app: str, document: Document, *, cluster: Cluster) -> Iterator[Owned]:
    yield stateful.rendered(
        app,
        document,
        image=image(document, cluster=cluster),
        script=_START,
        port=PORT,
        user=USER,
        probe={"kind": "tcp", "every": 5.0, "timeout": 2.0, "fails": 3},
        grace=30.0,
        cluster=cluster,
    )


def script(document: Document) -> str:
    """Commands go through the client's input: no password is an argument of a process. Whoever is none of the users goes."""
    users = document.body["users"]
    rules = "\n".join(
        f"ACL SETUSER {login} reset on >${settings.variable(at)} {redis.RULES[verb]}"
        for at, (login, verb) in enumerate(users)
    )
    wanted = " ".join(["default", OWNER, *(login for login, _ in users)])
    return f"""\
export REDISCLI_AUTH="${stateful.PASSWORD}"
ask() {{ valkey-cli -h {document.name} -p {PORT} --user {OWNER} --no-auth-warning -e "$@"; }}
until ask PING > /dev/null; do sleep 1; done
ask > /dev/null <<ACL
{rules}
ACL
for login in $(ask ACL USERS); do
  case " {wanted} " in *" $login "*) ;; *) ask ACL DELUSER "$login" ;; esac
done
ask ACL SAVE
"""
