"""The node's mesh: what the rest of the product asks of it.

The story of `apply`: whoever needs a certificate gets one from the authority (`certificates`); `envoy.compile` turns
the Node into documents; `updates` writes those that changed in the safe order and waits until Envoy has them in
force, or puts the former ones back. `publish` is the short way for what changes most, the ready replicas. `proxies`
keeps the process alive.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import re
import socket
import ssl
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path

from aiculturekit.errors import Failed, HostTrouble
from aiculturekit.language import say
from aiculturekit.mesh import envoy, figures, files, identities, processes, refusals, watchers
from aiculturekit.mesh.admins import Admin
from aiculturekit.mesh.certificates import Certificates
from aiculturekit.mesh.discoveries import Discovery
from aiculturekit.mesh.envoy import bootstrap, clusters, documents, endpoints, listeners, names, shortcuts
from aiculturekit.mesh.envoy.endpoints import Where
from aiculturekit.mesh.federations import Federation
from aiculturekit.mesh.nodes import Edge, Node, Refusal
from aiculturekit.mesh.proxies import Proxy
from aiculturekit.mesh.renewals import Renewals
from aiculturekit.mesh.rotations import Lives
from aiculturekit.mesh.trusts import Trust
from aiculturekit.mesh.updates import Updates

log = logging.getLogger(__name__)

_LIVES = Lives()
_LOOKING = 30.0
"""Seconds between looks at the sizes of logs."""
_LOG_LIMIT = 4 * 1024 * 1024
_SOCKET_LIMIT = 100
"""Bytes; the kernel allows 107 on Linux and 103 on macOS."""


_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
"""Where Debian, Fedora, SUSE, and Alpine or macOS keep them."""


class Mesh:
    """The mesh under `home` (`mesh/` and `ca/`). `node` marks its process; `on_event` is told in words what happens
    to Envoy."""

    def __init__(
        self,
        *,
        home: Path,
        node: str = "",
        spawn: processes.Spawn = processes.spawn,
        on_event: Callable[[str], None] = log.info,
        lives: Lives = _LIVES,
        trust_domain: str = "aic.local",
    ) -> None:
        self._folder = home.absolute() / "mesh"
        self._admin = Admin(_socket(self._folder))
        self._proxy = Proxy(folder=self._folder, admin=self._admin, node=node, spawn=spawn, on_event=on_event)
        self._updates = Updates(folder=self._folder, admin=self._admin, log=self._proxy.log)
        ca = home.absolute() / "ca"
        self._discovery = Discovery(self._folder, socket=names.secrets_socket(self._admin.path))
        changed = self._discovery.publish
        self._certificates = Certificates(ca=ca, mesh=self._folder, lives=lives, mark=node, on_change=changed)
        self._renewals = Renewals(self._certificates, on_event=on_event)
        federation = Federation(
            file=ca / "federation.json", mesh=self._folder, own=trust_domain, on_event=on_event, on_change=changed
        )
        self.trust = Trust(
            domain=trust_domain,
            ca=ca,
            certificates=self._certificates,
            renewals=self._renewals,
            federation=federation,
        )
        self._on_event = on_event
        self._ports: dict[tuple[str, str, str], tuple[Where, ...]] = {}
        self._in_force: set[tuple[str, str, str]] = set()
        self._straight: frozenset[str] = frozenset()
        self._applying, self._writing = asyncio.Lock(), asyncio.Lock()
        self._sample: figures.Sample | None = None
        self._tending: list[asyncio.Task[None]] = []
        self._has_ipv6 = False

    @property
    def pid(self) -> int | None:
        """Envoy's pid; None in the moments when it does not run."""
        return self._proxy.pid

    def holds(self, port: int) -> bool:
        """Whether this home's Envoy runs and listens there: the port is taken, but by us. Needs no `start`."""
        return port in self.held()

    def held(self) -> set[int]:
        """All of these ports. Needs no `start`."""
        if self._proxy.recorded() is None:
            return set()
        found = listeners.ports(self._updates.on_disk().get(names.LISTENERS, {}).get("resources", []))
        return {port for namespace, host, port in found if (namespace, host) == (None, documents.LOOPBACK)}

    async def start(self) -> None:
        """Envoy runs when this returns, with the last good configuration. Raises HostTrouble."""
        with _as_host_trouble(self._folder):
            self._prepare()
            await self._certificates.begin()
            await self._discovery.open()
        await self._proxy.start(bootstrap.compiled(folder=self._folder, admin=self._admin.path))
        works = (self._tend(), self._tend_federation())  # a neighbour that does not answer must not delay a renewal
        self._tending = [asyncio.create_task(work, name="mesh tending") for work in works]

    async def close(self) -> None:
        """Let go; Envoy goes on serving."""
        for task in self._tending:
            task.cancel()
        await asyncio.gather(*self._tending, return_exceptions=True)
        self._tending = []
        await self._certificates.close()
        await self._discovery.close()
        await self._proxy.close()

    async def stop(self) -> None:
        """End Envoy too. The files stay."""
        await self.close()
        await self._proxy.stop()

    async def apply(self, node: Node) -> None:
        """Make the mesh be `node`; returns when it is in force. Idempotent; may wait for another call. On an error
        the former configuration is in force: HostTrouble (a port taken, a folder not writable) or Failed with Envoy's
        own words."""
        wanted = identities.of(node)
        async with self._applying:
            with _as_host_trouble(self._folder):
                await self._certificates.ensure(wanted, trust_domain=node.trust_domain, now=time.time())
                self.trust.federation.publish(node.neighbours)
                async with self._writing:
                    compiled = self._compiled(node)
                    await self._updates.apply(compiled)
                    self._straight = shortcuts.of(compiled[names.CLUSTERS]["resources"])
                    self._remember_only(node)
                self._certificates.forget(but=wanted)

    async def publish(self, app: str, name: str, *, version: str, ports: Iterable[Where]) -> None:
        """These replicas serve the version from now on; returns when that is in force. Idempotent. Before the
        first `apply` that names the version it is only remembered."""
        key = (app, name, version)
        async with self._writing:
            self._ports[key] = endpoints.settled(ports)
            with _as_host_trouble(self._folder):
                try:
                    await self._updates.publish(names.inbound(app, name, version), ports=self._ports[key])
                except TimeoutError as error:
                    raise Failed(say("Envoy did not take up the replicas of {name}", name=f"{app}/{name}")) from error

    async def sample(self) -> figures.Sample:
        """What Envoy's counters stand at now. Raises Unreachable."""
        answer = await self._admin.stats(figures.PATTERN, histogram_buckets="detailed")
        return figures.sample(answer, at=time.monotonic(), straight=self._straight)

    async def in_flight(self, app: str, name: str, *, version: str) -> int:
        """Requests that are on the version's replicas now. Raises Unreachable."""
        gauge = f"cluster.{names.inbound(app, name, version)}.upstream_rq_active"
        answer = await self._admin.stats(f"^{re.escape(gauge)}$")
        return sum(int(item["value"]) for item in answer["stats"] if item.get("name") == gauge)

    async def edges(self) -> list[Edge]:
        """The figures of every caller -> service version since the last call of this method (rates are 0 on the first).
        Raises Unreachable."""
        now = await self.sample()
        before, self._sample = self._sample, now
        grown = figures.growths(now, before) if before else {}
        return figures.edges(now, grown, seconds=now.at - before.at if before else 0.0)

    async def prometheus(self) -> str:
        """Envoy's own figures in Prometheus' text format. Raises Unreachable."""
        return await self._admin.prometheus()

    def refusals(self) -> AsyncIterator[Refusal]:
        """Every call that is refused from now on, for ever. For one reader."""
        return refusals.follow(self._folder / names.REFUSALS)

    def _compiled(self, node: Node) -> dict[str, documents.Json]:
        new = envoy.compile(
            node,
            folder=self._folder,
            admin=self._admin.path,
            ports=self._ports,
            has_ipv6=self._has_ipv6,
            authorities=_authorities(),
        )
        del new[names.BOOTSTRAP]
        watchers.check(len(new))
        return new

    def _remember_only(self, node: Node) -> None:
        """Ports of versions that left must not serve those who come back under their name."""
        present = {
            (service.app, service.name, version.name) for service in node.services for version in service.versions
        }
        for key in self._in_force - present:
            self._ports.pop(key, None)
        self._in_force = present

    def _prepare(self) -> None:
        """The folders, the first files, and what the last daemon knew."""
        self._has_ipv6 = _has_ipv6()
        for path in (self._folder, *(self._folder / name for name in ("rds", "sds")), self._admin.path.parent):
            files.folder(path)
        self._certificates.open()
        self.trust.federation.open()
        known = self._updates.on_disk()
        for name in (names.LISTENERS, names.CLUSTERS):
            if name not in known:
                files.put(self._folder / name, files.text(documents.bundle([])))
        self._updates.drop_lost()
        on_disk = self._updates.on_disk()[names.CLUSTERS]["resources"]
        self._ports = clusters.replicas(on_disk) | self._ports
        self._in_force = set(self._ports)
        self._straight = shortcuts.of(on_disk)

    async def _tend(self) -> None:
        looked = time.monotonic()
        while True:
            await asyncio.sleep(self._renewals.interval)
            await self._renewals.tend()
            if time.monotonic() - looked > _LOOKING:
                looked = time.monotonic()
                self._shorten_logs()

    async def _tend_federation(self) -> None:
        while True:
            await asyncio.sleep(_LOOKING)
            try:
                await self.trust.federation.refresh()
            except Exception:  # whatever it was, the next look must come
                log.exception("the neighbours' trust bundles could not be read anew")

    def _shorten_logs(self) -> None:
        with contextlib.suppress(OSError):  # a full disk; who asks for a shorter log then is told by others
            for path in (self._proxy.log, self._folder / names.REFUSALS):
                if path.exists() and path.stat().st_size > _LOG_LIMIT:
                    refusals.shorten(path)


@contextlib.contextmanager
def _as_host_trouble(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise HostTrouble(
            say("{folder}: {error}", folder=folder, error=error),
            hint=say("is the folder writable, and the disk not full?"),
        ) from error


def _socket(folder: Path) -> Path:
    """Where Envoy answers questions: in its own folder, or in a private one of a short name where that is too long."""
    path = folder / "admin.sock"
    if len(str(path).encode()) <= _SOCKET_LIMIT:
        return path
    return Path(tempfile.gettempdir()) / f"aic-{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}" / "admin.sock"


def _authorities() -> str:
    """The file with the certificates that this machine trusts: $SSL_CERT_FILE, or the system's own."""
    found = ssl.get_default_verify_paths()
    return found.cafile or next((path for path in _BUNDLES if Path(path).exists()), found.openssl_cafile)


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
            return True
    except OSError:
        return False
