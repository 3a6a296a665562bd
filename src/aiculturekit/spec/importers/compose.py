"""A compose file -> an application file, and what could not be carried over. Pure.

gathered   include, override and extends followed; every service with the lines of its keys
sorted     known servers become resources, what runs to its end becomes jobs, profiles become environments
made       each service by itself; then its variables, by which it finds its neighbours
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from aiculturekit.errors import Problem
from aiculturekit.language import say
from aiculturekit.spec.importers import compositions, connections, dockerfiles, drafts, droppings, names, stocks
from aiculturekit.spec.importers.drafts import loss
from aiculturekit.spec.importers.interpolations import as_references, as_values, required
from aiculturekit.spec.importers.readings import Map, trouble
from aiculturekit.spec.importers.writings import Noted, written

Read = Callable[[str], bytes | None]
"""A path relative to the first file -> its content; None where there is none."""
_WEB = ("80", "443", "8080", "3000", "8000", "5000")
_PROXIES = ("nginx", "traefik", "caddy", "haproxy", "envoy", "openresty", "httpd")
_BUILT = {"services", "version", "name", "volumes", "networks", "include"}


def imported(
    raw: bytes, *, file: str, name: str, read: Read, is_directory: Callable[[str], bool]
) -> tuple[str, list[Problem]]:
    """The text of an application file and what was lost. `file` is the path as shown, `name` the application's where the file has none;
    `read` and `is_directory` take paths relative to the file. Raises SpecError with one Problem."""
    whole = compositions.gathered(raw, file=file, read=read)
    if not whole.map("services"):
        raise trouble(say("the file has no services"), hint=say("name a compose file"), at=(file, 1))
    made = _Import(whole, file=file, name=name, read=read, is_directory=is_directory)
    made.losses += _required(raw.decode("utf-8", "replace"), file=file, given=made.given)
    return made.result()


def _required(text: str, *, file: str, given: Mapping[str, str]) -> Iterator[Problem]:
    for name, why, line in required(text):
        if name not in given or names.is_secret(name):
            told = say("it must be set: {why}", why=why) if why else say("it must be set")
            yield loss(name, told, say("set it where `aic` runs"), at=(file, line))


class _Import:
    def __init__(self, whole: Map, *, file: str, name: str, read: Read, is_directory: Callable[[str], bool]) -> None:
        self.file, self.whole, self.read, self.is_directory = file, whole, read, is_directory
        self.losses: list[Problem] = []
        self.given = dict(compositions.variables(read(".env") or b""))
        listed = whole.map("services")
        self.services: dict[str, Map] = {key: item for key, item in listed.items() if isinstance(item, Map)}
        for key in listed.keys() - self.services.keys():
            self.losses.append(loss(f"services.{key}", say("it is no mapping"), at=listed.at(key)))
        self.app = names.name(as_values(str(whole.get("name") or name), given=self.given))
        self.names = names.unique(self.services)
        self.stocks = {
            key: found for key, one in self.services.items() if (found := stocks.stock(self._plain(one, "image")))
        }
        self.peers = {
            host: connections.Peer(self.names[key], self.stocks.get(key))
            for key, one in self.services.items()
            for host in _hosts(key, one)
        }
        self.finished = {
            key
            for one in self.services.values()
            for key, how in compositions.dependencies(one)
            if how == "service_completed_successfully"
        }
        self.resources: dict[str, Any] = {}
        self.mounts: dict[str, list[str]] = {}
        self.public = self._publics()

    def result(self) -> tuple[str, list[Problem]]:
        services: dict[str, Any] = {}
        jobs: dict[str, Any] = {}
        environments: dict[str, Any] = {}
        for key, service in self.services.items():
            self._say_dropped(key, service)
            if key in self.stocks:
                self._resource(key, service)
                continue
            is_job = key in self.finished or (
                service.get("restart") in ("no", False) and not self._ports(service) and not service.get("healthcheck")
            )
            entry = self._job(key, service) if is_job else self._service(key, service)
            if entry is None:
                continue
            section = "jobs" if is_job else "services"
            profiles = [names.name(str(one)) for one in service.items_of("profiles")]
            for profile in profiles:
                environments.setdefault(profile, {}).setdefault(section, {})[self.names[key]] = entry
            if not profiles:
                (jobs if is_job else services)[self.names[key]] = entry
        self._say_whole()
        _without_strangers(services, jobs, environments)
        sections = {"services": services, "jobs": jobs, "resources": self.resources, "environments": environments}
        head = say(
            "Made by `aic init --from compose {file}`. `aic explain` is the manual of every key.", file=self.file
        )
        ordered = sorted(set(self.losses), key=lambda p: (p.file, p.line, p.path, p.message))
        return written(self.app, sections, head=head, losses=ordered), ordered

    def _lose(self, key: str, part: str, message: str, hint: str = "") -> None:
        service = self.services[key]
        self.losses.append(loss(f"services.{key}.{part}", message, hint, at=service.at(part.partition(".")[0])))

    def _plain(self, service: Map, key: str) -> str:
        return as_values(str(service.get(key) or ""), given=self.given)

    def _say_dropped(self, key: str, service: Map) -> None:
        for part in service:
            if part in droppings.DROPPED and service[part] not in (None, [], {}, False):
                why, hint = droppings.DROPPED[part]
                self._lose(key, part, say(why), say(hint))
            elif part not in droppings.SILENT and part not in droppings.DROPPED and not part.startswith("x-"):
                self._lose(key, part, say("unknown key {key}", key=repr(part[:60])), say("look into its manual"))

    def _say_whole(self) -> None:
        for part in self.whole:
            if part in ("secrets", "configs"):
                why, hint = droppings.DROPPED[part]
                self.losses.append(loss(part, say(why), say(hint), at=self.whole.at(part)))
            elif part not in _BUILT and not part.startswith("x-"):
                self.losses.append(
                    loss(
                        part,
                        say("unknown key {key}", key=repr(part[:60])),
                        say("look into its manual"),
                        at=self.whole.at(part),
                    )
                )

    def _resource(self, key: str, service: Map) -> None:
        stock, image = self.stocks[key], self._plain(service, "image")
        entry: dict[str, Any] = {"type": stock.type}
        if extension := stocks.EXTENSIONS.get(stocks.stem(image)):
            entry["extensions"] = [extension]
        self.resources[self.names[key]] = Noted(entry, say("was {image}", image=image))
        self._lose(key, "image", say("its data, version and settings are those of the platform's own {type}", type=stock.type),
                   say("copy the data over once: `aic db load`, or name the old server: url: secret:env/NAME"))  # fmt: skip

    def _job(self, key: str, service: Map) -> dict[str, Any] | None:
        way = self._way(key, service)
        if "run" not in way:
            self._lose(
                key,
                "image",
                say("a job runs a command of the code at hand, not an image"),
                say("write source: and run: for it"),
            )
            return None
        return drafts.kept({**way, **self._connections(key, service), "resources": self._limits(key, service)})

    def _service(self, key: str, service: Map) -> dict[str, Any]:
        image = stocks.stem(self._plain(service, "image"))
        protocol = "tcp" if image in stocks.TCP else None
        entry = {
            **self._way(key, service), "public": self.public.get(key) if not protocol else None, "protocol": protocol,
            **self._health(key, service), "grace": drafts.duration(service.get("stop_grace_period")),
            "scale": self._scale(key, service), "resources": self._limits(key, service), **self._connections(key, service),
        }  # fmt: skip
        return drafts.kept(entry)

    def _way(self, key: str, service: Map) -> dict[str, Any]:
        """What it runs: the code in place where there is code, else the image."""
        build, image = service.get("build"), self._plain(service, "image")
        if build is None:
            if service.get("command") or service.get("entrypoint"):
                part = "command" if service.get("command") else "entrypoint"
                self._lose(
                    key,
                    part,
                    say("an image runs the command that it holds"),
                    say("build an image that holds it, or write source: and run:"),
                )
            if not image:
                self._lose(key, "image", say("nothing says what to run"), say('add run: "COMMAND"'))
            self._say_mounts(key, service, built=False)
            return {"image": image or "scratch"}
        place = build.get("context", ".") if isinstance(build, Map) else build
        source = posixpath.normpath(as_values(str(place), given=self.given))
        recipe = (
            as_values(str(build.get("dockerfile") or "Dockerfile"), given=self.given)
            if isinstance(build, Map)
            else "Dockerfile"
        )
        self._say_mounts(key, service, built=True)
        if source.startswith(("..", "/")) or "://" in source or not self.is_directory(source):
            self._lose(
                key,
                "build",
                say("{path} is no directory beside the file", path=repr(source[:80])),
                say("move the code there, or name its image"),
            )
            return {"image": image or f"{self.app}/{self.names[key]}"}
        text = (self.read(posixpath.join(source, recipe)) or b"").decode("utf-8", "replace")
        held, _ = dockerfiles.command(text)
        parts = [self._command(service, "entrypoint"), self._command(service, "command")]
        run = " ".join(part for part in parts if part) or held
        if not run:
            self._lose(key, "build", say("its Dockerfile names no command"), say("write run: instead of build:"))
            return {"build": source}
        if re.search(r"^\s*RUN\s+.*\b(apt-get|apk|yum|dnf)\b", text, re.M):
            self._lose(
                key,
                "build",
                say("what the Dockerfile installs from the system is not installed here"),
                say("install it on the machine, or name an image"),
            )
        return {"source": None if source == "." else source, "run": drafts.with_port(run, self._ports(service))}

    def _command(self, service: Map, key: str) -> str:
        value = service.get(key)
        if isinstance(value, list):
            return dockerfiles.joined([as_values(str(one), given=self.given) for one in value])
        return as_values(str(value), given=self.given) if value else ""

    def _say_mounts(self, key: str, service: Map, *, built: bool) -> None:
        """Named volumes become resources; a mounted directory of code is the code in place; what else is mounted is said."""
        for one in service.items_of("volumes"):
            source = str(one.get("source") or "") if isinstance(one, Map) else str(one).partition(":")[0]
            is_code = source in (".", "./") or (self.is_directory(source) and source.startswith("."))
            target = str(one.get("target")) if isinstance(one, Map) else str(one).partition(":")[2].partition(":")[0]
            if target and source in self.whole.map("volumes"):
                resource = _volume(names.name(source), self.resources)
                self.mounts.setdefault(key, []).append(f"resources/{resource}")
                variable = f"{resource.upper().replace('-', '_')}_URL"
                self._lose(key, "volumes", say("{name} is a directory at another path than {path}", name=resource, path=target[:80]),
                           say("read {variable} in the program instead", variable=variable))  # fmt: skip
            elif not (built and is_code):
                self._lose(key, "volumes", say("{path} is not mounted", path=(target or source)[:80]),
                           say("keep data in a resource: {form}, and read its URL", form="{type: volume}"))  # fmt: skip

    def _ports(self, service: Map) -> list[str]:
        """The ports that it listens on, the published ones first."""
        found = [_port(one, self.given) for part in ("ports", "expose") for one in service.items_of(part)]
        return list(dict.fromkeys(port for port in found if port))

    def _publics(self) -> dict[str, str]:
        """Which service gets `/`: a proxy before others, then by its port; each other published one a path of its name."""
        published = [key for key, one in self.services.items()
                     if one.get("ports") and key not in self.stocks and key not in self.finished
                     and stocks.stem(self._plain(one, "image")) not in stocks.TCP]  # fmt: skip

        def rank(key: str) -> tuple[bool, bool, int]:
            ports = self._ports(self.services[key])
            is_proxy = stocks.stem(self._plain(self.services[key], "image")) in _PROXIES
            return (
                not is_proxy,
                bool(self.services[key].get("profiles")),
                min((_WEB.index(p) for p in ports if p in _WEB), default=9),
            )

        ordered = sorted(published, key=rank)
        for key in ordered[1:]:
            self._lose(key, "ports", say("there is one address for all: it is reached at {path}", path=f"/{self.names[key]}"),
                       say("change public: to the paths that it answers"))  # fmt: skip
        return {key: "/" if at == 0 else f"/{self.names[key]}" for at, key in enumerate(ordered)}

    def _health(self, key: str, service: Map) -> dict[str, Any]:
        check = service.map("healthcheck")
        test = check.get("test")
        words = (
            [as_values(str(one), given=self.given) for one in test]
            if isinstance(test, list)
            else [as_values(str(test), given=self.given)]
            if test
            else []
        )
        if not words or words[0] == "NONE" or check.get("disable") is True:
            return {}
        listed = words[1:] if words[0] in ("CMD", "CMD-SHELL") else words
        text = listed[0] if len(listed) == 1 else dockerfiles.joined(list(listed))
        found = re.search(
            r"https?://(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\])(?::[^/\s]+)?(/[^\s\"'?#)|;]*)?", text
        )
        way = (
            {"http": (found[1] or "/").rstrip("/") or "/"}
            if found and "//" not in (found[1] or "")
            else {"exec": drafts.with_port(text, self._ports(service))}
        )
        times = {
            ours: drafts.duration(as_values(str(check.get(theirs)), given=self.given))
            for ours, theirs in (("every", "interval"), ("timeout", "timeout"))
        }
        self._say_unread(key, "healthcheck", {part: (check.get(part), drafts.duration(as_values(str(check.get(part)), given=self.given)))
                                              for part in ("interval", "timeout", "start_period")})  # fmt: skip
        retries = check.get("retries")
        tries = int(str(retries)) if str(retries).isdigit() and 1 <= int(str(retries)) <= 100 else None
        self._say_unread(key, "healthcheck", {"retries": (retries, tries)})
        health: Any = drafts.kept({**way, **times, "fails": tries})
        return {
            "health": health["http"] if set(health) == {"http"} else health,
            "startup": drafts.duration(check.get("start_period")),
        }

    def _scale(self, key: str, service: Map) -> int | None:
        deploy = service.map("deploy")
        wanted = as_values(str(deploy.get("replicas", service.get("scale", 1))), given=self.given)
        for part in deploy:
            if part not in ("replicas", "resources", "restart_policy", "mode", "labels"):
                self._lose(
                    key,
                    f"deploy.{part}",
                    say("it belongs to the machine rather than to the application"),
                    say("leave it to the target"),
                )
        if not wanted.isdigit() or int(wanted) > 100:
            self._lose(
                key,
                "deploy.replicas",
                say("{value} is no number of replicas", value=repr(wanted[:40])),
                say("write scale:"),
            )
            return None
        return int(wanted) if wanted != "1" else None

    def _limits(self, key: str, service: Map) -> dict[str, Any]:
        limits = service.map("deploy").map("resources").map("limits")
        memory = as_values(str(limits.get("memory") or service.get("mem_limit") or ""), given=self.given)
        cpus = as_values(str(limits.get("cpus") or service.get("cpus") or ""), given=self.given)
        found = {"cpu": drafts.cpu(cpus) if cpus else None, "memory": drafts.memory(memory) if memory else None}
        where = "deploy" if limits else "cpus" if cpus else "mem_limit"
        self._say_unread(key, where, {"cpus": (cpus, found["cpu"]), "memory": (memory, found["memory"])})
        return drafts.kept(found)

    def _say_unread(self, key: str, where: str, parts: Mapping[str, tuple[Any, Any]]) -> None:
        """Of (given, read): what was given and could not be read."""
        for part, (given, read) in parts.items():
            if given not in (None, "") and read is None:
                self._lose(
                    key,
                    f"{where}.{part}",
                    say("{value} is no amount", value=repr(str(given)[:40])),
                    say("mend it, and import again"),
                )

    def _connections(self, key: str, service: Map) -> dict[str, Any]:
        env = {}
        for name, text in self._environment(key, service):
            if not names.is_variable(name):
                self._lose(
                    key,
                    "environment",
                    say("{name} is no name of a variable", name=repr(name[:60])),
                    say("use letters, digits and _"),
                )
            elif name != "PORT":
                env[name] = text
        found = connections.connected(env, peers=self.peers, own=self.names[key])
        for variable, why, hint in found.remarks:
            self._lose(key, "environment", f"{variable}: {why}", hint)
        own = self.names[key]
        after = [self.peers[one].need for one, how in compositions.dependencies(service)
                 if one in self.services and one not in self.finished and self.names[one] != own]  # fmt: skip
        return {"needs": list(dict.fromkeys([*after, *found.needs, *self.mounts.get(key, ())])), "env": found.env}

    def _environment(self, key: str, service: Map) -> Iterator[tuple[str, str]]:
        """Variables of its files, then its own. A secret of a file stays where it is."""
        merged: dict[str, str] = {}
        for one in service.items_of("env_file"):
            path = str(one.get("path", "") if isinstance(one, Map) else one)
            raw = self.read(posixpath.normpath(as_values(path, given=self.given)))
            if raw is None:
                self._lose(
                    key,
                    "env_file",
                    say("there is no file {path}", path=repr(path[:80])),
                    say("write its variables into env:"),
                )
            for name, value in compositions.variables(raw or b""):
                hidden = names.is_secret(name) or re.search(r"://[^/\s]*:[^/\s]*@", value)
                merged[name] = f"${{env.{name}:-}}" if hidden else as_references(value, given=self.given)
                if hidden:
                    self._lose(
                        key,
                        "env_file",
                        say("the value of {name} is not copied", name=name),
                        say("set it where `aic` runs"),
                    )
        for name, own in compositions.environment(service.get("environment")):
            merged[name] = f"${{env.{name}:-}}" if own is None else as_references(own, given=self.given)
        yield from merged.items()


def _port(one: Any, given: Mapping[str, str]) -> str:
    text = str(one.get("target", "")) if isinstance(one, Map) else as_values(str(one), given=given)
    port = text.rpartition(":")[2].partition("/")[0].partition("-")[0]
    return port if port.isdigit() else ""


def _volume(name: str, resources: dict[str, Any]) -> str:
    """The name of the volume's resource, which is made where there is none."""
    held = resources.get(name)
    if isinstance(held, Noted):  # a server of that name
        name = f"{name[:35]}-data"
    resources[name] = {"type": "volume"}
    return name


def _hosts(key: str, service: Map) -> list[str]:
    """The names by which others reach it."""
    aliases = [
        str(alias)
        for one in service.map("networks").values()
        if isinstance(one, Map)
        for alias in one.items_of("aliases")
    ]
    return [str(one) for one in (key, service.get("container_name"), service.get("hostname"), *aliases) if one]


def _without_strangers(services: dict[str, Any], jobs: dict[str, Any], environments: Mapping[str, Any]) -> None:
    """Needs lead to what is there whatever the environment: not to a job, nor to what only a profile has."""
    inner = [entry for one in environments.values() for section in one.values() for entry in section.values()]
    for entry in [*services.values(), *jobs.values(), *inner]:
        kept = [need for need in entry.get("needs", []) if "/" in need or need in services]
        gone = set(entry.get("needs", [])) - set(kept)
        env = {k: v for k, v in entry.get("env", {}).items() if not any(f"${{services.{need}." in v for need in gone)}
        entry.update({key: value for key, value in (("needs", kept), ("env", env)) if key in entry})
        for key in ("needs", "env"):
            if key in entry and not entry[key]:
                del entry[key]
