"""Traffic rules as values: what every renderer is given, and nothing about where it came from. Shares are in percent, times in
seconds, sizes in bytes. The field names are those of the application file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

UNSENT = "connect-failure,refused-stream,reset-before-request"
"""Envoy's words for failures of requests that no service has seen."""


def _mapping() -> Mapping[str, str]:
    return dataclasses.field(default_factory=dict, hash=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Pattern:
    """Exactly one is set. As a path, `prefix` means whole segments. `regex` (RE2) is for the whole text."""

    exact: str | None = None
    prefix: str | None = None
    regex: str | None = None
    present: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Match:
    """All of these must hold. `claim` compares claims of the request's validated token."""

    path: Pattern | None = None
    method: str | None = None
    header: Mapping[str, Pattern] = dataclasses.field(default_factory=dict, hash=False)
    cookie: Mapping[str, Pattern] = dataclasses.field(default_factory=dict, hash=False)
    query: Mapping[str, Pattern] = dataclasses.field(default_factory=dict, hash=False)
    claim: Mapping[str, str] = _mapping()


@dataclasses.dataclass(frozen=True, slots=True)
class Retries:
    """`attempts` after the first, on `on` (Envoy's retry_on words); `budget` bounds the share of retries among what is under way."""

    attempts: int = 0
    on: str = UNSENT
    per_try: float | None = None
    budget: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Breaker:
    """Leave a replica out for `over` seconds when `errors` percent of its answers within `over`, or `consecutive` in a row, are 5xx.
    `max_requests` in flight and `max_connections` are for all of a version."""

    errors: float | None = None
    consecutive: int | None = None
    over: float = 10.0
    max_requests: int | None = None
    max_connections: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Limit:
    """A token bucket of `requests`, filled anew over `per`; one for all, one for each client address or calling workload, or one for
    each value of a header (`by` = "header NAME")."""

    requests: int
    per: float = 1.0
    by: str = "all"


@dataclasses.dataclass(frozen=True, slots=True)
class Mirror:
    version: str
    share: float = 100.0


@dataclasses.dataclass(frozen=True, slots=True)
class Fault:
    """`abort` is a status, or True where there is none: a tcp service's connection is broken off. `callers` are those whose calls
    fail; empty for all."""

    delay: float | None = None
    abort: int | bool | None = None
    share: float = 100.0
    when: Match | None = None
    callers: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Balance:
    """For "hash", exactly one of the others says what is hashed."""

    policy: Literal["least-request", "round-robin", "random", "hash"] = "least-request"
    header: str | None = None
    cookie: str | None = None
    query: str | None = None
    client: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Sticky:
    cookie: str
    lasts: float = 86400.0


@dataclasses.dataclass(frozen=True, slots=True)
class Edits:
    set: Mapping[str, str] = _mapping()
    add: Mapping[str, str] = _mapping()
    remove: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Headers:
    request: Edits = Edits()
    response: Edits = Edits()


@dataclasses.dataclass(frozen=True, slots=True)
class Cors:
    """`origins`: exact ones, `https://*.example.com` for any one subdomain, or `*`."""

    origins: tuple[str, ...]
    methods: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    expose: tuple[str, ...] = ()
    credentials: bool = False
    max_age: float = 600.0


@dataclasses.dataclass(frozen=True, slots=True)
class Redirect:
    """`to` is a path or an absolute address, in place of the whole."""

    to: str
    status: int = 302


@dataclasses.dataclass(frozen=True, slots=True)
class Rewrite:
    """`path` takes the place of the prefix that matched (or of an exact path), `host` that of the Host header."""

    path: str | None = None
    host: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Route:
    """Requests that are treated differently. What is None or empty is as the service's Traffic says."""

    match: Match
    redirect: Redirect | None = None
    rewrite: Rewrite | None = None
    version: str | None = None
    timeout: float | None = None
    retries: Retries | None = None
    limit: tuple[Limit, ...] = ()
    mirror: Mirror | None = None
    fault: Fault | None = None
    headers: Headers | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Traffic:
    """How calls to a service are treated. `timeout` None is for ever. `zones` are the places of its replicas, the nearest first."""

    timeout: float | None = 15.0
    retries: Retries = Retries(attempts=1)
    breaker: Breaker | None = None
    limit: tuple[Limit, ...] = ()
    balance: Balance = Balance()
    zones: tuple[str, ...] = ()
    sticky: Sticky | None = None
    mirror: Mirror | None = None
    fault: Fault | None = None
    headers: Headers = Headers()
    cors: Cors | None = None
    compress: bool = False
    max_body: int | None = None
    routes: tuple[Route, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Jwt:
    """One accepted kind of token (RFC 7519) for requests from outside. `jwks` is the key set itself (JSON), or its http(s) address."""

    issuer: str
    jwks: str
    audience: tuple[str, ...] = ()
    claims: Mapping[str, str] = _mapping()
    open: tuple[str, ...] = ()
    optional: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Check:
    """An external authorizer for requests from outside: asked over HTTP at `url` + the request's path; where it is a `service` of the same
    application, through the mesh."""

    url: str
    timeout: float = 0.5
    headers: tuple[str, ...] = ()
    fails: Literal["closed", "open"] = "closed"
    service: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Access:
    """`audit`: calls that no need names are logged, not refused. `jwt`: any one of these. `foreign`: SPIFFE IDs of workloads of other
    trust domains that may call."""

    audit: bool = False
    jwt: tuple[Jwt, ...] = ()
    check: Check | None = None
    foreign: tuple[str, ...] = ()
