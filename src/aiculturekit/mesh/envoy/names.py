"""What things are called inside Envoy, and in which file each stands. Pure.

A name's parts are separated by `/`, which no name of the application file contains; in a file's name `~` takes its
place.
"""

from __future__ import annotations

from aiculturekit.mesh.identities import Identity

BOOTSTRAP, LISTENERS, CLUSTERS = "bootstrap.json", "lds.json", "cds.json"
BUNDLE = "bundle"
INGRESS_ROUTES = "ingress"
REFUSALS = "refusals.log"


def outbound(app: str, caller: str, service: str, version: str) -> str:
    """The cluster through which `caller` reaches one version; `*` is a tcp service, whose versions share a cluster."""
    return f"out/{app}/{caller}/{service}/{version}"


def inbound(app: str, service: str, version: str) -> str:
    """The listener, the route table and the cluster of one version's own side."""
    return f"in/{app}/{service}/{version}"


def need(app: str, caller: str, service: str) -> str:
    """The listener and the route table behind one `needs` entry."""
    return f"need/{app}/{caller}/{service}"


def proxy(app: str, caller: str) -> str:
    """The listener and the route table of a workload's forward proxy."""
    return f"proxy/{app}/{caller}"


def unneeded(app: str, caller: str) -> str:
    """The cluster through which `caller` meets the refusal of everything that it does not need."""
    return f"any/{app}/{caller}"


def every_inbound(app: str) -> str:
    """The endpoint set of all inbound listeners of an application."""
    return f"any/{app}"


def weighted(app: str, service: str) -> str:
    """The endpoint set of a tcp service: its versions' inbound listeners with their weights."""
    return f"tcp/{app}/{service}"


def endpoints_of(cluster: str) -> str:
    """The endpoint set that a cluster reads."""
    kind, *parts = cluster.split("/")
    if kind == "any":
        return every_inbound(parts[0])
    return weighted(parts[0], parts[2]) if kind == "out" else cluster


def routes_file(name: str) -> str:
    return f"rds/{_flat(name)}.json"


def endpoints_file(name: str) -> str:
    return f"eds/{_flat(name)}.json"


def secret_file(identity: Identity) -> str:
    return f"sds/{_flat('/'.join(identity))}.json"


def bundle_file() -> str:
    return f"sds/{BUNDLE}.json"


def _flat(name: str) -> str:
    return name.replace("/", "~")
