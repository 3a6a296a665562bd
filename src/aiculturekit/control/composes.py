"""An application as a compose file, and what of it compose has no words for. Pure.

Images are those of `aic build`; addresses are compose's own names, so nothing stands between two services: no identity, no encryption, no
permission. `lost` says so, and what else goes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aiculturekit.control import containers
from aiculturekit.control.recipes import recipes
from aiculturekit.images import commands
from aiculturekit.images.builds import PORT
from aiculturekit.images.facts import Facts
from aiculturekit.language import say
from aiculturekit.resources import outputs
from aiculturekit.spec import references, secrets
from aiculturekit.spec.access import Access
from aiculturekit.spec.models import Application, Job, Resource, Service, Version
from aiculturekit.spec.traffic import Traffic

Json = dict[str, Any]
INGRESS = "aic-ingress"
_GATEWAY = "nginx:1-alpine"
_FACTS = Facts(has_shell=True)
_SAFE: Json = {"cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"], "tmpfs": ["/tmp"]}  # noqa: S108


def composed(application: Application) -> Json:
    """The compose file's document, by the compose specification."""
    images = {one.document: f"${{REGISTRY:-}}{one.name}:${{TAG:-latest}}" for one in recipes(application)}
    services: Json = {
        name: containers.service(name, one)
        for name, one in application.resources.items()
        if containers.is_contained(one)
    }
    for name, service in application.services.items():
        services |= dict(_services(application, name, service, images))
    services |= {name: _job(application, name, job, images) for name, job in application.jobs.items()}
    paths = {prefix: name for name, service in application.services.items() for prefix in service.public}
    found: Json = {
        "name": application.app,
        "services": services | ({INGRESS: _ingress()} if paths else {}),
    }
    volumes = [name for name, one in application.resources.items() if _is_kept(one)]
    found |= {"volumes": {name: {} for name in volumes}} if volumes else {}
    scripts = {name: text for name, one in application.resources.items() if (text := containers.script(one))}
    configs = ({INGRESS: _routes(paths)} if paths else {}) | {name: _escaped(text) for name, text in scripts.items()}
    return found | ({"configs": {name: {"content": text} for name, text in configs.items()}} if configs else {})


def _is_kept(resource: Resource) -> bool:
    return resource.url is None and (
        resource.type in containers.FILES or (containers.is_contained(resource) and resource.type != "smtp")
    )


def _services(
    application: Application, name: str, service: Service, images: dict[tuple[str, str], str]
) -> Iterator[tuple[str, Json]]:
    """One for each version; all of them answer to the service's name."""
    for version, detail in service.versions.items():
        image = detail.image or images.get(("workload", f"{name}/{version}"))
        if image is None:
            continue
        own = name if len(service.versions) == 1 else f"{name}-{version}"
        if service.prepares and version == next(iter(service.versions)):
            yield from _prepared(application, name, service, image)
        found = _workload(application, name, service.needs, detail.env, image)
        yield own, found | _running(application, name, service, detail, own)


def _workload(application: Application, name: str, needs: Any, env: Any, image: str) -> Json:
    mounted = [
        need.name
        for need in needs
        if need.kind == "resources" and application.resources[need.name].type in containers.FILES
    ]
    volumes = {"volumes": [f"{one}:/data/{one}" for one in mounted]} if mounted else {}
    return {"image": image, "environment": _environment(application, name, needs, env), **volumes, **_SAFE}


def _running(application: Application, name: str, service: Service, detail: Version, own: str) -> Json:
    found: Json = {"restart": "unless-stopped", "stop_grace_period": f"{service.grace:g}s"}
    after = _after(application, service.needs)
    if service.prepares:
        after[f"{name}-{'seed' if service.seed else 'migrate'}"] = {"condition": "service_completed_successfully"}
    found |= {"depends_on": after} if after else {}
    if own != name and detail.weight:
        found["networks"] = {"default": {"aliases": [name]}}
    limits = {"cpus": f"{service.resources.cpu / 1000:g}"} if service.resources.cpu else {}
    limits |= {"memory": str(service.resources.memory)} if service.resources.memory else {}
    placed: Json = {"replicas": service.scale.min} if service.scale.min != 1 else {}
    placed |= {"resources": {"limits": limits}} if limits else {}
    return found | ({"deploy": placed} if placed else {})


def _after(application: Application, needs: Any) -> Json:
    """Servers first: those that can be asked, when they are well."""
    found: Json = {}
    for need in needs:
        if need.kind == "resources" and containers.is_contained(one := application.resources[need.name]):
            is_asked = "healthcheck" in containers.ROWS[one.type].service
            found[need.name] = {"condition": "service_healthy" if is_asked else "service_started"}
    return found


def _prepared(application: Application, name: str, service: Service, image: str) -> Iterator[tuple[str, Json]]:
    after = _after(application, service.needs)
    for step, task in (("migrate", service.migrate), ("seed", service.seed)):
        if task is None:
            continue
        found = _workload(application, name, service.needs, service.env, image)
        command = [_escaped(word) for word in commands.words(task.run, facts=_FACTS, port=PORT)]
        yield (
            f"{name}-{step}",
            found | {"command": command, "restart": "no", **({"depends_on": dict(after)} if after else {})},
        )
        after[f"{name}-{step}"] = {"condition": "service_completed_successfully"}


