"""BSON, as far as commands and their answers need it (https://bsonspec.org/spec.html). Pure."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any

_DOUBLE, _TEXT, _DOCUMENT, _LIST, _BYTES, _ID, _BOOL, _MOMENT, _NULL = 1, 2, 3, 4, 5, 7, 8, 9, 10
_SHORT, _STAMP, _LONG, _DECIMAL = 16, 17, 18, 19
_LEAST, _MOST = -(1 << 31), (1 << 31) - 1
_DEEPEST = 100
"""As many levels as MongoDB itself lets a document have."""


def packed(document: Mapping[str, Any]) -> bytes:
    """Of text, bytes, whole and other numbers, yes or no, None, lists and mappings; in their order. Raises ValueError for anything else."""
    body = b"".join(_element(name, value) for name, value in document.items())
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def _element(name: str, value: Any) -> bytes:
    kind, raw = _value(value)
    return bytes([kind]) + _name(name) + raw


def _name(text: str) -> bytes:
    if "\0" in text:
        raise ValueError("a name holds a zero byte")
    return text.encode() + b"\0"


def _value(value: Any) -> tuple[int, bytes]:
    match value:
        case None:
            return _NULL, b""
        case bool():
            return _BOOL, bytes([value])
        case int() if _LEAST <= value <= _MOST:
            return _SHORT, struct.pack("<i", value)
        case int():
            return _LONG, struct.pack("<q", value)
        case float():
            return _DOUBLE, struct.pack("<d", value)
        case str():
            raw = value.encode() + b"\0"
            return _TEXT, struct.pack("<i", len(raw)) + raw
        case bytes():
            return _BYTES, struct.pack("<iB", len(value), 0) + value
        case Mapping():
            return _DOCUMENT, packed(value)
        case list() | tuple():
            return _LIST, packed({str(at): one for at, one in enumerate(value)})
    raise ValueError(f"no BSON for a {type(value).__name__}")


def unpacked(raw: bytes) -> dict[str, Any]:
    """Moments are milliseconds since the epoch, identifiers hexadecimal digits. Raises ValueError for what is no document, or holds what
    no answer to a command does."""
    try:
        found, end = _document(raw, 0, 0)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise ValueError("this is no BSON") from error
    if end != len(raw):
        raise ValueError("this is no BSON")
    return found


def _document(raw: bytes, at: int, depth: int) -> tuple[dict[str, Any], int]:
    (length,) = struct.unpack_from("<i", raw, at)
    end = at + length
    if depth > _DEEPEST or length < 5 or end > len(raw) or raw[end - 1] != 0:
        raise ValueError("this is no BSON")
    found: dict[str, Any] = {}
    at += 4
    while at < end - 1:
        kind = raw[at]
        stop = raw.index(b"\0", at + 1, end)
        name = raw[at + 1 : stop].decode()
        found[name], at = _read(kind, raw, stop + 1, depth)
    if at != end - 1:
        raise ValueError("this is no BSON")
    return found, end


def _read(kind: int, raw: bytes, at: int, depth: int) -> tuple[Any, int]:
    if kind in (_DOCUMENT, _LIST):
        inner, end = _document(raw, at, depth + 1)
        return (list(inner.values()) if kind == _LIST else inner), end
    if kind == _TEXT:
        (length,) = struct.unpack_from("<i", raw, at)
        return _slice(raw, at + 4, length)[:-1].decode(), at + 4 + length
    if kind == _BYTES:
        (length,) = struct.unpack_from("<i", raw, at)
        return _slice(raw, at + 5, length), at + 5 + length
    if kind not in _FIXED:
        raise ValueError(f"BSON of the unknown kind {kind}")
    size, read = _FIXED[kind]
    return read(_slice(raw, at, size)), at + size


def _slice(raw: bytes, at: int, length: int) -> bytes:
    found = raw[at : at + length]
    if length < 0 or len(found) != length:
        raise ValueError("this is no BSON")
    return found


def _number(form: str) -> Callable[[bytes], Any]:
    return lambda raw: struct.unpack(form, raw)[0]


_FIXED: Mapping[int, tuple[int, Callable[[bytes], Any]]] = {
    _DOUBLE: (8, _number("<d")),
    _ID: (12, bytes.hex),
    _BOOL: (1, lambda raw: raw != b"\0"),
    _MOMENT: (8, _number("<q")),
    _NULL: (0, lambda _: None),
    _SHORT: (4, _number("<i")),
    _STAMP: (8, _number("<Q")),
    _LONG: (8, _number("<q")),
    _DECIMAL: (16, bytes.hex),
}
