"""An image of the machine's own MariaDB as an OCI layout, as the projects' own images are: the server, a shell and its programs, the version in
a variable."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from aiculturekit.images import layouts, platforms, tars
from aiculturekit.images.blobs import Store
from aiculturekit.images.descriptors import CONFIG, MANIFEST
from aiculturekit.images.tars import Entry

_PROGRAMS = ("/usr/sbin/mariadbd", "/usr/bin/mariadb-install-db", "/usr/bin/my_print_defaults", "/usr/bin/resolveip")
_APPLETS = (
    "sh", "rm", "mv", "mkdir", "chmod", "chown", "cat", "sed", "grep", "basename", "dirname", "id", "uname", "hostname", "expr", "tr", "test",
    "echo", "[", "true", "false", "touch", "ls", "cp", "env", "mktemp",
)  # fmt: skip


def missing() -> str:
    """Why no such image can be made here; empty where one can."""
    needed = [path for path in (_PROGRAMS[0], _PROGRAMS[1]) if not Path(path).exists()]
    if needed or shutil.which("busybox") is None or not Path("/usr/share/mysql").is_dir():
        return "needs: apt-get install mariadb-server-core busybox-static"
    return ""


def version() -> str:
    said = subprocess.run([_PROGRAMS[0], "--no-defaults", "--version"], capture_output=True, text=True, check=True)
    found = re.search(r"Ver (\d+(?:\.\d+)+)", said.stdout)
    assert found, said.stdout
    return found[1]


def layout(folder: Path, *, said: str = "") -> str:
    """Writes the layout, and answers with the reference to it. `said` is another version than it has."""
    store = Store(folder / "store")
    layer = tars.make(list(_entries()), title="system", store=store)
    system, _, architecture = platforms.own().partition("/")
    config = {
        "architecture": architecture,
        "os": system,
        "config": {
            "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", f"MARIADB_VERSION=1:{said or version()}+maria~test"],
            "Entrypoint": ["docker-entrypoint.sh"],
            "Cmd": ["mariadbd"],
        },
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
    }
    described = store.put_document(config, media_type=CONFIG)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": described.as_dict(),
        "layers": [layer.descriptor.as_dict()],
    }
    place = folder / "layout"
    layouts.write(place, {"test": store.put_document(manifest, media_type=MANIFEST)}, store=store)
    return f"oci:{place}:test"


def _entries() -> Iterator[Entry]:
    for name in ("bin", "lib", "lib64", "sbin"):
        yield Entry(name, "link", f"usr/{name}")
    yield Entry("tmp", "folder")
    yield Entry("usr/bin/busybox", "file", Path(shutil.which("busybox") or "").resolve(), True)
    for applet in _APPLETS:
        yield Entry(f"usr/bin/{applet}", "link", "busybox")
    programs = [path for path in map(Path, _PROGRAMS) if path.exists()]
    for path in programs:
        yield Entry(str(path).lstrip("/"), "file", path.resolve(), True)
    for library in sorted(_libraries(programs)):
        yield Entry(re.sub(r"^/(lib|lib64)/", r"usr/\1/", library).lstrip("/"), "file", Path(library).resolve(), True)
    for path in sorted(Path("/usr/share/mysql").rglob("*")):
        if path.is_file():
            yield Entry(str(path).lstrip("/"), "file", path.resolve())


def _libraries(programs: list[Path]) -> set[str]:
    found: set[str] = set()
    for path in programs:
        said = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
        found |= {one.removesuffix(":") for one in re.findall(r"(/\S+\.so\S*)", said)}
    return found
