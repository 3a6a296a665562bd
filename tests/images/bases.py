"""A base image without a registry: this machine's own Debian Python, its libraries and a shell, as an OCI layout. Made in a second."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from aiculturekit.images import layouts, tars
from aiculturekit.images.blobs import Store
from aiculturekit.images.descriptors import CONFIG, MANIFEST
from aiculturekit.images.tars import Entry

_PYTHON = Path("/usr/bin/python3")
_PACKAGES = (
    "libpython{0}-minimal",
    "libpython{0}-stdlib",
    "python{0}-minimal",
    "dash",
    "libc-bin",
    "libc6",
    "libgcc-s1",
)


def missing() -> str:
    """Why no base can be made here; empty where one can."""
    if not _PYTHON.exists() or not Path("/var/lib/dpkg/status").is_file():
        return "the base for the tests is made of Debian's own Python, which is not here"
    return ""


def layout(folder: Path, *, tag: str = "test", architecture: str = "amd64", is_bare: bool = False) -> str:
    """Writes the layout, and answers with the reference to it. `is_bare`: one small file instead of a system."""
    store = Store(folder / "store")
    entries = [Entry("etc/os-release", "file", b'ID=debian\nVERSION_ID="12"\n')] if is_bare else list(_entries())
    layer = tars.make(entries, title="system", store=store)
    config = {
        "architecture": architecture,
        "os": "linux",
        "config": {"Env": ["PATH=/usr/local/bin:/usr/bin:/bin"], "Cmd": ["python3"], "Labels": {"base": "test"}},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "test"}],
    }
    described = store.put_document(config, media_type=CONFIG)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": described.as_dict(),
        "layers": [layer.descriptor.as_dict()],
    }
    place = folder / "layout"
    layouts.write(place, {tag: store.put_document(manifest, media_type=MANIFEST)}, store=store)
    return f"oci:{place}:{tag}"


def digest_of(reference: str) -> str:
    folder, _, tag = reference.removeprefix("oci:").rpartition(":")
    return layouts.find(Path(folder), tag=tag).digest


@cache
def _version() -> str:
    return _PYTHON.resolve().name.removeprefix("python")


@cache
def _files() -> tuple[str, ...]:
    listed = _output("dpkg", "-L", *(name.format(_version()) for name in _PACKAGES)).splitlines()
    native = [str(path) for path in Path(f"/usr/lib/python{_version()}/lib-dynload").glob("*.so")]
    linked = re.findall(r"(/\S+\.so\S*)", _output("ldd", str(_PYTHON.resolve()), *native))
    wanted = {*listed, *(one for one in linked if not one.endswith(":"))}
    unwanted = re.compile(r"/usr/share/(doc|man|lintian)/|__pycache__|/gconv/|/usr/sbin/")
    return tuple(sorted(path for path in wanted if not unwanted.search(path)))


def _entries() -> Iterator[Entry]:
    """Debian's merged /usr: what stands in /bin and /lib stands in /usr, and the names lead there."""
    for name in ("bin", "lib", "lib64", "sbin"):
        yield Entry(name, "link", f"usr/{name}")
    yield Entry("usr/bin/sh", "link", "dash")
    yield Entry("tmp", "folder")
    yield Entry("etc/passwd", "file", b"root:x:0:0:root:/:/bin/sh\n")
    yield Entry("etc/os-release", "link", "../usr/lib/os-release")
    yield Entry("usr/lib/os-release", "file", Path("/usr/lib/os-release").read_bytes())
    yield Entry("var/lib/dpkg/status", "file", _status())
    for path in map(Path, _files()):
        name = re.sub(r"^(bin|lib|lib64|sbin)/", r"usr/\1/", str(path).lstrip("/"))
        if name.startswith("etc/os-release") or path.is_dir():
            continue
        if path.is_symlink():
            yield Entry(name, "link", str(path.readlink()))
            path = path.resolve()
            name = re.sub(r"^(bin|lib|lib64|sbin)/", r"usr/\1/", str(path).lstrip("/"))
        if path.is_file():
            yield Entry(name, "file", path, bool(path.stat().st_mode & 0o100))


def _status() -> bytes:
    wanted = {name.format(_version()) for name in _PACKAGES}
    paragraphs = Path("/var/lib/dpkg/status").read_text("utf-8").split("\n\n")
    return "\n\n".join(
        text for text in paragraphs if text.partition("\n")[0].removeprefix("Package: ") in wanted
    ).encode()


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
