"""What a cluster cannot do yet, or this one cannot, found before anything is touched. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from aiculturekit.errors import Problem
from aiculturekit.language import say
from aiculturekit.mesh import features
from aiculturekit.mesh.rendering import Gap
from aiculturekit.plan import resources
from aiculturekit.plan.documents import Document
from aiculturekit.plan.resources import FILES
from aiculturekit.resources.kinds import KINDS
from aiculturekit.spec.models import Application, nearest
from aiculturekit.spec.services import Runnable
from aiculturekit.spec.traffic import Traffic
from aiculturekit.targets.kubernetes import rules, servers
from aiculturekit.targets.kubernetes.places import Cluster
from aiculturekit.targets.kubernetes.servers import settling

_SECTIONS = ("functions", "topics", "config")
_OF_THIS_MACHINE = ("oci:", "docker-daemon:")
"""A layout in a folder, and what an engine of this machine has."""
Finding = tuple[str, str, str]


def problems(application: Application, documents: Sequence[Document], *, cluster: Cluster) -> list[Problem]:
    """`documents` are the application's, as far as the mesh's rules are in them."""
    found = [
        *_sections(application),
        *_resources(application),
        *_files(application),
        *_scales(application, cluster),
        *_names(application),
        *_images(application, cluster),
        *_gaps(application, documents, cluster),
    ]
    return [_placed(application, *finding) for finding in found]


def _sections(application: Application) -> Iterator[Finding]:
    for section in _SECTIONS:
        for name in getattr(application, section):
            yield (
                f"{section}.{name}",
                say("the target kubernetes: cannot run {section} yet", section=section),
                say("leave the section out for now, or run this part as a service"),
            )


def _resources(application: Application) -> Iterator[Finding]:
    for name, resource in application.resources.items():
        if resource.url or resource.type in FILES:
            continue
        if resource.type in servers.SERVERS:
            if resource.image:
                message = say("the target kubernetes: takes a server by its version, not by an image")
                yield f"resources.{name}.image", message, say("write `version:` instead of `image:`")
            continue
        yield (
            f"resources.{name}.type",
            *_unplayed(resource.type),
        )


def _unplayed(kind: str) -> tuple[str, str]:
    """Why nothing of ours is it in a cluster, and what to write."""
    match kind:
        case "smtp":
            return (
                say("the catcher keeps mails and sends none, which nobody wants of a cluster"),
                say(
                    "name the server that sends them, in the environment: url: secret:env/MAIL_URL (smtp://USER:PASSWORD@HOST:587)"
                ),
            )
        case "custom":
            return (
                say("a cluster runs images, and this is a command of this machine"),
                say(
                    "write it as a service (its code becomes an image, or image: names one), or say where it stands: url: secret:env/NAME"
                ),
            )
    return (
        say("the target kubernetes: cannot run {title} yet", title=KINDS[kind].title),
        say("name a server that stands already: url: secret:env/NAME"),
    )


def _files(application: Application) -> Iterator[Finding]:
    """A disk is one node's at a time."""
    workloads: dict[str, Runnable] = {**application.services, **application.jobs}
    for name, resource in application.resources.items():
        if resource.type not in FILES or resource.url:
            continue
        users = [who for who, workload in workloads.items() if _needs(workload, name)]
        hint = say("use a server for it (type: postgres), which many can ask at once")
        if len(users) > 1:
            yield (
                f"resources.{name}",
                say("in a cluster one workload alone can use it, not {names}", names=", ".join(users)),
                hint,
            )
        for who in users:
            service = application.services.get(who)
            if service and (service.scale.max > 1 or len(service.versions) > 1):
                yield (
                    f"services.{who}.scale",
                    say(
                        "{service} works with the files of resources/{name}: one replica of one version at most",
                        service=who,
                        name=name,
                    ),
                    hint,
                )


def _needs(workload: Runnable, resource: str) -> bool:
    return any((need.kind, need.name) == ("resources", resource) for need in workload.needs)


def _scales(application: Application, cluster: Cluster) -> Iterator[Finding]:
    for name, service in application.services.items():
        if service.scale.max > service.scale.min and service.scale.rps and not _counts_requests(cluster):
            yield (
                f"services.{name}.scale.rps",
                say("nobody in the cluster counts requests for a scaler"),
                say("scale by cpu; or with Istio and KEDA, add autoscaler=keda&prometheus=URL to the target"),
            )


def _counts_requests(cluster: Cluster) -> bool:
    return cluster.autoscaler == "keda" and bool(cluster.prometheus) and cluster.mesh == "istio"


def _names(application: Application) -> Iterator[Finding]:
    taken = {settling.account(name): name for name, one in application.resources.items() if resources.is_played(one)}
    for section in ("services", "jobs"):
        for name in getattr(application, section):
            if name in taken:
                message = say(
                    "{name} is what settles resources/{resource} in a cluster", name=name, resource=taken[name]
                )
                yield f"{section}.{name}", message, say("give it another name")


def _images(application: Application, cluster: Cluster) -> Iterator[Finding]:
    for path, image in _named(application):
        if image.startswith(_OF_THIS_MACHINE):
            message = say("only this machine has its image: {image}", image=image)
            yield path, message, say("push it to a registry and name it there (`docker push`, `skopeo copy`)")
    if cluster.registry:
        return
    for section, workloads in (("services", application.services), ("jobs", application.jobs)):
        for name, workload in workloads.items():
            if not getattr(workload, "image", None):
                yield (
                    f"{section}.{name}",
                    say("its image has to be pulled from somewhere"),
                    say("add registry=registry.example.com/team to the target, or name a ready-made one: image: …"),
                )


def _named(application: Application) -> Iterator[tuple[str, str]]:
    for name, service in application.services.items():
        if service.image:
            yield f"services.{name}.image", service.image
        for version, detail in service.versions.items():
            if detail.image and not service.image:
                yield f"services.{name}.versions.{version}.image", detail.image


def _gaps(application: Application, documents: Sequence[Document], cluster: Cluster) -> Iterator[Finding]:
    """Where there is no mesh, what every service has is nobody's wish: the usual timeout of a call goes without a word."""
    for gap in features.gaps(rules.renderer(cluster), rules.node(application.app, documents)):
        is_unsaid = cluster.mesh == "none" and _is_usual(application, gap)
        is_ours = gap.service in application.resources and not gap.key.startswith("traffic.fault")
        if not is_ours and not is_unsaid:
            yield _gap(application, gap, mesh=cluster.mesh)


def _is_usual(application: Application, gap: Gap) -> bool:
    """Whether it is what every service has."""
    section, _, key = gap.key.partition(".")
    service = application.services.get(gap.service)
    name = key.partition(".")[0]
    return section == "traffic" and service is not None and getattr(service.traffic, name) == getattr(Traffic(), name)


def _gap(application: Application, gap: Gap, *, mesh: str) -> Finding:
    section = application.section_of(gap.service)
    message = say("a cluster without a mesh has no such rule")
    if mesh != "none":
        message = say("{mesh} cannot express it: {reason}", mesh=mesh, reason=gap.reason)
    hint = say("take it out for this mesh in an environment of its own, or choose another: `aic mesh matrix`")
    return f"{section}.{gap.service}.{gap.key}", message, hint


def _placed(application: Application, path: str, message: str, hint: str) -> Problem:
    parts = tuple(int(part) if part.isdigit() else part for part in path.split("."))
    line, column = nearest(application.places, parts)
    return Problem(path, message, hint, file=str(application.file), line=line, column=column)
