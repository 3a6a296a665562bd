"""Who we are to a registry: what `docker login` and `podman login` wrote down, credential helpers included. Blocks; writes nothing."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from aiculturekit.errors import HostTrouble
from aiculturekit.images.references import DOCKER_HUB
from aiculturekit.language import say

_HUB = "https://index.docker.io/v1/"
_DEADLINE = 30.0
_IDENTITY = "<token>"  # the name under which a helper says that its secret is an identity token


@dataclasses.dataclass(frozen=True, slots=True)
class Login:
    """A name and a password, or an identity token of an OAuth2 login. Neither is ever shown."""

    username: str = ""
    password: str = dataclasses.field(default="", repr=False)
    token: str = dataclasses.field(default="", repr=False)

    @property
    def basic(self) -> str:
        return base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


def find(registry: str, *, environ: Mapping[str, str]) -> Login | None:
    """The login for a registry; None: nobody logged in there. Raises HostTrouble for a file or helper that cannot be read."""
    keys = (
        [_HUB, DOCKER_HUB, "index.docker.io"]
        if registry == DOCKER_HUB
        else [registry, f"https://{registry}", f"http://{registry}"]
    )
    for config in _configs(environ):
        if found := _in_config(config, keys):
            return found
    return None


def _configs(environ: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
    folder = environ.get("DOCKER_CONFIG") or (f"{home}/.docker" if (home := environ.get("HOME")) else "")
    runtime = environ.get("XDG_RUNTIME_DIR")
    places = [environ.get("REGISTRY_AUTH_FILE"), f"{folder}/config.json" if folder else None]
    places.append(f"{runtime}/containers/auth.json" if runtime else None)
    for place in places:
        if place and Path(place).is_file():
            yield _read(Path(place))


def _read(file: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(file.read_bytes())
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError) as error:
        raise HostTrouble(
            say("{file} can't be read: {error}", file=file, error=error),
            hint=say("mend it, or log in again: docker login REGISTRY"),
        ) from error


def _in_config(config: Mapping[str, Any], keys: list[str]) -> Login | None:
    """Helpers first, as Docker does: where there is one, `auths` only lists names."""
    helpers = config.get("credHelpers") or {}
    for key in keys:
        if (helper := helpers.get(key) or config.get("credsStore")) and (found := _asked(str(helper), key)):
            return found
    auths = config.get("auths") or {}
    for key in keys:
        for written in (key, f"{key}/", f"{key}/v1/", f"{key}/v2/"):
            if (record := auths.get(written)) and (found := _login(record)):
                return found
    return None


def _login(record: Mapping[str, Any]) -> Login | None:
    if token := record.get("identitytoken"):
        return Login(token=str(token))
    try:
        name, _, password = base64.b64decode(record.get("auth") or "").decode("utf-8").strip("\0").partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    if not name:
        name, password = str(record.get("username") or ""), str(record.get("password") or "")
    return Login(name, password) if name else None


def _asked(helper: str, key: str) -> Login | None:
    """What docker-credential-HELPER knows. Raises HostTrouble when it is not there; one that knows nothing answers with an error."""
    program = f"docker-credential-{os.path.basename(helper)}"  # noqa: PTH119  # a name, never a path
    try:
        done = subprocess.run([program, "get"], input=key.encode(), capture_output=True, timeout=_DEADLINE, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HostTrouble(
            say("the credential helper {program} does not answer: {error}", program=program, error=error),
            hint=say("install it, or take it out of the Docker config file"),
        ) from error
    if done.returncode != 0:
        return None
    try:
        found = json.loads(done.stdout)
    except ValueError:
        return None
    name, secret = str(found.get("Username", "")), str(found.get("Secret", ""))
    return Login(token=secret) if name == _IDENTITY else Login(name, secret)
