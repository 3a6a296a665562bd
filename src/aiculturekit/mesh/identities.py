"""Who a workload is, as SPIFFE says it. Pure."""

from __future__ import annotations

import re

from aiculturekit.mesh.nodes import INGRESS, Node

_DOMAIN = re.compile(r"[a-z0-9._-]{1,255}")
_SEGMENT = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]+")
_LONGEST = 2048
"""Bytes of a SPIFFE ID (SPIFFE ID, 2.3)."""
Identity = tuple[str, str]
"""(application, workload); the ingress is one workload of every application that has a public path."""


def uri(identity: Identity, *, trust_domain: str) -> str:
    """The SPIFFE ID, in the form that Istio gives it."""
    app, name = identity
    return f"spiffe://{trust_domain}/ns/{app}/sa/{name}"


def parse(text: str) -> Identity | None:
    """The identity in a SPIFFE ID of ours; None for anything else."""
    scheme, _, path = text.partition("://")
    parts = path.split("/")
    if scheme != "spiffe" or len(parts) != 5 or (parts[1], parts[3]) != ("ns", "sa"):
        return None
    return parts[2], parts[4]


def of(node: Node) -> list[Identity]:
    """Everybody on the node who needs a certificate, sorted."""
    services = {(service.app, service.name) for service in node.services}
    callers = {(caller.app, caller.name) for caller in node.callers}
    return sorted(services | callers | {(entry.app, INGRESS) for entry in node.entries})


def root_uri(trust_domain: str) -> str:
    """The SPIFFE ID of the authority itself: the trust domain, without a path."""
    return f"spiffe://{trust_domain}"


def is_domain(text: str) -> bool:
    """Whether it can be the name of a trust domain (SPIFFE ID, 2.1)."""
    return _DOMAIN.fullmatch(text) is not None


def domain(text: str) -> str | None:
    """The trust domain of any workload's SPIFFE ID; None for what is none (SPIFFE ID, 2)."""
    scheme, _, rest = text.partition("://")
    name, _, path = rest.partition("/")
    segments = path.split("/")
    is_one = scheme == "spiffe" and is_domain(name) and all(_SEGMENT.fullmatch(segment) for segment in segments)
    return name if is_one and len(text.encode()) <= _LONGEST else None
