"""YAML of other tools -> plain values that know their lines. Anchors, aliases and merge keys are followed, within bounds. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from aiculturekit.errors import Problem, SpecError
from aiculturekit.language import say
from aiculturekit.spec import texts

MAX_BYTES, MAX_DEPTH, MAX_VALUES = 5 << 20, 60, 200_000
Line = tuple[str, int]
"""(file, line)."""
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Map(dict[str, Any]):
    """A mapping that knows where each of its keys stands."""

    def __init__(self, values: dict[str, Any], *, lines: dict[str, Line], line: Line) -> None:
        super().__init__(values)
        self.lines, self.line = lines, line

    def at(self, key: str) -> Line:
        return self.lines.get(key, self.line)

    def map(self, key: str) -> Map:
        """The mapping behind a key; an empty one where there is none."""
        found = self.get(key)
        return found if isinstance(found, Map) else Map({}, lines={}, line=self.at(key))

    def items_of(self, key: str) -> list[Any]:
        """The list behind a key; a single value is a list of one."""
        found = self.get(key)
        return found if isinstance(found, list) else [] if found is None or isinstance(found, dict) else [found]


def trouble(message: str, *, hint: str = "", at: Line) -> SpecError:
    return SpecError([Problem("", message, hint, file=at[0], line=at[1])])


def documents(raw: bytes, *, file: str) -> list[Any]:
    """Every document in `raw`. Raises SpecError with exactly one Problem."""
    if len(raw) > MAX_BYTES:
        size, most = round(len(raw) / 1e6, 1), MAX_BYTES >> 20
        raise trouble(say("the file is {size} MB; at most {most} MB are read", size=size, most=most), at=(file, 1))
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise trouble(say("the file is not UTF-8"), hint=say("save it as UTF-8"), at=(file, line)) from None
    try:
        _check_depth(text, file)
        maker = _Maker(file)
        return [maker.value(node, 0) for node in yaml.compose_all(text, Loader=_Loader) if node is not None]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        what = getattr(error, "problem", None) or str(error).splitlines()[0]
        line = mark.line + 1 if mark else 1
        if "nesting depth" in what:  # libyaml's own limit, which some builds set below ours
            raise _too_deep((file, line)) from None
        raise trouble(say("this is not YAML: {what}", what=what), at=(file, line)) from None


def _check_depth(text: str, file: str) -> None:
    """Before anything is composed: the composer recurses, and a file nested a hundred thousand deep would end the process."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                mark = event.start_mark
                raise _too_deep((file, mark.line + 1 if mark else 1))
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _too_deep(at: Line) -> SpecError:
    return trouble(say("nested more than {depth} deep", depth=MAX_DEPTH), at=at)


class _Maker:
    """Nodes -> values; counts what it makes, as ten aliases of ten aliases are a billion values."""

    def __init__(self, file: str) -> None:
        self.file, self.made = file, 0

    def value(self, node: Node, depth: int) -> Any:
        at = (self.file, node.start_mark.line + 1)
        self.made += 1
        if self.made > MAX_VALUES:
            hint = say("an alias that repeats an alias grows without end; write the value out")
            raise trouble(say("there are more than {count} values in it", count=MAX_VALUES), hint=hint, at=at)
        if depth > MAX_DEPTH:  # an alias of what it stands in
            raise _too_deep(at)
        if isinstance(node, MappingNode):
            return self._mapping(node, at, depth)
        if isinstance(node, SequenceNode):
            return [self.value(item, depth + 1) for item in node.value]
        return texts.scalar(node) if isinstance(node, ScalarNode) else None

    def _mapping(self, node: MappingNode, at: Line, depth: int) -> Map:
        found: dict[str, Any] = {}
        lines: dict[str, Line] = {}
        for merged in self._merged(node, depth):
            found |= {key: item for key, item in merged.items() if key not in found}
            lines |= {key: line for key, line in merged.lines.items() if key not in lines}
        for key, item in node.value:
            if isinstance(key, ScalarNode) and not _is_merge(key):
                found[key.value] = self.value(item, depth + 1)
                lines[key.value] = (self.file, key.start_mark.line + 1)
        return Map(found, lines=lines, line=at)

    def _merged(self, node: MappingNode, depth: int) -> Iterator[Map]:
        """What `<<` brings in; the first that has a key wins."""
        for key, item in node.value:
            if isinstance(key, ScalarNode) and _is_merge(key):
                value = self.value(item, depth + 1)
                yield from (one for one in (value if isinstance(value, list) else [value]) if isinstance(one, Map))


def _is_merge(key: ScalarNode) -> bool:
    return key.value == "<<" and not key.style
