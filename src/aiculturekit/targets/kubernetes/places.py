"""`kubernetes://CONTEXT/NAMESPACE?mesh=istio&flavor=eks&registry=…` as one frozen value. Pure.

CONTEXT     of the kubeconfig; left out: its current one
mesh        none, istio, linkerd, gateway-api
flavor      a row of `flavors`: what a managed offering calls its ingress, its disks, its balancers
registry    where images are pushed to and pulled from: registry.example.com/team
pull_secret the Secret in the namespace by which nodes log in there, where they do not by themselves
mirror      where the images of databases come from instead of Docker's registry
host        public host names, with commas
cni         true where the mesh's own network plugin is installed, so that pods need no privilege for it
monitoring  prometheus-operator: PodMonitor and PrometheusRules for it; none: no; left out: a deploy looks whether it is there
monitor_label  the label=value by which its Prometheus chooses them
traces      percent of the requests whose trace goes to where the mesh (Istio) sends traces
"""

from __future__ import annotations

import dataclasses
import re

from aiculturekit.errors import LocatorError
from aiculturekit.language import say
from aiculturekit.locator import Locator
from aiculturekit.targets.kubernetes import flavors
from aiculturekit.targets.kubernetes.flavors import Flavor

MONITORED = "prometheus-operator"
MESHES = ("none", "istio", "linkerd", "gateway-api")
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclasses.dataclass(frozen=True, slots=True)
class _Options:
    mesh: str = "none"
    flavor: str = "generic"
    registry: str = ""
    pull_secret: str = ""
    mirror: str = ""
    host: str = ""
    kubeconfig: str = ""
    ingress: str = ""
    gateway_class: str = ""
    trust_domain: str = "cluster.local"
    cni: bool = False
    storage_class: str = ""
    autoscaler: str = "hpa"
    prometheus: str = ""
    operator: str = ""
    cpu: str = ""
    memory: str = ""
    traces: float = 0.0
    monitoring: str = ""
    monitor_label: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Cluster:
    """Where an application goes. `ingress` is the NAMESPACE/ACCOUNT of an ingress gateway that stands already (Istio only); empty: the
    application has one of its own. `operator` is who runs PostgreSQL: `cnpg`, or nobody. `cpu` and `memory` bound the whole namespace."""

    context: str
    namespace: str
    mesh: str = "none"
    flavor: Flavor = flavors.FLAVORS["generic"]
    registry: str = ""
    pull_secret: str = ""
    mirror: str = "docker.io"
    hosts: tuple[str, ...] = ("*",)
    kubeconfig: str = ""
    ingress: str = ""
    gateway_class: str = ""
    trust_domain: str = "cluster.local"
    has_cni: bool = False
    storage_class: str = ""
    autoscaler: str = "hpa"
    prometheus: str = ""
    operator: str = ""
    cpu: str = ""
    memory: str = ""
    traces: float = 0.0
    monitoring: str = ""
    monitor_label: tuple[str, str] | None = None
    environment: str = "default"

    @property
    def storage(self) -> str:
        """The storage class of every volume; empty: the cluster's own default."""
        return self.storage_class or self.flavor.storage_class


def parse(target: Locator, *, environment: str = "default") -> Cluster:
    """Raises LocatorError for what is no place in a cluster."""
    options = target.options_as(_Options)
    namespace = target.path.strip("/")
    if target.opaque or not _NAMESPACE.fullmatch(namespace):
        raise LocatorError(
            say("kubernetes: {name} is no namespace", name=repr(namespace)),
            hint=say("write kubernetes://CONTEXT/NAMESPACE; kubernetes:///NAMESPACE is the current context"),
        )
    _require("mesh", options.mesh, MESHES)
    _require("flavor", options.flavor, tuple(flavors.FLAVORS))
    _require("autoscaler", options.autoscaler, ("hpa", "keda"))
    _require("operator", options.operator, ("", "cnpg"))
    _require("monitoring", options.monitoring, ("", "none", MONITORED))
    _require_traces(options)
    return Cluster(
        context=_context(target),
        namespace=namespace,
        mesh=options.mesh,
        flavor=flavors.FLAVORS[options.flavor],
        registry=options.registry.rstrip("/"),
        pull_secret=options.pull_secret,
        mirror=options.mirror.rstrip("/") or "docker.io",
        hosts=tuple(host for host in options.host.split(",") if host) or ("*",),
        kubeconfig=options.kubeconfig,
        ingress=options.ingress,
        gateway_class=options.gateway_class,
        trust_domain=options.trust_domain,
        has_cni=options.cni,
        storage_class=options.storage_class,
        autoscaler=options.autoscaler,
        prometheus=options.prometheus,
        operator=options.operator,
        cpu=options.cpu,
        memory=options.memory,
        traces=options.traces,
        monitoring=options.monitoring,
        monitor_label=_label(options.monitor_label),
        environment=environment,
    )


def _context(target: Locator) -> str:
    """A context may be called almost anything (`arn:aws:eks:…`, `user@cluster`): such a name is written with %3A, %2F, %40."""
    if len(target.hosts) > 1 or any(port for _, port in target.hosts) or target.username is not None:
        raise LocatorError(
            say("kubernetes: what stands before the namespace is one context of the kubeconfig"),
            hint=say("percent-encode any of : / ? # @ in its name"),
        )
    return target.hosts[0][0] if target.hosts else ""


def _label(text: str) -> tuple[str, str] | None:
    name, _, value = text.partition("=")
    if text and not (name and value):
        raise LocatorError(
            say("kubernetes: {label} is no label", label=repr(text)),
            hint=say("write monitor_label=NAME%3DVALUE, for example release%3Dprometheus"),
        )
    return (name, value) if text else None


def _require_traces(options: _Options) -> None:
    if not 0 <= options.traces <= 100:
        raise LocatorError(say("kubernetes: traces is a percentage, from 0 to 100"))
    if options.traces and options.mesh != "istio":
        raise LocatorError(
            say("kubernetes: traces are made by Istio's proxies, and the mesh is {mesh}", mesh=options.mesh),
            hint=say("write mesh=istio, or take traces= out: workloads that report their own need it not"),
        )


def _require(option: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise LocatorError(
            say("kubernetes: there is no {option} {value}", option=option, value=repr(value)),
            hint=say("known: {known}", known=", ".join(filter(None, known))),
        )
