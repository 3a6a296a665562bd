"""Images that only the Docker or Podman of this machine has, by the socket on which it answers: `docker-daemon:NAME[:TAG]`, as in skopeo.

What is taken is the image, never the running of it: see docs/design/images.md. Both speak Docker's API
(https://docs.docker.com/reference/api/engine/), and both write an image as `docker save` does.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import posixpath
import socket
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import quote

from aiculturekit import threads
from aiculturekit.errors import BuildFailed, Failed, Mistake, Unreachable
from aiculturekit.images import descriptors, layouts
from aiculturekit.images.blobs import Store
from aiculturekit.images.descriptors import CONFIG, GZIP, LAYER, MANIFEST, Descriptor
from aiculturekit.language import say

SCHEME = "docker-daemon:"
HOST = "DOCKER_HOST"
"""Variable of the environment: where the engine answers, `unix:///run/user/1000/podman/podman.sock`."""
USUAL = ("/var/run/docker.sock", "/run/podman/podman.sock")
_WITHIN, _LARGEST, _CHUNK = 60.0, 4 << 20, 1 << 20


async def fetched(text: str, *, store: Store, progress: Callable[[str], None]) -> Descriptor:
    """The manifest of the image as it is now; taken over once for each content. Raises Mistake, Unreachable, Failed or BuildFailed."""
    name, place = text.removeprefix(SCHEME), await threads.run(_place)
    known = await threads.run(_known, place, name, store)
    if isinstance(known, Descriptor):
        return known
    progress(say("taking {image} from {socket}", image=name, socket=place))
    return await threads.run(_taken, place, name, known, store)


def _place() -> Path:
    """The socket of the first that is there. Raises Mistake, Unreachable."""
    said = os.environ.get(HOST, "")
    if said and not said.startswith("unix://"):
        raise Mistake(
            say("{variable} names no socket of this machine: {host}", variable=HOST, host=said[:120]),
            hint=say("write unix:///PATH, or push the image to a registry and name it there"),
        )
    places = [said.removeprefix("unix://")] if said else USUAL
    found = next((Path(place) for place in places if Path(place).is_socket()), None)
    if found is None:
        raise Unreachable(
            say("no Docker and no Podman answers on this machine: {places}", places=", ".join(places)),
            hint=say(
                "start it (`systemctl start docker`, or podman.socket), or name its socket: DOCKER_HOST=unix:///PATH"
            ),
        )
    return found


def _known(place: Path, name: str, store: Store) -> Descriptor | str:
    """What was taken of this content already, else the identifier by which the engine knows it."""
    identifier = str(json.loads(_asked(place, f"/images/{quote(name, safe='')}/json", name).read(_LARGEST))["Id"])
    note = store.note("engines", descriptors.key(identifier))
    found = descriptors.described(note["manifest"]) if note else None
    return found if found and _is_whole(found, store) else identifier


def _is_whole(manifest: Descriptor, store: Store) -> bool:
    return store.has(manifest) and all(store.has(one) for one in layouts.reachable(manifest, store=store))


def _taken(place: Path, name: str, identifier: str, store: Store) -> Descriptor:
    answer = _asked(place, f"/images/{quote(name, safe='')}/get", name)
    try:
        with store.scratch() as folder, tarfile.open(fileobj=cast(IO[bytes], answer), mode="r|", bufsize=_CHUNK) as tar:
            found = _imported(_files(tar, folder), store)
    except (
        tarfile.TarError,
        EOFError,
        ValueError,
        KeyError,
        IndexError,
        TypeError,
        http.client.HTTPException,
    ) as error:
        raise BuildFailed(
            say("{socket} does not say {image} as `docker save` does: {error}", socket=place, image=name, error=error)
        ) from error
    store.keep("engines", descriptors.key(identifier), {"manifest": found.as_dict()})
    return found


def _files(tar: tarfile.TarFile, folder: Path) -> dict[str, Path]:
    """Its files by name, each under a number: what they are called opens nothing. A link is what it leads to, which may come later."""
    found, links = dict[str, Path](), dict[str, str]()
    for number, member in enumerate(tar):
        name = posixpath.normpath(member.name)
        if member.issym() or member.islnk():
            start = posixpath.dirname(name) if member.issym() else ""
            links[name] = posixpath.normpath(posixpath.join(start, member.linkname))
        elif member.isreg() and (content := tar.extractfile(member)):
            found[name] = folder / str(number)
            with found[name].open("wb") as out:
                while part := content.read(_CHUNK):
                    out.write(part)
    return found | {name: found[target] for name, target in links.items() if target in found}


def _imported(files: Mapping[str, Path], store: Store) -> Descriptor:
    (listed,) = json.loads(files["manifest.json"].read_bytes())
    config = store.put(files[posixpath.normpath(listed["Config"])].read_bytes(), media_type=CONFIG)
    layers = _layers([files[posixpath.normpath(one)] for one in listed["Layers"]], store)
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config.as_dict(),
        "layers": [one.as_dict() for one in layers],
    }
    return store.put_document(document, media_type=MANIFEST)


def _layers(files: Sequence[Path], store: Store) -> list[Descriptor]:
    """One file may be several layers: those without content are the same."""
    known: dict[Path, Descriptor] = {}
    for file in files:
        if file not in known:
            with file.open("rb") as stream:
                digest = f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"
                stream.seek(0)
                kind = GZIP if stream.read(2) == b"\x1f\x8b" else LAYER
            known[file] = Descriptor(kind, digest, file.stat().st_size)
            store.adopt(file, digest=digest)
    return [known[file] for file in files]


def _asked(place: Path, path: str, name: str) -> http.client.HTTPResponse:
    """The answer, to be read. Raises Mistake, Unreachable, Failed."""
    try:
        connection = _Connection(place)
        connection.request("GET", path)
        answer = connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(
            say("{socket} does not answer: {error}", socket=place, error=str(error) or type(error).__name__),
            hint=say(
                "start it (`systemctl start docker`, or podman.socket), or name its socket: DOCKER_HOST=unix:///PATH"
            ),
        ) from error
    if answer.status == http.HTTPStatus.NOT_FOUND:
        raise Mistake(
            say("{socket} has no image {image}", socket=place, image=name),
            hint=say("`docker images` or `podman images` shows what there is; a Podman wants localhost/NAME:TAG"),
        )
    if answer.status != http.HTTPStatus.OK:
        said = answer.read(_LARGEST).decode("utf-8", "replace").strip()
        raise Failed(say("{socket} answered {status}: {said}", socket=place, status=answer.status, said=said[:300]))
    return answer


class _Connection(http.client.HTTPConnection):
    """Over a socket of this machine; it ends with its answer."""

    def __init__(self, place: Path) -> None:
        super().__init__("localhost", timeout=_WITHIN)
        self._place = place

    def connect(self) -> None:
        self.sock: Any = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._place))
