"""The product as a user has it: its command line, on a home of its own that is always taken down."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SHOP = ROOT / "examples" / "shop"


class Product:
    """`home` is its AIC_HOME."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._environment = {**os.environ, "AIC_HOME": str(home), "AIC_ISOLATED": "1", "AIC_LANG": "en"}

    def set(self, **variables: str) -> None:
        """More environment variables for every command from now on."""
        self._environment |= variables

    def aic(self, *words: str, check: bool = True) -> str:
        """Run a command; its standard output."""
        done = self.run(*words)
        if check and done.returncode != 0:
            raise RuntimeError(f"aic {' '.join(words)} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def run(self, *words: str, seconds: float = 300) -> subprocess.CompletedProcess[str]:
        """Run a command, however it ends."""
        return subprocess.run(
            [sys.executable, "-m", "aiculturekit", *words],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def begun(self, *words: str) -> subprocess.Popen[str]:
        """A command that goes on; what it says, on both its outputs, is read from it."""
        command = [sys.executable, "-u", "-m", "aiculturekit", *words]
        return subprocess.Popen(
            command, env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def timed(self, *words: str) -> float:
        """Seconds that a command takes, from the shell's point of view."""
        started = time.perf_counter()
        self.aic(*words)
        return time.perf_counter() - started

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.aic("status", "--json"))
        return found

    @property
    def ingress(self) -> int:
        return int(self.status()["ingress"].rpartition(":")[2])


@contextlib.contextmanager
def product() -> Iterator[Product]:
    """A product on a fresh home; everything it started is ended, whatever happens."""
    home = Path(tempfile.mkdtemp(prefix="aic-bench-"))
    home.chmod(0o711)  # where root runs this, databases are run by somebody else, who must reach their data
    made = Product(home)
    try:
        yield made
    finally:
        made.aic("server", "stop", check=False)
        shutil.rmtree(home, ignore_errors=True)


def application(folder: Path, text: str) -> Path:
    """Write an application file; its directory."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "aic.yaml").write_text(text)
    return folder
