"""What a container may not ask of the kernel, as the seccomp section of an OCI bundle. Pure.

Refused is what a service without privileges has no use for, and through which most ways out of a container led: other namespaces,
mounts, modules, the kernel's debugging and tracing, keys, other processes' memory, clocks, and io_uring. Whatever speaks the ABI of
another processor (32 bits on one of 64) is ended.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import Any

# fmt: off
_REFUSED = (
    "setns", "unshare", "mount", "umount", "umount2", "pivot_root", "chroot", "mount_setattr", "move_mount", "open_tree", "fsopen",
    "fsconfig", "fsmount", "fspick", "swapon", "swapoff", "init_module", "finit_module", "delete_module", "kexec_load",
    "kexec_file_load", "reboot", "bpf", "perf_event_open", "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp",
    "pidfd_getfd", "userfaultfd", "lookup_dcookie", "syslog", "add_key", "request_key", "keyctl", "open_by_handle_at", "fanotify_init",
    "quotactl", "quotactl_fd", "acct", "vhangup", "uselib", "ustat", "sysfs", "nfsservctl", "settimeofday", "clock_settime",
    "clock_settime64", "clock_adjtime", "clock_adjtime64", "adjtimex", "stime", "sethostname", "setdomainname", "iopl", "ioperm",
    "io_uring_setup", "io_uring_enter", "io_uring_register", "move_pages", "migrate_pages", "mbind", "set_mempolicy",
    "set_mempolicy_home_node", "vm86", "vm86old", "modify_ldt", "_sysctl", "create_module", "get_kernel_syms", "query_module",
)
# fmt: on
_NEW_NAMESPACES = (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET (clone(2))."""
_SOCKETS = (38, 40)
"""AF_ALG and AF_VSOCK: the kernel's ciphers, and the way to a hypervisor."""
_PERSONALITIES = (0x0040000, 0x0400000)
"""ADDR_NO_RANDOMIZE and READ_IMPLIES_EXEC (personality(2))."""
_NOT_PERMITTED, _NOT_KNOWN = 1, 38
ARCHITECTURES = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}


def filtering(machine: str = platform.machine()) -> dict[str, Any]:
    """The C library falls back from clone3, whose flags no filter can read, to clone."""
    rules = [
        _rule(_REFUSED),
        *(_rule(["clone"], [_has(0, bit)]) for bit in _NEW_NAMESPACES),
        _rule(["clone3"], number=_NOT_KNOWN),
        *(_rule(["socket"], [{"index": 0, "value": family, "op": "SCMP_CMP_EQ"}]) for family in _SOCKETS),
        *(_rule(["personality"], [_has(0, bit)]) for bit in _PERSONALITIES),
    ]
    return {"defaultAction": "SCMP_ACT_ALLOW", "architectures": [ARCHITECTURES[machine]], "syscalls": rules}


def _has(index: int, bit: int) -> dict[str, Any]:
    return {"index": index, "value": bit, "valueTwo": bit, "op": "SCMP_CMP_MASKED_EQ"}


def _rule(names: Sequence[str], args: Sequence[dict[str, Any]] = (), number: int = _NOT_PERMITTED) -> dict[str, Any]:
    return {"names": list(names), "action": "SCMP_ACT_ERRNO", "errnoRet": number, "args": list(args)}
