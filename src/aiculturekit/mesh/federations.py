"""The trust domains of other nodes: their bundles, where their gateways are, and where newer bundles come from."""

from __future__ import annotations

import asyncio
import dataclasses
import ipaddress
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiculturekit.errors import Failed, Mistake, NotFound
from aiculturekit.language import say
from aiculturekit.mesh import bundles, files, identities, programs
from aiculturekit.mesh.envoy import names, secrets
from aiculturekit.mesh.nodes import Neighbour

_TIMEOUT = 10.0
_OFTEN, _SELDOM = 60.0, 86400.0
"""Seconds between looks for a newer bundle, whatever it hints."""


@dataclasses.dataclass(frozen=True, slots=True)
class Domain:
    """One federated trust domain. `source` is a file or an address; `read` the moment in which it was last read; `trouble` why
    it could not be since."""

    name: str
    bundle: dict[str, Any]
    source: str
    host: str = ""
    port: int = 0
    read: float = 0.0
    trouble: str = ""


class Federation:
    """Kept in `file`; what Envoy verifies by stands in the mesh's folder, and `on_change` is called when it has changed. `own` is the
    node's own trust domain."""

    def __init__(
        self,
        *,
        file: Path,
        mesh: Path,
        own: str,
        on_event: Callable[[str], None],
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._file, self._sds, self._own = file, mesh / names.federation_file(), own
        self._on_event, self._on_change = on_event, on_change
        self._domains = dict[str, Domain]()

    def open(self) -> None:
        """Remember what was agreed before. Raises OSError."""
        listed = json.loads(files.read(self._file) or b"[]")
        self._domains = {record["name"]: Domain(**record) for record in listed}

    @property
    def domains(self) -> list[Domain]:
        return [self._domains[name] for name in sorted(self._domains)]

    def neighbours(self) -> tuple[Neighbour, ...]:
        return tuple(Neighbour(one.name, one.host, one.port) for one in self.domains)

    async def add(self, name: str, *, source: str, address: str = "") -> Domain:
        """Trust what `source` holds for this domain, and no other. Also for one that is known already: the way to change its source.
        Raises Mistake or Failed; nothing has changed then."""
        if not identities.is_domain(name):
            raise Mistake(say("{name} is no trust domain", name=repr(name[:80])))
        if name == self._own:
            raise Mistake(
                say("{name} is this node's own trust domain", name=name),
                hint=say("the other node needs another one: AIC_TRUST_DOMAIN at its first start"),
            )
        host, port = located(address) if address else ("", 0)
        bundle = await _read(source)
        await _checked(name, bundle)
        domain = Domain(name, bundle, source, host, port, time.time())
        self._keep({**self._domains, name: domain})
        return domain

    def remove(self, name: str) -> None:
        """Trust it no more. Raises NotFound."""
        if name not in self._domains:
            known = ", ".join(self._domains) or "-"
            raise NotFound(say("{name} is not federated; there is {known}", name=name, known=known))
        self._keep({key: domain for key, domain in self._domains.items() if key != name})

    def publish(self, used: Iterable[Neighbour]) -> None:
        """Let Envoy verify by the bundles of these; the file stays while nobody is left, as doors that close still read it."""
        found = {
            one.domain: bundles.pem(self._domains[one.domain].bundle) for one in used if one.domain in self._domains
        }
        if found and files.put(self._sds, files.text(secrets.federation(found))):
            self._on_change()

    async def refresh(self) -> None:
        """Read again what is due, by each bundle's own hint; a bundle is replaced by a newer one only. Never raises for a source that
        does not answer: the bundle that is known stays."""
        for domain in self.domains:
            hint = domain.bundle.get("spiffe_refresh_hint")
            pause = min(_SELDOM, max(_OFTEN, float(hint))) if isinstance(hint, int | float) else 3600.0
            if not domain.read <= time.time() < domain.read + pause:
                await self._refresh(domain)

    async def _refresh(self, domain: Domain) -> None:
        trouble, bundle = "", domain.bundle
        try:
            bundle = await _read(domain.source)
            await _checked(domain.name, bundle)
        except (Mistake, Failed) as error:
            trouble, bundle = error.message, domain.bundle
        known, new = bundles.sequence(domain.bundle), bundles.sequence(bundle)
        if known is not None and (new is None or new < known):
            trouble, bundle = trouble or say("it is older than the one that is known"), domain.bundle
        if trouble and trouble != domain.trouble:
            self._on_event(
                say("the trust bundle of {name} could not be read anew: {error}", name=domain.name, error=trouble)
            )
        if self._domains.get(domain.name) != domain:  # it was changed meanwhile
            return
        changed = dataclasses.replace(domain, bundle=bundle, read=time.time(), trouble=trouble)
        self._keep({**self._domains, domain.name: changed})
        if bundle != domain.bundle:
            self.publish(self.neighbours())
            self._on_event(say("the trust bundle of {name} is renewed", name=domain.name))

    def _keep(self, domains: dict[str, Domain]) -> None:
        files.folder(self._file.parent)
        listed = [dataclasses.asdict(domains[name]) for name in sorted(domains)]
        files.put(self._file, json.dumps(listed, indent=1).encode())
        self._domains = domains


def roots(source: str) -> str:
    """What a cluster is told of a domain's roots: PEM out of a file, or the address, which it reads itself. Raises Mistake or Failed."""
    return source if source.startswith("https://") else bundles.pem(_bundle(source))


def located(text: str) -> tuple[str, int]:
    """`host:port`. Raises Mistake."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise Mistake(say("{text} is no address; write HOST:PORT", text=repr(text[:80])))
    return host.strip("[]"), int(port)


async def _read(source: str) -> dict[str, Any]:
    return await asyncio.to_thread(_bundle, source)


def _bundle(source: str) -> dict[str, Any]:
    """The bundle in a file or behind an address. Raises Mistake or Failed."""
    try:
        text = _text(source)
    except (OSError, ValueError) as error:
        raise Failed(say("the trust bundle in {source} cannot be read: {error}", source=source, error=error)) from error
    try:
        return bundles.parsed(text)
    except ValueError as error:
        raise Mistake(say("{source} holds no trust bundle: {error}", source=source, error=error)) from error


def _text(source: str) -> str:
    if "://" not in source:
        return Path(source).read_text("utf-8")
    if not _is_safe(source):
        raise ValueError(say("a trust bundle must come by https, or from this machine"))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({} if _is_local(source) else None), _Stay)
    with opener.open(source, timeout=_TIMEOUT) as answer:
        raw: bytes = answer.read(bundles.LARGEST + 1)
        return raw.decode("utf-8")


class _Stay(urllib.request.HTTPRedirectHandler):
    """Whoever is asked must answer: a redirect could lead to where nothing is encrypted."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _is_safe(source: str) -> bool:
    scheme = urlsplit(source).scheme
    return scheme == "https" or (scheme == "http" and _is_local(source))


def _is_local(source: str) -> bool:
    host = urlsplit(source).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _checked(name: str, bundle: dict[str, Any]) -> None:
    """Raises Mistake when these cannot be the roots of the domain."""
    answer = await programs.asked("inspections", {"trust_domain": name, "pem": bundles.pem(bundle)})
    if answer["faults"]:
        raise Mistake(
            say("a certificate of the bundle is no root of {name}: {fault}", name=name, fault=answer["faults"][0]),
            hint=say("ask the other node for `aic mesh bundle`"),
        )
