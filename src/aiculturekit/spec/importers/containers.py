"""What a container of a cluster says, in the words of an application file: its variables, its probes, its bounds. Pure.

The values of Secrets, and of variables that are called like one, are never copied: they become `${env.NAME:-}`.
"""

from __future__ import annotations

import base64
import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any

from aiculturekit.language import say
from aiculturekit.spec import units
from aiculturekit.spec.importers import dockerfiles, drafts, names
from aiculturekit.spec.importers.manifests import Object
from aiculturekit.spec.importers.readings import Line, Map

Lose = Callable[[str, str, str, Line], None]
"""(part, what, what to do, where)."""
SIDECARS = ("istio-proxy", "linkerd-proxy", "linkerd-init", "istio-init", "cloud-sql-proxy", "envoy-sidecar")


@dataclasses.dataclass(frozen=True)
class Variables:
    """`shown` go into the file; `hidden` are the real values of those which do not, so that an address in them is understood."""

    shown: dict[str, str]
    hidden: dict[str, str]
    lines: dict[str, Line]


def main(pod: Map, lose: Lose) -> Map | None:
    """The container that does the work; each further one is said."""
    listed = [one for one in pod.map("spec").items_of("containers") if isinstance(one, Map)]
    own = [one for one in listed if one.get("name") not in SIDECARS]
    for one in own[1:]:
        lose(f"containers.{one.get('name')}", say("a workload is one process here"),
             say("make a service of its own of it"), one.line)  # fmt: skip
    for one in pod.map("spec").items_of("initContainers"):
        if (
            isinstance(one, Map)
            and one.get("name") not in SIDECARS
            and not str(one.get("name")).startswith("wait-for-")
        ):
            lose(f"initContainers.{one.get('name')}", say("nothing runs before a workload but `migrate` and `seed`"),
                 say("write migrate: for it"), one.line)  # fmt: skip
    return own[0] if own else None


def variables(container: Map, *, maps: Mapping[str, Object], secrets: Mapping[str, Object], lose: Lose) -> Variables:
    """Of envFrom, then its own. `$(NAME)` is filled in where NAME is known."""
    found = Variables({}, {}, {})
    for one in container.items_of("envFrom"):
        if isinstance(one, Map):
            _taken_from(one, found, maps, secrets, lose)
    for one in container.items_of("env"):
        if isinstance(one, Map) and one.get("name"):
            _taken(str(one["name"]), one, found, maps, secrets, lose)
    return found


def _taken_from(
    one: Map, found: Variables, maps: Mapping[str, Object], secrets: Mapping[str, Object], lose: Lose
) -> None:
    prefix = str(one.get("prefix") or "")
    for key, known, read in (("configMapRef", maps, plain), ("secretRef", secrets, opened)):
        name = one.map(key).get("name")
        if not name:
            continue
        if str(name) not in known:
            kind = "ConfigMap" if key == "configMapRef" else "Secret"
            lose("envFrom", say("there is no {kind} {name} among the files", kind=kind, name=name),
                 say("write its variables into env:"), one.line)  # fmt: skip
            continue
        for variable, value in read(known[str(name)]).items():
            _put(prefix + variable, value, found, at=one.line, is_secret=key == "secretRef")


def _taken(
    name: str, one: Map, found: Variables, maps: Mapping[str, Object], secrets: Mapping[str, Object], lose: Lose
) -> None:
    source = one.map("valueFrom")
    if not source:
        value = str(one.get("value") if one.get("value") is not None else "")
        known = {**found.shown, **found.hidden}
        filled = re.sub(r"\$\(([A-Za-z_]\w*)\)", lambda hit: known.get(hit[1], hit[0]), value)
        _put(name, filled, found, at=one.line, is_secret=any(f"$({hidden})" in value for hidden in found.hidden))
        return
    for key, held, read in (("configMapKeyRef", maps, plain), ("secretKeyRef", secrets, opened)):
        wanted = source.map(key)
        if wanted:
            values = read(held[str(wanted.get("name"))]) if str(wanted.get("name")) in held else {}
            inner = values.get(str(wanted.get("key")))
            if inner is None and key == "configMapKeyRef":
                lose(
                    "env",
                    say("there is no ConfigMap {name} among the files", name=wanted.get("name")),
                    say("write its value into env:"),
                    one.line,
                )
            else:
                _put(name, inner or "", found, at=one.line, is_secret=key == "secretKeyRef")
            return
    if not name.startswith("AIC_"):
        lose("env", say("{name} asks the cluster about the pod", name=name), say("do without it"), one.line)


