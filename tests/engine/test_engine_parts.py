"""Ports, probes, sources, autoscaling, environments, limits: the engine's smaller parts."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiculturekit import shells
from aiculturekit.engine import environments, limits, ports, probes, sources, watching
from aiculturekit.engine.autoscaling import WINDOW, Sample, decide
from aiculturekit.engine.workloads import Key, Limits, Probe, Workload, as_record, from_record
from aiculturekit.errors import BuildFailed


def quiet(message: str) -> None:
    pass


def test_a_port_is_free_and_outside_of_the_kernels_range() -> None:
    taken: set[int] = set()
    for _ in range(50):
        port = ports.allocate(taken)
        assert ports.FIRST <= port <= ports.LAST and port not in taken
        taken.add(port)
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not ports.is_free(server.getsockname()[1])
    assert not ports.is_free(0) and not ports.is_free(70000)


async def answer(raw: bytes) -> tuple[asyncio.Server, int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(raw)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("raw", "is_well"),
    [
        (b"HTTP/1.1 204 No\r\n\r\n", True),
        (b"HTTP/1.1 302 F\r\n\r\n", True),
        (b"HTTP/1.1 503 N\r\n\r\n", False),
        (b"nonsense\n", False),
        (b"", False),
    ],
)
async def test_an_http_probe_reads_the_status(raw: bytes, is_well: bool, tmp_path: Path) -> None:
    server, port = await answer(raw)
    async with server:
        verdict = await probes.ask(Probe("http", path="/x"), port=port, directory=tmp_path, environment={})
    assert verdict.is_well is is_well and verdict.message


async def test_probes_of_a_command_and_of_a_port(tmp_path: Path) -> None:
    (tmp_path / "flag").touch()
    environment = {"PATH": os.environ["PATH"], "NAME": "flag"}

    async def ask(probe: Probe, port: int = 1) -> probes.Verdict:
        return await probes.ask(probe, port=port, directory=tmp_path, environment=environment)

    assert (await ask(Probe("exec", command="test -f $NAME"))).is_well
    assert not (await ask(Probe("exec", command="exit 3"))).is_well
    assert "no answer within 0.2 s" in (await ask(Probe("exec", command="sleep 30", timeout=0.2))).message
    assert "nothing listens" in (await ask(Probe("tcp"))).message
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert (await ask(Probe("tcp"), server.getsockname()[1])).is_well


def test_a_fingerprint_follows_content_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("one")
    before = sources.digest(tmp_path)
    os.utime(tmp_path / "a.py", (1, 1))
    for noise in ("x.log", "__pycache__/a.pyc", "node_modules/m/i.js", "aic.yaml", "d.db-wal", "secret.tmp"):
        (tmp_path / noise).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / noise).write_text("noise")
    (tmp_path / ".gitignore").write_text("# ours\n*.tmp\n")
    with_rules = sources.digest(tmp_path)
    (tmp_path / ".gitignore").unlink()
    (tmp_path / "secret.tmp").unlink()
    assert sources.digest(tmp_path) == before != with_rules
    (tmp_path / "a.py").write_text("two")
    assert sources.digest(tmp_path) != before
    assert sources.digest(tmp_path / "nowhere") == ""


def test_a_snapshot_is_the_tree_as_it_was_and_is_made_once(tmp_path: Path) -> None:
    code, store = tmp_path / "code", tmp_path / "store"
    (code / "deep").mkdir(parents=True)
    (code / "deep" / "a.py").write_text("one")
    place = sources.snapshot(code, store=store)
    assert place is not None and (place / "deep" / "a.py").read_text() == "one"
    assert sources.snapshot(code, store=store) == place
    (code / "deep" / "a.py").write_text("two")
    assert sources.snapshot(code, store=store) != place
    sources.prune(store, keep={place.name})
    assert [folder.name for folder in store.iterdir()] == [place.name]
    assert sources.digest(place) == place.name


async def test_watching_tells_what_really_changed(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.py").write_text(name)
    seen = watching.watch({name: tmp_path / name for name in ("one", "two")})
    first = asyncio.ensure_future(anext(seen))
    await asyncio.sleep(0.4)
    (tmp_path / "two" / "a.py").touch()
    (tmp_path / "one" / "a.py").write_text("changed")
    assert await asyncio.wait_for(first, 10) == {"one"}


LOADS = st.lists(st.floats(0, 1000), min_size=1, max_size=20)


@given(LOADS, st.integers(1, 10), st.integers(0, 5), st.integers(5, 20), st.floats(1, 200))
def test_replicas_stay_within_bounds_and_a_heavier_load_never_needs_fewer(
    loads: list[float], current: int, minimum: int, maximum: int, rps: float
) -> None:
    def wanted(factor: float) -> int:
        samples = [Sample(at * 5.0, rate=load * factor) for at, load in enumerate(loads)]
        return decide(samples, current=current, minimum=minimum, maximum=maximum, rps=rps, cpu=None, now=samples[-1].at)

    assert minimum <= wanted(1) <= maximum
    assert wanted(2) >= wanted(1) or current > wanted(1)


def test_up_at_once_down_slowly_and_by_half() -> None:
    def wanted(*rates: float, current: int) -> int:
        samples = [Sample(at * 5.0, rate=rate) for at, rate in enumerate(rates)]
        return decide(samples, current=current, minimum=1, maximum=10, rps=100, cpu=None, now=samples[-1].at)

    assert wanted(50, 850, current=1) == 9
    assert wanted(850, 50, current=9) == 9, "a gap between two waves takes nothing away"
    assert wanted(*[50.0] * (int(WINDOW / 5) + 2), current=9) == 5
    assert wanted(205, current=2) == 2, "within the tolerance nothing moves"


async def test_an_environment_is_built_once_and_shared_by_content(tmp_path: Path) -> None:
    wheel = _package(tmp_path / "pkg")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "requirements.txt").write_text(f"{wheel}\n")
    said: list[str] = []
    first, second = await asyncio.gather(
        *(
            environments.prepare(tmp_path / name, cache=tmp_path / "cache", progress=said.append)
            for name in ("one", "two")
        )
    )
    assert first == second and first.kind == "python"
    assert sum("installing the dependencies" in line for line in said) == 1
    assert (first.path[0] / "python").exists()
    process = await asyncio.create_subprocess_exec(str(first.path[0] / "python"), "-c", "import tiny_thing")
    assert await process.wait() == 0
    environments.prune(tmp_path / "cache", keep=set())
    assert not first.path[0].exists()


def _package(folder: Path) -> Path:
    """A package of our own, so that no index is asked."""
    folder.mkdir()
    (folder / "tiny_thing.py").write_text("")
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n[project]\nname = "tiny-thing"\nversion = "1"\n'
    )
    (folder / "backend.py").write_text(
        "import zipfile\ndef build_wheel(directory, config_settings=None, metadata_directory=None):\n"
        "    name = 'tiny_thing-1-py3-none-any.whl'\n"
        "    with zipfile.ZipFile(directory + '/' + name, 'w') as wheel:\n"
        "        wheel.writestr('tiny_thing.py', '')\n"
        "        wheel.writestr('tiny_thing-1.dist-info/METADATA', 'Metadata-Version: 2.1\\nName: tiny-thing\\nVersion: 1\\n')\n"
        "        wheel.writestr('tiny_thing-1.dist-info/WHEEL', 'Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')\n"
        "        wheel.writestr('tiny_thing-1.dist-info/RECORD', '')\n"
        "    return name\n"
    )
    return folder


async def test_an_installation_that_fails_says_what_the_installer_said_and_leaves_nothing_complete(
    tmp_path: Path,
) -> None:
    (tmp_path / "requirements.txt").write_text("./there/is/no/such/folder\n")
    with pytest.raises(BuildFailed) as raised:
        await environments.prepare(tmp_path, cache=tmp_path / "cache", progress=quiet)
    assert raised.value.tail and "requirements.txt" in raised.value.message
    assert not list((tmp_path / "cache").glob("*/.complete"))


async def test_code_without_a_manifest_needs_nothing(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.ruff]\nline-length = 100\n")
    assert (await environments.prepare(tmp_path, cache=tmp_path / "cache", progress=quiet)).kind == "none"


@pytest.mark.skipif(shutil.which("npm") is None, reason="needs npm")
async def test_a_node_project_gets_its_modules_beside_its_code(tmp_path: Path) -> None:
    (tmp_path / "dep").mkdir()
    (tmp_path / "dep" / "package.json").write_text('{"name": "dep", "version": "1.0.0", "main": "i.js"}')
    (tmp_path / "dep" / "i.js").write_text("module.exports = 1")
    (tmp_path / "package.json").write_text('{"name": "x", "version": "1.0.0", "dependencies": {"dep": "file:dep"}}')
    made = await environments.prepare(tmp_path, cache=tmp_path / "cache", progress=quiet)
    assert made.kind == "node" and (tmp_path / "node_modules" / "dep" / "i.js").exists()
    said: list[str] = []
    await environments.prepare(tmp_path, cache=tmp_path / "cache", progress=said.append)
    assert said == []


def test_limits_become_words_of_the_shell() -> None:
    assert "ulimit -d 131072" in limits.prefix(Limits(memory=128 << 20), has_cgroup=False)
    assert "ulimit -d" not in limits.prefix(Limits(memory=128 << 20), has_cgroup=True)
    assert limits.Group.create("n", "r", limits=Limits()) is None
    assert limits.describe()


def test_a_workload_survives_the_record() -> None:
    workload = Workload(
        Key("a", "b"), "run", Path("/x"), "r", {"A": "1"}, liveness=Probe("http"), limits=Limits(cpu=250)
    )
    assert from_record(as_record(workload)) == workload


@pytest.mark.parametrize(
    ("text", "is_replaced"),
    [
        ("uvicorn main:app --port $PORT", True),
        ('python "my app.py"', True),
        ("FOO=1 python app.py", False),
        ("cd x && python app.py", False),
        ("python a.py > out", False),
        ("exec python a.py", False),
        ("echo hello", False),
        ("", False),
    ],
)
def test_a_simple_command_takes_the_place_of_its_shell(text: str, is_replaced: bool) -> None:
    assert shells.command(text) == (f"exec {text}" if is_replaced else text)
