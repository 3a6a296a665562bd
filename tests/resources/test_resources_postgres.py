"""What PostgreSQL is told, and what is done with a cluster's files before it runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aiculturekit.errors import Failed, Mistake, Refused
from aiculturekit.resources.backends.postgres import Postgres, clusters, databases, scripts
from aiculturekit.resources.servers import Credential, Ground, Several

PASSWORD = "no'body \\ knows"
READER = Credential("web", "read", "web", PASSWORD)
KEEPER = Credential("keeper", "admin", "keeper~2", PASSWORD)


def ground(folder: Path, **body: object) -> Ground:
    programs = folder / "tool" / "bin"
    extensions = folder / "tool" / "share" / "extension"
    extensions.mkdir(parents=True, exist_ok=True)
    (extensions / "vector.control").touch()
    return Ground("shop", "users-db", {"type": "postgres", **body}, folder / "data", folder / "run", programs)


def cluster(at: Ground, version: str = "18") -> Path:
    folder = clusters.folder(at)
    (folder / "global").mkdir(parents=True)
    (folder / "PG_VERSION").write_text(f"{version}\n")
    (folder / "global" / "pg_control").touch()
    return folder


def test_no_script_has_a_password() -> None:
    script = scripts.cluster(["users_db"], [READER, KEEPER])
    assert PASSWORD not in script
    assert script.count("SCRAM-SHA-256$4096:") == 2


def test_a_credential_is_a_login_in_one_role() -> None:
    script = scripts.cluster(["users_db"], [READER, KEEPER])
    assert 'GRANT aic_read TO "web";' in script and 'GRANT aic_write TO "web"' not in script
    assert 'GRANT aic_admin TO "keeper~2";' in script
    assert "ALTER ROLE \"keeper~2\" SET role = 'aic_admin';" in script and 'ALTER ROLE "web" RESET role;' in script


@pytest.mark.parametrize("value", ['a"b', "a'b", "a\\b", "a;DROP ROLE x", "ä \n"])
def test_names_and_texts_stay_what_they_are(value: str) -> None:
    assert scripts.name(value)[1:-1].replace('""', '"') == value
    assert scripts.text(value)[1:-1].replace("''", "'") == value


def test_what_makes_is_asked_first_whether_it_is_there() -> None:
    made = [line for line in scripts.cluster(["users_db", "audit"], [READER]).splitlines() if "CREATE" in line]
    assert len(made) == 3 + 1 + 2 + 1
    assert all("WHERE NOT EXISTS" in line and line.endswith("\\gexec") for line in made)


def test_writers_write_what_administrators_will_make_and_make_nothing() -> None:
    script = scripts.contents("users_db", extensions=["vector"])
    assert 'CREATE EXTENSION IF NOT EXISTS "vector";' in script
    assert "GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO aic_write;" in script
    assert "GRANT SELECT ON TABLES TO aic_read;" in script
    assert "GRANT CREATE" not in script


def test_the_url_names_the_resources_own_database_and_further_ones_have_their_own(tmp_path: Path) -> None:
    at = ground(tmp_path, databases=["audit", "users_db"])
    assert databases(at.name, at.body) == ["users_db", "audit"]
    server = Postgres()
    assert isinstance(server, Several)
    plain = Credential("web", "read", "web~2", "secret")
    assert server.url(at, plain, host="127.0.0.1", port=7) == "postgresql://web~2:secret@127.0.0.1:7/users_db"
    assert server.further_urls(at, plain, host="127.0.0.1", port=7) == {
        "audit": "postgresql://web~2:secret@127.0.0.1:7/audit"
    }


def test_what_cannot_be_had_is_said_before_anything_is_touched(tmp_path: Path) -> None:
    with pytest.raises(Mistake, match="PostgreSQL 9 cannot be had here"):
        Postgres().tool({"version": "9"})
    for body, words in (
        ({"extensions": ["postgis"]}, "no extension 'postgis'"),
        ({"databases": ["template1"]}, "'template1'"),
        ({"databases": ['a"b']}, "no database can be called"),
    ):
        at = ground(tmp_path, **body)
        with pytest.raises(Mistake, match=words) as caught:
            Postgres().prepare(at)
        assert caught.value.hint
        assert not at.folder.exists()


def test_data_of_another_version_is_refused_with_instructions(tmp_path: Path) -> None:
    at = ground(tmp_path)
    folder = cluster(at, "17")
    with pytest.raises(Refused, match="PostgreSQL 17, not 18") as caught:
        Postgres().prepare(at)
    assert "pg_dumpall" in (caught.value.hint or "")
    assert sorted(file.name for file in folder.iterdir()) == ["PG_VERSION", "global"], "nothing was touched"


@pytest.mark.parametrize("file", ["PG_VERSION", "global/pg_control"])
def test_damaged_data_is_said_to_be(tmp_path: Path, file: str) -> None:
    at = ground(tmp_path)
    (cluster(at) / file).unlink()
    with pytest.raises(Failed, match=f"damaged: it has no {file}"):
        Postgres().prepare(at)


def test_the_number_of_a_dead_server_is_forgotten_a_living_ones_is_not(tmp_path: Path) -> None:
    at = ground(tmp_path)
    file = cluster(at) / "postmaster.pid"
    file.write_text(f"{os.getpid()}\n")  # somebody who works elsewhere has the number now
    launch = Postgres().prepare(at)
    assert not file.exists()
    assert '-p "$PORT"' in launch.command and "include" not in launch.command
    file.write_text(f"{os.getpid()}\n")
    before = Path.cwd()
    os.chdir(file.parent)
    try:
        Postgres().prepare(at)
    finally:
        os.chdir(before)
    assert file.exists()
