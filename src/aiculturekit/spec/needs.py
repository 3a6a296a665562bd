"""`needs`: what a workload talks to, in its written forms. Pure."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from aiculturekit.spec.fields import Part

Kind = Literal["services", "functions", "resources", "topics", "config", "external", "mesh"]
VERBS: dict[str, tuple[str, ...]] = {
    "services": ("call", "read"),
    "functions": ("call",),
    "resources": ("write", "read", "admin"),
    "topics": ("publish", "subscribe"),
    "config": ("read",),
    "external": ("connect",),
    "mesh": ("call",),
}
"""kind -> its verbs, the usual one first."""

READING = ("GET", "HEAD", "OPTIONS")
_OPERATION = re.compile(r"([A-Z]{3,16}|\*)(?:\s+(/[^\s?#*]*\*?))?|(/[^\s?#*]*\*?)")
_EXTERNAL = re.compile(r"(https?|tcp)://((?:\*\.)?[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?)(:\d{1,5})?(/[^\s]*)?", re.I)

_MESH = re.compile(r"mesh://([a-z0-9._-]{1,255})/([a-z][a-z0-9-]{0,62})/([a-z][a-z0-9-]{0,62})")
_ADDRESSED = ("external", "mesh")
"""Kinds that are written as an address."""


class Need(Part):
    """One thing that is needed: `order-service`, `resources/users-db`, `{topics/orders: publish}`, `https://api.stripe.com`, or a
    service of another node, `mesh://other.example/shop/pay`.

    A service may be needed in part: `{order-service: read}`, `{order-service: [GET /orders*, POST /orders]}`. Then `operations` holds
    what may be called, as (method or "", path or "" for all, ending in * for a prefix).
    """

    kind: Kind = "services"
    name: str
    verb: str = "call"
    url: str | None = Field(None, description="Where it is, for what lies outside of the application.")
    operations: tuple[tuple[str, str], ...] = ()


def parsed(value: object) -> Any:
    """The written form as the Need's own keys. Raises ValueError."""
    reference, verb = value, None
    if isinstance(value, dict):
        if len(value) != 1:
            raise ValueError("a need is a name, or one `kind/name: verb`")
        ((reference, verb),) = value.items()
    if not isinstance(reference, str) or not (verb is None or isinstance(verb, str | list)):
        raise ValueError("a need is a name such as order-service, resources/users-db, or https://api.example.com")
    if "://" in reference:
        return _external(reference)
    kind, slash, name = reference.partition("/")
    if not slash:
        kind, name = "services", reference
    if kind not in VERBS or kind in _ADDRESSED:
        raise ValueError(
            f"{kind!r} is not a kind of need; there are {', '.join(k for k in VERBS if k not in _ADDRESSED)}"
        )
    if kind == "services" and verb is not None and verb not in VERBS[kind]:
        return {"kind": kind, "name": name, "verb": "call", "operations": _operations(verb)}
    if verb is not None and verb not in VERBS[kind]:
        raise ValueError(f"{verb!r} is not something to do with {kind}; there is {', '.join(VERBS[kind])}")
    reading = tuple((method, "") for method in READING) if kind == "services" and verb == "read" else ()
    return {"kind": kind, "name": name, "verb": verb or VERBS[kind][0], "operations": reading}


def _operations(written: str | list[object]) -> tuple[tuple[str, str], ...]:
    """`GET /orders*`, `POST`, `/health` -> (method or "", path or "")."""
    found = []
    for one in written if isinstance(written, list) else [written]:
        parts = _OPERATION.fullmatch(one.strip()) if isinstance(one, str) else None
        if parts is None:
            raise ValueError(f"{one!r} is not something to do with a service; write call, read, or METHOD /path*")
        method = "" if parts[1] in (None, "*") else parts[1]
        found.append((method, parts[2] or parts[3] or ""))
    if not found:
        raise ValueError("an empty list allows nothing; leave the need out")
    return tuple(found)


def _external(url: str) -> dict[str, str]:
    if url.startswith("mesh:"):
        return _remote(url)
    found = _EXTERNAL.fullmatch(url)
    if not found:
        raise ValueError(f"{url[:80]!r} is not an address; write https://host, or tcp://host:port")
    if found[1].lower() == "tcp" and not found[3]:
        raise ValueError(f"{url!r} has no port; write tcp://{found[2]}:PORT")
    if found[4] and not 0 < int(found[4][1:]) < 65536:
        raise ValueError(f"{url!r}: a port is a number from 1 to 65535")
    if found[1].lower() != "https" and found[2].startswith("*"):
        raise ValueError(f"{url!r}: only https says the name on its way; write the whole host")
    return {"kind": "external", "name": found[2].lower(), "verb": "connect", "url": url}


def _remote(url: str) -> dict[str, str]:
    found = _MESH.fullmatch(url)
    if not found:
        raise ValueError(f"{url[:80]!r} is no service of another node; write mesh://TRUST-DOMAIN/APP/SERVICE")
    return {"kind": "mesh", "name": found[3], "verb": "call", "url": url}


NeedItem = Annotated[
    Need,
    BeforeValidator(parsed),
    WithJsonSchema(
        {
            "oneOf": [
                {"type": "string", "examples": ["order-service", "resources/users-db", "https://api.example.com"]},
                {
                    "type": "object",
                    "minProperties": 1,
                    "maxProperties": 1,
                    "additionalProperties": {"type": ["string", "array"], "items": {"type": "string"}},
                },
            ]
        }
    ),
]


def variable(name: str) -> str:
    """`order-service` -> `ORDER_SERVICE`: the stem of the variables that a need gives."""
    return name.upper().replace("-", "_")


def variables(needs: tuple[Need, ...]) -> list[tuple[str, Need]]:
    """Each variable that the needs give, with the need it is for."""
    suffixes = {"topics": "_TOPIC_URL", "config": "_CONFIG_URL"}
    return [(variable(n.name) + suffixes.get(n.kind, "_URL"), n) for n in needs if n.kind != "external"]
