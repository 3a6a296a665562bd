"""The pure parts of the images: references, ignore rules, commands, tars, what is code, what a base holds."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from pathlib import Path

import pytest

from aiculturekit.errors import BuildFailed, Mistake, UsageError
from aiculturekit.images import (
    bases,
    commands,
    contents,
    facts,
    ignores,
    languages,
    layouts,
    platforms,
    pulls,
    references,
    revisions,
    tars,
)
from aiculturekit.images.blobs import Store
from aiculturekit.images.descriptors import GZIP, Descriptor
from aiculturekit.images.facts import Facts
from aiculturekit.images.tars import Entry


@pytest.mark.parametrize(
    ("text", "shown", "is_plain"),
    [
        ("python:3.12-slim", "docker.io/library/python:3.12-slim", False),
        ("grafana/grafana", "docker.io/grafana/grafana", False),
        ("registry.example/team/web:v1", "registry.example/team/web:v1", False),
        ("registry.example:5000/web", "registry.example:5000/web", False),
        ("localhost/web", "localhost/web", True),
        ("127.0.0.1:5000/web:a_b", "127.0.0.1:5000/web:a_b", True),
        ("[::1]:5000/web", "[::1]:5000/web", True),
        ("http://registry.example/web", "registry.example/web", True),
        ("https://registry.example/web", "registry.example/web", False),
        (f"a.b/web@sha256:{'0' * 64}", f"a.b/web@sha256:{'0' * 64}", False),
        ("oci:/some/where:tag", "oci:/some/where:tag", False),
        ("oci:some/where", "oci:some/where", False),
    ],
)
def test_a_reference_is_read_as_docker_reads_it(text: str, shown: str, is_plain: bool) -> None:
    found = references.parse(text)
    assert (str(found), found.is_plain) == (shown, is_plain)


@pytest.mark.parametrize(
    "text", ["", "UPPER/case", "a b", "web:", "a.b/web@sha256:12", "oci:", "-x.y/web", "a.b/../web", "x:tag:tag"]
)
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(Mistake):
        references.parse(text)


def test_a_mirror_stands_for_the_registry_it_is_named_for() -> None:
    python, other = references.parse("python:3.12"), references.parse("quay.io/a/b@sha256:" + "1" * 64)
    words = "mirror.example/hub, quay.io=http://127.0.0.1:5000"
    assert [str(one) for one in bases.mirrored(python, words)] == ["mirror.example/hub/library/python:3.12"]
    assert [str(one) for one in bases.mirrored(other, words)] == ["127.0.0.1:5000/a/b@sha256:" + "1" * 64]
    assert bases.mirrored(other, "") == []


@pytest.mark.parametrize(
    ("rule", "path", "said"),
    [
        ("secret.txt", "secret.txt", True),
        ("secret.txt", "a/secret.txt", None),
        ("**/secret.txt", "a/b/secret.txt", True),
        ("**/secret.txt", "secret.txt", True),
        ("docs", "docs/a/b.md", True),
        ("*.md", "README.md", True),
        ("*.md", "docs/README.md", None),
        ("docs/**/*.md", "docs/a/b/c.md", True),
        ("a?c", "abc", True),
        ("/build/", "build/x", True),
        ("# a comment", "# a comment", None),
        ("*\n!keep.txt", "keep.txt", False),
        ("!keep.txt\n*", "keep.txt", True),
    ],
)
def test_ignore_rules_mean_what_docker_means(rule: str, path: str, said: bool | None) -> None:
    assert ignores.verdict(path, ignores.rules(rule)) is said


def test_only_code_gets_into_an_image(tmp_path: Path) -> None:
    for name in (
        "main.py",
        ".env",
        "a/b.txt",
        "dist/app.js",
        "x.log",
        "node_modules/m/index.js",
        ".git/config",
        "secret/key",
        "aic.yaml",
    ):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "run.sh").write_text("")
    (tmp_path / "run.sh").chmod(0o755)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / ".dockerignore").write_text("secret\n!dist\n")
    found = {entry.name: entry for entry in contents.entries(tmp_path, under="app")}
    assert sorted(found) == ["app/a/b.txt", "app/dist/app.js", "app/link", "app/main.py", "app/run.sh"]
    assert found["app/link"].kind == "link" and found["app/link"].data == "a"
    assert found["app/run.sh"].is_executable and not found["app/main.py"].is_executable


def test_a_changed_file_of_the_same_size_gets_another_time_and_a_touched_one_does_not(tmp_path: Path) -> None:
    (tmp_path / "shop.css").write_text("a { color: red }")
    before = contents.entries(tmp_path, under="app")[0].mtime
    os.utime(tmp_path / "shop.css", (1, 1))
    assert contents.entries(tmp_path, under="app")[0].mtime == before >= tars.EPOCH
    (tmp_path / "shop.css").write_text("a { color: tan }")
    assert contents.entries(tmp_path, under="app")[0].mtime != before


def test_a_layer_is_the_same_bytes_whatever_the_order(tmp_path: Path) -> None:
    store = Store(tmp_path)
    entries = [Entry("b/c", "file", b"1", True), Entry("a", "link", "b/c"), Entry("b/d" * 40, "file", "ü".encode())]
    one, other = tars.make(entries, title="x", store=store), tars.make(reversed(entries), title="x", store=store)
    raw = store.path(one.descriptor.digest).read_bytes()
    assert one == other and one.descriptor == Descriptor(GZIP, f"sha256:{hashlib.sha256(raw).hexdigest()}", len(raw))
    assert one.diff_id == f"sha256:{hashlib.sha256(gzip.decompress(raw)).hexdigest()}"
    with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
        found = {member.name: member for member in tar.getmembers()}
    assert list(found) == sorted(found) and found["b"].isdir() and found["a"].linkname == "b/c"
    assert {(member.uid, member.gid, member.uname, member.mtime) for member in found.values()} == {
        (0, 0, "", tars.EPOCH)
    }
    assert (found["b/c"].mode, found["b"].mode) == (0o755, 0o755)
    assert [path.name for path in tmp_path.iterdir()] == ["blobs"], "nothing else is left in the store"


SHELL, NONE = Facts(has_shell=True), Facts()


@pytest.mark.parametrize(
    ("run", "known", "words"),
    [
        ("python app.py --name 'two words'", SHELL, ["python", "app.py", "--name", "two words"]),
        ("uvicorn main:app --port $PORT", SHELL, ["/bin/sh", "-c", "exec uvicorn main:app --port $PORT"]),
        ("uvicorn main:app --port ${PORT}", NONE, ["uvicorn", "main:app", "--port", "8080"]),
        ("cd x && ./server", SHELL, ["/bin/sh", "-c", "cd x && ./server"]),
        ("A=1 ./server", SHELL, ["/bin/sh", "-c", "A=1 ./server"]),
        ("./server", NONE, ["./server"]),
        ("echo hello", SHELL, ["/bin/sh", "-c", "echo hello"]),
    ],
)
def test_a_shell_is_only_there_where_the_command_needs_one(run: str, known: Facts, words: list[str]) -> None:
    assert commands.words(run, facts=known, port=8080) == words


@pytest.mark.parametrize("run", ["cd x && ./server", "./server $HOME", "./server --port $PORTS", "./server 'open"])
def test_a_base_without_a_shell_says_what_it_cannot_run(run: str) -> None:
    with pytest.raises(BuildFailed, match="no shell"):
        commands.words(run, facts=NONE, port=8080)


def test_a_health_question_is_asked_by_what_the_image_holds() -> None:
    probe = {
        "kind": "http",
        "path": "/healthz",
        "command": "",
        "every": 5.0,
        "timeout": 0.5,
        "fails": 3,
        "startup": 30.0,
    }
    python = commands.healthcheck(probe, language="python", facts=Facts(python="/usr/bin/python3.11"))
    assert python and python["Test"][:3] == ["CMD", "/usr/bin/python3.11", "-c"] and "/healthz" in python["Test"][3]
    assert (python["Interval"], python["Timeout"], python["StartPeriod"]) == (
        5_000_000_000,
        500_000_000,
        30_000_000_000,
    )
    compile(python["Test"][3], "healthcheck", "exec")
    assert commands.healthcheck(probe, language="other", facts=SHELL) is None
    said = commands.healthcheck({**probe, "kind": "exec", "command": "test -f x"}, language="other", facts=SHELL)
    assert said and said["Test"] == ["CMD-SHELL", "test -f x"]
    assert commands.healthcheck(None, language="python", facts=SHELL) is None


def test_a_base_is_read_through_its_layers(tmp_path: Path) -> None:
    store = Store(tmp_path)
    status = b"Package: dash\nStatus: install ok installed\nArchitecture: amd64\nVersion: 0.5\n\nPackage: gone\nStatus: deinstall ok config-files\n"
    metadata = b"Metadata-Version: 2.1\nName: pip\nVersion: 24.0\nLicense: MIT\n\nlong text\n"
    low = [
        Entry("usr/lib/os-release", "file", b'ID=debian\nVERSION_ID="12"\n'),
        Entry("var/lib/dpkg/status", "file", status),
        Entry("usr/local/bin/python3.12", "file", b""),
        Entry("usr/bin/python3.13", "file", b""),
        Entry("usr/local/lib/python3.12/site-packages/pip-24.0.dist-info/METADATA", "file", metadata),
        Entry("bin/sh", "link", "dash"),
        Entry("usr/bin/node", "file", b""),
    ]
    high = [Entry("usr/bin/.wh.node", "file", b""), Entry("usr/local/lib/python3.12/.wh.site-packages", "file", b"")]
    paths = [store.path(tars.make(layer, title="", store=store).descriptor.digest) for layer in (low, high)]
    whole, found = facts.read(paths[:1]), facts.read(paths)
    assert {one.name for one in whole.packages} == {"dash", "pip"} and whole.node == "/usr/bin/node"
    assert (found.python, found.python_version, found.node) == ("/usr/local/bin/python3.12", "3.12", "")
    assert found.has_shell and not found.is_musl and found.system == ("debian", "12")
    assert [one.name for one in found.packages] == ["dash"]
    assert facts.facts(found.as_dict()) == found


def test_the_code_says_what_it_is_written_in(tmp_path: Path) -> None:
    assert languages.detect(tmp_path, run="python app.py").language == "python"
    assert languages.detect(tmp_path, run="./server").language == "other"
    (tmp_path / "package.json").write_text("{}")
    assert languages.detect(tmp_path, run="npm start").language == "node"
    (tmp_path / "more.txt").write_text("")
    (tmp_path / "requirements.txt").write_text("-r more.txt\nuvicorn\n")
    found = languages.detect(tmp_path, run="uvicorn main:app")
    assert (found.language, [file.name for file in found.manifests]) == ("python", ["requirements.txt", "more.txt"])


def test_a_platform_that_an_index_does_not_have_is_refused_with_those_that_it_has() -> None:
    record = {"mediaType": "x", "digest": "sha256:1", "size": 1, "platform": {"os": "linux", "architecture": "amd64"}}
    index = {"manifests": [{**record, "platform": {"os": "unknown", "architecture": "unknown"}}, record]}
    assert pulls.chosen(index, "linux/amd64", "x").digest == "sha256:1"
    with pytest.raises(Mistake, match="linux/arm64") as caught:
        pulls.chosen(index, "linux/arm64", "x")
    assert caught.value.hint.endswith("linux/amd64")


def test_platforms_are_said_one_by_one_or_with_a_comma() -> None:
    assert platforms.listed(["linux/amd64,linux/arm64"]) == ("linux/amd64", "linux/arm64")
    assert platforms.listed(["linux/arm64", "linux/amd64, linux/arm64", ","]) == ("linux/arm64", "linux/amd64")
    assert platforms.listed([]) == ()
    with pytest.raises(UsageError, match="linux/riscv"):
        platforms.checked("linux/riscv")


def test_what_is_no_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Mistake, match="no OCI layout"):
        layouts.find(tmp_path, tag="")


def test_no_label_where_there_is_no_repository(tmp_path: Path) -> None:
    assert revisions.labels(tmp_path) == {}
