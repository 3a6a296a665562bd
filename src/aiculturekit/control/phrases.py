"""Traffic rules in words, from the route document's own body: one short line for each that is in force. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from aiculturekit.language import say

Json = dict[str, Any]
Body = Mapping[str, Any]
_UNSENT = "connect-failure,refused-stream,reset-before-request"


def rules(traffic: Body) -> list[Json]:
    """`key` is the key of the application file (below `traffic`), `text` what it does; `level` is warning for failures made on purpose."""
    found = [_rule(key, text) for key, text in _of(traffic)]
    for at, route in enumerate(traffic.get("routes") or ()):
        does = "; ".join(text for _, text in _of(route)) or say("as all others")
        level = "warning" if route.get("fault") else "info"
        found.append(_rule(f"routes.{at}", f"{matched(route['match']) or '*'} → {does}", level=level))
    return found


def faults(traffic: Body) -> list[str]:
    """The failures made on purpose that are in force, in words with the key to remove."""
    keys = [("fault", traffic.get("fault"))]
    keys += [(f"routes.{at}.fault", route.get("fault")) for at, route in enumerate(traffic.get("routes") or ())]
    return [
        say("Fault: {what} — remove it from traffic.{key}", what=_fault(fault), key=key) for key, fault in keys if fault
    ]


def matched(match: Body | None) -> str:
    """`GET /api* x-beta: true`: a match as one line; empty for one that takes everything."""
    if not match:
        return ""
    words = [match["method"]] if match.get("method") else []
    if match.get("path"):
        words.append(_pattern(match["path"], after="*"))
    for kind in ("header", "cookie", "query"):
        prefix = "" if kind == "header" else f"{kind} "
        words += [f"{prefix}{name}: {_pattern(value)}" for name, value in (match.get(kind) or {}).items()]
    words += [f"claim {name}: {value}" for name, value in (match.get("claim") or {}).items()]
    return ", ".join(words)


def _pattern(pattern: Body, *, after: str = "…") -> str:
    if pattern.get("regex") is not None:
        return f"~ {pattern['regex']}"
    if pattern.get("prefix") is not None:
        return f"{pattern['prefix']}{after}"
    return say("any") if pattern.get("present") else str(pattern.get("exact"))


def _rule(key: str, text: str, *, level: str | None = None) -> Json:
    return {"key": key, "text": text, "level": level or ("warning" if key == "fault" else "info")}


def _of(rules: Body) -> Iterator[tuple[str, str]]:
    """The phrases of what a service's traffic, or one route of it, says."""
    for key, phrase in _PHRASES.items():
        value = rules.get(key)
        if value and (text := phrase(value)):
            yield key, text


def _retries(value: Body) -> str:
    if not value["attempts"]:
        return ""
    count = value["attempts"]
    text = say("one retry") if count == 1 else say("up to {count} retries", count=count)
    if value["on"] != _UNSENT:
        text += " " + say("on {what}", what=value["on"].replace(",", ", "))
    if value.get("per_try"):
        text += ", " + say("{time} for each try", time=seconds(value["per_try"]))
    return text + (
        ", " + say("at most {share} of the requests", share=_share(value["budget"])) if value.get("budget") else ""
    )


def _breaker(value: Body) -> str:
    parts, over = [], seconds(value["over"])
    if value.get("errors") is not None:
        share = _share(value["errors"])
        parts.append(say("a replica with {share} errors within {time} is left out", share=share, time=over))
    if value.get("consecutive") is not None:
        count = value["consecutive"]
        parts.append(say("a replica with {count} errors in a row is left out for {time}", count=count, time=over))
    if value.get("max_requests"):
        parts.append(say("at most {count} in flight", count=value["max_requests"]))
    if value.get("max_connections"):
        parts.append(say("at most {count} connections", count=value["max_connections"]))
    return "; ".join(parts)


def _limits(listed: list[Body]) -> str:
    return ", ".join(_limit(one) for one in listed)


def _limit(value: Body) -> str:
    known = {"all": "", "client": say("each client"), "caller": say("each caller")}
    by = known[value["by"]] if value["by"] in known else say("each {what}", what=value["by"])
    per = seconds(value["per"])
    return f"{value['requests']}/{per[1:] if per in ('1s', '1m', '1h', '1d') else per} {by}".rstrip()


def _mirror(value: Body) -> str:
    return say("a copy of {share} goes to {version}", share=_share(value["share"]), version=value["version"])


