"""Starting the daemon when there is none: detached, in its own session, once however many shells ask."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from aiculturekit.cli.clients import Client, home
from aiculturekit.errors import Failed, HostTrouble
from aiculturekit.language import say

DAEMON = "aiculturekit.boots"
_PATIENCE = 30.0


def ensure() -> Client:
    """The daemon that $AIC_SERVER names, else that of this home. Raises as `here`."""
    far = Client.of_server()
    return far.reached() if far else here()


def here() -> Client:
    """The daemon of this home, started if it is not there. Raises Failed with the end of its log when it does not come up."""
    if is_alive():
        return Client.of_home()
    folder = prepared_home()
    with (folder / "start.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_alive():
            return Client.of_home()
        return _started(folder)


def has_left_things() -> bool:
    """Whether a daemon of this home ended without taking everything down: by a crash, or because it was told to keep it."""
    return (home() / "daemon.json").exists() and not is_alive()


def is_alive() -> bool:
    """Whether the daemon that daemon.json names is a process that runs."""
    try:
        record = json.loads((home() / "daemon.json").read_text())
        os.kill(int(record["pid"]), 0)
    except (OSError, ValueError, KeyError):
        return False
    return _answers(record["api"])


def prepared_home() -> Path:
    """The home's folder, made readable by its owner only. Raises HostTrouble."""
    folder = home()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / ".writable").touch()
        (folder / ".writable").unlink()
    except OSError as error:
        raise HostTrouble(
            say("the platform's folder can't be written: {error}", error=str(error)),
            hint=say("set AIC_HOME to a folder of yours, or mend the permissions"),
        ) from error
    return folder


def _started(folder: Path) -> Client:
    log = folder / "daemon.log"
    begin = log.stat().st_size if log.exists() else 0
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-OO", "-m", DAEMON],
            env={**os.environ, "AIC_HOME": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd="/",
        )
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Failed(say("the daemon ended with exit code {code}", code=process.returncode), hint=_tail(log, begin))
        if is_alive():
            return Client.of_home()
        time.sleep(0.02)
    raise Failed(say("the daemon did not answer within {seconds:g} s", seconds=_PATIENCE), hint=_tail(log, begin))


def _answers(api: str) -> bool:
    import http.client
    from urllib.parse import urlsplit

    connection = http.client.HTTPConnection(urlsplit(api).netloc, timeout=5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _tail(log: Path, begin: int) -> str:
    with log.open("rb") as stream:
        stream.seek(begin)
        lines = stream.read().decode("utf-8", "replace").splitlines()
    return "\n    ".join([*lines[-15:], say("all of it: {file}", file=log)])
