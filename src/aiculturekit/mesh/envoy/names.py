"""What things are called inside Envoy, and in which file each stands. Pure.

A name's parts are separated by `/`, which no name of the application file contains; in a file's name `~` takes its
place. Envoy spends one of the machine's few inotify instances (128 a user by default) on every file that it follows: so
there are three route tables for the whole node, endpoints stand inside their clusters, and secrets are asked for over one
stream.
"""

from __future__ import annotations

from pathlib import Path

from aiculturekit.mesh.identities import Identity
from aiculturekit.mesh.nodes import Remote

BOOTSTRAP, LISTENERS, CLUSTERS = "bootstrap.json", "lds.json", "cds.json"
INGRESS_ROUTES, MESH_ROUTES, INBOUND_ROUTES = "ingress", "mesh", "inbound"
BUNDLE, FEDERATION = "bundle", "federation"
SECRETS = "secrets"
"""The cluster behind which certificates are asked for."""
EGRESS_BY_NAME = "egress/*"
REFUSALS = "refusals.log"
ENTRANCE, EXIT = "entrance", "exit"
"""The two listeners of the tunnel in which connections fail on purpose; the second is also the cluster that leads to it."""
TUNNEL, BEYOND = "tunnel", "beyond"
GATEWAY = "gateway"
"""The listener by which other nodes' workloads come in."""
TOKENS_FILE = "tokens.json"
TOKENS, CLAIMS, CLEAN, CHECK = "tokens", "claims", "clean", "check"
"""The guards of the ingress: its filters that a route turns on."""
PAYLOAD = "x-jwt-payload"
"""The request header in which a service gets the payload of a validated token (base64url). What a client sends in it is removed."""
DOOR = "x-aic-door"
"""The request header in which each listener of the mesh notes its own name, and by which the shared route table tells
them apart. Whatever a client sends in it is overwritten, and it never leaves Envoy."""

LIMIT, CLIENT = "x-aic-limit", "x-aic-client"
"""What a caller's side tells the service's side of a request: whose limits it falls under, and the client's address (inside the mesh, the
calling workload). They are written there in place of whatever a client sent, and never reach a replica."""
WAY, TARGET = "x-aic-way", "x-aic-target"
"""What a forward proxy notes for a service that its workload does not need: the cluster by which the workload meets the refusal, and the
address of the side that refuses."""
NOTES = "aic"
"""Where a route keeps what a listener's texts say about it."""
OWN = "x-aic-"
"""How all headers of the platform's own begin."""


def outbound(app: str, caller: str, service: str, version: str) -> str:
    """The cluster through which `caller` reaches one version; `*` is a tcp service, whose versions share a cluster."""
    return f"out/{app}/{caller}/{service}/{version}"


def beyond(app: str, caller: str, service: str) -> str:
    """The cluster to which the tunnel leads: what `outbound` is where no connection fails on purpose."""
    return f"{BEYOND}/{edge(app, caller, service)}"


def edge(app: str, caller: str, service: str) -> str:
    """What a connection says of itself in the tunnel, and what its failures are counted under."""
    return f"{app}/{caller}/{service}"


def tunnel_door(app: str, caller: str, service: str) -> str:
    """What is to happen to the connections of one edge."""
    return f"{TUNNEL}/{edge(app, caller, service)}"


def inbound(app: str, service: str, version: str) -> str:
    """The listener, the door and the cluster of one version's own side."""
    return f"in/{app}/{service}/{version}"


def need(app: str, caller: str, service: str) -> str:
    """The listener and the door behind one `needs` entry."""
    return f"need/{app}/{caller}/{service}"


def proxy(app: str, caller: str) -> str:
    """The listener of a workload's forward proxy."""
    return f"proxy/{app}/{caller}"


def proxy_door(app: str, caller: str) -> str:
    """Its door is this and the host that was asked for. The application comes last, so that all doors of an application to one host
    end alike, whoever asks."""
    return f"proxy/{caller}/{app}"


def unneeded(app: str, caller: str) -> str:
    """The cluster through which `caller` meets the refusal of everything that it does not need."""
    return f"any/{app}/{caller}"


def version_cookie(cookie: str, *, app: str, service: str) -> str:
    """The cookie that remembers a version: a browser sends it to every service behind the same host, so it bears the service's name."""
    return f"{cookie}.{app}.{service}"


def replica_cookie(cookie: str, *, app: str, service: str) -> str:
    return f"{version_cookie(cookie, app=app, service=service)}.replica"


def far(app: str, caller: str, remote: Remote) -> str:
    """The listener, the door and the cluster behind a need of another node's service."""
    return f"far/{app}/{caller}/{remote.domain}/{remote.app}/{remote.service}"


def gate(app: str, service: str) -> str:
    """The door of a service at the gateway."""
    return f"gate/{app}/{service}"


def egress(app: str, caller: str, host: str, port: int) -> str:
    """The listener behind one need that lies outside, and the cluster that leads there."""
    return f"egress/{app}/{caller}/{host}:{port}"


def name_server(app: str, caller: str) -> str:
    """The listener that answers what a workload in its own namespace looks up."""
    return f"names/{app}/{caller}"


def routes_file(table: str) -> str:
    return f"rds/{table}.json"


def secrets_socket(admin: Path) -> Path:
    """Where certificates are asked for, beside the socket on which Envoy answers; no longer a name than that one's."""
    return admin.parent / "keys.sock"


def tunnel_socket(admin: Path, listener: str) -> Path:
    """As above."""
    return admin.parent / f"{listener}.sock"


def secret_file(identity: Identity) -> str:
    return served_file("/".join(identity))


def served_file(secret: str) -> str:
    """The file of any secret, by its name inside Envoy."""
    return f"sds/{secret.replace('/', '~')}.json"


def bundle_file() -> str:
    return served_file(BUNDLE)


def federation_file() -> str:
    return served_file(FEDERATION)
