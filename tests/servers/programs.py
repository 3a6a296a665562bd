"""The programs of a Kubernetes for tests, and a server of MongoDB's protocol, built by Go once and kept in the user's cache by version.

Kubernetes' own come from one build: five sixths of the time are what they share (two cores with nothing else to do: six minutes from an empty
cache, half a minute from Go's own). One binary for all of them would save half a minute more and cost 25 to 45 MiB of memory in each process.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import platformdirs

from tests.servers.needs import Missing

VERSION, FERRETDB = "1.34.4", "1.24.2"
COMMANDS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "kubelet", "kube-proxy")
OTHERS = {
    "etcd": ("go.etcd.io/etcd/server/v3", "3.6.16", ""),
    "kwok": ("sigs.k8s.io/kwok", "0.7.0", "cmd/kwok"),
    "kube-router": ("github.com/cloudnativelabs/kube-router/v2", "2.1.0", "cmd/kube-router"),
    "metrics-server": ("sigs.k8s.io/metrics-server", "0.9.0", "cmd/metrics-server"),
    "metallb": ("go.universe.tf/metallb", "0.15.2", "controller"),
}
"""Where each is at home: its module, the version, and the command's folder in it."""
EVERYTHING = ("ferretdb", *COMMANDS, *OTHERS, "coredns", "pause", "echo")
"""As a script this module builds it, or what it is given."""
SOURCES = Path(__file__).parent / "kubernetes"
"""What is ours: each folder one program, with a go.mod."""
CACHE = Path(platformdirs.user_cache_dir("aiculturekit-servers"))
_BUILDING = 5400.0
"""Generous: in CI the build only has what other steps leave."""


def path(name: str) -> Path:
    """Where the program is once it is built."""
    return _folder(name) / name


def built(*names: str) -> dict[str, Path]:
    """Where each is; builds those that are not there. Raises Missing.

    Whoever comes while another process builds waits for it."""
    for folder in dict.fromkeys(map(_folder, names)):
        wanted = [name for name in names if _folder(name) == folder]
        if not all(map(_is_there, wanted)):
            _build(folder, wanted)
    return {name: path(name) for name in names}


def obstacle(*names: str) -> str | None:
    """Why `built` would fail at once; None where it has what it needs."""
    if shutil.which("go") or all(map(_is_there, names)):
        return None
    return f"there is no Go to build {names[0]} with (https://go.dev/dl/)"


def _is_there(name: str) -> bool:
    return path(name).exists()


def _folder(name: str) -> Path:
    if name in COMMANDS:
        return CACHE / f"kubernetes-{VERSION}"
    if name == "ferretdb":
        return CACHE / f"ferretdb-{FERRETDB}"
    if name in OTHERS:
        return CACHE / f"{name}-{OTHERS[name][1]}"
    content = b"".join(file.read_bytes() for file in sorted((SOURCES / name).iterdir()))
    return CACHE / f"{name}-{hashlib.sha256(content).hexdigest()[:16]}"


def _build(folder: Path, names: Sequence[str]) -> None:
    """What is not there yet: each appears under its name only when it is whole."""
    if why := obstacle(*names):
        raise Missing(why)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock, tempfile.TemporaryDirectory(prefix="aic-build-") as scratch:
        fcntl.flock(lock, fcntl.LOCK_EX)
        missing = [name for name in names if not _is_there(name)]
        if commands := [name for name in COMMANDS if name in missing]:
            _build_kubernetes(Path(scratch), commands)
        for name in missing:
            if name not in COMMANDS:
                _build_other(Path(scratch), name)


