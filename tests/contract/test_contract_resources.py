"""What every type of resource promises, asked of real servers with real clients."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis

from aiculturekit.errors import Failed, Mistake
from aiculturekit.errors import Refused as AicRefused
from aiculturekit.resources import mails, outside
from aiculturekit.resources.servers import Credential
from tests.resources.clients import CLIENTS, S3, Client, Given, Refused
from tests.resources.stages import Stage, credentials, require_mysql, stage
from tests.servers import documents, needs

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

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
BODIES: dict[str, dict[str, Any]] = {
    "postgres": {},
    "redis": {},
    "s3": {"buckets": ["avatars", "films"]},
    "nats": {},
    "mysql": {},
    "mongodb": {},
    "smtp": {},
    "custom": {"outputs": {"url": "http://${host}:${port}/kept"}},
}
ROUNDS = int(os.environ.get("AIC_ROUNDS", "3"))
WITH_VERBS = ("postgres", "redis", "s3", "nats", "mysql")
"""The types whose protocol can do all three: make, put, get. A mail can only be put; a custom resource has no users."""
READ, WRITE, ADMIN = credentials("read", "write", "admin")
ALL = (READ, WRITE, ADMIN)


@pytest.fixture
def played(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    """A running server of the type that the test names, with one user for each verb."""
    body = dict(BODIES[request.param])
    if request.param == "custom":
        (tmp_path / "keeper.py").write_text(KEEPER)
        body |= {"run": f"exec {sys.executable} {tmp_path / 'keeper.py'}", "directory": str(tmp_path)}
    if request.param == "mysql":
        require_mysql()
    if request.param == "mongodb":
        needs.built(documents.program)
    with stage(request.param, **body) as made:
        made.start(*users(made))
        yield made


def users(played: Stage, *who: Credential) -> list[Credential]:
    """The usual ones, or these; as administrators where the server knows no roles."""
    return [dataclasses.replace(one, verb="admin") if played.kind == "mongodb" else one for one in who or ALL]


def each(*kinds: str) -> Callable[[Any], Any]:
    return pytest.mark.parametrize("played", kinds, indirect=True)


def client(played: Stage) -> Client:
    return CLIENTS[played.kind]


def put(played: Stage, text: str) -> None:
    client(played).put(played.given(WRITE), text)


def get(played: Stage) -> list[str]:
    """All that was put, by who may read; mails are read by who has the files."""
    if played.kind == "smtp":
        return [mail.subject for mail in reversed(mails.found(played.ground.folder))]
    return client(played).get(played.given(READ))


def made(played: Stage) -> None:
    if played.kind in WITH_VERBS:
        client(played).make(played.given(ADMIN))


def refused(act: Callable[..., Any], given: Given, *rest: str, **named: Any) -> bool:
    try:
        act(given, *rest, **named)
    except Refused:
        return True
    return False


@pytest.mark.parametrize("kind", WITH_VERBS)
def test_a_home_may_be_called_anything(kind: str) -> None:
    """What it is called reaches a shell and the servers' own settings."""
    with stage(kind, below='it\'s "a" $HOME `x`', **BODIES[kind]) as played:
        played.start(READ, WRITE, ADMIN)
        user = client(played)
        user.make(played.given(ADMIN))
        user.put(played.given(WRITE), "one")
        played.stop()
        played.start(READ, WRITE, ADMIN)
        assert user.get(played.given(READ)) == ["one"]


@each(*WITH_VERBS)
def test_each_verb_may_do_what_it_may_and_no_more(played: Stage) -> None:
    user = client(played)
    assert refused(user.make, played.given(READ)) and refused(user.make, played.given(WRITE))
    user.make(played.given(ADMIN))
    user.put(played.given(WRITE), "one")
    user.put(played.given(ADMIN), "two")
    assert refused(user.put, played.given(READ), "three")
    assert [user.get(played.given(who)) for who in (READ, WRITE, ADMIN)] == [["one", "two"]] * 3


