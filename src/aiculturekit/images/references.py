"""Where an image is: `python:3.12-slim`, `registry.example/team/web:v1`, `http://127.0.0.1:5000/web`, `oci:DIRECTORY[:TAG]`. Pure."""

from __future__ import annotations

import dataclasses
import ipaddress
import re

from aiculturekit.errors import Mistake
from aiculturekit.language import say

DOCKER_HUB = "docker.io"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_REGISTRY = re.compile(r"(?:\[[0-9a-fA-F:]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(?::[0-9]{1,5})?")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclasses.dataclass(frozen=True, slots=True)
class Reference:
    """`registry` is empty for a layout, whose directory is `repository`. `is_plain`: over http, as was asked or on loopback."""

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""
    is_plain: bool = False

    def __str__(self) -> str:
        place = f"{self.registry}/{self.repository}" if self.registry else f"oci:{self.repository}"
        return place + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    @property
    def is_layout(self) -> bool:
        return not self.registry

    @property
    def name(self) -> str:
        """What a registry is asked for: the digest where it is known."""
        return self.digest or self.tag or "latest"


def parse(text: str) -> Reference:
    """Raises Mistake."""
    if text.startswith("oci:"):
        return _layout(text)
    is_plain = text.startswith("http://")
    rest, _, digest = re.sub(r"^(https?|docker)://", "", text).partition("@")
    rest, tag = _tagged(rest)
    registry, repository = _placed(rest)
    is_right = _REGISTRY.fullmatch(registry) and _REPOSITORY.fullmatch(repository)
    if not is_right or (tag and not _TAG.fullmatch(tag)) or (digest and not _DIGEST.fullmatch(digest)):
        raise Mistake(
            say("{text} names no image", text=repr(text[:120])),
            hint=say("write REGISTRY/REPOSITORY:TAG in small letters, as in registry.example/team/web:v1"),
        )
    return Reference(registry, repository, tag, digest, is_plain or is_loopback(registry))


def _layout(text: str) -> Reference:
    path, tag = _tagged(text.removeprefix("oci:"))
    if not path:
        raise Mistake(
            say("{text} names no image", text=repr(text[:120])), hint=say("write oci:DIRECTORY, or oci:DIRECTORY:TAG")
        )
    return Reference("", path, tag)


def _tagged(text: str) -> tuple[str, str]:
    place, _, tag = text.rpartition(":")
    return (place, tag) if tag and "/" not in tag else (text, "")


def _placed(text: str) -> tuple[str, str]:
    """Docker's own rule: the first part is a registry when it looks like a host."""
    first, slash, rest = text.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return (DOCKER_HUB if first in ("index.docker.io", "registry-1.docker.io") else first), rest
    return DOCKER_HUB, text if slash else f"library/{text}"


def is_loopback(registry: str) -> bool:
    host = registry.rpartition(":")[0].strip("[]") if ":" in registry else registry
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
