"""What Prometheus looks at and warns of, where its operator is: a PodMonitor for the proxies of a mesh, a PrometheusRule for each service.
Pure.

Pods export what the mesh's proxies count, and nothing else that is known here: so without a mesh there are rules for restarts alone, which
kube-state-metrics counts. Requests are counted where they arrive, so a service's share of errors is its own.
(https://prometheus-operator.dev/docs/api-reference/api/, https://istio.io/latest/docs/reference/config/metrics/,
https://linkerd.io/2/reference/proxy-metrics/)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from aiculturekit.plan.documents import Document
from aiculturekit.targets.kubernetes.objects import RULES, Owned, made
from aiculturekit.targets.kubernetes.places import MONITORED, Cluster

API = "monitoring.coreos.com/v1"
_ERRORS, _SLOW, _STARTS = 0.05, 1000.0, 3
"""The share of errors, the milliseconds of the 95th percentile, and the restarts in a quarter of an hour above which somebody is told."""
_FOR = "5m"
Json = dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Proxy:
    """Where a mesh's proxies say what they count, and in which words; {app} and {namespace} are filled in."""

    container: str
    port: int
    path: str
    requests: str
    failed: str
    latency: str


PROXIES: Mapping[str, Proxy] = {
    "istio": Proxy(
        "istio-proxy",
        15090,
        "/stats/prometheus",
        'istio_requests_total{{reporter="destination",namespace="{namespace}",app="{app}"}}',
        'istio_requests_total{{reporter="destination",namespace="{namespace}",app="{app}",response_code=~"5.."}}',
        'istio_request_duration_milliseconds_bucket{{reporter="destination",namespace="{namespace}",app="{app}"}}',
    ),
    "linkerd": Proxy(
        "linkerd-proxy",
        4191,
        "/metrics",
        'response_total{{direction="inbound",namespace="{namespace}",app="{app}"}}',
        'response_total{{direction="inbound",namespace="{namespace}",app="{app}",classification="failure"}}',
        'response_latency_ms_bucket{{direction="inbound",namespace="{namespace}",app="{app}"}}',
    ),
}


def rendered(app: str, documents: Sequence[Document], *, cluster: Cluster) -> Iterator[Owned]:
    if cluster.monitoring != MONITORED:
        return
    services: dict[str, list[str]] = {}
    for name, _, version in sorted(one.name.partition("/") for one in documents if one.kind == "workload"):
        services.setdefault(name, []).append(version)
    if cluster.mesh in PROXIES and services:
        yield _owned(app, "PodMonitor", app, cluster, _watch(app, PROXIES[cluster.mesh], cluster))
    for name, versions in services.items():
        groups = [{"name": f"{app}.{name}", "rules": list(_rules(app, name, dict.fromkeys(versions), cluster))}]
        yield _owned(app, "PrometheusRule", name, cluster, {"groups": groups}, component=name)


def port(cluster: Cluster) -> int | None:
    """What Prometheus asks of every pod; None where there is nothing to ask."""
    return PROXIES[cluster.mesh].port if cluster.monitoring == MONITORED and cluster.mesh in PROXIES else None


def _owned(app: str, kind: str, name: str, cluster: Cluster, spec: Json, *, component: str = "") -> Owned:
    labels = dict([cluster.monitor_label]) if cluster.monitor_label else {}
    return Owned(RULES, made(API, kind, name, app=app, cluster=cluster, component=component, labels=labels, spec=spec))


def _watch(app: str, proxy: Proxy, cluster: Cluster) -> Json:
    """By its number: what a mesh calls its port is its own affair."""
    keep = [
        {"action": "keep", "sourceLabels": [f"__meta_kubernetes_pod_container_{label}"], "regex": regex}
        for label, regex in (("name", proxy.container), ("port_number", str(proxy.port)))
    ]
    return {
        "selector": {"matchLabels": {"app.kubernetes.io/part-of": app}},
        "namespaceSelector": {"matchNames": [cluster.namespace]},
        "podTargetLabels": ["app", "version"],
        "podMetricsEndpoints": [{"path": proxy.path, "interval": "15s", "relabelings": keep}],
    }


def _rules(app: str, name: str, versions: Iterable[str], cluster: Cluster) -> Iterator[Json]:
    if proxy := PROXIES.get(cluster.mesh):
        words = {"namespace": cluster.namespace, "app": name}
        requests, failed, latency = (text.format(**words) for text in (proxy.requests, proxy.failed, proxy.latency))
        share = f"sum(rate({failed}[5m])) / sum(rate({requests}[5m])) > {_ERRORS:g}"
        yield _rule("Errors", share, app, name, f"more than {_ERRORS:.0%} of the requests to {name} fail")
        slow = f"histogram_quantile(0.95, sum by (le) (rate({latency}[5m]))) > {_SLOW:g}"
        yield _rule("Slow", slow, app, name, f"one in twenty requests to {name} takes more than {_SLOW:g} ms")
    pods = f"{name}-({'|'.join(versions)})-.+"
    restarts = f'kube_pod_container_status_restarts_total{{namespace="{cluster.namespace}",pod=~"{pods}"}}'
    again = f"sum(increase({restarts}[15m])) > {_STARTS}"
    yield _rule(
        "Restarts", again, app, name, f"{name} was started anew more than {_STARTS} times in a quarter of an hour"
    )


def _rule(alert: str, expression: str, app: str, name: str, summary: str) -> Json:
    labels = {"severity": "warning", "application": app, "service": name}
    return {"alert": alert, "expr": expression, "for": _FOR, "labels": labels, "annotations": {"summary": summary}}
