"""Two applications whose resources have the same names: nothing of one is the other's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.products import Product, application, product

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

ASKER = """\
import json, os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import psycopg, redis
def kept(url, statement):
    with psycopg.connect(url, connect_timeout=5, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return [row[0] for row in cursor.fetchall()] if cursor.description else []
def cached(url, *words):
    return redis.Redis.from_url(url, socket_timeout=5, decode_responses=True).execute_command(*words)
class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        try:
            if asked["what"] == "urls":
                answer = [os.environ["DB_URL"], os.environ["CACHE_URL"]]
            elif asked["what"] == "db":
                answer = kept(asked["url"] or os.environ["DB_URL"], asked["say"])
            else:
                answer = cached(asked["url"] or os.environ["CACHE_URL"], *asked["say"].split())
        except (psycopg.Error, redis.RedisError) as error:
            answer = {"refused": str(error)}
        raw = json.dumps(answer).encode()
        self.send_response(200); self.send_header("content-length", str(len(raw))); self.end_headers(); self.wfile.write(raw)
    def log_message(self, *values): pass
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
TEXT = f"""
app: NAME
services:
  web: {{run: "{sys.executable} asker.py", public: /, needs: [resources/db: admin, resources/cache]}}
resources:
  db: {{type: postgres}}
  cache: {{type: redis}}
"""


def asked(made: Product, app: str, what: str, say: str = "", *, url: str = "") -> Any:
    """What the application's own service is answered, with its own credential or with that of `url`."""
    body = json.dumps({"what": what, "say": say, "url": url})
    command = [
        "curl",
        "-sf",
        "--data-binary",
        body,
        "-H",
        f"host: {app}.localhost",
        f"http://127.0.0.1:{made.ingress}/",
    ]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def up(made: Product, folder: Path, app: str) -> None:
    application(folder, TEXT.replace("NAME", app))
    (folder / "asker.py").write_text(ASKER)
    made.aic("up", "-d", str(folder))


def parts(url: str) -> tuple[str, str]:
    """(password, port)."""
    login, _, place = url.partition("://")[2].rpartition("@")
    return login.rpartition(":")[2], place.partition("/")[0].rpartition(":")[2]


def test_the_same_names_in_two_applications_share_nothing(tmp_path: Path) -> None:
    apps = ("one", "two")
    with product() as own:
        for app in apps:
            up(own, tmp_path / app, app)
            asked(own, app, "db", f"CREATE TABLE things AS SELECT '{app}' AS whose")
            asked(own, app, "cache", f"SET whose {app}")
        for app in apps:
            assert asked(own, app, "db", "SELECT whose FROM things") == [app]
            assert asked(own, app, "cache", "GET whose") == app
        urls = {app: asked(own, app, "urls") for app in apps}
        for one, other in zip(*urls.values(), strict=True):
            assert parts(one)[0] != parts(other)[0], "each has passwords of its own"
        listed = json.loads(own.aic("resources", "--json"))
        assert sorted((row["app"], row["name"]) for row in listed) == [(a, n) for a in apps for n in ("cache", "db")]
        ports = [row["url"].rpartition(":")[2].partition("/")[0] for row in listed]
        assert len(set(ports)) == len(ports) == 4
        if (
            own.status()["isolation"] == "network-namespaces"
        ):  # on a shared loopback a door is open to whoever knows its password
            database, cache = urls["two"]
            assert foreign(asked(own, "one", "db", "SELECT whose FROM things", url=database))
            assert foreign(asked(own, "one", "cache", "GET whose", url=cache))

        own.aic("down", "one", "--volumes", "--yes")
        assert asked(own, "two", "db", "SELECT whose FROM things") == ["two"]
        assert asked(own, "two", "cache", "GET whose") == "two"
        assert [row["app"] for row in json.loads(own.aic("resources", "--json"))] == ["two", "two"]
        up(own, tmp_path / "one", "one")
        assert "does not exist" in asked(own, "one", "db", "SELECT whose FROM things")["refused"]
        assert asked(own, "one", "cache", "GET whose") is None
        assert asked(own, "two", "db", "SELECT whose FROM things") == ["two"]


def foreign(answer: Any) -> bool:
    """Whether a credential of the other application, at the address that it was given, led nowhere."""
    return isinstance(answer, dict) and bool(answer["refused"])
