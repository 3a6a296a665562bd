"""What a daemon is told: by its environment, read once, with a clear word for what it cannot mean."""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Mapping
from pathlib import Path

from aiculturekit.engine import isolation
from aiculturekit.errors import UsageError
from aiculturekit.language import say
from aiculturekit.locator import Locator
from aiculturekit.mesh import identities, tracings
from aiculturekit.mesh.nodes import Gateway, Tracing
from aiculturekit.mesh.rotations import DAY, Lives
from aiculturekit.spec import units
from aiculturekit.targets.local import launches

INGRESS_PORT = 8080
API_PORT = 7411
GATEWAY_PORT = 15443
TRUST_DOMAIN = "aic.local"
LEASE = "AIC_LEASE"
"""The variable that makes a daemon one of several."""
_CERT_LIFE, _ROOT_AHEAD = (10.0, 7 * DAY), (5.0, 30 * DAY)
"""Seconds: the shortest and the longest that can be asked for."""


@dataclasses.dataclass(frozen=True, slots=True)
class Seat:
    """Where a daemon sits that is one of several in a cluster: the Lease by which they agree on who acts, the pod, the file with the
    password, and the host names under which it is called besides its Service's."""

    namespace: str
    lease: str
    pod: str
    password: Path
    hosts: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Every host name under which it answers."""
        service = f"{self.lease}.{self.namespace}"
        return (self.lease, service, f"{service}.svc", f"{service}.svc.cluster.local", *self.hosts)


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """What a daemon is told. `is_isolated` takes any free ports instead of the usual ones, so that many can live side by side."""

    home: Path
    state_url: str
    is_isolated: bool = False
    ingress_port: int = INGRESS_PORT
    api_port: int = API_PORT
    lives: Lives = dataclasses.field(default_factory=Lives)
    trust_domain: str = ""
    """Empty: the one that this home has."""
    gateway: Gateway | None = None
    """None: on loopback, on a port that is free."""
    tracing: Tracing | None = None
    isolation: isolation.Wish = isolation.USUAL
    stand_ins: Mapping[str, tuple[str, int]] = dataclasses.field(default_factory=dict, hash=False)
    seat: Seat | None = None
    """None: the one daemon of its machine, and nobody else's."""

    @classmethod
    def from_environ(cls, home: Path, environ: Mapping[str, str]) -> Settings:
        return cls(
            home=home,
            state_url=environ.get("AIC_STATE", Locator("sqlite", path=f"/{home / 'state.db'}").reveal()),
            is_isolated=environ.get("AIC_ISOLATED", "") not in ("", "0"),
            ingress_port=int(environ.get("AIC_INGRESS_PORT", INGRESS_PORT)),
            api_port=int(environ.get("AIC_API_PORT", API_PORT)),
            lives=Lives(
                leaf=_seconds(environ, "AIC_CERT_LIFE", within=_CERT_LIFE, default=Lives().leaf),
                ahead=_seconds(environ, "AIC_ROOT_AHEAD", within=_ROOT_AHEAD, default=Lives().ahead),
            ),
            trust_domain=_domain(environ.get("AIC_TRUST_DOMAIN", "")),
            gateway=_address(environ.get("AIC_GATEWAY", "")),
            tracing=tracings.parse(environ.get("AIC_OTLP")),
            isolation=isolation.wish(environ.get(isolation.VARIABLE, isolation.USUAL)),
            stand_ins=launches.stand_ins(environ.get("AIC_STAND_INS", "")),
            seat=_seat(environ),
        )


def _seat(environ: Mapping[str, str]) -> Seat | None:
    namespace, slash, lease = environ.get(LEASE, "").partition("/")
    if not namespace:
        return None
    pod, password = environ.get("AIC_POD", ""), environ.get("AIC_PASSWORD_FILE", "")
    if not (slash and lease and pod and password):
        raise UsageError(
            say("AIC_LEASE: a daemon of a cluster is told its NAMESPACE/NAME, AIC_POD and AIC_PASSWORD_FILE"),
            hint=say("`aic install kubernetes` says all of them"),
        )
    hosts = tuple(host for host in environ.get("AIC_HOSTS", "").split(",") if host)
    return Seat(namespace, lease, pod, Path(password), hosts)


def _address(text: str) -> Gateway | None:
    host, _, port = text.rpartition(":")
    if not text:
        return None
    try:
        return Gateway(str(ipaddress.ip_address(host.strip("[]"))), int(port))
    except ValueError:
        raise UsageError(
            say("AIC_GATEWAY: {text} is no address", text=repr(text[:80])),
            hint=say("an address of this machine and a port, as in 0.0.0.0:15443"),
        ) from None


def _domain(text: str) -> str:
    if text and not identities.is_domain(text):
        raise UsageError(
            say("AIC_TRUST_DOMAIN: {text} is no trust domain", text=repr(text[:80])),
            hint=say("lower-case letters, digits, dots, hyphens and underscores, as in prod.example.org"),
        )
    return text


def _seconds(environ: Mapping[str, str], name: str, *, within: tuple[float, float], default: float) -> float:
    """A duration such as 3600, 90s or 1h from the environment. Raises UsageError."""
    text = environ.get(name)
    if not text:
        return default
    shortest, longest = within
    try:
        value = units.duration(f"{text}s" if text.replace(".", "", 1).isdigit() else text)
    except ValueError:
        value = -1.0
    if not shortest <= value <= longest:
        raise UsageError(
            say(
                "{name}: {text} is no time between {shortest} s and {longest} s",
                name=name,
                text=repr(text[:40]),
                shortest=round(shortest),
                longest=round(longest),
            ),
            hint=say("write it like 90s, 30m or 1h"),
        )
    return value
