"""Images against a real registry, and running: what `aic build` makes is pushed, read by skopeo, pulled back, unpacked and started."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiculturekit import installers
from aiculturekit.control import recipes
from aiculturekit.errors import BuildFailed, Refused, Unreachable
from aiculturekit.images import bills, builds, descriptors, indexes, layouts, provenances, registries
from aiculturekit.images.blobs import Store
from aiculturekit.images.builds import Built, Recipe
from aiculturekit.images.descriptors import INDEX, MANIFEST
from aiculturekit.images.tars import Layer
from aiculturekit.spec import load
from tests.images import bases
from tests.servers import distributions as servers
from tests.servers.distributions import Served

SHOP = Path(__file__).parents[2] / "examples" / "shop"
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(bool(servers.MISSING), reason=servers.MISSING),
    pytest.mark.skipif(bool(bases.missing()), reason=bases.missing()),
    pytest.mark.timeout(300),
]


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Served]:
    with servers.running(tmp_path / "registry") as served:
        yield served


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    return bases.layout(tmp_path_factory.mktemp("python"), architecture=_machine())


@pytest.fixture
def bare(tmp_path: Path) -> str:
    return bases.layout(tmp_path / "bare", architecture=_machine(), is_bare=True)


def _machine() -> str:
    return builds.platforms.own().rpartition("/")[2]


def _recipe(service: str, base: str) -> Recipe:
    found = recipes.recipes(load.load(SHOP / "aic.yaml"))
    return dataclasses.replace(next(one for one in found if one.document[1].startswith(f"{service}/")), base=base)


def _skopeo(*words: str) -> Any:
    done = subprocess.run(["skopeo", *words], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout.strip().startswith("{") else done.stdout


async def test_the_shop_is_pushed_and_only_what_is_new_the_next_time(
    tmp_path: Path, registry: Served, python: str
) -> None:
    store = tmp_path / "store"
    pushed = {}
    for service in ("notification", "user-service"):
        built = await builds.build(_recipe(service, python), store=store)
        pushed[service] = await registries.push(built, store=store, to=f"{registry.address}/team/{built.recipe.name}")
        seen = _skopeo("inspect", "--tls-verify=false", f"docker://{pushed[service]}")
        assert seen["Digest"] == built.digest and pushed[service].endswith(f"@{built.digest}")
        assert seen["Layers"] == [one.descriptor.digest for one in built.layers]
    uploads = [path for path in registry.sent if "/shop-user-service/blobs/uploads/" in path and "digest=" in path]
    assert len(uploads) == 2 + 2, (
        "its code, its configuration and what hangs on it; the base and the dependencies were mounted"
    )
    before = len(registry.sent)
    built = await builds.build(_recipe("notification", python), store=store)
    assert (
        await registries.push(built, store=store, to=f"{registry.address}/team/shop-notification:v2")
        == pushed["notification"]
    )
    assert [path.rpartition("/")[2] for path in registry.sent[before:]] == ["v2"], "nothing but the new tag"


async def test_what_hangs_on_an_image_is_found_there(tmp_path: Path, registry: Served, python: str) -> None:
    store = tmp_path / "store"
    built = await builds.build(_recipe("notification", python), store=store)
    await registries.push(built, store=store, to=f"{registry.address}/team/web")
    await registries.push(built, store=store, to=f"{registry.address}/team/web")
    root = f"http://{registry.address}/v2/team/web"
    index = _read(f"{root}/manifests/{built.digest.replace(':', '-')}", INDEX)
    assert {one["artifactType"] for one in index["manifests"]} == {bills.MEDIA_TYPE, provenances.MEDIA_TYPE}
    found = {one["artifactType"]: _read(f"{root}/manifests/{one['digest']}", MANIFEST) for one in index["manifests"]}
    assert all(manifest["subject"]["digest"] == built.digest for manifest in found.values())
    bill = _read(f"{root}/blobs/{found[bills.MEDIA_TYPE]['layers'][0]['digest']}", "*/*")
    urls = [one["externalRefs"][0]["referenceLocator"] for one in bill["packages"]]
    assert any(url.startswith("pkg:pypi/uvicorn@") for url in urls) and any(
        url.startswith("pkg:deb/debian/dash@") for url in urls
    )


def _read(url: str, accept: str) -> Any:
    request = urllib.request.Request(url, headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


async def test_a_base_comes_from_a_registry_once_and_from_a_mirror_first(
    tmp_path: Path, bare: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = _code(tmp_path)
    store = tmp_path / "store"
    with servers.running(tmp_path / "registry") as served:
        _skopeo("copy", "--dest-tls-verify=false", bare, f"docker://{served.address}/hub/library/tiny:1")
        monkeypatch.setenv("AIC_REGISTRY_MIRROR", f"127.0.0.1:1,{served.address}/hub")
        wanted = Recipe(name="web", directory=code, run="./server", base="tiny:1")
        told: list[str] = []
        built = await builds.build(wanted, store=store, progress=told.append)
        assert any("127.0.0.1:1" in line for line in told), "the mirror that is down is said"
        assert ("GET", f"/v2/hub/library/tiny/blobs/{built.layers[0].descriptor.digest}") in served.asked
        before = len(served.asked)
        (code / "more").write_text("x")
        await builds.build(wanted, store=store)
        assert len(served.asked) == before, "a base that is known is not asked for"
        await builds.build(wanted, store=store, is_fresh=True)
        assert [path for _, path in served.asked[before:]] == ["/v2/hub/library/tiny/manifests/1"], (
            "only what the tag means now"
        )
    (code / "more").write_text("y")
    offline = await builds.build(wanted, store=store)
    assert offline.layers[0] == built.layers[0]
    with pytest.raises(Unreachable, match=served.address):
        await builds.build(
            dataclasses.replace(wanted, base=f"{served.address}/hub/library/tiny:1"), store=tmp_path / "empty"
        )


def _code(tmp_path: Path) -> Path:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "server").write_text("#!/bin/sh\n")
    return folder


async def test_who_may_not_push_is_told_so_and_a_login_is_enough(
    tmp_path: Path, bare: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    built = await builds.build(
        Recipe(name="web", directory=_code(tmp_path), run="./server", base=bare), store=tmp_path / "store"
    )
    with servers.tokens(tmp_path / "tokens") as auth, servers.running(tmp_path / "registry", auth=auth) as served:
        place = f"{served.address}/team/web"
        with pytest.raises(Refused, match=served.address) as caught:
            await registries.push(built, store=tmp_path / "store", to=place)
        assert "docker login" in caught.value.hint and servers.PASSWORD not in str(caught.value)
        for write in (_wrong, _plain, _helper):
            write(tmp_path, served.address)
            if write is _wrong:
                with pytest.raises(Refused):
                    await registries.push(built, store=tmp_path / "store", to=place)
                continue
            assert (await registries.push(built, store=tmp_path / "store", to=f"{place}{write.__name__}")).endswith(
                built.digest
            )
        sent = [path for path in served.sent if "/web_helper/blobs" in path and "digest=" in path]
        assert sent == [], "all of it was mounted"
        seen = _skopeo(
            "inspect",
            "--tls-verify=false",
            f"--creds={servers.USER}:{servers.PASSWORD}",
            f"docker://{place}_plain@{built.digest}",
        )
        assert seen["Digest"] == built.digest


def _config(tmp_path: Path, content: dict[str, Any]) -> None:
    (tmp_path / "docker").mkdir(exist_ok=True)
    (tmp_path / "docker" / "config.json").write_text(json.dumps(content))


def _wrong(tmp_path: Path, address: str) -> None:
    _config(tmp_path, {"auths": {address: {"username": servers.USER, "password": "battery staple"}}})


def _plain(tmp_path: Path, address: str) -> None:
    _config(tmp_path, {"auths": {address: {"username": servers.USER, "password": servers.PASSWORD}}})


def _helper(tmp_path: Path, address: str) -> None:
    """As `docker login` leaves it where a keychain keeps the password."""
    program = tmp_path / "bin" / "docker-credential-test"
    program.parent.mkdir(exist_ok=True)
    answer = json.dumps({"ServerURL": address, "Username": servers.USER, "Secret": servers.PASSWORD})
    program.write_text(f"#!/bin/sh\nread asked\n[ \"$asked\" = {address} ] || exit 1\necho '{answer}'\n")
    program.chmod(0o755)
    _config(tmp_path, {"auths": {address: {}}, "credHelpers": {address: "test"}})


async def test_several_platforms_are_one_name(tmp_path: Path, registry: Served) -> None:
    store = Store(tmp_path / "store")
    parts: list[Built] = []
    both = _both(tmp_path)
    code = _code(tmp_path)
    for platform in ("linux/arm64", "linux/amd64"):
        parts.append(
            await builds.build(
                Recipe(name="web", directory=code, run="./server", base=both, platform=platform), store=store.folder
            )
        )
    top = indexes.join(parts, store=store)
    reference = await registries.push_index(top, parts, store=store.folder, to=f"{registry.address}/team/web:v1")
    assert reference == f"{registry.address}/team/web@{top.digest}"
    for built in parts:
        architecture = built.recipe.platform.rpartition("/")[2]
        seen = _skopeo(
            "inspect",
            "--tls-verify=false",
            f"--override-arch={architecture}",
            f"docker://{registry.address}/team/web:v1",
        )
        assert seen["Architecture"] == architecture and seen["Layers"] == [
            one.descriptor.digest for one in built.layers
        ]


def _both(tmp_path: Path) -> str:
    """A base for two platforms under one tag."""
    store, listed = Store(tmp_path / "both"), []
    for architecture in ("amd64", "arm64"):
        folder = Path(
            bases.layout(tmp_path / architecture, architecture=architecture, is_bare=True)
            .removeprefix("oci:")
            .rpartition(":")[0]
        )
        manifest = layouts.find(folder, tag="test")
        for blob in layouts.reachable(manifest, store=Store(folder)):
            store.copy(Store(folder).path(blob.digest), blob)
        listed.append({**manifest.as_dict(), "platform": {"os": "linux", "architecture": architecture}})
    index = store.put_document({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}, media_type=INDEX)
    layouts.write(tmp_path / "together", {"test": index}, store=store)
    return f"oci:{tmp_path / 'together'}:test"


@pytest.mark.skipif(
    os.geteuid() != 0 or not sys.platform.startswith("linux"), reason="a root of its own needs root on Linux"
)
async def test_the_pushed_image_runs_as_nobody_and_answers(tmp_path: Path, registry: Served, python: str) -> None:
    """Pulled by another tool, unpacked, started with nothing but what the image says, and asked as the image says."""
    store = tmp_path / "store"
    built = await builds.build(_recipe("notification", python), store=store)
    reference = await registries.push(built, store=store, to=f"{registry.address}/team/web")
    _skopeo("copy", "--src-tls-verify=false", f"docker://{reference}", f"oci:{tmp_path / 'pulled'}:web")
    root, about = _unpacked(tmp_path / "pulled", tmp_path / "root")
    port = servers.free()
    variables = {**dict(text.split("=", 1) for text in about["Env"]), "PORT": str(port)}
    process = subprocess.Popen([*_entered(root, about), *about["Cmd"]], env=variables)
    try:
        answer = _asked(f"http://127.0.0.1:{port}/healthz", process)
        assert answer == 200
        status = Path(f"/proc/{process.pid}/status").read_text()
        assert "Uid:\t65532\t65532" in status
        test = subprocess.run(
            [*_entered(root, about), *about["Healthcheck"]["Test"][1:]], env=variables, timeout=60, check=False
        )
        assert test.returncode == 0
        version = subprocess.run(
            [*_entered(root, about), "uvicorn", "--version"],
            env=variables,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert version.stdout.startswith("Running uvicorn"), version.stderr
    finally:
        process.terminate()
        assert process.wait(30) is not None, (
            "it ends when it is asked to: it is the process itself, not a shell before it"
        )


def _unpacked(layout: Path, root: Path) -> tuple[Path, dict[str, Any]]:
    store = Store(layout)
    manifest = store.document(layouts.find(layout, tag="web").digest)
    for record in manifest["layers"]:
        with tarfile.open(store.path(descriptors.described(record).digest)) as tar:
            tar.extractall(root, filter="fully_trusted")
    about: dict[str, Any] = store.document(manifest["config"]["digest"])["config"]
    return root, about


def _entered(root: Path, about: dict[str, Any]) -> list[str]:
    """chroot as the image's user, in its working directory."""
    chroot = str(shutil.which("chroot"))
    inside = "cd " + about["WorkingDir"] + ' && exec "$@"'
    return [chroot, f"--userspec={about['User']}", str(root), "/bin/sh", "-c", inside, "sh"]


