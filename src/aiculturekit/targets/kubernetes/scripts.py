"""The Secrets of an application as a script: whoever applies rendered files by hand runs it first. Pure.

Passwords are made where it runs, and only for what is not there yet; no file has one.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator

from aiculturekit.mesh.rendering import Manifest
from aiculturekit.targets.kubernetes.objects import Fill, Owned

_HEAD = """\
#!/bin/sh
# Made by `aic render kubernetes`. Makes the Secrets that are not there yet; may be run again at any time.
set -eu
kubectl create namespace {namespace} --dry-run=client -o yaml | kubectl apply -f - > /dev/null
missing() {{ ! kubectl -n {namespace} get secret "$1" > /dev/null 2>&1; }}
"""


def made(objects: Iterable[Owned]) -> str:
    """Empty where nothing is secret."""
    secrets = [(one.manifest, one.fill) for one in objects if one.fill]
    if not secrets:
        return ""
    namespace = secrets[0][0]["metadata"]["namespace"]
    return "\n".join(
        [_HEAD.format(namespace=shlex.quote(namespace)), *(part for one in secrets for part in _one(*one))]
    )


def _one(secret: Manifest, fill: Fill) -> Iterator[str]:
    metadata = secret["metadata"]
    name, namespace = shlex.quote(metadata["name"]), shlex.quote(metadata["namespace"])
    if fill.is_secret:
        wanted = f"make the Secret {metadata['name']} by hand, with the keys {', '.join(fill.templates)}"
        yield f"missing {name} && {{ echo {shlex.quote(wanted)} >&2; exit 1; }}\n"
        return
    literals = " ".join(f"--from-literal={key}={_doubled(text)}" for key, text in fill.templates.items())
    labels = " ".join(f"{key}={shlex.quote(value)}" for key, value in metadata["labels"].items())
    yield f"if missing {name}; then"
    yield "  password=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \\n')"
    yield f"  kubectl -n {namespace} create secret generic {name} --type={secret['type']} {literals}"
    yield f"  kubectl -n {namespace} label secret {name} {labels}\nfi\n"


def _doubled(text: str) -> str:
    """In double quotes, in which ${password} alone stands for something."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("`", "\\`").replace("$", "\\$")
    return '"' + escaped.replace("\\${password}", "${password}") + '"'
