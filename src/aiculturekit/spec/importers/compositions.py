"""The parts of a compose file put together: include, override, extends; its short forms as one. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator
from typing import Any

from aiculturekit.language import say
from aiculturekit.spec.importers.readings import Map, documents, trouble

Read = Callable[[str], bytes | None]
MAX_FILES = 50
_REPLACED = ("command", "entrypoint", "test")
"""Lists that a later file replaces; the others grow."""


def gathered(raw: bytes, *, file: str, read: Read) -> Map:
    """The whole file. Raises SpecError with one Problem."""
    return _Gathering(file, read).whole(raw)


class _Gathering:
    def __init__(self, file: str, read: Read) -> None:
        self.file, self.read = file, read
        self.seen: dict[str, Map] = {}

    def whole(self, raw: bytes) -> Map:
        base = self._mapping(raw, self.file)
        for one in base.items_of("include"):
            for path in _paths(one):
                base = laid_over(self._file(path, base.at("include")), base)
        stem = posixpath.splitext(self.file.rsplit("/", 1)[-1])[0]
        for name in (f"{stem}.override.yaml", f"{stem}.override.yml"):
            if (over := self.read(name)) is not None:
                base = laid_over(base, self._mapping(over, name))
        services = base.map("services")
        made = {key: self._extended(key, services, ()) for key in services}
        return laid_over(
            base,
            Map({"services": Map(made, lines=services.lines, line=services.line)}, lines={}, line=base.line),
            replace=True,
        )

    def _mapping(self, raw: bytes, file: str) -> Map:
        found = documents(raw, file=file)
        if len(found) != 1 or not isinstance(found[0], Map):
            raise trouble(
                say("the file must be one mapping with services"), hint=say("name a compose file"), at=(file, 1)
            )
        return found[0]

    def _file(self, path: str, at: tuple[str, int]) -> Map:
        path = posixpath.normpath(path)
        if path not in self.seen:
            raw = self.read(path)
            if raw is None:
                raise trouble(
                    say("there is no file {path}", path=repr(path[:80])), hint=say("create it, or mend the path"), at=at
                )
            if len(self.seen) >= MAX_FILES:
                raise trouble(say("it leads to more than {count} files", count=MAX_FILES), at=at)
            self.seen[path] = self._mapping(raw, path)
        return self.seen[path]

    def _extended(self, key: str, services: Map, trail: tuple[tuple[int, str], ...]) -> Any:
        service = services.get(key)
        if not isinstance(service, Map) or not service.get("extends"):
            return service
        if (id(services), key) in trail:
            raise trouble(
                say("{name} extends itself", name=key),
                hint=say("leave out one of the `extends`"),
                at=service.at("extends"),
            )
        wanted = service["extends"]
        of, path = (wanted.get("service"), wanted.get("file")) if isinstance(wanted, Map) else (wanted, None)
        there = self._file(str(path), service.at("extends")).map("services") if path else services
        base = self._extended(str(of), there, (*trail, (id(services), key)))
        if not isinstance(base, Map):
            hint = say("mend its name, or leave `extends` out")
            raise trouble(
                say("there is no service {name}", name=repr(str(of)[:60])), hint=hint, at=service.at("extends")
            )
        return laid_over(base, service)


def _paths(one: Any) -> Iterator[str]:
    found = one.get("path") if isinstance(one, Map) else one
    yield from (str(path) for path in (found if isinstance(found, list) else [found]) if path)


def laid_over(base: Map, other: Map, *, replace: bool = False) -> Map:
    """As compose merges: mappings by key, lists grow, the rest is replaced. Lines follow."""
    made = dict(base)
    for key, value in other.items():
        old = base.get(key)
        if replace:
            made[key] = value
        elif isinstance(old, Map) and isinstance(value, Map):
            made[key] = laid_over(old, value)
        elif key == "environment" and old is not None:
            made[key] = Map(dict(environment(old)) | dict(environment(value)), lines={}, line=other.at(key))
        elif isinstance(old, list) and isinstance(value, list) and key not in _REPLACED:
            made[key] = old + [item for item in value if item not in old]
        else:
            made[key] = value
    return Map(made, lines=base.lines | other.lines, line=base.line)


def environment(value: Any) -> Iterator[tuple[str, str | None]]:
    """Both forms of `environment:`; None for what comes from the shell."""
    if isinstance(value, dict):
        yield from ((key, None if item is None else _text(item)) for key, item in value.items())
    elif isinstance(value, list):
        for one in value:
            name, equals, text = str(one).partition("=")
            yield name.strip(), text if equals else None


def _text(value: Any) -> str:
    return {True: "true", False: "false"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def dependencies(service: Map) -> list[tuple[str, str]]:
    """(service, condition) of `depends_on` and `links`."""
    found = service.get("depends_on")
    if isinstance(found, Map):
        listed = [(key, str(one.get("condition", "")) if isinstance(one, Map) else "") for key, one in found.items()]
    else:
        listed = [(str(one), "") for one in service.items_of("depends_on")]
    return listed + [(str(one).partition(":")[0], "") for one in service.items_of("links")]


def variables(raw: bytes) -> Iterator[tuple[str, str]]:
    """NAME=value lines."""
    for line in raw.decode("utf-8", "replace").splitlines():
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and not name.startswith("#"):
            text = value.strip()
            quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
            yield name.strip(), text[1:-1] if quoted else text.partition(" #")[0].strip()
