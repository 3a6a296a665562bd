"""A MongoDB-speaking server from an image, in a container on the mesh: who needs it reaches it, and its data outlives everything."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from aiculturekit import namespaces
from aiculturekit.engine import containers
from benchmarks.products import Product, application, product
from tests.images import bases
from tests.integration.test_integration_containers import ask, contained, left, pids, said, until
from tests.servers import documents, needs

_OBSTACLE = namespaces.obstacle() or containers.obstacle()
pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(300),
    pytest.mark.skipif(bool(_OBSTACLE), reason=f"no containers: {_OBSTACLE}"),
]
SERVER = """\
import json, os, pymongo, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    def things(self):
        url = self.headers.get("x-url") or os.environ["NOTES_URL"]
        return pymongo.MongoClient(url, serverSelectionTimeoutMS=3000).get_default_database()["things"]
    def do_POST(self):
        self.answer(lambda: self.things().insert_one({"text": self.rfile.read(int(self.headers["content-length"])).decode()}) and "kept")
    def do_DELETE(self): self.answer(lambda: self.things().delete_many({}).deleted_count)
    def do_GET(self): self.answer(lambda: [one["text"] for one in self.things().find()])
    def answer(self, work):
        try: status, found = 200, work()
        except Exception as error: status, found = 409, f"{type(error).__name__} {error}"
        raw = json.dumps(found).encode()
        self.send_response(status); self.send_header("content-length", str(len(raw))); self.end_headers(); self.wfile.write(raw)
    def log_message(self, *values): pass
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
TEXT = f"""
app: papers
services:
  keeper: {{run: "{sys.executable} server.py", public: /keeper, needs: [resources/notes: VERB]}}
  stranger: {{run: "{sys.executable} server.py", public: /stranger}}
resources:
  notes: {{type: mongodb, image: "IMAGE", backup: {{every: 1d, to: "file://SHELF"}}}}
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    needs.built(documents.program)
    return documents.layout(tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory, image: str) -> Path:
    folder = tmp_path_factory.mktemp("papers")
    (folder / "server.py").write_text(SERVER)
    return written(folder, image)


def written(folder: Path, image: str, verb: str = "admin") -> Path:
    return application(folder, TEXT.replace("VERB", verb).replace("IMAGE", image).replace("SHELF", f"{folder}/shelf"))


@pytest.fixture(scope="module")
def papers(code: Path) -> Iterator[Product]:
    with product() as made:
        made.set(AIC_ISOLATION="on")
        made.aic("up", "-d", str(code))
        yield made


def put(made: Product, text: str) -> None:
    status, answer = ask(made, "/keeper", method="POST", body=text)
    assert (status, answer) == (200, '"kept"'), answer


def kept(made: Product) -> list[str]:
    status, answer = ask(made, "/keeper")
    assert status == 200, answer
    return [json.loads(text) for text in json.loads(answer)]


def test_who_needs_it_writes_and_reads_and_nobody_else_gets_there(papers: Product) -> None:
    put(papers, "one")
    assert kept(papers) == ["one"]
    [row] = json.loads(papers.aic("resources", "--app", "papers", "--json"))
    assert (row["type"], row["state"], row["title"]) == ("mongodb", "ready", "MongoDB")
    assert "password" not in str(row["url"]) and row["url"].startswith("mongodb://")
    status, answer = ask(papers, "/stranger")
    assert status == 409 and "KeyError 'NOTES_URL'" in answer, "it was given nothing"


def test_it_may_do_next_to_nothing_and_says_no_password(papers: Product) -> None:
    first = contained(papers, "notes")
    status = said(first)
    assert status["Uid"].split() == ["65534"] * 4
    assert {int(status[name], 16) for name in ("CapPrm", "CapEff", "CapBnd")} == {0}
    mounts = [line.split() for line in Path(f"/proc/{first}/mountinfo").read_text().splitlines()]
    assert next(words for words in mounts if words[4] == "/")[5].startswith("ro")
    shared = [words[3] for words in mounts if str(papers.home) in words[3] or "/aiculturekit/" in words[3]]
    assert not [place for place in shared if place.endswith("/notes")], "its data, and not what lies beside it"
    assert any(place.endswith("/notes/data") for place in shared)
    key = next((papers.home / "data" / "papers" / "notes").resolve().glob("aic.key")).read_text()
    process = psutil.Process(first)
    assert key not in " ".join(process.cmdline()) + papers.aic("logs", "papers", "notes")


def test_what_was_written_survives_kills_of_the_server_its_runtime_and_the_daemon(papers: Product) -> None:
    for number, victim in enumerate((contained, lambda made, name: pids(made, name)[0])):
        put(papers, f"before kill {number}")
        before = kept(papers)
        old = pids(papers, "notes")
        os.kill(victim(papers, "notes"), signal.SIGKILL)
        until(lambda old=old: pids(papers, "notes") not in (old, []), "it was not started again")  # type: ignore[misc]
        until(lambda: ask(papers, "/keeper")[0] == 200, "it does not answer again")
        assert kept(papers) == before
    server = pids(papers, "notes")
    os.kill(papers.status()["daemon"]["pid"], signal.SIGKILL)
    papers.aic("server", "start")
    assert pids(papers, "notes") == server and kept(papers) == before


def test_passwords_are_changed_while_it_runs(papers: Product) -> None:
    server = pids(papers, "notes")
    before = kept(papers)
    papers.aic("resources", "rotate", "notes", "--app", "papers")
    until(lambda: ask(papers, "/keeper")[0] == 200, "the new password does not work")
    assert kept(papers) == before and pids(papers, "notes") == server


def test_a_snapshot_and_a_backup_are_what_it_was(papers: Product) -> None:
    before = kept(papers)
    papers.aic("snapshot", "save", "then", "--app", "papers")
    papers.aic("backup", "now", "notes", "--app", "papers")
    papers.aic("backup", "verify", "notes", "--app", "papers")
    assert ask(papers, "/keeper", method="DELETE")[0] == 200 and kept(papers) == []
    papers.aic("snapshot", "restore", "then", "--app", "papers", "--yes")
    until(lambda: ask(papers, "/keeper")[0] == 200, "it does not answer again")
    assert kept(papers) == before != []


def test_a_verb_that_the_server_cannot_hold_to_is_refused_and_nothing_changes(
    papers: Product, code: Path, image: str, tmp_path: Path
) -> None:
    server = pids(papers, "notes")
    written(code, image, "read")
    done = papers.run("up", "-d", str(code))
    written(code, image)
    assert done.returncode != 0 and "knows no roles" in done.stdout + done.stderr
    assert pids(papers, "notes") == server and ask(papers, "/keeper")[0] == 200


def test_an_image_without_such_a_server_is_refused_with_those_that_have_one(papers: Product, tmp_path: Path) -> None:
    from_nothing = application(tmp_path, "app: none\nresources: {books: {type: mongodb, image: 'oci:empty:test'}}\n")
    place = bases.layout(tmp_path / "made", is_bare=True).removeprefix("oci:").rpartition(":")[0]
    Path(place).rename(tmp_path / "empty")
    done = papers.run("up", "-d", str(from_nothing))
    assert done.returncode != 0 and "no server of MongoDB's protocol" in done.stdout + done.stderr


def test_its_data_outlives_the_application(papers: Product, code: Path) -> None:
    before, inner = kept(papers), contained(papers, "notes")
    papers.aic("down", "papers")
    assert not psutil.pid_exists(inner) and left(papers) == {"mounts": [], "processes": [], "folders": []}
    papers.aic("up", "-d", str(code))
    assert kept(papers) == before
