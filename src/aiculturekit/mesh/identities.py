"""Who a workload is, as SPIFFE says it. Pure."""

from __future__ import annotations

from aiculturekit.mesh.nodes import INGRESS, Node

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