def _asked(url: str, process: subprocess.Popen[bytes]) -> int:
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return int(answer.status)
        except OSError:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.2)


def test_the_command_writes_what_skopeo_reads(tmp_path: Path, python: str) -> None:
    shutil.copytree(SHOP / "services" / "notification", tmp_path / "app")
    (tmp_path / "app" / "aic.yaml").write_text(
        f"app: shop\nservices:\n  web: {{run: 'uvicorn main:app --port $PORT', base: '{python}'}}\njobs:\n  tidy: {{run: python main.py, base: '{python}'}}\n"
    )
    environment = {**os.environ, "AIC_HOME": str(tmp_path / "home"), "AIC_LANG": "en"}

    def aic(*words: str) -> str:
        command = [sys.executable, "-m", "aiculturekit", "build", str(tmp_path / "app"), *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    made = json.loads(aic("--json", "-o", str(tmp_path / "out")))
    assert [(one["name"], one["kind"], one["workload"]) for one in made] == [
        ("shop-web", "workload", "web/v1"),
        ("shop-tidy", "job", "tidy"),
    ]
    assert _skopeo("inspect", f"oci:{tmp_path / 'out'}:shop-web")["Digest"] == made[0]["digest"]
    assert (tmp_path / "out" / "attached" / "shop-web.spdx.json").is_file()
    assert "shop-tidy" in aic("-o", str(tmp_path / "shop.tar"), "--workload", "tidy")
    seen = _skopeo("inspect", f"docker-archive:{tmp_path / 'shop.tar'}:shop-tidy:latest")
    assert seen["Env"] == _skopeo("inspect", f"oci:{tmp_path / 'out'}:shop-tidy")["Env"]


def _project(folder: Path) -> Path:
    """A project with a dependency, a script, and code that only its wheel puts where it is found."""
    (folder / "src" / "greeter").mkdir(parents=True)
    (folder / "src" / "greeter" / "__init__.py").write_text(
        "import h11\n\n\ndef main():\n    print('hello', bool(h11.__version__))\n"
    )
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "greeter"\nversion = "1.0"\ndependencies = ["h11"]\n[project.scripts]\ngreet = "greeter:main"\n'
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
    )
    return folder