def _job(application: Application, name: str, job: Job, images: dict[tuple[str, str], str]) -> Json:
    """Only when somebody asks: docker compose run --rm NAME."""
    found = _workload(application, name, job.needs, job.env, images[("job", name)])
    after = _after(application, job.needs)
    return found | {"profiles": ["jobs"], "restart": "no", **({"depends_on": after} if after else {})}


def _environment(application: Application, name: str, needs: Any, env: Any) -> dict[str, str]:
    """As the platform gives it: NAME_URL for each need, S3's own variables where one store is needed, what the file says last."""
    known = {f"services.{need.name}.url": f"http://{need.name}:{PORT}" for need in needs if need.kind == "services"}
    stores = []
    for need in needs:
        if need.kind == "resources":
            given = containers.given(need.name, application.resources[need.name])
            for output, value in given.items():
                first, colon, part = output.partition(":")
                known[f"resources.{need.name}-{part}.{first}" if colon else f"resources.{need.name}.{output}"] = value
            stores += [given] if "bucket" in given else []
    urls = {
        f"{key.split('.')[1].upper().replace('-', '_')}_URL": value
        for key, value in known.items()
        if key.endswith(".url")
    }
    amazon = outputs.amazon(stores[0]) if len(stores) == 1 else {}
    said = {key: _kept(key, text) or _said(text, known) for key, text in env.items()}
    return {"OTEL_SERVICE_NAME": name, **urls, **amazon, **said}


def _kept(key: str, text: str) -> str:
    """A secret that is all of a variable: from who runs compose; by the variable's own name where the file names none."""
    found = secrets.parse(text)
    return f"${{{found.name if found.kind == 'env' else key}:?}}" if found else ""


def _said(text: str, known: dict[str, str]) -> str:
    """The file's text with what it refers to. `${env.NAME}` stays a variable, which compose fills in."""
    found: list[str] = []

    def lookup(reference: str) -> str:
        section, _, rest = reference.partition(".")
        found.append(f"${{{rest}}}" if section == "env" else known.get(reference, ""))
        return "\0"

    pieces = _escaped(references.expand(text, lookup=lookup)).split("\0")
    return "".join(piece + (found[at] if at < len(found) else "") for at, piece in enumerate(pieces))


def _escaped(text: str) -> str:
    """A `$` that compose leaves alone."""
    return text.replace("$", "$$")


def _ingress() -> Json:
    return {
        "image": _GATEWAY,
        "ports": ["127.0.0.1:${INGRESS_PORT:-8080}:80"],
        "configs": [{"source": INGRESS, "target": "/etc/nginx/conf.d/default.conf"}],
        "restart": "unless-stopped",
    }


def _routes(paths: dict[str, str]) -> str:
    """nginx's configuration. Names are asked for anew, so that a service may come and go."""
    lines = [
        "server {",
        "  listen 80;",
        "  resolver 127.0.0.11 valid=5s;",
        "  proxy_http_version 1.1;",
        "  proxy_set_header Host $http_host;",
    ]
    for prefix, service in sorted(paths.items()):
        wanted = [prefix] if prefix == "/" else [f"= {prefix}", f"{prefix}/"]
        lines += [f"  location {one} {{ set $to http://{service}:{PORT}; proxy_pass $to; }}" for one in wanted]
    return _escaped("\n".join([*lines, "}"]) + "\n")


def lost(application: Application) -> list[str]:
    """What the file says and compose has no words for: the same for all first, then what this file has of it."""
    return [
        say("no mTLS between services, and no permissions: `needs` gives addresses, everybody reaches everybody"),
        say("every workload logs in to a database as its owner; the platform gives each a login of its own"),
        *(line for name, service in application.services.items() for line in _of_service(name, service)),
        *(line for name, one in application.resources.items() if one.url is None for line in _of_resource(name, one)),
        *(
            say("{name}: its schedule is lost; run it: docker compose run --rm {name}", name=name)
            for name, job in application.jobs.items()
            if job.schedule
        ),
        *(
            say("{section} are left out", section=section)
            for section in ("functions", "topics", "config")
            if getattr(application, section)
        ),
    ]


def _of_service(name: str, service: Service) -> Iterator[str]:
    if len(service.versions) > 1:
        yield say("{name}: its versions share the calls evenly; weights and matches are lost", name=name)
    if service.traffic != Traffic():
        yield say("{name}: traffic rules (timeouts, retries, breakers, limits) are lost", name=name)
    if service.access != Access():
        yield say("{name}: access rules (tokens, checks, audit) are lost", name=name)
    if service.seed:
        yield say("{name}: its seed runs with every `docker compose up`", name=name)
    if service.scale.max > service.scale.min:
        yield say("{name}: it has {count} replicas and is not scaled", name=name, count=service.scale.min)


def _of_resource(name: str, resource: Resource) -> Iterator[str]:
    if resource.type == "custom":
        yield say("resources/{name}: {type} is left out; give it a url:", name=name, type=resource.type)
    if resource.buckets:
        yield say("resources/{name}: make its buckets by hand", name=name)
    if resource.type in containers.FILES:
        yield say("resources/{name}: its folder belongs to root; give it to user 65532 once", name=name)
