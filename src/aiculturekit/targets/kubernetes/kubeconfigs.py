"""Which cluster, and who asks it: kubeconfig files as kubectl reads them.

Looked for in this order: what the target's URL names (`kubeconfig=`), the caller's $KUBECONFIG (files with colons between them: the
first that has
a name is right about it), ~/.kube/config, the service account of the pod that we run in. (https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/)
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from aiculturekit.errors import HostTrouble, Mistake
from aiculturekit.language import say

_USUAL = "~/.kube/config"
_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_SECTIONS = ("clusters", "users", "contexts")
_FILES = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
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


def readable(config: Mapping[str, Any]) -> Json:
    """For lightkube, which tells a program that makes tokens nothing of the version that it is asked in, and knows the older name alone."""
    users = [_asking(one) for one in config["users"]]
    return {**config, "users": users}


def _asking(entry: Json) -> Json:
    asked = (entry.get("user") or {}).get("exec")
    if not asked:
        return entry
    version = asked.get("apiVersion", "client.authentication.k8s.io/v1beta1")
    told = {"apiVersion": version, "kind": "ExecCredential", "spec": {"interactive": False}}
    variables = [*(asked.get("env") or ()), {"name": "KUBERNETES_EXEC_INFO", "value": json.dumps(told)}]
    known = asked | {"apiVersion": version.replace("/v1", "/v1beta1") if version.endswith("/v1") else version}
    return entry | {"user": entry["user"] | {"exec": known | {"env": variables}}}


def _read(file: Path) -> Json:
    try:
        found = yaml.safe_load(file.read_text("utf-8")) or {}
        if not isinstance(found, dict):
            raise ValueError(say("it is no mapping"))
        return found
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise HostTrouble(say("the kubeconfig {file} can't be read: {error}", file=file, error=str(error))) from None


def _absolute(entry: Json, folder: Path) -> Json:
    """Paths in a kubeconfig are relative to its folder."""
    kind = next((key for key in ("cluster", "user") if key in entry), None)
    if kind is None:
        return entry
    body = entry[kind] or {}
    paths = {key: str(folder / body[key]) for key in _FILES if body.get(key)}
    return entry | {kind: body | paths}
