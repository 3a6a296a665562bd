"""Keys of a compose service that have no place in an application file: why, and what to do instead. Rows of data."""

from __future__ import annotations

_MACHINE = ("it belongs to the machine rather than to the application", "leave it to the target")
_RIGHTS = ("workloads run without further rights", "do without, or run it elsewhere and name its URL as a resource")
_NETWORK = ("who may talk to whom is said by `needs`", "look through `needs` of each service")
_FILES = ("files are not mounted into workloads", "keep the file with the code, or hand its content over in env")

SILENT = {
    "image", "build", "command", "entrypoint", "ports", "expose", "depends_on", "environment", "env_file", "healthcheck", "deploy",
    "profiles", "extends", "container_name", "restart", "tty", "stdin_open", "init", "pull_policy", "attach", "scale", "mem_limit",
    "cpus", "stop_grace_period", "volumes", "develop", "hostname", "links", "labels", "logging", "annotations",
}  # fmt: skip
"""What is carried over, or means nothing outside of compose."""
DROPPED = {
    "networks": _NETWORK, "network_mode": _NETWORK, "external_links": _NETWORK, "extra_hosts": _NETWORK, "dns": _NETWORK,
    "dns_search": _NETWORK, "mac_address": _NETWORK, "secrets": _FILES, "configs": _FILES, "tmpfs": _FILES, "volumes_from": _FILES,
    "privileged": _RIGHTS, "cap_add": _RIGHTS, "devices": _RIGHTS, "device_cgroup_rules": _RIGHTS, "pid": _RIGHTS, "ipc": _RIGHTS,
    "userns_mode": _RIGHTS, "cgroup": _RIGHTS, "cap_drop": _RIGHTS, "security_opt": _RIGHTS, "read_only": _RIGHTS, "user": _RIGHTS,
    "group_add": _RIGHTS, "ulimits": _MACHINE, "sysctls": _MACHINE, "shm_size": _MACHINE, "platform": _MACHINE, "runtime": _MACHINE,
    "gpus": _MACHINE, "oom_score_adj": _MACHINE, "mem_reservation": _MACHINE, "memswap_limit": _MACHINE, "cpu_shares": _MACHINE,
    "cpuset": _MACHINE, "pids_limit": _MACHINE, "working_dir": _MACHINE, "stop_signal": _MACHINE, "domainname": _MACHINE,
    "mem_swappiness": _MACHINE, "cpu_quota": _MACHINE, "storage_opt": _MACHINE, "isolation": _MACHINE,
}  # fmt: skip
