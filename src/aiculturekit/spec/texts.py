"""YAML text -> plain values, with the line and column of each. Bounded on any input.

Plain scalars stay text unless they are a number, `true`, `false` or `null` of YAML 1.2: `on`, `yes`, `1:30`, `08` and dates are
words here, as a reader expects. Aliases, tags and merge keys are refused: the file never grows into a language, and a "billion
laughs" needs aliases.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from aiculturekit.errors import Problem, SpecError
from aiculturekit.language import say

MAX_BYTES, MAX_DEPTH = 1 << 20, 50
Path = tuple[str | int, ...]
Place = tuple[int, int]
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INT, _FLOAT = re.compile(r"[-+]?(0|[1-9]\d{0,17})"), re.compile(r"[-+]?(0|[1-9]\d{0,17})\.\d{1,17}")
_STANDARD = "tag:yaml.org,2002:"
_TAGS = ("str", "int", "float", "bool", "null", "timestamp", "map", "seq", "merge", "value")
"""What plain YAML resolves to by itself; anything else was written as a tag."""


def read(raw: bytes, *, file: str) -> tuple[Any, dict[Path, Place]]:
    """The value of the one document in `raw`, and where each key path stands. Raises SpecError with exactly one Problem."""
    fail = _failing(file)
    if len(raw) > MAX_BYTES:
        raise fail(say("the file is {size} MB; an application file has at most 1 MB", size=round(len(raw) / 1e6, 1)))
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise fail(say("the file is not UTF-8"), line=line, hint=say("save it as UTF-8")) from None
    return _read(text, fail)


def _read(text: str, fail: Callable[..., SpecError]) -> tuple[Any, dict[Path, Place]]:
    loader = None
    try:
        _check_depth(text, fail)
        loader = _Loader(text)
        node = loader.get_single_node()
    except yaml.YAMLError as error:
        line, column, what = _complaint(error)
        if "nesting depth" in what:  # libyaml's own limit, which some builds set below ours
            raise fail(say("nested more than {depth} deep", depth=MAX_DEPTH), line=line, column=column) from None
        raise fail(say("this is not YAML: {what}", what=what), line=line, column=column) from None
    finally:
        if loader is not None:
            loader.dispose()
    if node is None:
        raise fail(say("the file is empty"), hint=say("`aic init` writes one to start from"))
    places: dict[Path, Place] = {}
    return _value(node, (), places, fail, 0), places


def _failing(file: str) -> Callable[..., SpecError]:
    def fail(message: str, *, line: int = 1, column: int = 1, path: str = "", hint: str = "") -> SpecError:
        return SpecError([Problem(path, message, hint, file=file, line=line, column=column)])

    return fail


def _check_depth(text: str, fail: Callable[..., SpecError]) -> None:
    """The events are walked first: the composer recurses, and a file nested a hundred thousand deep would end the process."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        mark = event.start_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise fail(
                say("anchors and aliases are not part of this file"),
                line=line,
                column=column,
                hint=say("write the value out"),
            )
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise fail(say("nested more than {depth} deep", depth=MAX_DEPTH), line=line, column=column)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _complaint(error: yaml.YAMLError) -> tuple[int, int, str]:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    what = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error).splitlines()[0]
    return (mark.line + 1, mark.column + 1, what) if mark else (1, 1, what)


def _value(node: Node, path: Path, places: dict[Path, Place], fail: Callable[..., SpecError], depth: int) -> Any:
    line, column = node.start_mark.line + 1, node.start_mark.column + 1
    places.setdefault(path, (line, column))
    if node.tag and node.tag.removeprefix(_STANDARD) not in _TAGS:
        raise fail(say("the tag {tag} is not part of this file", tag=node.tag[:60]), line=line, column=column)
    if isinstance(node, MappingNode):
        return _mapping(node, path, places, fail, depth)
    if isinstance(node, SequenceNode):
        return [_value(item, (*path, at), places, fail, depth + 1) for at, item in enumerate(node.value)]
    return scalar(node) if isinstance(node, ScalarNode) else None


def _mapping(
    node: MappingNode, path: Path, places: dict[Path, Place], fail: Callable[..., SpecError], depth: int
) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line, column = key_node.start_mark.line + 1, key_node.start_mark.column + 1
        if not isinstance(key_node, ScalarNode):
            raise fail(say("a key must be a word"), line=line, column=column)
        key = key_node.value
        if key in found:
            raise fail(
                say("the key {key} stands here twice", key=repr(key[:60])),
                line=line,
                column=column,
                path=".".join(map(str, (*path, key))),
                hint=say("merge the two"),
            )
        places[*path, key] = (line, column)
        found[key] = _value(value_node, (*path, key), places, fail, depth + 1)
    return found


def scalar(node: ScalarNode) -> Any:
    """The value of a word: a number, true, false or null where it is one, else text."""
    text: str = node.value
    if node.style:
        return text
    if text in ("", "~", "null"):
        return None
    if text in ("true", "false"):
        return text == "true"
    if _INT.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text