@pytest.mark.skipif(
    os.geteuid() != 0 or not sys.platform.startswith("linux"), reason="a root of its own needs root on Linux"
)
@pytest.mark.parametrize("is_locked", [False, True])
async def test_a_project_is_installed_with_its_scripts_and_the_same_everywhere(
    tmp_path: Path, python: str, is_locked: bool
) -> None:
    code = _project(tmp_path / "project")
    if is_locked:
        subprocess.run([str(installers.uv()), "lock", "--quiet", "--project", str(code)], check=True, timeout=120)
    before = sorted(path.name for path in code.iterdir())
    wanted = Recipe(name="greeter", directory=code, run="greet", base=python)
    one = await builds.build(wanted, store=tmp_path / "one")
    assert sorted(path.name for path in code.iterdir()) == before, "nothing is left beside the code"
    elsewhere = shutil.copytree(code, tmp_path / "elsewhere")
    two = await builds.build(dataclasses.replace(wanted, directory=elsewhere), store=tmp_path / "two")
    assert one.digest == two.digest and [layer.title for layer in one.layers] == [
        "base",
        "dependencies",
        "project",
        "code",
    ]
    layouts.write(tmp_path / "out", {"web": one.manifest}, store=Store(tmp_path / "one"))
    root, about = _unpacked(tmp_path / "out", tmp_path / "root")
    variables = dict(text.split("=", 1) for text in about["Env"])
    done = subprocess.run(
        [*_entered(root, about), *about["Cmd"]], env=variables, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.returncode) == ("hello True\n", 0), done.stderr
    asked = "import importlib.metadata as m; print(all(f.locate().exists() for f in m.files('greeter')), m.version('h11') != '')"
    done = subprocess.run(
        [*_entered(root, about), "python", "-c", asked],
        env=variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "True True\n", done.stderr


async def test_another_processor_gets_its_own_wheels_and_packages(tmp_path: Path) -> None:
    """Made here for a machine that this is not: nothing of it runs."""
    base = bases.layout(tmp_path / "base", architecture="arm64")
    python, node = tmp_path / "python", tmp_path / "node"
    python.mkdir()
    (python / "requirements.txt").write_text("httptools\n")
    built = await builds.build(
        Recipe(name="web", directory=python, run="python x.py", base=base, platform="linux/arm64"), store=tmp_path / "s"
    )
    names = _names(built.layers[1], tmp_path / "s")
    native = [name for name in names if name.endswith(".so")]
    assert native and all("aarch64" in name for name in native)
    if shutil.which("npm"):
        node.mkdir()
        (node / "package.json").write_text('{"name": "n", "version": "1.0.0", "dependencies": {"esbuild": "0.25.0"}}')
        built = await builds.build(
            Recipe(name="n", directory=node, run="node x.js", base=base, platform="linux/arm64"), store=tmp_path / "s"
        )
        names = _names(built.layers[1], tmp_path / "s")
        assert "app/node_modules/@esbuild/linux-arm64/bin/esbuild" in names and "app/node_modules/.bin/esbuild" in names
        assert [path.name for path in node.iterdir()] == ["package.json"]


def _names(layer: Layer, store: Path) -> list[str]:
    with tarfile.open(Store(store).path(layer.descriptor.digest)) as tar:
        return tar.getnames()


async def test_what_has_no_wheel_is_refused_with_the_installers_words(tmp_path: Path, python: str) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "requirements.txt").write_text("h11==999\n")
    with pytest.raises(BuildFailed) as caught:
        await builds.build(
            Recipe(name="web", directory=tmp_path / "code", run="python x.py", base=python), store=tmp_path / "s"
        )
    assert any("h11" in line for line in caught.value.tail) and "check the names" in caught.value.hint