@each("redis")
def test_what_each_verb_of_redis_may_in_particular(played: Stage) -> None:
    def may(who: Credential, *command: str) -> bool:
        with redis.Redis.from_url(played.given(who)["url"]) as connection:
            try:
                connection.execute_command(*command)
            except redis.exceptions.NoPermissionError:
                return False
            except redis.exceptions.ResponseError as error:
                return "permission" not in str(error)
            return True

    def table(*command: str) -> list[bool]:
        return [may(who, *command) for who in (READ, WRITE, ADMIN)]

    assert table("SET", "k", "v") == [False, True, True]
    assert table("EVAL", "return redis.call('SET', KEYS[1], 'v')", "1", "k") == [False, True, True]
    assert table("EVAL_RO", "return redis.call('GET', KEYS[1])", "1", "k") == [True, True, True]
    assert table("KEYS", "*") == table("INFO") == table("SCAN", "0") == [True, True, True]
    assert table("PUBLISH", "c", "m") == [False, True, True]
    assert table("FLUSHALL") == [False, False, True]
    for command in (("CONFIG", "SET", "appendonly", "no"), ("ACL", "LIST"), ("SHUTDOWN",), ("REPLICAOF", "NO", "ONE")):
        assert table(*command) == [False, False, False], command


@each("s3")
def test_what_each_verb_of_s3_may_in_particular(played: Stage) -> None:
    store = S3()
    store.make(played.given(ADMIN))
    store.put(played.given(WRITE), "one")
    (key,) = [one["Key"] for one in store.run(played.given(READ), "list_objects_v2", Bucket="avatars")["Contents"]]

    def table(action: str, **arguments: Any) -> list[bool]:
        return [not refused(store.run, played.given(who), action, **arguments) for who in (READ, WRITE, ADMIN)]

    assert table("put_object", Bucket="films", Key="k", Body=b"1") == [False, True, True]
    assert table("put_object", Bucket="another-one", Key="k", Body=b"1") == [False, False, True]
    assert table("list_objects_v2", Bucket="another-one") == [False, False, True]
    assert table("get_object", Bucket="avatars", Key=key) == [True, True, True]
    assert table("delete_object", Bucket="avatars", Key=key) == [False, True, True]
    anybody = f"{played.given(READ)['endpoint']}/films/k"
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(anybody)
    assert raised.value.code == 403


@each("smtp")
def test_a_mail_is_kept_and_found_and_a_reader_cannot_send(played: Stage) -> None:
    put(played, "Your order")
    put(played, "Ihre Größe")
    assert refused(client(played).put, played.given(READ), "never")
    assert get(played) == ["Your order", "Ihre Größe"]
    (mail,) = mails.found(played.ground.folder, words="GRÖSSE ann@example.com")
    assert (mail.by, mail.sender, mail.recipients) == ("write", "shop@example.com", ("ann@example.com",))
    assert "Grüße" in mail.text and b"Dear Ann" in (mails.raw(played.ground.folder, mail.name) or b"")
    assert mails.raw(played.ground.folder, "../users") is None


@each(*BODIES)
def test_asked_again_nothing_changes_and_nothing_is_lost(played: Stage) -> None:
    made(played)
    put(played, "one")
    played.settle(*users(played))
    launch = played.server.prepare(played.ground)
    assert launch == played.server.prepare(played.ground), "the same declaration is the same launch: no restart"
    put(played, "two")
    assert get(played) == ["one", "two"]


@each("postgres", "redis", "s3", "nats", "mysql", "mongodb", "smtp")
def test_who_has_no_credential_is_not_let_in(played: Stage) -> None:
    made(played)
    stranger = dataclasses.replace(WRITE, user="stranger")
    wrong = dataclasses.replace(WRITE, password="wrong-password-0123456789")
    for who in (stranger, wrong):
        assert refused(client(played).put, played.given(who), "never")
    put(played, "one")
    assert get(played) == ["one"]


@each("postgres", "redis", "s3", "nats", "mysql", "mongodb", "smtp")
def test_credentials_come_and_go_while_the_server_runs(played: Stage) -> None:
    made(played)
    assert played.process is not None
    pid = played.process.pid
    second = dataclasses.replace(WRITE, user="write~2", password="another-password-0123456789")
    played.settle(*users(played, *ALL, second))
    for who in (WRITE, second):
        client(played).put(played.given(who), "by both")
    played.settle(*users(played, READ, ADMIN, second))
    deadline = time.monotonic() + 20
    while not refused(client(played).put, played.given(WRITE), "by one that was"):
        assert time.monotonic() < deadline, "a credential that is gone is still valid"
        time.sleep(0.1)
    client(played).put(played.given(second), "by one that is")
    if played.kind == "mongodb":  # a server that knows no roles
        with pytest.raises(AicRefused, match="knows no roles"):
            played.settle(READ, ADMIN, second)
        return
    demoted = dataclasses.replace(second, verb="read")
    played.settle(READ, ADMIN, demoted)
    assert refused(client(played).put, played.given(demoted), "never")
    assert get(played)[-1] == "by one that is"
    assert psutil.Process(pid).is_running() and played.process.poll() is None


