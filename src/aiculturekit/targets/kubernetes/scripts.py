"""The Secrets of an application as a script: whoever applies rendered files by hand runs it first. Pure.

Passwords are made where it runs, and only for what is not there yet; no file has one. What whoever deploys knows is read where it runs,
too, from the variables and files that the application file names; who has it made by another program (External Secrets) says by its
comments what has to be there.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator

from aiculturekit.mesh.rendering import Manifest
from aiculturekit.spec.secrets import parse
from aiculturekit.targets.kubernetes.objects import Fill, Owned

_HEAD = """\
#!/bin/sh
# Made by `aic render kubernetes`. Makes the Secrets that are not there yet; may be run again at any time.
set -eu
kubectl create namespace {namespace} --dry-run=client -o yaml | kubectl apply -f - > /dev/null
missing() {{ ! kubectl -n {namespace} get secret "$1" > /dev/null 2>&1; }}
lacks() {{
  case "$(kubectl -n {namespace} get secret "$1" -o "go-template={{{{index .data \\"$2\\"}}}}" 2> /dev/null)" in
    "" | "<no value>") ;;
    *) return 1 ;;
  esac
}}
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
    if fill.is_given:
        yield from _given(secret, fill)
        return
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


def _given(secret: Manifest, fill: Fill) -> Iterator[str]:
    """In a shell's own words alone until kubectl reads it: no process has a value among its arguments."""
    metadata = secret["metadata"]
    yield f"# The Secret {metadata['name']} needs: {', '.join(fill.templates)}"
    lacking = [f"lacks {shlex.quote(metadata['name'])} {shlex.quote(key)}" for key in fill.templates]
    yield f"if {' || '.join(lacking)}; then"
    for number, text in enumerate(fill.templates.values()):
        test, read = _read(text)
        yield f"  {test}\n  value{number}=$(printf %s \"{read}\" | base64 | tr -d '\\n')"
    yield "  kubectl apply -f - > /dev/null <<END"
    yield from (f"  {line}" if line else "" for line in _document(secret, fill))
    yield "END\nfi\n"


def _read(text: str) -> tuple[str, str]:
    """What fails where the value is not there, and the value."""
    found = parse(text)
    if found and found.kind == "env":
        return f': "${{{found.name}:?}}"', f"${found.name}"
    file = shlex.quote(found.name if found else text)
    return f"test -s {file} || {{ echo {shlex.quote(f'there is no file {file}')} >&2; exit 1; }}", f"$(cat {file})"


def _document(secret: Manifest, fill: Fill) -> Iterator[str]:
    """JSON is YAML; what stands in it has no `$` of its own: names and labels."""
    data = {key: f"$value{number}" for number, key in enumerate(fill.templates)}
    yield from json.dumps({**secret, "data": data}, indent=2).splitlines()


def _doubled(text: str) -> str:
    """In double quotes, in which ${password} alone stands for something."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("`", "\\`").replace("$", "\\$")
    return '"' + escaped.replace("\\${password}", "${password}") + '"'
