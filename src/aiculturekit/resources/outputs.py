"""What a resource gives besides its URL: the URL's parts, by the names that programs ask for. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from aiculturekit.locator import Locator
from aiculturekit.resources.kinds import KINDS

REGION = "us-east-1"
"""What an S3 server that has no regions is asked under."""


def of(kind: str, url: str, *, declared: Mapping[str, str] | None = None) -> dict[str, str]:
    """Every output, by name. `declared` are those of a custom resource, in which ${host} and ${port} stand for the URL's."""
    if not url or kind not in KINDS:
        return {"url": url}
    place = Locator.parse(url)
    host, port = place.hosts[0] if place.hosts else ("", None)
    found = {"url": url, "host": host, "port": str(port or KINDS[kind].port or "")}
    if kind == "custom":
        return found | {name: _filled(text, found) for name, text in (declared or {}).items()}
    if kind == "s3":
        return {"url": url} | _s3(place)
    named = {"username": place.username or "", "password": place.password or ""}
    return found | named | ({"database": place.path.strip("/")} if kind in _WITH_DATABASES else {})


_WITH_DATABASES = ("postgres", "mysql", "mongodb", "redis")


def standing(kind: str, url: str) -> list[tuple[str, int]]:
    """(host, port) of each server that the URL names; none for a URL without a port that its type does not have a usual one for."""
    place = Locator.parse(url)
    usual = KINDS[kind].port or {"https": 443, "http": 80}.get(place.scheme)
    if kind == "s3":
        usual = 443 if tls(place) else 80
    found = [(host.lower(), port or usual) for host, port in place.hosts if host]
    return [(host, port) for host, port in found if port]


def _s3(place: Locator) -> dict[str, str]:
    """`s3://KEY:SECRET@host[:port]/bucket[?region=…&tls=false]`."""
    is_secure = tls(place)
    host, port = place.hosts[0]
    return {
        "endpoint": f"{'https' if is_secure else 'http'}://{host}" + (f":{port}" if port else ""),
        "key": place.username or "",
        "secret": place.password or "",
        "bucket": place.path.strip("/"),
        "region": place.options.get("region", REGION),
    }


def tls(place: Locator) -> bool:
    """Whether an S3 server is spoken to over TLS: where no port is said, or `?tls=true`."""
    said = place.options.get("tls")
    return said == "true" if said else place.hosts[0][1] in (None, 443)


def _filled(text: str, found: Mapping[str, str]) -> str:
    return text.replace("${host}", found["host"]).replace("${port}", found["port"])


AMAZON: Mapping[str, str] = {
    "AWS_ENDPOINT_URL_S3": "endpoint",
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_REGION": "region",
    "AWS_DEFAULT_REGION": "region",
}
"""The variables that AWS' own libraries read without being told, and the output of an S3 resource that each holds."""


def amazon(given: Mapping[str, str]) -> dict[str, str]:
    """The outputs of an S3 resource as those variables."""
    return {variable: given[output] for variable, output in AMAZON.items()}
