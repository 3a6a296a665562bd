"""`traffic:` and `match:` — how calls to a service are treated. A small vocabulary, the same on every mesh. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from aiculturekit.spec.fields import Duration, Part, Percent, Prefix, Size, Text, listed

UNSENT = "connect-failure,refused-stream,reset-before-request"
CONDITIONS = (
    "connect-failure", "refused-stream", "reset-before-request", "reset", "5xx", "gateway-error", "retriable-4xx", "cancelled",
    "deadline-exceeded", "internal", "resource-exhausted", "unavailable",
)  # fmt: skip
"""What may be tried again, in Envoy's words (x-envoy-retry-on and x-envoy-retry-grpc-on)."""
_STATUS = re.compile(r"[45]\d\d")
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_ZONE = re.compile(f"{_NAME}(/{_NAME})?")
Method = Annotated[str, Field(pattern="^[A-Z]{3,16}$")]
Status = Annotated[int, Field(ge=200, le=599)]
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_FRAMING = ("host", "content-length", "transfer-encoding", "connection", "upgrade", "te")
_RATE = re.compile(r"(\d{1,9})\s*/\s*([smh])")


def short(key: str) -> BeforeValidator:
    """A plain value stands for a mapping with this one key."""
    return BeforeValidator(lambda value: value if isinstance(value, dict | Part) or value is None else {key: value})


def _one_of(value: Part, *keys: str) -> None:
    given = [key for key in keys if getattr(value, key)]
    if len(given) != 1:
        raise ValueError(f"must say one thing: {', '.join(keys)}")


class Pattern(Part):
    """What a text must be like. A plain text is short for `{exact: text}`; for a path, a plain text is a prefix."""

    exact: Text | None = Field(None, description="The whole text.")
    prefix: Text | None = Field(None, description="How it begins; for a path, whole segments.")
    regex: str | None = Field(None, description="A regular expression for the whole text (RE2).")
    present: bool = Field(False, description="That it is there, whatever it is.")

    @model_validator(mode="after")
    def _means_one_thing(self) -> Pattern:
        _one_of(self, "exact", "prefix", "regex", "present")
        if self.regex is not None:
            try:
                re.compile(self.regex)
            except re.error as error:
                raise ValueError(f"{self.regex[:60]!r} is not a regular expression: {error}") from None
        return self


def _path(value: object) -> object:
    return {"prefix": value} if isinstance(value, str) else value


class PathPattern(Pattern):
    """Which paths. A plain text is a prefix of whole segments: /api takes /api and /api/x, never /apix."""

    prefix: Prefix | None = Field(None, description="How it begins, in whole segments.")


_text_schema = WithJsonSchema({"type": ["string", "number", "boolean", "object"], "examples": ["beta"]})
PatternItem = Annotated[Pattern, short("exact"), _text_schema]
PathItem = Annotated[
    PathPattern, BeforeValidator(_path), WithJsonSchema({"type": ["string", "object"], "examples": ["/api"]})
]


class Match(Part):
    """Which requests: all of it must hold."""

    path: PathItem | None = Field(None, description="Path prefix, or {exact: /x}, or {regex: ...}.")
    method: Method | None = Field(None, description="HTTP method.")
    header: Mapping[str, PatternItem] = Field(default_factory=dict, description="Header name to value.")
    cookie: Mapping[str, PatternItem] = Field(default_factory=dict, description="Cookie name to value.")
    query: Mapping[str, PatternItem] = Field(default_factory=dict, description="Query parameter to value.")
    claim: Mapping[str, Text] = Field(
        default_factory=dict, description="Claim of the caller's token to value; needs `access.jwt`."
    )

    @field_validator("header", "cookie")
    @classmethod
    def _names(cls, given: Mapping[str, Pattern]) -> Mapping[str, Pattern]:
        for name in given:
            _header_name(name)
        return given


