"""A container as its runtime is told of it, and as it is written down."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from aiculturekit.engine import containers, syscalls
from aiculturekit.engine.containers import Bundle
from aiculturekit.engine.workloads import Container, Key, Mount, Workload, as_record, from_record

CONTAINER = Container(
    root=Path("/images/root"),
    arguments=("web", "--fast"),
    user=1000,
    group=7,
    groups=(8,),
    mounts=(Mount(Path("/data/notes"), True),),
)


def test_what_runs_has_the_least_that_it_can_have() -> None:
    made = containers.specification(CONTAINER, environment={"A": "1"}, files={"/etc/hosts": Path("/etc/own")})
    assert made["root"] == {"path": "/images/root", "readonly": True}
    process = made["process"]
    assert (process["capabilities"], process["noNewPrivileges"], process["env"]) == ({}, True, ["A=1"])
    assert (process["user"]["uid"], process["user"]["gid"], process["user"]["additionalGids"]) == (1000, 7, [8])
    assert {one["type"] for one in made["linux"]["namespaces"]} == {"pid", "ipc", "uts", "mount", "cgroup"}
    bound = {one["destination"]: one for one in made["mounts"] if one["type"] == "bind"}
    assert set(bound) == {"/etc/hosts", "/data/notes"} and all("ro" in one["options"] for one in bound.values())
    assert all("nosuid" in one["options"] and "nodev" in one["options"] for one in bound.values())


def test_the_kernel_refuses_namespaces_whatever_asks_for_them() -> None:
    rules = syscalls.filtering("x86_64")["syscalls"]
    assert {"unshare", "setns", "mount", "bpf", "ptrace"} <= {*rules[0]["names"]}
    bits = [one["args"][0]["value"] for one in rules if one["names"] == ["clone"]]
    assert sum(bits) == 0x7E020000 and len(bits) == 7
    assert next(one for one in rules if one["names"] == ["clone3"])["errnoRet"] == 38


def test_it_is_the_same_when_a_later_daemon_reads_it() -> None:
    workload = Workload(Key("app", "web"), "web", Path("/code"), "r1", container=CONTAINER)
    assert from_record(json.loads(json.dumps(as_record(workload)))) == workload


def test_a_bundle_is_for_nobody_else_and_goes_without_a_trace(tmp_path: Path) -> None:
    """It holds what the environment holds."""
    bundle = Bundle(tmp_path, "web-v1-1")
    bundle.write(CONTAINER, environment={"SECRET": "x"}, files={})
    assert stat.S_IMODE((bundle.folder / "config.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(bundle.folder.stat().st_mode) == 0o700
    Bundle(tmp_path, "web-v1-2").write(CONTAINER, environment={}, files={})
    containers.clear(tmp_path, keep={"web-v1-2"})
    assert [one.name for one in bundle.folder.parent.iterdir()] == ["web-v1-2"]


def test_without_a_runtime_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert "crun" in (containers.obstacle() or "")
