"""Which cluster, and who asks it: kubeconfig files as kubectl reads them.

Looked for in this order: what the target's URL names (`kubeconfig=`), the caller's $KUBECONFIG (files with colons between them: the
first that has
a name is right about it), ~/.kube/config, the service account of the pod that we run in. (https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/)
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from aiculturekit.errors import HostTrouble, Mistake
from aiculturekit.language import say
from aiculturekit.targets.kubernetes.logins import Login, Program

_USUAL = "~/.kube/config"
_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_SECTIONS = ("clusters", "users", "contexts")
_FILES = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
_TOLD = ("server", "tls-server-name", "insecure-skip-tls-verify", "certificate-authority-data", "proxy-url")
Json = dict[str, Any]


def files(named: str, *, asked: str, home: Path | None = None) -> tuple[Path, ...]:
    """The files to read; none inside of a pod. `named` is the URL's, `asked` the caller's $KUBECONFIG. Raises HostTrouble for a named
    one that is not there."""
    if listed := [Path(part).expanduser() for part in (named or asked).split(os.pathsep) if part]:
        there = tuple(file for file in listed if file.is_file())
        if not there:
            raise HostTrouble(
                say("there is no kubeconfig {file}", file=", ".join(map(str, listed))),
                hint=say("mend kubeconfig= in the target, or $KUBECONFIG"),
            )
        return there
    usual = (home / ".kube" / "config") if home else Path(_USUAL).expanduser()
    if usual.is_file():
        return (usual,)
    if (_ACCOUNT / "token").is_file():
        return ()
    raise HostTrouble(
        say("there is no kubeconfig: neither $KUBECONFIG nor {file}", file=usual),
        hint=say("`kubectl config view` shows what kubectl uses; name a file in the target: kubeconfig=/path"),
    )


def merged(listed: Iterable[Path]) -> Json:
    """One configuration; paths in it are absolute. Raises HostTrouble for a file that can't be read."""
    found: Json = {}
    entries: dict[str, dict[str, Json]] = {section: {} for section in _SECTIONS}
    for file in listed:
        read = _read(file)
        found.setdefault("current-context", read.get("current-context") or None)
        found["current-context"] = found["current-context"] or read.get("current-context")
        for section in _SECTIONS:
            for entry in read.get(section) or ():
                entries[section].setdefault(entry["name"], _absolute(entry, file.resolve().parent))
    return found | {section: list(named.values()) for section, named in entries.items()}


def selected(config: Mapping[str, Any], *, context: str) -> str:
    """The context's name, the current one where none is named. Raises Mistake for one that is not there."""
    names = [one["name"] for one in config["contexts"]]
    name = context or config.get("current-context") or ""
    if name not in names:
        raise Mistake(
            say("the kubeconfig has no context {name}", name=repr(name))
            if name
            else say("the kubeconfig has no current context"),
            hint=say("there is {known}", known=", ".join(names) or "–"),
        )
    return str(name)


def program(config: Mapping[str, Any], *, context: str) -> Program | None:
    """The program that logs in for the context's user; None where nobody has to."""
    user = _named(config, "users", "user", context)
    asked = user.get("exec")
    return Program(asked, _cluster(_named(config, "clusters", "cluster", context))) if asked else None


def logged_in(config: Mapping[str, Any], login: Login, *, context: str) -> Json:
    """With what the program answered in the place of the program."""
    given = {
        "token": login.token,
        "client-certificate-data": _coded(login.certificate),
        "client-key-data": _coded(login.key),
    }
    who = _context(config, context).get("user")
    users = [
        one | {"user": {key: value for key, value in given.items() if value}} if one["name"] == who else one
        for one in config["users"]
    ]
    return {**config, "users": users}


def _context(config: Mapping[str, Any], name: str) -> Json:
    found: Json = next(one for one in config["contexts"] if one["name"] == name).get("context") or {}
    return found


def _named(config: Mapping[str, Any], section: str, kind: str, context: str) -> Json:
    name = _context(config, context).get(kind)
    return next((one.get(kind) or {} for one in config[section] if one["name"] == name), {})


def _cluster(entry: Mapping[str, Any]) -> Json:
    """As such programs are told it: with the authority's certificate itself."""
    known = {key: entry[key] for key in _TOLD if key in entry}
    file = entry.get("certificate-authority")
    if file and "certificate-authority-data" not in known:
        known["certificate-authority-data"] = _coded(Path(file).read_text("utf-8"))
    return known


def _coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _read(file: Path) -> Json:
    try:
        found = yaml.safe_load(file.read_text("utf-8")) or {}
        if not isinstance(found, dict):
            raise ValueError(say("it is no mapping"))
        return found
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise HostTrouble(say("the kubeconfig {file} can't be read: {error}", file=file, error=str(error))) from None


def _absolute(entry: Json, folder: Path) -> Json:
    """Paths in a kubeconfig are relative to its folder; a program without a slash is looked for on the PATH."""
    kind = next((key for key in ("cluster", "user") if key in entry), None)
    if kind is None:
        return entry
    body = entry[kind] or {}
    paths: Json = {key: str(folder / body[key]) for key in _FILES if body.get(key)}
    asked = body.get("exec") or {}
    if "/" in asked.get("command", ""):
        paths["exec"] = asked | {"command": str(folder / asked["command"])}
    return entry | {kind: body | paths}