def _fault(value: Body) -> str:
    does = []
    if value.get("delay"):
        does.append(say("wait {time}", time=seconds(value["delay"])))
    if value.get("abort") is True:
        does.append(say("break the connection off"))
    elif value.get("abort"):
        does.append(say("answer {status}", status=value["abort"]))
    text = f"{_share(value['share'])} {', '.join(does)}"
    only = [*([matched(value["when"])] if value.get("when") else []), *value.get("callers", ())]
    return text + (f" ({', '.join(only)})" if only else "")


def _balance(value: Body) -> str:
    if value["policy"] != "hash":
        return "" if value["policy"] == "least-request" else str(value["policy"])
    kind = next(kind for kind in ("header", "cookie", "query", "client") if value.get(kind))
    what = say("client address") if kind == "client" else f"{kind} {value[kind]}"
    return say("equal {what} goes to the same replica", what=what)


def _zones(value: list[str]) -> str:
    return say("the nearest place whose replicas are well: {zones}", zones=", ".join(value))


def _edits(value: Body) -> str:
    names = [
        f"{sign}{name}"
        for side in ("request", "response")
        for sign, kind in (("", "set"), ("+", "add"), ("-", "remove"))
        for name in (value.get(side) or {}).get(kind) or ()
    ]
    return say("changes {names}", names=", ".join(names)) if names else ""


def _redirect(value: Body) -> str:
    return say("redirected to {place} ({status})", place=value["to"], status=value["status"])


def _rewrite(value: Body) -> str:
    return say("becomes {what}", what=" ".join(value[key] for key in ("host", "path") if value.get(key)))


_PHRASES: Mapping[str, Callable[[Any], str]] = {
    "fault": _fault,
    "redirect": _redirect,
    "rewrite": _rewrite,
    "version": lambda value: say("always {version}", version=value),
    "timeout": lambda value: say("an answer within {time}", time=seconds(value)),
    "retries": _retries,
    "breaker": _breaker,
    "limit": _limits,
    "balance": _balance,
    "zones": _zones,
    "sticky": lambda value: say("who came once comes back to the same, by cookie {name}", name=value["cookie"]),
    "mirror": _mirror,
    "headers": _edits,
    "cors": lambda value: say("pages of {origins} may call it", origins=", ".join(value["origins"])),
    "compress": lambda value: say("answers are compressed"),
    "max_body": lambda value: say("a body of {size} MB at most", size=f"{value / 2**20:g}"),
}


def seconds(value: float) -> str:
    """A duration as the file has it: 500ms, 2s, 5m, 1h, 2d."""
    for unit, length in (("d", 86400.0), ("h", 3600.0), ("m", 60.0)):
        if value >= length and value % length == 0:
            return f"{value / length:g}{unit}"
    return f"{value:g}s" if value >= 1 else f"{value * 1000:g}ms"


def length(value: float) -> str:
    """A length of time with one digit more than its unit: 12.4 s, 3.5 min."""
    if value < 60:
        return f"{value:.1f} s"
    if value < 3600:
        return say("{count} min", count=f"{value / 60:.1f}")
    if value < 172_800:
        return say("{count} h", count=f"{value / 3600:.1f}")
    return say("{count} d", count=f"{value / 86400:.1f}")


def figure(one: Body) -> str:
    """The value of a figure of the delivery record in its unit; what is not known is said."""
    value = one["value"]
    if value is None:
        return say("unknown")
    if one["unit"] == "ratio":
        return f"{value:.1%}"
    return length(value) if one["unit"] == "seconds" else f"{value:.2g}"


def _share(value: float) -> str:
    return f"{value:g}%"


def trouble_words() -> dict[str, str]:
    """What can be the matter with an edge: figure -> words, in which # stands for its number (## for that of all replicas)."""
    return {
        "unserved": say("no replica is ready"),
        "breaker_open": say("breaker open"),
        "overflow_rate": say("{rate}/s turned away", rate="#"),
        "ejected": say("{count} of {hosts} replicas left out", count="#", hosts="##"),
        "retry_rate": say("{rate}/s retried", rate="#"),
        "limited_rate": say("{rate}/s answered 429", rate="#"),
        "timeout_rate": say("{rate}/s timed out", rate="#"),
    }


def troubles(edge: Body) -> list[str]:
    """What stands in the way of an edge's calls."""
    return [
        words.replace("##", str(edge["hosts"])).replace("#", _count(edge[figure]))
        for figure, words in trouble_words().items()
        if edge[figure]
    ]


def _count(value: float) -> str:
    return f"{value:,.1f}" if isinstance(value, float) else str(value)
