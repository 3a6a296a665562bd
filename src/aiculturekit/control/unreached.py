"""Addresses in a workload's variables that it cannot reach from a network of its own. Only numbers and this machine: a name that is
looked up in vain is reported when that happens, these fail in silence. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from aiculturekit.language import say
from aiculturekit.plan.documents import Document

_ADDRESS = re.compile(
    r"\b([a-z][a-z0-9+.-]*)://(?:[^@/\s]*@)?(localhost|\d{1,3}(?:\.\d{1,3}){3})(?::(\d{1,5}))?(?![\w.-])"
)
_USUAL = {
    "amqp": 5672, "http": 80, "https": 443, "mongodb": 27017, "mysql": 3306, "nats": 4222, "postgres": 5432, "postgresql": 5432,
    "redis": 6379,
}  # fmt: skip


def problems(documents: Iterable[Document]) -> list[str]:
    """One line for each variable that names such an address, with what to write."""
    found = [line for document in documents if document.kind in ("workload", "job") for line in _of(document)]
    return list(dict.fromkeys(found))


def _of(document: Document) -> Iterator[str]:
    allowed = {place for need in document.body["needs"] if need["kind"] == "external" for place in _places(need["url"])}
    for variable, value in document.body["env"].items():
        for place in _places(value):
            if place not in allowed:
                yield say(
                    "{name}: {variable} names {place}, which its needs do not; if a server of this machine is meant, add "
                    "tcp://{place} to its needs",
                    name=document.name.partition("/")[0],
                    variable=variable,
                    place=place,
                )


def _places(text: str) -> Iterator[str]:
    """Each `host:port` that a text names; one loopback, however it is written."""
    for scheme, host, port in _ADDRESS.findall(text):
        number = port or _USUAL.get(scheme.partition("+")[0])
        if number:
            yield f"{'localhost' if host.startswith('127.') else host}:{number}"
