"""This machine: processes, probes, ports, logs, environments, schedules, limits.

Promise: what runs is what was asked for, through crashes of the processes, of the daemon and of the machine; no orphan is
left behind. `machine.py` decides and does no I/O, `supervisor.py` is the one asyncio shell around it, and all that is special
to one operating system sits in `host.py`. May not: know the application file, the mesh, or who asked.
"""