@pytest.mark.parametrize("kind", ["source", "amd64"])
async def test_what_was_built_for_no_such_machine_is_named_with_a_way_out(tmp_path: Path, kind: str) -> None:
    """Only its source is there, or only a wheel for another processor."""
    base, code = bases.layout(tmp_path / "base", architecture="arm64"), tmp_path / "code"
    code.mkdir()
    (code / "requirements.txt").write_text("--no-index\n--find-links .\nnative>=1\n")
    _package(code, kind)
    with pytest.raises(BuildFailed, match=r"native has no wheel for linux/arm64 and Python 3\.") as caught:
        await builds.build(
            Recipe(name="web", directory=code, run="python x.py", base=base, platform="linux/arm64"),
            store=tmp_path / "s",
        )
    assert "--find-links" in caught.value.hint and any("native" in line for line in caught.value.tail)


def _package(folder: Path, kind: str) -> None:
    metadata = "Metadata-Version: 2.1\nName: native\nVersion: 1.0\n"
    if kind == "source":
        with tarfile.open(folder / "native-1.0.tar.gz", "w:gz") as tar:
            for name, text in {"PKG-INFO": metadata, "setup.py": "raise SystemExit('nobody runs this')\n"}.items():
                entry = tarfile.TarInfo(f"native-1.0/{name}")
                entry.size = len(text)
                tar.addfile(entry, io.BytesIO(text.encode()))
        return
    tag = "py3-none-manylinux2014_x86_64"
    with zipfile.ZipFile(folder / f"native-1.0-{tag}.whl", "w") as wheel:
        wheel.writestr("native-1.0.dist-info/METADATA", metadata)
        wheel.writestr("native-1.0.dist-info/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n")
        wheel.writestr("native-1.0.dist-info/RECORD", "")
