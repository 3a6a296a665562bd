"""RBAC: which identity may do what with a service. In the route table, so that a permission changes without draining a listener. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from aiculturekit.mesh import identities
from aiculturekit.mesh.envoy import documents
from aiculturekit.mesh.envoy.documents import Json
from aiculturekit.mesh.nodes import Service

RBAC = "envoy.filters.http.rbac"
NETWORK_RBAC = "envoy.filters.network.rbac"
HIDDEN = r"(%2[fF]|%5[cC]|\\|\.\.(;|%3[bB]))"
"""What some servers take for a separator, or for a step upwards, after Envoy compared the path as it stood: `%2f`, `%5c`, `..;`."""


def per_route(service: Service, *, trust_domain: str) -> Json:
    """What an inbound route asks of its callers."""
    return documents.typed("extensions.filters.http.rbac.v3.RBACPerRoute", rbac=engine(service, trust_domain))


def engine(service: Service, trust_domain: str) -> Json:
    """The allow list; under audit it is only compared, and what it would refuse is noted in the request's metadata."""
    return {"shadow_rules" if service.access.audit else "rules": rules(service, trust_domain)}


def rules(service: Service, trust_domain: str) -> Json:
    """The allow list that follows from the callers and their operations; empty, it refuses everybody."""
    narrow = [
        caller for caller in sorted(service.callers) if caller in service.operations and service.protocol != "tcp"
    ]
    wide = [caller for caller in sorted(service.callers) if caller not in narrow]
    policies = {"needs": _policy([{"any": True}], service, wide, trust_domain)} if wide else {}
    for caller in narrow:
        allowed = [_operation(method, path) for method, path in service.operations[caller]]
        policies[f"needs of {caller}"] = _policy(allowed, service, [caller], trust_domain)
    return {"action": "ALLOW", "policies": policies}


def _policy(permissions: list[Json], service: Service, callers: Iterable[str], trust_domain: str) -> Json:
    return {
        "permissions": permissions,
        "principals": [
            _principal(identities.uri((service.app, caller), trust_domain=trust_domain)) for caller in callers
        ],
    }


def _principal(uri: str) -> Json:
    return {"authenticated": {"principal_name": {"exact": uri}}}


def _operation(method: str, path: str) -> Json:
    """One thing that may be done; the query is no part of a path."""
    wanted = [{"header": {"name": ":method", "string_match": {"exact": method}}}] if method else []
    if path.endswith("*"):
        wanted += [{"url_path": {"path": {"prefix": path[:-1]}}}] if path != "/*" else []
        wanted.append({"not_rule": {"url_path": {"path": {"safe_regex": {"regex": f".*{HIDDEN}.*"}}}}})
    elif path:
        wanted.append({"url_path": {"path": {"exact": path}}})
    if not wanted:
        return {"any": True}
    return wanted[0] if len(wanted) == 1 else {"and_rules": {"rules": wanted}}