def _put(name: str, value: str, found: Variables, *, at: Line, is_secret: bool) -> None:
    hidden = is_secret or names.is_secret(name) or bool(re.search(r"://[^/\s]*:[^/\s]*@", value))
    found.shown[name] = f"${{env.{name}:-}}" if hidden else re.sub(r"\$(?=\{)", "$$", value)
    found.lines[name] = at
    found.hidden.pop(name, None)
    if hidden:
        found.hidden[name] = value


def plain(one: Object) -> dict[str, str]:
    return {key: str(value) for key, value in one.value.map("data").items()}


def opened(one: Object) -> dict[str, str]:
    """A Secret's values, for what they lead to."""
    found = {key: str(value) for key, value in one.value.map("stringData").items()}
    for key, value in one.value.map("data").items():
        try:
            found.setdefault(key, base64.b64decode(str(value), validate=True).decode())
        except ValueError:
            found.setdefault(key, "")
    return found


def health(container: Map, lose: Lose) -> dict[str, Any]:
    """health, liveness and startup."""
    found: dict[str, Any] = {}
    for ours, theirs in (("health", "readinessProbe"), ("liveness", "livenessProbe")):
        if container.map(theirs) and (way := _way(container.map(theirs), theirs, lose)):
            found[ours] = way["http"] if set(way) == {"http"} else way
    startup = container.map("startupProbe")
    if startup:
        seconds = _number(startup.get("periodSeconds"), 10) * _number(startup.get("failureThreshold"), 3)
        found["startup"] = f"{seconds + _number(startup.get('initialDelaySeconds'), 0)}s"
        if "health" not in found and (way := _way(startup, "startupProbe", lose)):
            found["health"] = way["http"] if set(way) == {"http"} else way
    return found


def _way(probe: Map, part: str, lose: Lose) -> dict[str, Any]:
    if probe.map("httpGet"):
        path = "/" + str(probe.map("httpGet").get("path") or "").lstrip("/")
        plain = re.match(r"/[\w./~:@-]*", path)
        way: dict[str, Any] = {"http": re.sub(r"//+", "/", plain[0] if plain else "/")}
        if not plain or plain[0] != path:
            lose(part, say("{path} is asked without what stands behind the path", path=path[:80]), "", probe.line)
    elif probe.map("exec"):
        way = {"exec": dockerfiles.joined(probe.map("exec").items_of("command"))}
    else:
        way = {"tcp": True}
        if probe.map("grpc"):
            lose(part, say("gRPC is not asked; an accepted connection is enough"), "", probe.line)
    every, timeout, fails = (probe.get(key) for key in ("periodSeconds", "timeoutSeconds", "failureThreshold"))
    if every and str(every).isdigit() and part != "startupProbe":
        way["every"] = f"{every}s"
    if timeout and str(timeout).isdigit():
        way["timeout"] = f"{timeout}s"
    if str(fails).isdigit() and 1 <= int(str(fails)) <= 100 and part != "startupProbe":
        way["fails"] = int(str(fails))
    return way


def limits(container: Map, lose: Lose) -> dict[str, Any]:
    bounds = container.map("resources").map("limits")
    found: dict[str, Any] = {}
    for key, read in (("cpu", drafts.cpu), ("memory", _memory)):
        if bounds.get(key) is not None:
            found[key] = read(bounds[key])
            if found[key] is None:
                lose(f"resources.limits.{key}", say("{value} is no amount", value=repr(str(bounds[key])[:40])),
                     say("write resources:"), bounds.at(key))  # fmt: skip
    return drafts.kept(found)


def _memory(text: object) -> str | None:
    """Kubernetes' own quantities, 64Mi or 1G; None for others, and for less than a process can run in."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(Ki|Mi|Gi|Ti|k|K|M|G|T)?", str(text).strip())
    if not found:
        return None
    written = f"{found[1]}{(found[2] or '').replace('k', 'K')}{'' if not found[2] or found[2].endswith('i') else 'B'}"
    try:
        units.memory(written)
    except ValueError:
        return None
    return written


def _number(value: object, other: int) -> int:
    return int(str(value)) if str(value).isdigit() else other
