"""Each type of resource as a workload meets it: through its own door of the mesh, with a credential of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiculturekit.resources import mails
from benchmarks.products import ROOT, Product, application, product
from tests.resources.stages import credentials, stage

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

ASKER = f"""\
import hashlib, json, os, pathlib, socket, subprocess, sys, tempfile
sys.path.insert(0, {str(ROOT)!r})
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from tests.resources.clients import CLIENTS, Refused
def rclone():
    folder = pathlib.Path(tempfile.mkdtemp())
    (folder / "big").write_bytes(os.urandom(1 << 20) * 24)
    program = pathlib.Path(sys.executable).with_name("rclone")
    settings = {{"RCLONE_CONFIG_X_TYPE": "s3", "RCLONE_CONFIG_X_PROVIDER": "Other", "RCLONE_CONFIG_X_ENV_AUTH": "true",
        "RCLONE_CONFIG_X_ENDPOINT": os.environ["AWS_ENDPOINT_URL_S3"], "RCLONE_CONFIG": "/dev/null"}}
    for one, other in ((folder, "x:another-one/copy"), ("x:another-one/copy", folder / "back")):
        words = [program, "copy", one, other, "--s3-upload-cutoff", "8M", "--s3-chunk-size", "8M", "--retries", "1"]
        subprocess.run(words, check=True, env={{**os.environ, **settings}}, timeout=60)
    assert (folder / "big").read_bytes() == (folder / "back" / "big").read_bytes()
class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        kind, act, *rest = json.loads(self.rfile.read(int(self.headers["content-length"])))
        try:
            if kind == "environment":
                status, answer = 200, {{k: v for k, v in os.environ.items() if v and k.startswith(("MINE_", "AWS_")) or k.endswith("_URL")}}
            elif kind == "rclone":
                status, answer = 200, rclone()
            elif kind == "dial":
                socket.create_connection((rest[0], int(rest[1])), timeout=5).close()
                status, answer = 200, "reached"
            else:
                given = {{k[5:].lower(): v for k, v in os.environ.items() if k.startswith(f"MINE_")}}
                given = {{k.split("_", 1)[1]: v for k, v in given.items() if k.startswith(kind + "_")}}
                status, answer = 200, getattr(CLIENTS[kind], act)(given, *rest)
        except Refused as error:
            status, answer = 409, str(error)
        except Exception as error:
            status, answer = 500, repr(error)
        raw = json.dumps(answer).encode()
        self.send_response(status); self.send_header("content-length", str(len(raw))); self.end_headers(); self.wfile.write(raw)
    def log_message(self, *values): pass
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
KEEPER = """\
import os, pathlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    kept = pathlib.Path(os.environ["DATA"]) / "kept"
    def do_POST(self):
        with self.kept.open("ab") as file:
            file.write(self.rfile.read(int(self.headers["content-length"])) + b"\\n")
        self.answer(b"")
    def do_GET(self): self.answer(self.kept.read_bytes() if self.kept.exists() else b"")
    def answer(self, raw):
        self.send_response(200); self.send_header("content-length", str(len(raw))); self.end_headers(); self.wfile.write(raw)
    def log_message(self, *values): pass
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
OUTPUTS = {
    "redis": ("url",),
    "s3": ("url", "endpoint", "key", "secret", "bucket", "region"),
    "nats": ("url",),
    "smtp": ("host", "port", "username", "password"),
    "custom": ("url",),
}
WITH_VERBS = ("redis", "s3", "nats")
RESOURCES = """
resources:
  my-redis: {type: redis}
  my-s3: {type: s3, buckets: [avatars]}
  my-nats: {type: nats}
  my-smtp: {type: smtp}
  my-custom: {type: custom, run: "exec PYTHON keeper.py", health: /, outputs: {url: "http://${host}:${port}/kept"}}
