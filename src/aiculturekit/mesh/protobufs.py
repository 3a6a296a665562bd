"""The few protobuf messages that Envoy asks for certificates with, and is answered with: written and read by hand, since a library
for them would be the daemon's largest import. Pure.

A message to be written is the same JSON as in Envoy's files. Numbers are those of Envoy's own .proto files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, tuple[int, "Schema | None"]]
"""Field -> (its number, the schema of a message; None for text, and for an `Any`, which says itself what it is)."""

_API = "type.googleapis.com/envoy"
SECRET = f"{_API}.extensions.transport_sockets.tls.v3.Secret"

_SOURCE: Schema = {"inline_string": (3, None)}
_TYPED: Schema = {"name": (1, None), "typed_config": (2, None)}
_SCHEMAS: Mapping[str, Schema] = {
    SECRET: {
        "name": (1, None),
        "tls_certificate": (2, {"certificate_chain": (1, _SOURCE), "private_key": (2, _SOURCE)}),
        "validation_context": (4, {"trusted_ca": (1, _SOURCE), "custom_validator_config": (12, _TYPED)}),
    },
    f"{_API}.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig": {
        "trust_domains": (1, {"name": (1, None), "trust_bundle": (2, _SOURCE)}),
    },
}
_ANY: Schema = {"type_url": (1, None), "value": (2, None)}
_RESPONSE: Schema = {
    "system_version_info": (1, None),
    "resources": (2, {"version": (1, None), "resource": (2, None), "name": (3, None)}),
    "type_url": (4, None),
    "nonce": (5, None),
}
_TYPE, _SUBSCRIBE, _UNSUBSCRIBE, _ERROR = 2, 3, 4, 7
_VARINT, _BYTES = 0, 2
_FIXED = {1: 8, 5: 4}


def response(secret: Mapping[str, Any], *, version: str, nonce: str) -> bytes:
    """A DeltaDiscoveryResponse with one secret."""
    resource = {"version": version, "resource": secret, "name": secret["name"]}
    message = {"system_version_info": version, "resources": [resource], "type_url": SECRET, "nonce": nonce}
    return _message(message, _RESPONSE)


def request(message: bytes) -> tuple[str, list[str], list[str], str]:
    """Of a DeltaDiscoveryRequest: (type, names that are wanted, names that are not any more, what is wrong with our last answer). Raises
    ValueError."""
    found: dict[int, list[bytes]] = {}
    for number, value in _fields(message):
        found.setdefault(number, []).append(value)
    texts = {
        number: [value.decode() for value in found.get(number, [])] for number in (_TYPE, _SUBSCRIBE, _UNSUBSCRIBE)
    }
    wrong = dict(_fields(found[_ERROR][-1])).get(2, b"?").decode("utf-8", "replace") if _ERROR in found else ""
    return "".join(texts[_TYPE][-1:]), texts[_SUBSCRIBE], texts[_UNSUBSCRIBE], wrong


def _message(document: Mapping[str, Any], schema: Schema) -> bytes:
    """Raises KeyError for a field that no schema knows: it would be lost."""
    found = bytearray()
    for key, value in document.items():
        number, inner = schema[key]
        for one in value if isinstance(value, list) else [value]:
            content = _content(one, inner)
            found += _varint(number << 3 | _BYTES) + _varint(len(content)) + content
    return bytes(found)


def _content(value: Any, schema: Schema | None) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    if schema is not None:
        return _message(value, schema)
    kind = value["@type"]
    fields = {key: item for key, item in value.items() if key != "@type"}
    return _message({"type_url": kind, "value": _message(fields, _SCHEMAS[kind])}, _ANY)


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """(number, content) of the fields that are texts or messages; the others are passed over. Raises ValueError."""
    at = 0
    while at < len(message):
        key, at = _read_varint(message, at)
        kind = key & 7
        if kind == _BYTES:
            size, at = _read_varint(message, at)
            yield key >> 3, message[at : at + size]
            at += size
        elif kind == _VARINT:
            _, at = _read_varint(message, at)
        elif kind in _FIXED:
            at += _FIXED[kind]
        else:
            raise ValueError(f"no field of protobuf begins with {key}")
        if at > len(message):
            raise ValueError("a message that is cut short")


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    """(the value, where it ends)."""
    value = shift = 0
    while at < len(message):
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise ValueError("a message that is cut short")
