"""What Linkerd says in annotations: timeouts and retries on a route, failing replicas on a Service. Pure."""

from __future__ import annotations

from aiculturekit.mesh.branches import Branch
from aiculturekit.mesh.nodes import Service
from aiculturekit.mesh.rendering import Place
from aiculturekit.mesh.rules import UNSENT, Breaker, Retries

CONDITIONS = {"5xx": "5xx", "gateway-error": "gateway-error", "retriable-4xx": "409"}
"""Envoy's word -> Linkerd's. What no service has seen needs none: only endpoints with a connection are given requests."""
_LONGEST = 6
"""An ejection grows to this many times the first, as on this machine."""


def of_branch(branch: Branch) -> dict[str, str]:
    found = {} if branch.timeout is None else {"timeout.linkerd.io/request": seconds(branch.timeout)}
    return found | ({} if branch.redirect else of_retries(branch.retries))


def of_retries(retries: Retries) -> dict[str, str]:
    conditions = [CONDITIONS.get(word, word) for word in words(retries) if is_known(word)]
    if not conditions or retries.attempts <= 0:
        return {}
    found = {"retry.linkerd.io/http": ",".join(conditions), "retry.linkerd.io/limit": str(retries.attempts)}
    return found | ({"retry.linkerd.io/timeout": seconds(retries.per_try)} if retries.per_try else {})


def is_known(word: str) -> bool:
    return word in CONDITIONS or word.isdecimal()


def words(retries: Retries) -> list[str]:
    """What is tried again, besides what no service has seen."""
    return [word for word in retries.on.split(",") if word and word not in UNSENT.split(",")]


def of_service(service: Service, *, place: Place) -> dict[str, str]:
    opaque = {"config.linkerd.io/opaque-ports": str(place.port_of(service.name))} if service.protocol == "tcp" else {}
    return opaque | (_accrual(service.traffic.breaker) if service.traffic.breaker else {})


def _accrual(breaker: Breaker) -> dict[str, str]:
    if breaker.consecutive is None:
        return {}
    prefix = "balancer.linkerd.io/failure-accrual"
    return {
        prefix: "consecutive",
        f"{prefix}-consecutive-max-failures": str(breaker.consecutive),
        f"{prefix}-consecutive-min-penalty": seconds(breaker.over),
        f"{prefix}-consecutive-max-penalty": seconds(breaker.over * _LONGEST),
    }


def seconds(value: float) -> str:
    """Linkerd reads one number with one unit."""
    whole = round(value * 1000)
    return f"{whole}ms" if whole % 1000 else f"{whole // 1000}s"
