"""Who the workloads are and whom they trust, as plain JSON shapes."""

from __future__ import annotations

from typing import Any

from aiculturekit.control import times
from aiculturekit.mesh.trusts import Trust

Json = dict[str, Any]


def summary(trust: Trust) -> Json:
    """The status view's part: how many certificates, how long the first of them lasts, what hinders their renewal."""
    left = trust.left()
    return {
        "domain": trust.domain,
        "certificates": len(trust.svids()),
        "seconds_left": None if left is None else round(left, 1),
        "trouble": trust.trouble,
        "roots": roots(trust),
    }


def roots(trust: Trust) -> list[Json]:
    """Those in the trust bundle, oldest first."""
    signer = next((root for root in trust.roots if root.name == trust.signer), None)
    return [
        {
            "serial": root.name,
            "state": "signs" if root == signer else "prepared" if signer and root.made > signer.made else "leaving",
            "made_at": times.iso(root.made),
            "signs_at": times.iso(root.signs),
            "ends_at": times.iso(root.ends),
        }
        for root in trust.roots
    ]


def federation(trust: Trust) -> list[Json]:
    """The trust domains of other nodes that are trusted here, for their own workloads alone."""
    return [
        {
            "domain": one.name,
            "address": f"{one.host}:{one.port}" if one.host else None,
            "source": one.source,
            "roots": sum(key.get("use") == "x509-svid" for key in one.bundle["keys"]),
            "read_at": times.iso(one.read),
            "trouble": one.trouble,
        }
        for one in trust.federation.domains
    ]


def identities(trust: Trust) -> list[Json]:
    """Every workload's certificate, the first that ends first."""
    return [
        {
            "app": svid.app,
            "name": svid.name,
            "id": svid.id,
            "serial": svid.serial,
            "issued_at": times.iso(svid.issued),
            "ends_at": times.iso(svid.ends),
            "root": svid.root,
        }
        for svid in sorted(trust.svids(), key=lambda svid: (svid.ends, svid.app, svid.name))
    ]
