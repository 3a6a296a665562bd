"""One frozen value for every URL of a backend or a target: `scheme://user:password@host:port,host:port/path?option=value`.

Promise: parsing opens nothing; what was parsed renders to an equal value; printing, `repr` and every error show neither
credentials nor option values. (Standard URL parsers do not round-trip `sqlite:///x`, raise on `kafka://a:1,b:2`, and
print passwords: hence this one.) May not: know which schemes exist; `registry.py` does.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar
from urllib.parse import parse_qsl, quote, unquote

from aiculturekit.errors import LocatorError
from aiculturekit.language import say

_URL = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*):"
    r"(?P<slashes>//(?:(?P<user>[^@/?]*)@)?(?P<hosts>[^/?]*))?"
    r"(?P<path>[^?]*)(?:\?(?P<query>.*))?",
    re.IGNORECASE | re.ASCII,
)
_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[^:@\[\]]*)(?::(?P<port>[0-9]{1,5}))?")
_IPV6 = re.compile(r"\[[0-9A-Fa-f:.]+\]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_CASTS: Mapping[str, Callable[[str], Any]] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": lambda text: {"true": True, "false": False}[text],
}

Shape = TypeVar("Shape")


@dataclasses.dataclass(frozen=True, slots=True)
class Locator:
    """Where one backend lives. `path` is decoded and, after `//`, empty or starts with `/`; `opaque` is `scheme:path`
    without `//`; an IPv6 host keeps its brackets. A token alone (`nats://token@host`) is the username."""

    scheme: str
    hosts: tuple[tuple[str, int | None], ...] = ()
    path: str = ""
    options: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False, hash=False)
    username: str | None = dataclasses.field(default=None, repr=False)
    password: str | None = dataclasses.field(default=None, repr=False)
    opaque: bool = False

    @classmethod
    def parse(cls, text: str) -> Locator:
        """The value behind the URL; a LocatorError never repeats more of the text than its scheme."""
        match = _URL.fullmatch(text)
        if match is None or _CONTROL.search(text):
            _refuse_text(text)
        scheme = match["scheme"].lower()
        user, colon, password = (match["user"] or "").partition(":")
        if "@" in match["path"] or "@" in (match["query"] or ""):
            _refuse_characters(scheme)
        return cls(
            scheme=scheme,
            hosts=tuple(_host(host, scheme=scheme) for host in (match["hosts"] or "").split(",") if host),
            path=_decoded(match["path"]),
            options=_options(match["query"] or "", scheme=scheme),
            username=None if match["user"] is None else _decoded(user),
            password=_decoded(password) if colon else None,
            opaque=match["slashes"] is None,
        )

    def reveal(self) -> str:
        """The full URL, secrets included: for handing to a driver, never to a log."""
        return self._render(str)

    def __str__(self) -> str:
        return self._render(lambda _: "***")

    def options_as(self, shape: type[Shape]) -> Shape:
        """The options as the backend's own dataclass (fields of str, int, float, bool, or one of them `| None`).

        An option that it does not have, or a value that does not fit, is a LocatorError without the value.
        """
        kinds = {field.name: _kind(field.type) for field in dataclasses.fields(shape)}  # type: ignore[arg-type]
        if unknown := sorted(set(self.options) - set(kinds)):
            raise LocatorError(
                say("{scheme}: unknown option {names}", scheme=self.scheme, names=", ".join(unknown)),
                hint=say("known: {known}", known=", ".join(sorted(kinds))),
            )
        return shape(**{name: self._cast(name, kind=kinds[name]) for name in self.options})

    def _cast(self, name: str, *, kind: str) -> Any:
        try:
            return _CASTS[kind](self.options[name])
        except (KeyError, ValueError):
            # Neither the text nor the chained error, which quotes it: the value may be a secret.
            raise LocatorError(
                say("{scheme}: option {name} must be {kind}", scheme=self.scheme, name=name, kind=kind)
            ) from None

    def _render(self, show: Callable[[str], str]) -> str:
        place = "" if self.opaque else f"//{self._userinfo(show)}{','.join(_render_host(*host) for host in self.hosts)}"
        path = _encoded(self.path, safe="/;=:+")
        if self.opaque and path.startswith("//"):
            path = "%2F" + path[1:]  # else the path would be read as a host
        query = "&".join(f"{_encoded(name)}={show(_encoded(value, safe='/:'))}" for name, value in self.options.items())
        return f"{self.scheme}:{place}{path}" + (f"?{query}" if query else "")

    def _userinfo(self, show: Callable[[str], str]) -> str:
        if self.username is None:
            return ""
        password = "" if self.password is None else f":{_encoded(self.password)}"
        return show(_encoded(self.username) + password) + "@"


def _host(text: str, *, scheme: str) -> tuple[str, int | None]:
    match = _HOST.fullmatch(text)
    if match is None or int(match["port"] or 0) > 65535:
        _refuse_characters(scheme)
    return _decoded(match["name"]), int(match["port"]) if match["port"] else None


def _render_host(name: str, port: int | None) -> str:
    host = name if _IPV6.fullmatch(name) else _encoded(name)
    return host if port is None else f"{host}:{port}"


def _options(query: str, *, scheme: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query), errors="surrogateescape")
    except ValueError:
        raise LocatorError(say("{scheme}: options must read name=value&name=value", scheme=scheme)) from None
    if len(dict(pairs)) != len(pairs):
        raise LocatorError(say("{scheme}: an option is given twice", scheme=scheme))
    return dict(pairs)


def _refuse_text(text: str) -> NoReturn:
    scheme, slashes, _ = text.partition("://")
    raise LocatorError(
        say("not a backend URL: {start}", start=f"{scheme!r}…") if slashes else say("not a backend URL"),
        hint=say("it reads scheme://host:port/path?option=value, for example sqlite:////var/lib/aic/state.db"),
    )


def _refuse_characters(scheme: str) -> NoReturn:
    raise LocatorError(
        say("{scheme}: bad host, port or character", scheme=scheme),
        hint=say("percent-encode any of : / ? # @ inside a user name, password or option"),
    )


def _kind(annotation: Any) -> str:
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    return text.removesuffix(" | None")


def _encoded(text: str, *, safe: str = "") -> str:
    return quote(text, safe=safe, errors="surrogateescape")  # paths of this machine need not be UTF-8


def _decoded(text: str) -> str:
    return unquote(text, errors="surrogateescape")
