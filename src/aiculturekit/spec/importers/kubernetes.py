"""Objects of a cluster -> an application file, and what could not be carried over. Pure.

read       documents, Lists, what kubectl prints; what other objects made is left out
sorted     images of known servers become resources; workloads that one Service selects are versions of it
made       each workload by itself: its variables, probes, bounds
joined     needs from NetworkPolicies and from values that name a Service; public paths from Ingresses and routes
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from aiculturekit.errors import Problem
from aiculturekit.language import say
from aiculturekit.spec import crons
from aiculturekit.spec.importers import connections, containers, dockerfiles, drafts, manifests, names, stocks
from aiculturekit.spec.importers.drafts import loss
from aiculturekit.spec.importers.manifests import Object, has_labels, of_kind
from aiculturekit.spec.importers.readings import Line, Map, trouble
from aiculturekit.spec.importers.writings import Noted, written

SERVING, RUNNING = ("Deployment", "StatefulSet"), ("Job", "CronJob")
_READ = {
    *SERVING,
    *RUNNING,
    "Service",
    "Ingress",
    "HTTPRoute",
    "ConfigMap",
    "Secret",
    "HorizontalPodAutoscaler",
    "NetworkPolicy",
}
_SILENT = {
    "Namespace", "ServiceAccount", "LimitRange", "PodDisruptionBudget", "PersistentVolumeClaim", "ReplicaSet", "Endpoints", "EndpointSlice",
    "Event", "Lease", "ControllerRevision", "Gateway", "StorageClass", "IngressClass", "PriorityClass", "Kustomization",
}  # fmt: skip
"""What the platform makes itself, or what says nothing about the application."""
_REFUSED = {
    "DaemonSet": ("a copy on every node is the cluster's affair", "leave it where it is"),
    "Pod": ("a pod without a Deployment is run by nobody again", "make a Deployment of it"),
    "ResourceQuota": ("bounds of a namespace stand in the target", "write cpu= and memory= in the target"),
}
_OWN = {"PORT", "HOME", "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"}
"""Variables that every workload has of the platform."""


def imported(files: Mapping[str, bytes], *, name: str) -> tuple[str, list[Problem]]:
    """The text of an application file and what was lost. `files` are paths as shown to contents, `name` the application's where no
    namespace says it. Raises SpecError with one Problem."""
    losses: list[Problem] = []
    found = manifests.objects(files, losses)
    if not of_kind(found, *SERVING, *RUNNING):
        at = (next(iter(files), ""), 1)
        raise trouble(
            say("there is no Deployment, StatefulSet, Job or CronJob in it"),
            hint=say("name a folder of YAML files"),
            at=at,
        )
    return _Import(found, name=name, losses=losses).result()


class _Import:
    def __init__(self, found: list[Object], *, name: str, losses: list[Problem]) -> None:
        self.all, self.losses = found, losses
        self.serving = of_kind(found, *SERVING)
        spaces = {one.namespace for one in self.serving} - {"", "default"}
        self.app = names.name(spaces.pop() if len(spaces) == 1 else name)
        self.hosts = of_kind(found, "Service")
        self.maps = {one.name: one for one in of_kind(found, "ConfigMap")}
        self.secrets = {one.name: one for one in of_kind(found, "Secret")}
        self.groups = self._grouped()
        jobs = [one.name for one in of_kind(found, *RUNNING)]
        self.names = names.unique([*self.groups, *jobs])
        self.stocks = {key: stock for key, group in self.groups.items() if (stock := stocks.stock(_image(group[0])))}
        self.resources: dict[str, Any] = {}
        self.peers = dict(self._peers())
        self.needs = self._permitted()
        self.publics = self._public()

    def result(self) -> tuple[str, list[Problem]]:
        services: dict[str, Any] = {}
        for key, group in self.groups.items():
            if key in self.stocks:
                self._resource(key, group[0])
            else:
                services[self.names[key]] = self._service(key, group)
        jobs = dict(self._jobs())
        self._say_rest()
        sections = {"services": services, "jobs": jobs, "resources": self.resources}
        ordered = sorted(set(self.losses), key=lambda p: (p.file, p.line, p.path, p.message))
        head = say("Made by `aic init --from kubernetes`. `aic explain` is the manual of every key.")
        return written(self.app, sections, head=head, losses=ordered), ordered

    def _lose(self, one: Object, part: str, message: str, hint: str = "", at: Line | None = None) -> None:
        self.losses.append(loss(f"{one.path}.{part}" if part else one.path, message, hint, at=at or one.value.line))

    def _loser(self, one: Object) -> containers.Lose:
        return lambda part, message, hint, at: self._lose(one, part, message, hint, at)

    def _grouped(self) -> dict[str, list[Object]]:
        """Workloads by the service that they are versions of: those which one Service selects, told apart by the label `version`."""
        found: dict[str, list[Object]] = {}
        for one in self.serving:
            version = one.pod.map("metadata").map("labels").get("version")
            fronts = [host.name for host in self.hosts if has_labels(one.pod, host.spec.map("selector"))]
            key = fronts[0] if version and fronts and one.name != fronts[0] else one.name
            found.setdefault(key, []).append(one)
        return found

    def _peers(self) -> Iterator[tuple[str, connections.Peer]]:
        """The names by which the cluster knows each."""
        for key, group in self.groups.items():
            peer = connections.Peer(self.names[key], self.stocks.get(key))
            for host in self.hosts:
                if any(has_labels(one.pod, host.spec.map("selector")) for one in group):
                    space = host.namespace or group[0].namespace or "default"
                    for ending in ("", f".{space}", f".{space}.svc", f".{space}.svc.cluster.local"):
                        yield host.name + ending, peer

    def _permitted(self) -> dict[str, list[str]]:
        """Group -> needs, by NetworkPolicies in both directions."""
        found: dict[str, list[str]] = {key: [] for key in self.groups}
        for one in of_kind(self.all, "NetworkPolicy"):
            chosen = list(_selected(self.groups, one.spec.map("podSelector")))
            for way, far in (("egress", "to"), ("ingress", "from")):
                for rule in one.spec.items_of(way):
                    ends = rule.items_of(far) if isinstance(rule, Map) else []
                    others = [
                        key
                        for end in ends
                        if isinstance(end, Map)
                        for key in _selected(self.groups, end.map("podSelector"))
                    ]
                    for a in chosen:
                        for b in others:
                            caller, called = (a, b) if way == "egress" else (b, a)
                            if caller != called:
                                found[caller].append(self._need(called))
        return found

    def _need(self, key: str) -> str:
        return connections.Peer(self.names[key], self.stocks.get(key)).need

    def _public(self) -> dict[str, list[str]]:
        """Group -> paths. Two that want the same path: the first has it."""
        found: dict[str, list[str]] = {}
        taken: set[str] = set()
        for one, path, host, at in self._paths():
            keys = [key for key, group in self.groups.items() for front in self.hosts
                    if front.name == host and any(has_labels(each.pod, front.spec.map("selector")) for each in group)]  # fmt: skip
            plain = re.match(r"/[\w./~-]*", path)
            if not keys or keys[0] in self.stocks or not plain or plain[0] in taken:
                why = say("{path} of {host} has no place", path=path, host=host)
                self._lose(one, "", why, say("write it into public: by hand"), at)
                continue
            if plain[0] != path:
                self._lose(one, "", say("{path} is a pattern; what stands before it is public", path=path), "", at)
            taken.add(plain[0])
            found.setdefault(keys[0], []).append(plain[0].rstrip("/") or "/")
        return found

    def _paths(self) -> Iterator[tuple[Object, str, str, Line]]:
        """(object, path, Service, where) of Ingresses, routes, and of Services that have an address outside."""
        count = 0
        for one in of_kind(self.all, "Ingress", "HTTPRoute"):
            hosts = [str(host) for host in one.spec.items_of("hostnames")]
            for rule in (rule for rule in one.spec.items_of("rules") if isinstance(rule, Map)):
                hosts += [str(rule["host"])] if rule.get("host") else []
                for path, host, at in _routes(rule):
                    count += 1
                    yield one, path, host, at
            if hosts:
                self._lose(one, "", say("public host names stand in the target: {hosts}", hosts=", ".join(hosts)),
                           say("write host={hosts} in the target", hosts=",".join(hosts)))  # fmt: skip
        for one in self.hosts:
            if one.spec.get("type") in ("LoadBalancer", "NodePort") and not count:
                count += 1
                yield one, "/", one.name, one.value.line

    def _resource(self, key: str, one: Object) -> None:
        stock, image = self.stocks[key], _image(one)
        entry: dict[str, Any] = {"type": stock.type}
        if extension := stocks.EXTENSIONS.get(stocks.stem(image)):
            entry["extensions"] = [extension]
        self.resources[self.names[key]] = Noted(entry, say("was {image}", image=image))
        if not one.is_ours:
            self._lose(one, "", say("its data, version and settings are those of the platform's own {type}", type=stock.type),
                       say("copy the data over once: `aic db load`, or name the old server: url: secret:env/NAME"))  # fmt: skip

    def _service(self, key: str, group: list[Object]) -> dict[str, Any]:
        first, lose = group[0], self._loser(group[0])
        container = containers.main(first.pod, lose) or first.pod
        image = str(container.get("image") or "scratch")
        self._say_command(first, container)
        connected = self._connected(key, first, container)
        needs = [*self.needs[key], *connected.needs, *self._volumes(first, container)]
        paths = [] if stocks.stem(image) in stocks.TCP else self.publics.get(key, [])
        entry = {
            "image": image if len(group) == 1 else None, "public": paths[0] if len(paths) == 1 else paths,
            "protocol": _protocol(self.hosts, first, image), **containers.health(container, lose),
            "grace": _grace(first, container),
            "scale": self._scale(first), "resources": containers.limits(container, lose),
            "needs": list(dict.fromkeys(needs)), "env": connected.env,
            "versions": self._versions(group) if len(group) > 1 else None,
        }  # fmt: skip
        return drafts.kept(entry)

    def _versions(self, group: list[Object]) -> dict[str, Any]:
        found = {}
        for at, one in enumerate(group):
            label = str(one.pod.map("metadata").map("labels").get("version") or f"v{at + 1}")
            weight = {"weight": "100%" if at == 0 else "0%"}
            found[names.name(label)] = {"image": _image(one), **weight}
        self._lose(
            group[0], "", say("which share each version has is not said here"), say("write weight: of each version")
        )
        return found

    def _say_command(self, one: Object, container: Map) -> None:
        for part in ("command", "args"):
            if container.get(part):
                self._lose(one, part, say("an image runs the command that it holds"),
                           say("build an image that holds it, or write source: and run:"), container.at(part))  # fmt: skip
        ports = [str(port.get("containerPort")) for port in container.items_of("ports") if isinstance(port, Map)]
        knows = any(isinstance(each, Map) and each.get("name") == "PORT" for each in container.items_of("env"))
        if ports and not knows:
            self._lose(one, "ports", say("it listens on {port} by itself", port=ports[0]),
                       say("let it listen on $PORT, which the platform picks"), container.at("ports"))  # fmt: skip

    def _scale(self, one: Object) -> Any:
        replicas = str(one.spec.get("replicas", "1"))
        for scaler in of_kind(self.all, "HorizontalPodAutoscaler"):
            aim = scaler.spec.map("scaleTargetRef")
            low, high = str(scaler.spec.get("minReplicas") or "1"), str(scaler.spec.get("maxReplicas"))
            if (aim.get("kind"), aim.get("name")) == (one.kind, one.name) and _is_range(low, high):
                self._say_metrics(scaler)
                return f"{low}..{high}"
        return int(replicas) if replicas.isdigit() and 1 < int(replicas) <= 100 else None

    def _say_metrics(self, scaler: Object) -> None:
        others = [
            one
            for one in scaler.spec.items_of("metrics")
            if isinstance(one, Map) and one.map("resource").get("name") != "cpu"
        ]
        if others:
            self._lose(
                scaler,
                "metrics",
                say("replicas follow the processor or the requests, nothing else"),
                "",
                others[0].line,
            )

    def _volumes(self, one: Object, container: Map) -> Iterator[str]:
        """Claims become resources; what else is mounted is said."""
        claims = {
            str(claim.map("metadata").get("name"))
            for claim in one.spec.items_of("volumeClaimTemplates")
            if isinstance(claim, Map)
        }
        sources = {
            str(each.get("name")): each for each in one.pod.map("spec").items_of("volumes") if isinstance(each, Map)
        }
        for mount in (each for each in container.items_of("volumeMounts") if isinstance(each, Map)):
            name, path = str(mount.get("name")), str(mount.get("mountPath"))
            source = sources.get(name, Map({}, lines={}, line=mount.line))
            if name in claims or "persistentVolumeClaim" in source:
                claim = (
                    source.map("persistentVolumeClaim").get("claimName") if name not in claims else f"{one.name}-{name}"
                )
                resource = names.name(str(claim))
                self.resources[resource] = {"type": "volume"}
                self._lose(one, "volumeMounts", say("{name} is a directory at another path than {path}", name=resource, path=path),
                           say("read {variable} in the program instead", variable=_variable(resource)), mount.line)  # fmt: skip
                yield f"resources/{resource}"
            elif "emptyDir" not in source and source:
                self._lose(one, "volumeMounts", say("{path} is not mounted", path=path[:80]),
                           say("keep the file with the code, or hand its content over in env"), mount.line)  # fmt: skip

    def _connected(self, key: str, one: Object, container: Map) -> connections.Connected:
        given = containers.variables(container, maps=self.maps, secrets=self.secrets, lose=self._loser(one))
        shown = {
            name: text
            for name, text in given.shown.items()
            if names.is_variable(name) and name not in _OWN and not name.startswith("AIC_")
        }
        own = self.names[key]
        found = connections.connected(shown, peers=self.peers, own=own)
        real = connections.connected({k: v for k, v in given.hidden.items() if k in shown}, peers=self.peers, own=own)
        whole = {k: v for k, v in real.env.items() if re.fullmatch(r"\$\{(resources|services)\.[a-z0-9.-]+\}", v)}
        env = {**found.env, **{k: v for k, v in whole.items() if found.env.get(k, "").startswith("${env.")}}
        needs = list(
            dict.fromkeys(
                [*found.needs, *(need for need in real.needs if any(_named(need) in v for v in whole.values()))]
            )
        )
        given_by = {_variable(need.rpartition("/")[2]) for need in (*self.needs[key], *needs)}
        for name in list(env):
            if name in given_by and (
                env[name].startswith("${env.") or re.fullmatch(r"\$\{\w+\.[a-z0-9-]+\.url\}", env[name])
            ):
                del env[name]  # the need gives it
            elif env[name].startswith(f"${{env.{name}:-"):
                self._lose(
                    one,
                    "env",
                    say("the value of {name} is not copied", name=name),
                    say("set it where `aic` runs"),
                    given.lines[name],
                )
        for name, why, hint in found.remarks:
            self._lose(one, "env", f"{name}: {why}", hint, given.lines.get(name))
        return connections.Connected(env, tuple(needs), ())

    def _jobs(self) -> Iterator[tuple[str, Any]]:
        for one in of_kind(self.all, *RUNNING):
            if one.is_ours and re.search(r"-(settle|migrate|seed)(-|$)", one.name):
                if "-settle" not in one.name:
                    self._lose(
                        one,
                        "",
                        say("a command in an image is no `migrate:` or `seed:` of the code"),
                        say("write it beside source: and run:"),
                    )
                continue
            lose = self._loser(one)
            container = containers.main(one.pod, lose) or one.pod
            run = dockerfiles.joined([*container.items_of("command"), *container.items_of("args")])
            if not run:
                self._lose(
                    one,
                    "",
                    say("a job runs a command of the code at hand, not an image"),
                    say("write source: and run: for it"),
                )
                continue
            self._lose(
                one,
                "image",
                say("a job runs a command of the code at hand, not an image"),
                say("write source: for it"),
                container.at("image"),
            )
            self.groups[one.name], self.needs[one.name] = [one], []
            connected = self._connected(one.name, one, container)
            schedule = _schedule(one, lose) if one.kind == "CronJob" else None
            limit, retries = one.work.get("activeDeadlineSeconds"), one.work.get("backoffLimit")
            entry = {"run": run, "schedule": schedule, "timeout": f"{limit}s" if str(limit).isdigit() else None,
                     "retries": int(str(retries)) if str(retries).isdigit() and 0 < int(str(retries)) <= 10 else None,
                     "resources": containers.limits(container, lose), "needs": list(connected.needs), "env": connected.env}  # fmt: skip
            yield self.names[one.name], drafts.kept(entry)

    def _say_rest(self) -> None:
        for one in self.all:
            if one.kind in _REFUSED:
                why, hint = _REFUSED[one.kind]
                self._lose(one, "", say(why), say(hint))
            elif one.kind not in _READ and one.kind not in _SILENT:
                self._lose(one, "", say("the file has no words for {kind}", kind=one.kind), say("leave it where it is"))


def _image(one: Object) -> str:
    listed = [each for each in one.pod.map("spec").items_of("containers") if isinstance(each, Map)]
    own = [each for each in listed if each.get("name") not in containers.SIDECARS]
    return str(own[0].get("image") or "scratch") if own else "scratch"


def _named(need: str) -> str:
    section, _, name = need.rpartition("/")
    return f"{section or 'services'}.{name}."


def _routes(rule: Map) -> Iterator[tuple[str, str, Line]]:
    """(path, Service, where) of a rule, as an Ingress and as an HTTPRoute writes it."""
    for one in rule.map("http").items_of("paths"):
        if isinstance(one, Map):
            back = one.map("backend")
            host = back.map("service").get("name") or back.get("serviceName")
            yield str(one.get("path") or "/"), str(host), one.line
    backs = [one for one in rule.items_of("backendRefs") if isinstance(one, Map)]
    matches = [one for one in rule.items_of("matches") if isinstance(one, Map)]
    for back in backs[:1]:
        for match in matches or [Map({}, lines={}, line=rule.line)]:
            yield str(match.map("path").get("value") or "/"), str(back.get("name")), match.line


def _selected(groups: Mapping[str, list[Object]], selector: Map) -> Iterator[str]:
    for key, group in groups.items():
        if any(has_labels(one.pod, selector.map("matchLabels")) for one in group):
            yield key


def _protocol(hosts: list[Object], one: Object, image: str) -> str | None:
    if stocks.stem(image) in stocks.TCP:
        return "tcp"
    words = {
        str(port.get("appProtocol") or port.get("name") or "").partition("-")[0]
        for host in hosts if has_labels(one.pod, host.spec.map("selector"))
        for port in host.spec.items_of("ports") if isinstance(port, Map)
    }  # fmt: skip
    return "http2" if words & {"grpc", "http2"} else "tcp" if words == {"tcp"} else None


def _variable(name: str) -> str:
    """What a need of that name gives."""
    return f"{name.upper().replace('-', '_')}_URL"


def _grace(one: Object, container: Map) -> str | None:
    """The time for the process itself: a pod's counts the pause before it is told, too. Kubernetes' own 30 seconds say nothing."""
    whole = str(one.pod.map("spec").get("terminationGracePeriodSeconds"))
    pause = str(container.map("lifecycle").map("preStop").map("sleep").get("seconds", 0))
    if not whole.isdigit() or whole == "30":
        return None
    left = int(whole) - (int(pause) if pause.isdigit() else 0)
    return f"{left}s" if left > 0 else None


def _is_range(low: str, high: str) -> bool:
    return low.isdigit() and high.isdigit() and 1 <= int(low) <= int(high) <= 100


def _schedule(one: Object, lose: containers.Lose) -> str | None:
    text = str(one.spec.get("schedule") or "")
    try:
        return crons.checked(text)
    except ValueError as error:
        lose("schedule", str(error).partition("\n")[0], say("write schedule:"), one.spec.at("schedule"))
        return None
