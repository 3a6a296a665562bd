"""Third parties that read what is written for a cluster: Python programs of their own, kept in the user's cache by version."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path

import platformdirs

from tests.servers.needs import Missing

CACHE = Path(platformdirs.user_cache_dir("aiculturekit-servers"))
CHECKOV = ("checkov", "3.3.30")
SCHEMAS = ("kubernetes-validate", "1.37.0")


def checkov() -> Path:
    """Policies of good practice (https://www.checkov.io)."""
    return _installed(*CHECKOV)


def schemas() -> Path:
    """Kubernetes' published schemas, one of each minor version (https://pypi.org/project/kubernetes-validate)."""
    return _installed(*SCHEMAS)


def _installed(name: str, version: str) -> Path:
    """Installed when it is not there; whoever comes meanwhile waits. Raises Missing."""
    folder = CACHE / f"{name}-{version}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(f"{folder.suffix}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "ready").exists():
            _install(folder, f"{name}=={version}")
    return folder / "bin" / name


def _install(folder: Path, wanted: str) -> None:
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    _run(uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder))
    _run(uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), wanted)
    (folder / "ready").touch()


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise Missing(f"{command[-1]} can't be installed: {done.stderr[-300:]}")
