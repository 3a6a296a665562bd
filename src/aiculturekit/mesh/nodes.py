"""The mesh's values: everything that the node's proxy must know, and nothing about where it came from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

from aiculturekit.mesh.rules import Access, Match, Traffic

_TRAFFIC, _ACCESS = Traffic(), Access()
INGRESS = "ingress"
"""The caller name under which the node's ingress enters an application; may not be the name of a workload."""
USUAL_PORTS: Mapping[str, int] = {"https": 443, "http": 80}


@dataclasses.dataclass(frozen=True, slots=True)
class Version:
    """One version of a service: `weight` in percent of the requests that no version's `match` claims; `port` is its
    mTLS inbound listener. `namespace` is the file that keeps the network namespace in which its replicas listen."""

    name: str
    port: int
    weight: float = 100.0
    match: Match | None = None
    namespace: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Replica:
    """Where a replica listens, and in which `zone` ("" where its service names no places); `rank` is that place's number in the service's
    order. One that is not ready gets no request, but its place is the less well for it."""

    port: int
    zone: str = ""
    rank: int = 0
    is_ready: bool = True


@dataclasses.dataclass(frozen=True, slots=True)
class Service:
    """A workload that can be called. `callers` are the workloads allowed to (INGRESS among them where it is public); one that stands
    in `operations` may only do these: (method or "", path or "" for all; a path that ends in * is a prefix)."""

    app: str
    name: str
    versions: tuple[Version, ...]
    callers: tuple[str, ...] = ()
    operations: Mapping[str, tuple[tuple[str, str], ...]] = dataclasses.field(default_factory=dict, hash=False)
    traffic: Traffic = _TRAFFIC
    access: Access = _ACCESS
    protocol: Literal["http", "http2", "tcp"] = "http"


@dataclasses.dataclass(frozen=True, slots=True)
class Remote:
    """A service of another node, named by that node's trust domain."""

    domain: str
    app: str
    service: str


@dataclasses.dataclass(frozen=True, slots=True)
class Neighbour:
    """Another node with which trust is shared: its trust domain, and where its gateway is; without `host` it only calls us. `roots` (PEM,
    or the https address of its bundle) are for a cluster; this machine keeps them in the federation."""

    domain: str
    host: str = ""
    port: int = 0
    roots: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Gateway:
    """The address on which workloads of neighbours come in."""

    host: str
    port: int


@dataclasses.dataclass(frozen=True, slots=True)
class Caller:
    """A workload that calls others. `needs` maps a service's name to the loopback port on which this workload, and
    only this one, reaches it; `proxy` is this workload's own forward-proxy port, which routes by Host to every
    service of the application (what is not in the needs is refused there with 403). Where it lives in a network `namespace`
    of its own, all its ports are in there."""

    app: str
    name: str
    proxy: int
    needs: Mapping[str, int] = dataclasses.field(default_factory=dict, hash=False)
    remotes: Mapping[Remote, int] = dataclasses.field(default_factory=dict, hash=False)
    """The services of other nodes that it needs, with their loopback ports."""
    namespace: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Egress:
    """What lies outside and `caller` may reach all the same: one address of its needs. `host` is in lower case; `*.example.com` is every
    name below it (only for https, which says the name on its way). `stand_in` is the (host, port) that answers in its place."""

    app: str
    caller: str
    scheme: Literal["https", "http", "tcp"]
    host: str
    port: int
    stand_in: tuple[str, int] | None = None

    @property
    def need(self) -> str:
        """As the application file writes it."""
        usual = USUAL_PORTS.get(self.scheme) == self.port
        return f"{self.scheme}://{self.host}" + ("" if usual else f":{self.port}")


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """A public path: requests for `prefix` on the host `<app>.localhost`, and on any other host where `bare`, go to
    the service."""

    app: str
    prefix: str
    service: str
    bare: bool = True


@dataclasses.dataclass(frozen=True, slots=True)
class Tracing:
    """The collector that `percent` of the requests are reported to, over OTLP/HTTP below `path`."""

    host: str
    port: int
    path: str = ""
    percent: float = 1.0

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}{self.path}"


@dataclasses.dataclass(frozen=True, slots=True)
class Realm:
    """The node among others: its own trust domain, those that it is federated with, and where their workloads come in."""

    domain: str = "aic.local"
    neighbours: tuple[Neighbour, ...] = ()
    gateway: Gateway | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Node:
    """All of this machine's mesh."""

    ingress_port: int
    services: tuple[Service, ...] = ()
    callers: tuple[Caller, ...] = ()
    entries: tuple[Entry, ...] = ()
    egresses: tuple[Egress, ...] = ()
    trust_domain: str = "aic.local"
    tracing: Tracing | None = None
    neighbours: tuple[Neighbour, ...] = ()
    gateway: Gateway | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Edge:
    """Live figures of one caller -> service version: what ends in `_rate` is per second over the last window (`error_rate` a share),
    times in milliseconds, the rest since Envoy started or as it is now. For a tcp service `requests` are connections, `errors` those that
    could not be made, `timeouts` those of them that took too long, `resets` those that the service reset, `connect_p95_ms` the time
    until one was made. `ejected` replicas
    of `hosts` are left out; `unserved` is a version that is called and has none; `remaining` is how many requests more an armed breaker
    lets in; `tls` is what the handshakes between the two identities say: proven, failing, or unused so far; "none" where there are
    none, since the caller's door leads straight to the replicas."""

    app: str
    source: str
    target: str
    version: str
    rate: float = 0.0
    error_rate: float = 0.0
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    connect_p95_ms: float | None = None
    requests: int = 0
    errors: int = 0
    ejected: int = 0
    hosts: int = 0
    unserved: bool = False
    retry_rate: float = 0.0
    limited_rate: float = 0.0
    overflow_rate: float = 0.0
    timeout_rate: float = 0.0
    retries: int = 0
    limited: int = 0
    overflows: int = 0
    timeouts: int = 0
    resets: int = 0
    breaker_open: bool = False
    remaining: int | None = None
    connections: int = 0
    received_rate: float = 0.0
    sent_rate: float = 0.0
    received: int = 0
    sent: int = 0
    tls: Literal["proven", "failing", "unused", "none"] = "unused"


@dataclasses.dataclass(frozen=True, slots=True)
class Refusal:
    """Something that was not let through; `at` is seconds since the epoch. `kind`: a "call" that no need names (`allowed` under audit),
    a request from outside without a good "token", without the "claims" that are asked for, or refused by the "check"; a connection
    without a good "certificate"; a "foreign" call of another node, whose `source` is the SPIFFE ID. `detail` are Envoy's own words."""

    at: float
    app: str
    source: str
    target: str
    method: str
    path: str
    kind: Literal["call", "token", "claims", "check", "certificate", "foreign"] = "call"
    detail: str = ""
    allowed: bool = False