def _header_name(name: str) -> str:
    if not _HEADER.fullmatch(name):
        raise ValueError(f"{name[:60]!r} is not the name of a header or cookie")
    if name.lower().startswith("x-aic-"):
        raise ValueError(f"{name[:60]!r} is the platform's own; choose a name without x-aic-")
    return name


class Retries(Part):
    """Tries after the first. `retries: 2` is short for `{attempts: 2}`."""

    attempts: int = Field(2, ge=0, le=10, description="Tries after the first.")
    on: str = Field(
        UNSENT,
        description="What is tried again: Envoy's words, or a status such as 503. The default repeats only what the service has not "
        "seen.",
    )
    per_try: Duration | None = Field(None, description="Longest wait for one try.")
    budget: Percent | None = Field(
        None, description="Most retries under way, as a share of the requests under way; at least three."
    )

    @field_validator("on")
    @classmethod
    def _words(cls, given: str) -> str:
        for word in given.split(","):
            if word not in CONDITIONS and not _STATUS.fullmatch(word):
                raise ValueError(
                    f"{word[:40]!r} is not something to try again; write {', '.join(CONDITIONS)}, or a status such as 503"
                )
        return given


class Breaker(Part):
    """A replica that keeps failing is left out for a while; more than a service can take is refused at once."""

    errors: Percent | None = Field(
        None, description="Share of 5xx answers that is too much; 50% when nothing else is said."
    )
    consecutive: int | None = Field(None, ge=1, le=1000, description="5xx answers in a row that are too many.")
    over: Duration = Field(10.0, description="The time over which answers are counted, and a replica is left out.")
    max_requests: int | None = Field(None, ge=1, description="Most requests in flight; more are refused with 503.")
    max_connections: int | None = Field(None, ge=1, description="Most connections to each version.")

    @model_validator(mode="before")
    @classmethod
    def _counts_errors(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and not value.keys() & {"errors", "consecutive"}:
            return {**value, "errors": 50}
        return value


def _limit(value: object) -> object:
    if not isinstance(value, str):
        return value
    found = _RATE.fullmatch(value.strip())
    if not found:
        raise ValueError(f"{value[:40]!r} is not a rate; write 100/s, 600/m, or {{requests: 100, per: 1s, by: client}}")
    return {"requests": int(found[1]), "per": f"1{found[2]}"}


def _by(value: object) -> object:
    if isinstance(value, dict) and list(value) == ["header"] and isinstance(value["header"], str):
        return f"header {_header_name(value['header']).lower()}"
    return value


class Limit(Part):
    """At most so many requests; more are answered 429. `limit: 100/s` is short for `{requests: 100, per: 1s}`."""

    requests: int = Field(ge=1, le=1_000_000_000, description="How many; also how many at once.")
    per: Duration = Field(1.0, description="In which time.")
    by: Annotated[
        str,
        BeforeValidator(_by),
        Field(pattern=r"^(all|client|caller|header \S+)$"),
        WithJsonSchema({"type": ["string", "object"], "examples": ["client", {"header": "x-api-key"}]}),
    ] = Field(
        "all",
        description="Counted over all requests, for each client address, each calling workload, or {header: NAME}.",
    )


LimitItem = Annotated[
    Limit, BeforeValidator(_limit), WithJsonSchema({"type": ["string", "object"], "examples": ["100/s"]})
]


class Mirror(Part):
    """A copy of the requests goes to another version; its answers are thrown away. `mirror: v2` is short for all of them."""

    version: str = Field(description="The version that gets the copy.")
    share: Percent = Field(100.0, description="Share of the requests that is copied.")


class Fault(Part):
    """Failures made on purpose, to see what callers do."""

    delay: Duration | None = Field(None, description="Wait so long first.")
    abort: Status | Literal[True] | None = Field(
        None,
        description="Answer with this status instead of asking the service; `true` where connections are broken off (tcp).",
    )
    share: Percent = Field(100.0, description="Share of the requests it happens to; over tcp, of the new connections.")
    when: Match | None = Field(None, description="Only these requests.")
    callers: Annotated[tuple[str, ...], BeforeValidator(listed)] = Field(
        (), description="Only what these workloads call; `ingress` for what comes from outside."
    )

    @model_validator(mode="after")
    def _does_something(self) -> Fault:
        if self.delay is None and self.abort is None:
            raise ValueError("says nothing; give it delay or abort")
        return self


def _balance(value: object) -> object:
    return {"policy": value} if isinstance(value, str) else value


class Balance(Part):
    """Which replica gets a request. `{header: x-user}`, `{cookie: NAME}`, `{query: NAME}` and `{client: true}` send equal ones to
    the same replica (consistent hashing)."""

    policy: Literal["least-request", "round-robin", "random", "hash"] = Field(
        "least-request", description="How one is chosen."
    )
    header: str | None = Field(None, description="Equal values of this header go to the same replica.")
    cookie: str | None = Field(None, description="Equal values of this cookie go to the same replica.")
    query: str | None = Field(None, description="Equal values of this query parameter go to the same replica.")
    client: bool = Field(False, description="Equal client addresses go to the same replica.")

    @model_validator(mode="before")
    @classmethod
    def _hashes(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and value and "policy" not in value:
            return {**value, "policy": "hash"}
        return value

    @model_validator(mode="after")
    def _hashes_one_thing(self) -> Balance:
        if self.policy == "hash":
            _one_of(self, "header", "cookie", "query", "client")
        elif self.header or self.cookie or self.query or self.client:
            raise ValueError(f"{self.policy} looks at no header, cookie, query or client; leave `policy` out")
        return self


def _zones(value: tuple[str, ...]) -> tuple[str, ...]:
    """Places that do not overlap: a region, or region/zone."""
    for at, zone in enumerate(value):
        if not _ZONE.fullmatch(zone):
            raise ValueError(f"{zone[:60]!r} is not a place; write a region, or region/zone: eu-west/a")
        for other in value[:at]:
            if zone == other:
                raise ValueError(f"{zone} is named twice")
            if zone.startswith(f"{other}/") or other.startswith(f"{zone}/"):
                raise ValueError(f"{zone} and {other} overlap; name the region or its zones, not both")
    return value


Zones = Annotated[tuple[str, ...], BeforeValidator(listed), AfterValidator(_zones)]
"""Places, the nearest first."""


class Sticky(Part):
    """Whoever came once comes back to the same version and replica. `sticky: NAME` names the cookie."""

    cookie: str = Field("aic-session", description="Name of the cookie that remembers it.")
    lasts: Duration = Field(86400.0, description="How long.")

    @field_validator("cookie")
    @classmethod
    def _name(cls, name: str) -> str:
        return _header_name(name)


class Edits(Part):
    """Changes to headers."""

    set: Mapping[str, Text] = Field(default_factory=dict, description="Name to value, in place of what was there.")
    add: Mapping[str, Text] = Field(default_factory=dict, description="Name to value, beside what was there.")
    remove: Annotated[tuple[str, ...], BeforeValidator(listed)] = Field((), description="Names.")

    @model_validator(mode="after")
    def _names(self) -> Edits:
        for name in (*self.set, *self.add, *self.remove):
            if _header_name(name).lower() in _FRAMING:
                raise ValueError(
                    f"{name} is not a header to edit: it belongs to the connection; for host there is `rewrite`"
                )
        return self


class Headers(Part):
    """Headers that are changed on the way."""

    request: Edits = Field(Edits(), description="On the way to the service.")
    response: Edits = Field(Edits(), description="On the way back.")


class Cors(Part):
    """Which pages of other origins may call it from a browser."""

    origins: Annotated[tuple[Text, ...], BeforeValidator(listed)] = Field(
        description='Origins: https://shop.example, https://*.example.com, or "*".'
    )
    methods: Annotated[tuple[Method, ...], BeforeValidator(listed)] = Field(
        ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"), description="Methods."
    )
    headers: Annotated[tuple[str, ...], BeforeValidator(listed)] = Field((), description="Request headers.")
    expose: Annotated[tuple[str, ...], BeforeValidator(listed)] = Field((), description="Response headers it may read.")
    credentials: bool = Field(False, description="Whether cookies may be sent along.")
    max_age: Duration = Field(600.0, description="How long a browser may remember the answer.")

    @model_validator(mode="after")
    def _is_safe(self) -> Cors:
        if self.credentials and "*" in self.origins:
            raise ValueError('credentials and origin "*" exclude each other; name the origins')
        return self


class Redirect(Part):
    """The client is sent elsewhere. `redirect: /new` is short for `{to: /new}`."""

    to: str = Field(
        pattern=r"^(/|https?://[^/\s]+/?)\S*$", description="Path, or address with https://, in place of the whole."
    )
    status: Literal[301, 302, 303, 307, 308] = Field(302, description="HTTP status.")


class Rewrite(Part):
    """What the service sees. `rewrite: /new` puts /new in place of the prefix that matched."""

    path: Prefix | None = Field(None, description="In place of the matched prefix, or of an exact path.")
    host: str | None = Field(None, pattern=r"^[A-Za-z0-9.:-]+$", description="The Host header.")

    @model_validator(mode="after")
    def _does_something(self) -> Rewrite:
        if not self.path and not self.host:
            raise ValueError("says nothing; give it path or host")
        return self


class Way(Part):
    """What happens on the way to a resource."""

    fault: Fault | None = Field(None, description="Failures made on purpose.")


class Route(Part):
    """Requests that are treated differently; what it leaves out it has from `traffic`."""

    match: Match = Field(description="Which requests.")
    redirect: Annotated[Redirect | None, short("to")] = Field(None, description="Send the client elsewhere.")
    rewrite: Annotated[Rewrite | None, short("path")] = Field(None, description="Change what the service sees.")
    version: str | None = Field(None, description="All of it goes to this version.")
    timeout: Duration | None = Field(None, description="Longest wait for a whole answer.")
    retries: Annotated[Retries | None, short("attempts")] = Field(None, description="What is tried again.")
    limit: Annotated[tuple[LimitItem, ...], BeforeValidator(listed)] = Field((), description="Most requests.")
    mirror: Annotated[Mirror | None, short("version")] = Field(None, description="Where a copy goes.")
    fault: Fault | None = Field(None, description="Failures made on purpose.")
    headers: Headers | None = Field(None, description="Headers that are changed.")


class Traffic(Part):
    """How calls to this service are treated, at each of its callers."""

    timeout: Duration | None = Field(15.0, description="Longest wait for a whole answer.")
    retries: Annotated[Retries, short("attempts")] = Field(Retries(attempts=1), description="What is tried again.")
    breaker: Breaker | None = Field(None, description="When a replica is left out, and what is too much.")
    limit: Annotated[tuple[LimitItem, ...], BeforeValidator(listed)] = Field((), description="Most requests: 100/s.")
    balance: Annotated[
        Balance, BeforeValidator(_balance), WithJsonSchema({"type": ["string", "object"], "examples": ["round-robin"]})
    ] = Field(Balance(), description="Which replica gets a request.")
    zones: Zones = Field(
        (),
        max_length=8,
        description="Places over which its replicas are spread, the nearest first (eu-west/a, or a region): a call goes to the "
        "first whose replicas are well.",
    )
    sticky: Annotated[Sticky | None, short("cookie")] = Field(None, description="Who came once comes back to the same.")
    mirror: Annotated[Mirror | None, short("version")] = Field(None, description="Where a copy goes.")
    fault: Fault | None = Field(None, description="Failures made on purpose.")
    headers: Headers = Field(Headers(), description="Headers that are changed.")
    cors: Annotated[Cors | None, short("origins")] = Field(None, description="Which other origins may call it.")
    compress: bool = Field(False, description="Compress answers (gzip) for who accepts it.")
    max_body: Size | None = Field(None, description="Longest request body; more is answered 413.")
    routes: tuple[Route, ...] = Field((), description="Requests that are treated differently; the first that fits.")