def _build_kubernetes(scratch: Path, names: Sequence[str]) -> None:
    module = scratch / "kubernetes"
    module.mkdir()
    (module / "go.mod").write_text(_kubernetes_module())
    _go(module, "mod", "edit", f"-require=k8s.io/kubernetes@v{VERSION}")
    packages = [f"k8s.io/kubernetes/cmd/{name}" for name in names]
    _name(module, packages)
    major, minor, _ = VERSION.split(".")
    values = {"gitVersion": f"v{VERSION}", "gitMajor": major, "gitMinor": minor}
    flags = [f"-X k8s.io/component-base/version.{name}={value}" for name, value in values.items()]
    made = scratch / "made"
    made.mkdir()
    _go_build(module, f"{made}/", *packages, flags=" ".join(flags))
    for name in names:
        _put(made / name, name)


def _kubernetes_module() -> str:
    """Kubernetes' own list of dependencies, in which its parts of the same version take the place of the folders it has them in."""
    parts = f"v0.{VERSION.partition('.')[2]}"
    answer = json.loads(_go(Path("/"), "mod", "download", "-json", f"k8s.io/kubernetes@v{VERSION}"))
    text = Path(answer["GoMod"]).read_text()
    text = re.sub(r"^module .*", "module tests.local/kubernetes", text, flags=re.M)
    text = re.sub(r"^(\s*k8s\.io/[a-z-]+ )v0\.0\.0(?=\s|$)", rf"\g<1>{parts}", text, flags=re.M)
    return re.sub(r"^(\s*(k8s\.io/[a-z-]+)) => \./staging/.*", rf"\1 => \2 {parts}", text, flags=re.M)


def _build_other(scratch: Path, name: str) -> None:
    made = scratch / f"{name}.made"
    module = scratch / name
    if name in OTHERS:
        home, version, command = OTHERS[name]
        package = f"{home}/{command}".rstrip("/")
        _require(module, package, f"{home} v{version}")
        _go_build(module, str(made), package, flags=f"-X {home}/pkg/consts.Version=v{version}")
    elif name == "ferretdb":
        _build_ferretdb(module, made)
    else:
        shutil.copytree(SOURCES / name, module)
        _go_build(module, str(made), ".")
    _put(made, name)


def _build_ferretdb(module: Path, made: Path) -> None:
    """Its version is a file that is made for each release, and that its module lacks."""
    answer = json.loads(_go(Path("/"), "mod", "download", "-json", f"github.com/FerretDB/FerretDB@v{FERRETDB}"))
    shutil.copytree(answer["Dir"], module, copy_function=shutil.copyfile)
    for folder in (module, *module.rglob("*/")):
        folder.chmod(0o755)
    (module / "build" / "version" / "version.txt").write_text(f"v{FERRETDB}\n")
    _go_build(module, str(made), "./cmd/ferretdb")


def _require(module: Path, package: str, version: str) -> None:
    module.mkdir()
    (module / "go.mod").write_text(f"module tests.local/{module.name}\n\ngo 1.24\n\nrequire {version}\n")
    _name(module, [package])


def _name(module: Path, packages: Sequence[str]) -> None:
    """Go keeps the checksums of what a file imports."""
    imports = "".join(f'\t_ "{package}"\n' for package in packages)
    (module / "tools.go").write_text(f"//go:build tools\n\npackage tools\n\nimport (\n{imports})\n")


def _go_build(module: Path, output: str, *packages: str, flags: str = "") -> None:
    options = ["-mod=mod", "-trimpath", "-buildvcs=false", "-ldflags", f"-s -w {flags}", "-o", output]
    _go(module, "build", *options, *packages)


def _go(module: Path, *words: str) -> str:
    environment = {**os.environ, "CGO_ENABLED": "0"}
    try:
        done = subprocess.run(
            ["go", *words], cwd=module, env=environment, capture_output=True, text=True, timeout=_BUILDING, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise Missing(f"{module.name} could not be built within {_BUILDING:g} s") from error
    if done.returncode != 0:
        raise Missing(f"{module.name} could not be built: {done.stderr[-2000:]}")
    return done.stdout


def _put(made: Path, name: str) -> None:
    target = path(name)
    shutil.copy(made, target.with_name(f".{name}"))
    target.with_name(f".{name}").rename(target)


if __name__ == "__main__":
    built(*(sys.argv[1:] or EVERYTHING))
