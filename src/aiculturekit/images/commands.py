"""A workload's command and health question as words that a container runtime starts. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

from aiculturekit import shells
from aiculturekit.errors import BuildFailed
from aiculturekit.images.facts import Facts
from aiculturekit.images.languages import Language
from aiculturekit.language import say

_NANO = 1_000_000_000
_NEEDS_SHELL = re.compile(r"[$`;&|<>()*?\[\]{}~\n#!\\]|^\s*\w+=")
_PORT = re.compile(r"\$(?:PORT\b|\{PORT\})")


def words(run: str, *, facts: Facts, port: int | None) -> list[str]:
    """The command itself where it is plain words; by a shell, which it replaces, where it holds variables and the like. In a base without
    a shell $PORT is filled in now. Raises BuildFailed for more than that."""
    if (plain := _plain(run)) is not None:
        return plain
    if facts.has_shell:
        return ["/bin/sh", "-c", shells.command(run)]
    if port is not None and (plain := _plain(_PORT.sub(str(port), run))) is not None:
        return plain
    raise BuildFailed(
        say("the base has no shell, which the command {run} needs", run=repr(run[:80])),
        hint=say("name a base that has one, or write the command as plain words"),
    )


def _plain(run: str) -> list[str] | None:
    """None for what only a shell understands."""
    first = run.split(maxsplit=1)[0] if run.strip() else ""
    if not first or _NEEDS_SHELL.search(run) or shells.command(first) == first:
        return None
    try:
        return shlex.split(run)
    except ValueError:  # a quote without its end
        return None


def healthcheck(health: Mapping[str, Any] | None, *, language: Language, facts: Facts) -> dict[str, Any] | None:
    """Docker's own extension of the configuration: what is asked, and how often (in nanoseconds). None where nothing is said, or nothing in
    the image could ask. A cluster asks by itself and does not read this."""
    test = _test(health, language, facts) if health else None
    if health is None or test is None:
        return None
    times = {"Interval": health["every"], "Timeout": health["timeout"], "StartPeriod": health.get("startup", 30.0)}
    return {"Test": test, **{name: int(seconds * _NANO) for name, seconds in times.items()}, "Retries": health["fails"]}


def _test(health: Mapping[str, Any], language: Language, facts: Facts) -> list[str] | None:
    if health["kind"] == "exec":
        return ["CMD-SHELL", str(health["command"])] if facts.has_shell else None
    if language == "python" and facts.python:
        return ["CMD", facts.python, "-c", _in_python(health)]
    if language == "node" and facts.node:
        return ["CMD", facts.node, "-e", _in_javascript(health)]
    return None


def _in_python(health: Mapping[str, Any]) -> str:
    if health["kind"] == "tcp":
        return (
            f"import os,socket; socket.create_connection(('127.0.0.1',int(os.environ['PORT'])),{health['timeout']:g})"
        )
    ask = f"r.build_opener(r.ProxyHandler({{}})).open('http://127.0.0.1:'+os.environ['PORT']+{health['path']!r},timeout={health['timeout']:g})"
    return f"import os,urllib.request as r; {ask}"


def _in_javascript(health: Mapping[str, Any]) -> str:
    if health["kind"] == "tcp":
        return (
            "require('net').connect(process.env.PORT,'127.0.0.1',()=>process.exit(0)).on('error',()=>process.exit(1))"
        )
    place = f"'http://127.0.0.1:'+process.env.PORT+{str(health['path'])!r}"
    return f"fetch({place},{{redirect:'manual'}}).then(r=>process.exit(r.status<400?0:1),()=>process.exit(1))"
