"""A MySQL of the application's own from an image: the machine has no server of it that is used."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from aiculturekit import namespaces
from aiculturekit.engine import containers
from benchmarks.products import Product, application, product
from tests.integration.test_integration_containers import ask, contained, left, pids, said, until
from tests.integration.test_integration_mysql import ASKER, MIGRATE, TEXT
from tests.servers import mariadbs

_OBSTACLE = namespaces.obstacle() or containers.obstacle() or mariadbs.missing()
pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(400),
    pytest.mark.skipif(bool(_OBSTACLE), reason=f"no containers: {_OBSTACLE}"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("library")


@pytest.fixture(scope="module")
def code(folder: Path) -> Path:
    (folder / "asker.py").write_text(ASKER)
    (folder / "migrate.py").write_text(MIGRATE)
    return written(folder, mariadbs.layout(folder / "image"))


def written(folder: Path, image: str) -> Path:
    text = TEXT.replace("{type: mysql, databases: [audit], ", f"{{type: mysql, image: '{image}', databases: [audit], ")
    return application(folder, text.replace("/shelf-of-the-test/", f"{folder}/shelf"))


@pytest.fixture(scope="module")
def library(code: Path) -> Iterator[Product]:
    with product() as made:
        made.set(AIC_ISOLATION="on")
        made.aic("up", "-d", str(code))
        yield made


def told(made: Product, who: str, statement: str) -> tuple[int, str]:
    return ask(made, f"/{who}", method="POST", raw=statement)


def titles(made: Product) -> str:
    status, answer = told(made, "reader", "SELECT title FROM books ORDER BY id")
    assert status == 200, answer
    return answer


def test_each_verb_may_what_it_may_and_no_more(library: Product) -> None:
    assert told(library, "writer", "INSERT INTO books (title) VALUES ('one')")[0] == 200
    assert titles(library) == '[["one"]]'
    assert told(library, "reader", "INSERT INTO books (title) VALUES ('never')")[0] == 409
    assert told(library, "writer", "CREATE TABLE never (id INT)")[0] == 409
    assert told(library, "keeper", "CREATE TABLE more (id INT)")[0] == 200


def test_it_may_do_next_to_nothing_and_sees_its_data_alone(library: Product) -> None:
    status = said(contained(library, "books-db"))
    assert status["Uid"].split() == ["65534"] * 4 and int(status["CapBnd"], 16) == 0
    inner = contained(library, "books-db")
    root = Path(f"/proc/{inner}/root")
    data = (library.home / "data" / "library" / "books-db").resolve()
    assert (root / str(data).lstrip("/") / "data" / "mysql" / "ibdata1").exists()
    assert (data / "aic.key").exists() and not (root / str(data).lstrip("/") / "aic.key").exists()
    assert (data / "aic.key").read_text() not in " ".join(psutil.Process(inner).cmdline())


def test_what_was_written_survives_kills_and_passwords_change_meanwhile(library: Product) -> None:
    before, server = titles(library), pids(library, "books-db")
    os.kill(contained(library, "books-db"), signal.SIGKILL)
    until(lambda: pids(library, "books-db") not in (server, []), "it was not started again")
    until(lambda: told(library, "reader", "SELECT 1")[0] == 200, "it does not answer again")
    assert titles(library) == before
    library.aic("resources", "rotate", "books-db", "--app", "library")
    until(lambda: told(library, "reader", "SELECT 1")[0] == 200, "the new password does not work")
    assert titles(library) == before


def test_a_snapshot_and_a_backup_are_what_it_was(library: Product) -> None:
    before = titles(library)
    library.aic("snapshot", "save", "then", "--app", "library")
    library.aic("backup", "now", "books-db", "--app", "library")
    library.aic("backup", "verify", "books-db", "--app", "library")
    assert told(library, "writer", "DELETE FROM books")[0] == 200 and titles(library) == "[]"
    library.aic("snapshot", "restore", "then", "--app", "library", "--yes")
    until(lambda: told(library, "reader", "SELECT 1")[0] == 200, "it does not answer again")
    assert titles(library) == before != "[]"


def test_another_series_is_refused_and_nothing_changes(library: Product, code: Path, folder: Path) -> None:
    before, server = titles(library), pids(library, "books-db")
    text = (code / "aic.yaml").read_text()
    written(code, mariadbs.layout(folder / "later", said="99.1.2"))
    done = library.run("up", "-d", str(code))
    (code / "aic.yaml").write_text(text)
    assert done.returncode != 0 and "nothing was touched" in done.stdout + done.stderr
    assert pids(library, "books-db") == server and titles(library) == before


def test_its_data_outlives_the_application(library: Product, code: Path) -> None:
    before = titles(library)
    library.aic("down", "library")
    assert left(library) == {"mounts": [], "processes": [], "folders": []}
    library.aic("up", "-d", str(code))
    assert titles(library) == before