""".replace("PYTHON", sys.executable)


def service(name: str, verb: str, kinds: tuple[str, ...]) -> str:
    needs = [{f"resources/my-{kind}": verb} for kind in kinds]
    env = {
        f"MINE_{kind}_{output}".upper(): f"${{resources.my-{kind}.{output}}}"
        for kind in kinds
        for output in OUTPUTS[kind]
    }
    about = {"run": f"{sys.executable} asker.py", "public": f"/{name}", "needs": needs, "env": env}
    return f"  {name}: {json.dumps(about)}\n"


def text(app: str = "types", kinds: tuple[str, ...] = tuple(OUTPUTS), resources: str = RESOURCES) -> str:
    services = "".join(service(name, verb, kinds) for name, verb in (("r", "read"), ("w", "write"), ("a", "admin")))
    return f"app: {app}\nservices:\n{services}{service('stranger', 'read', ())}{resources}"


def app(folder: Path, content: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "asker.py").write_text(ASKER)
    (folder / "keeper.py").write_text(KEEPER)
    return application(folder, content)


@pytest.fixture
def own() -> Iterator[Product]:
    with product() as made:
        yield made


def asked(made: Product, who: str, *words: str, host: str = "types") -> tuple[int, Any]:
    url = f"http://127.0.0.1:{made.ingress}/{who}"
    command = ["curl", "-s", "-m", "60", "-w", "\n%{http_code}", "-H", f"host: {host}.localhost", "--data-binary"]
    done = subprocess.run([*command, json.dumps(words), url], check=True, capture_output=True, text=True)
    body, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(body) if body.startswith(("{", "[", '"', "null")) else body


def failure(made: Product, folder: Path) -> str:
    done = made.run("up", "-d", str(folder))
    assert done.returncode != 0
    return done.stdout + done.stderr


def test_each_type_through_the_mesh_by_verb_and_its_data_stays(own: Product, tmp_path: Path) -> None:
    folder = app(tmp_path / "types", text())
    own.aic("up", "-d", str(folder))
    for kind in WITH_VERBS:
        assert asked(own, "w", kind, "make")[0] == 409
        assert asked(own, "a", kind, "make") == (200, None)
        assert asked(own, "w", kind, "put", "one") == (200, None)
        assert asked(own, "r", kind, "put", "two")[0] == 409
        assert asked(own, "r", kind, "get") == (200, ["one"])
    assert asked(own, "w", "custom", "put", "one") == (200, None)
    assert asked(own, "r", "custom", "get") == (200, ["one"])
    assert asked(own, "w", "smtp", "put", "Hello")[0] == 200
    assert asked(own, "r", "smtp", "put", "Hello")[0] == 409
    (mail,) = mails.found(own.home / "data" / "types" / "my-smtp", words="hello")
    assert mail.by == "w"
    assert asked(own, "stranger", "environment", "")[1].keys() == {"MESH_PROXY_URL"}
    given = asked(own, "r", "environment", "")[1]
    assert (
        given["AWS_ENDPOINT_URL_S3"] == given["MINE_S3_ENDPOINT"] and given["MY_REDIS_URL"] == given["MINE_REDIS_URL"]
    )
    secrets = [value for name, value in given.items() if name.endswith(("SECRET", "PASSWORD"))]
    seen = "".join(
        own.aic(*words)
        for words in (("status", "--json"), ("plan", str(folder), "--json"), ("releases", "types", "--json"))
    )
    assert len(secrets) == 2 and not any(secret in seen for secret in secrets)
    assert asked(own, "a", "rclone", "")[0] == 200, "another real client, and an object of many parts"
    own.aic("down", "types")
    own.aic("up", "-d", str(folder))
    for kind in (*WITH_VERBS, "custom"):
        assert asked(own, "r", kind, "get") == (200, ["one"]), f"down keeps the data of {kind}"


def test_a_command_of_ones_own_runs_anew_when_its_code_changed(own: Product, tmp_path: Path) -> None:
    kept = RESOURCES.partition("  my-custom:")[2]
    resources = "resources:\n  my-custom:" + kept.replace("type: custom", "type: custom, source: keeping")
    folder = app(tmp_path / "types", text(kinds=("custom",), resources=resources))
    code = folder / "keeping" / "keeper.py"
    code.parent.mkdir()
    (folder / "keeper.py").rename(code)

    def pid() -> int:
        return next(int(row["pids"][0]) for row in own.status()["workloads"] if row["name"] == "my-custom")

    own.aic("up", "-d", str(folder))
    before = pid()
    assert asked(own, "w", "custom", "put", "one") == (200, None)
    (folder / "asker.py").write_text(f"{ASKER}# edited\n")
    own.aic("up", "-d", str(folder))
    assert pid() == before, "other code"
    code.write_text(KEEPER.replace("self.kept.read_bytes()", 'self.kept.read_bytes() + b"new\\n"'))
    own.aic("up", "-d", str(folder))
    assert pid() != before and asked(own, "r", "custom", "get") == (200, ["one", "new"])
    own.aic("rollback", "types")
    assert asked(own, "r", "custom", "get") == (200, ["one"]), "the code as it was"


def test_each_type_runs_below_a_home_that_only_its_owner_may_enter(own: Product, tmp_path: Path) -> None:
    own.home.chmod(0o700)
    kinds = (*WITH_VERBS, "smtp")
    own.aic("up", "-d", str(app(tmp_path / "types", text(kinds=kinds))))
    elsewhere = (own.home / "data" / "types" / "my-redis").resolve().parent
    try:
        for kind in kinds:
            if kind != "smtp":
                assert asked(own, "a", kind, "make") == (200, None)
            assert asked(own, "w", kind, "put", "one") == (200, None)
    finally:
        own.aic("down", "types")
        if not elsewhere.is_relative_to(own.home):
            shutil.rmtree(elsewhere)


def test_a_snapshot_of_each_type_is_gone_back_to(own: Product, tmp_path: Path) -> None:
    kinds = ("redis", "s3", "nats", "custom")
    own.aic("up", "-d", str(app(tmp_path / "types", text(kinds=kinds))))
    for kind in WITH_VERBS:
        asked(own, "a", kind, "make")
    for kind in kinds:
        assert asked(own, "w", kind, "put", "one")[0] == 200
    own.aic("snapshot", "save", "first", "--app", "types")
    for kind in kinds:
        assert asked(own, "w", kind, "put", "two")[0] == 200
    own.aic("snapshot", "restore", "first", "--app", "types", "--yes")
    for kind in kinds:
        assert asked(own, "r", kind, "get") == (200, ["one"]), kind
        assert asked(own, "w", kind, "put", "three")[0] == 200, kind


def test_what_stands_elsewhere_is_reached_by_who_needs_it_alone(own: Product, tmp_path: Path) -> None:
    """One application's servers are another one's servers that stand elsewhere."""
    (admin,) = credentials("admin")
    with stage("redis") as cache, stage("s3", buckets=["avatars"]) as files, stage("nats") as bus:
        stages = {"redis": cache, "s3": files, "nats": bus}
        for one in stages.values():
            one.start(admin)
        urls = {kind: one.given(admin)["url"] for kind, one in stages.items()}
        own.set(BUS_URL=urls["nats"])
        resources = f"""