@each(*BODIES)
def test_what_was_acknowledged_survives_a_stop_and_a_kill(played: Stage) -> None:
    made(played)
    kept = []
    for end in (played.kill, played.stop, played.kill):
        for number in range(5):
            put(played, text := f"{len(kept)} {number}")
            kept.append(text)
        end()
        played.start(*users(played))
    assert get(played) == kept


@each("postgres", "redis", "s3", "nats", "mysql", "mongodb", "smtp")
@pytest.mark.timeout(60 + 20 * ROUNDS)
def test_a_kill_in_the_middle_of_writing_loses_nothing_that_was_acknowledged(played: Stage) -> None:
    """AIC_ROUNDS=100 kills as often; then the longest way back is printed, too (-s)."""
    made(played)
    acknowledged: list[str] = []
    longest = 0.0
    for number in range(ROUNDS):
        ended = threading.Event()
        writer = threading.Thread(target=_write, args=(played, f"round {number}", acknowledged, ended))
        writer.start()
        wait_for = len(acknowledged) + 10
        deadline = time.monotonic() + 60
        while len(acknowledged) < wait_for and time.monotonic() < deadline:
            time.sleep(0.005)
        played.kill()
        ended.set()
        writer.join()
        killed_at = time.monotonic()
        played.start(*users(played))
        longest = max(longest, time.monotonic() - killed_at)
    print(f"{played.kind}: {ROUNDS} kills, {len(acknowledged)} acknowledged, back after {longest:.1f} s at most")  # noqa: T201
    assert len(acknowledged) >= 10 * ROUNDS
    assert set(acknowledged) <= set(get(played))


def _write(played: Stage, name: str, acknowledged: list[str], ended: threading.Event) -> None:
    number = 0
    while not ended.is_set():
        try:
            put(played, text := f"{name} {number}")
        except Exception:  # whatever a client makes of a server that is gone
            return
        acknowledged.append(text)
        number += 1


@each("postgres", "redis", "s3", "nats", "mysql", "mongodb", "smtp")
def test_no_password_is_seen_in_the_process_list_or_the_log(played: Stage) -> None:
    made(played)
    put(played, "one")
    refused(client(played).put, played.given(dataclasses.replace(WRITE, password="wrong-password-0123456789")), "no")
    assert played.process is not None
    seen = played.log.read_text("utf-8", "replace")
    for process in (psutil.Process(played.process.pid), *psutil.Process(played.process.pid).children(recursive=True)):
        seen += " ".join(process.cmdline()) + " ".join(process.environ().values())
    for one in (READ, WRITE, ADMIN):
        assert one.password not in seen
    assert "wrong-password-0123456789" not in seen


@pytest.mark.parametrize("kind", ["postgres", "redis", "s3", "nats", "mysql", "smtp"])
def test_a_version_that_cannot_be_had_is_refused_with_those_that_can(kind: str) -> None:
    if kind == "mysql":
        require_mysql()
    with pytest.raises(Mistake) as raised, stage(kind, version="0.1"):
        pass
    assert "0.1" in str(raised.value) and "url:" in (raised.value.hint or "")


@each("nats")
def test_users_are_read_by_the_time_that_settling_ends(played: Stage) -> None:
    """Twenty times in a row: no luck with the clock."""
    made(played)
    for number in range(20):
        fresh = dataclasses.replace(WRITE, user=f"w{number}", password=f"password-{number}-0123456789")
        asyncio.run(played.server.settle(played.ground, [fresh]))
        client(played).put(played.given(fresh), str(number))


@each("postgres", "redis", "s3", "nats", "mysql", "smtp")
def test_a_url_that_names_the_server_is_entered_or_says_why_not(played: Stage) -> None:
    url = played.given(ADMIN)["url"]
    version = asyncio.run(outside.check("thing", played.kind, url))
    assert version.startswith(VERSIONS[played.kind])
    with pytest.raises(Failed) as raised:
        asyncio.run(outside.check("thing", played.kind, url.replace(ADMIN.password, "wrong-password-0123456789")))
    text = f"{raised.value} {raised.value.hint}"
    assert "wrong-password" not in text and "resources/thing" in text and "url:" in text
    played.stop()
    with pytest.raises(Failed, match="nothing listens on its port"):
        asyncio.run(outside.check("thing", played.kind, url))


VERSIONS = {"postgres": "18", "redis": "9.", "s3": "", "nats": "2.", "mysql": "1", "smtp": ""}
"""What each says of itself; a store and a post office say nothing."""
