"""A network namespace for each workload, with the names that it may know: its room.

A room outlives processes, the daemon and Envoy, whose listeners stand in it: it is kept by a mount of a file under `folder`, whose name
ends in a token, since Envoy would take up a socket of the former room while a listener of the same address still drains. All
versions and replicas of a workload share its room, as they share its identity.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import secrets
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from aiculturekit import namespaces
from aiculturekit.errors import HostTrouble
from aiculturekit.language import say

T = TypeVar("T")
Name = tuple[str, str]
"""(application, workload)."""

_SEPARATOR = "~"
_NAMES_BY = re.compile(r"(?m)^\s*hosts:.*$")
_LOCAL = f"127.0.0.1 localhost {socket.gethostname()}\n::1 ip6-localhost ip6-loopback\n"
"""`localhost` is the one address that probes and Envoy dial: with ::1 beside it, who binds it by name is not found (Node takes ::1)."""
_RESOLVER = "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n"


@dataclasses.dataclass(frozen=True, slots=True)
class Room:
    """`namespace` is the file that keeps it; `files` stand in the place of the system's own for who lives in it."""

    namespace: Path
    files: Mapping[str, Path]

    def start(self, call: Callable[[], T], *, is_runtime: bool = False) -> T:
        """What `call` answers, which starts a process in here. Raises OSError."""
        return namespaces.confined(self.namespace, call, files=self.files, is_runtime=is_runtime)

    def inside(self, call: Callable[[], T]) -> T:
        """What `call` answers from in here. Raises OSError."""
        return namespaces.inside(self.namespace, call)


class Rooms:
    """The rooms of one home. Not for concurrent use; every method blocks for some milliseconds. Raises HostTrouble where the
    kernel or the disk refuses."""

    def __init__(self, folder: Path) -> None:
        self._doors, self._etc = folder / "netns", folder / "etc"
        self._rooms: dict[Name, Room] = {}

    def open(self) -> None:
        """Take up what is there. What a restart of the machine emptied is made anew under its old name, which Envoy knows."""
        with _explained():
            self._prepare()
            for door in sorted(self._doors.iterdir()):
                app, name, _ = door.name.split(_SEPARATOR)
                if not namespaces.is_there(door):
                    namespaces.create(door)
                self._rooms[app, name] = self._room((app, name), door)

    def of(self, app: str, name: str) -> Room | None:
        return self._rooms.get((app, name))

    def ensure(self, wanted: Iterable[Name]) -> dict[Name, str]:
        """A room for each of them; answers all that there are, by the file that keeps them."""
        with _explained():
            for name in wanted:
                if name not in self._rooms:
                    door = self._doors / _SEPARATOR.join((*name, secrets.token_hex(4)))
                    room = self._room(name, door)
                    namespaces.create(door)
                    self._rooms[name] = room
        return {name: str(room.namespace) for name, room in self._rooms.items()}

    def furnish(self, app: str, name: str, *, names: Mapping[str, str], addresses: Sequence[str] = ()) -> None:
        """What its /etc/hosts says from now on, also to who is in it already: host name -> address. `addresses` become its
        loopback's own."""
        with _explained():
            room = self._rooms[app, name]
            if addresses:
                namespaces.own(room.namespace, addresses)
            _rewrite(self._hosts((app, name)), _LOCAL + "".join(f"{at} {host}\n" for host, at in sorted(names.items())))

    def keep(self, wanted: Iterable[Name]) -> None:
        """Let all others go. Idempotent."""
        with _explained():
            for name in self._rooms.keys() - set(wanted):
                namespaces.remove(self._rooms.pop(name).namespace)
                self._hosts(name).unlink(missing_ok=True)

    def _room(self, name: Name, door: Path) -> Room:
        hosts = self._hosts(name)
        if not hosts.exists():
            hosts.write_text(_LOCAL)
        shared = {place: self._etc / Path(place).name for place in ("/etc/resolv.conf", "/etc/nsswitch.conf")}
        return Room(door, {"/etc/hosts": hosts, **shared})

    def _hosts(self, name: Name) -> Path:
        return self._etc / _SEPARATOR.join(("hosts", *name))

    def _prepare(self) -> None:
        """Names are looked up in the room only: in its hosts file, then at its own loopback."""
        for folder in (self._doors, self._etc):
            folder.mkdir(parents=True, exist_ok=True, mode=0o755)
        (self._etc / "resolv.conf").write_text(_RESOLVER)
        switch = Path("/etc/nsswitch.conf")
        text = switch.read_text() if switch.exists() else "hosts: files dns\n"
        (self._etc / "nsswitch.conf").write_text(_NAMES_BY.sub("hosts: files dns", text))


def clear(folder: Path) -> None:
    """Let go of every room of a home: isolation was turned off, or everything was taken down. Idempotent."""
    for door in (folder / "netns").glob("*"):
        namespaces.remove(door)
    for file in (folder / "etc").glob("*"):
        file.unlink(missing_ok=True)


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise HostTrouble(
            say("a workload can't be given a network of its own: {error}", error=error),
            hint=say("AIC_ISOLATION=off goes on without"),
        ) from error


def _rewrite(file: Path, text: str) -> None:
    """In place: it is mounted where it is read, so another file under its name would never be seen."""
    if file.exists() and file.read_text() == text:
        return
    with file.open("r+" if file.exists() else "w") as stream:
        stream.write(text)
        stream.truncate()