resources:
  my-redis: {{type: redis, url: "{urls["redis"]}"}}
  my-s3: {{type: s3, url: "{urls["s3"]}"}}
  my-nats: {{type: nats, url: "secret:env/BUS_URL"}}
"""
        folder = app(tmp_path / "types", text(kinds=WITH_VERBS, resources=resources))
        own.aic("up", "-d", str(folder))
        assert {row["state"] for row in own.status()["workloads"]} == {"ready"}
        for kind in WITH_VERBS:
            assert asked(own, "a", kind, "make") == (200, None)
            assert asked(own, "w", kind, "put", "one") == (200, None), "who may do what is the server's own affair"
            assert asked(own, "r", kind, "get") == (200, ["one"])
        assert asked(own, "stranger", "environment", "")[1].keys() == {"MESH_PROXY_URL"}
        if own.status()["isolation"] == "network-namespaces":
            for one in stages.values():
                assert asked(own, "r", "dial", "", "127.0.0.1", str(one.port)) == (200, "reached")
                assert asked(own, "stranger", "dial", "", "127.0.0.1", str(one.port))[0] == 500
        seen = "".join(own.aic(*w) for w in (("status", "--json"), ("plan", str(folder), "--json"), ("ps",)))
        assert admin.password not in seen
        moved = resources.replace(urls["redis"], urls["redis"].removesuffix("/0") + "/1")
        own.aic("up", "-d", str(app(tmp_path / "types", text(kinds=WITH_VERBS, resources=moved))))
        assert asked(own, "r", "redis", "get") == (200, []), "another database: its users were told"
        own.aic("down", "types")
        assert all(one.process and one.process.poll() is None for one in stages.values()), "never ended by us"
        wrong = text(kinds=("redis",), resources=resources.replace(admin.password, "a-wrong-password"))
        failed = failure(own, str(app(tmp_path / "types", wrong)))
        assert "a-wrong-password" not in failed and "can't be used" in failed and "nothing was changed" in failed
        cache.stop()
        other = app(tmp_path / "other", text("other", kinds=("redis",), resources=resources))
        failed = failure(own, str(other))
        assert admin.password not in failed and "nothing listens on its port" in failed
