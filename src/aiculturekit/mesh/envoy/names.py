"""What things are called inside Envoy, and in which file each stands. Pure.

A name's parts are separated by `/`, which no name of the application file contains; in a file's name `~` takes its
place. Envoy spends one of the machine's few inotify instances (128 a user by default) on every file that it follows and
on every secret, however many stand in one file: so there are two route tables for the whole node, and endpoints stand
inside their clusters.
"""

from __future__ import annotations

from aiculturekit.mesh.identities import Identity

BOOTSTRAP, LISTENERS, CLUSTERS = "bootstrap.json", "lds.json", "cds.json"
INGRESS_ROUTES, MESH_ROUTES = "ingress", "mesh"
BUNDLE = "bundle"
REFUSALS = "refusals.log"
DOOR = "x-aic-door"
"""The request header in which each listener of the mesh notes its own name, and by which the shared route table tells
them apart. Whatever a client sends in it is overwritten, and it never leaves Envoy."""


def outbound(app: str, caller: str, service: str, version: str) -> str:
    """The cluster through which `caller` reaches one version; `*` is a tcp service, whose versions share a cluster."""
    return f"out/{app}/{caller}/{service}/{version}"


def inbound(app: str, service: str, version: str) -> str:
    """The listener, the door and the cluster of one version's own side."""
    return f"in/{app}/{service}/{version}"


def need(app: str, caller: str, service: str) -> str:
    """The listener and the door behind one `needs` entry."""
    return f"need/{app}/{caller}/{service}"


def proxy(app: str, caller: str) -> str:
    """The listener of a workload's forward proxy; its door is this and the host that was asked for."""
    return f"proxy/{app}/{caller}"


def unneeded(app: str, caller: str) -> str:
    """The cluster through which `caller` meets the refusal of everything that it does not need."""
    return f"any/{app}/{caller}"


def routes_file(table: str) -> str:
    return f"rds/{table}.json"


def secret_file(identity: Identity) -> str:
    return f"sds/{'~'.join(identity)}.json"


def bundle_file() -> str:
    return f"sds/{BUNDLE}.json"
