"""What belongs to which type of resource: its keys, the URLs it may stand at, what it gives. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from aiculturekit.errors import LocatorError
from aiculturekit.language import say
from aiculturekit.locator import Locator
from aiculturekit.spec import references, secrets
from aiculturekit.spec.backings import Resource
from aiculturekit.spec.texts import Path as KeyPath

Finding = tuple[KeyPath, str, str]

_OWN: Mapping[str, tuple[str, ...]] = {
    "extensions": ("postgres",),
    "databases": ("postgres", "mysql"),
    "buckets": ("s3",),
    "image": ("mongodb", "mysql"),
    "run": ("custom",),
    "source": ("custom",),
    "health": ("custom",),
    "outputs": ("custom",),
    "url": ("postgres", "redis", "s3", "nats", "mysql", "mongodb", "smtp", "custom"),
    "version": ("postgres", "redis", "s3", "nats", "mysql", "mongodb", "smtp"),
}
"""Key -> the types that have it; the others are everybody's."""
SCHEMES: Mapping[str, tuple[str, ...]] = {
    "postgres": ("postgresql", "postgres"),
    "redis": ("redis", "rediss"),
    "s3": ("s3",),
    "nats": ("nats", "tls"),
    "mysql": ("mysql", "mariadb"),
    "mongodb": ("mongodb",),
    "smtp": ("smtp", "smtps"),
}
_PARTS = ("host", "port", "username", "password")
OUTPUTS: Mapping[str, tuple[str, ...]] = {
    "postgres": ("url", *_PARTS, "database"),
    "redis": ("url", *_PARTS, "database"),
    "s3": ("url", "endpoint", "key", "secret", "bucket", "region"),
    "nats": ("url", *_PARTS),
    "mysql": ("url", *_PARTS, "database"),
    "mongodb": ("url", *_PARTS, "database"),
    "smtp": ("url", *_PARTS),
    "custom": ("url", "host", "port"),
}
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def outputs(resource: Resource) -> tuple[str, ...]:
    """What `${resources.NAME.…}` may end in."""
    return tuple(dict.fromkeys([*OUTPUTS.get(resource.type, ("url",)), *resource.outputs]))


def secret(url: str) -> secrets.Reference | None:
    """Where the URL is kept: `secret:env/NAME`, `secret:file/PATH`."""
    found = secrets.parse(url)
    return found if found and found.kind in ("env", "file") else None


def findings(name: str, resource: Resource) -> Iterator[Finding]:
    path: KeyPath = ("resources", name)
    for key in resource.model_fields_set & _OWN.keys():
        if getattr(resource, key) and resource.type not in _OWN[key]:
            message = say("{type} has no {key}", type=resource.type, key=f"`{key}:`")
            yield (*path, key), message, say("it belongs to {types}; leave it out", types=", ".join(_OWN[key]))
    if resource.type == "custom":
        yield from _custom(path, resource)
    if resource.image and (resource.version or resource.url):
        message = say("`image:` and {key} do not go together", key="`version:`" if resource.version else "`url:`")
        yield (*path, "image"), message, say("an image has its version in its name, and an existing server needs none")
    if resource.url:
        yield from _url(path, resource)
    yield from _buckets(path, resource)


def _custom(path: KeyPath, resource: Resource) -> Iterator[Finding]:
    if not resource.run and not resource.url:
        yield path, say("nothing says what to run"), say('add run: "COMMAND", or url:')
    for output, text in resource.outputs.items():
        if not _NAME.fullmatch(output):
            hint = say("use small letters, digits and hyphens, at most 40, starting with a letter")
            yield (*path, "outputs", output), say("{name} is not a name", name=repr(output[:60])), hint
        try:
            unknown = [one for one in references.names(text) if one not in ("host", "port")]
        except ValueError as error:
            message, _, hint = str(error).partition("; ")
            yield (*path, "outputs", output), message, hint
            continue
        for one in unknown:
            message = say("${{{reference}}} refers to nothing", reference=one[:60])
            yield (*path, "outputs", output), message, say("an output may hold ${host} and ${port}")


def _url(path: KeyPath, resource: Resource) -> Iterator[Finding]:
    """The URL itself is never part of what is said: it may hold a password."""
    url = resource.url or ""
    if secrets.is_one(url):
        if secret(url) is None:
            hint = say("write secret:env/NAME or secret:file/PATH")
            yield (*path, "url"), say("this is no secret that can be read"), hint
        return
    if resource.type not in _OWN["url"]:
        return
    try:
        place = Locator.parse(url)
    except LocatorError as error:
        yield (*path, "url"), str(error), error.hint or ""
        return
    known = SCHEMES.get(resource.type, ())
    if known and place.scheme not in known:
        message = say("{type} is not reached by {scheme}", type=resource.type, scheme=f"{place.scheme}:")
        yield (*path, "url"), message, say("write {known}://…", known=known[0])
    elif not any(host for host, _ in place.hosts):
        yield (
            (*path, "url"),
            say("the URL names no host"),
            say("write {scheme}://USER:PASSWORD@HOST:PORT", scheme=place.scheme),
        )


def _buckets(path: KeyPath, resource: Resource) -> Iterator[Finding]:
    for at, bucket in enumerate(resource.buckets):
        if not _BUCKET.fullmatch(bucket):
            hint = say("use 3 to 63 small letters, digits and hyphens")
            yield (*path, "buckets", at), say("{name} is not a name", name=repr(bucket[:80])), hint
        elif bucket in resource.buckets[:at]:
            yield (*path, "buckets", at), say("{name} is listed twice", name=bucket), say("list it once")
