"""`local:` — this machine: workloads are processes of the engine, permissions and routes are the node's mesh.

Promise: a document in force is a process that runs or a rule that Envoy holds; performing a step twice is performing it once.
May not: parse the application file, or decide what changes.
"""

from aiculturekit.targets.local.ports import Ports
from aiculturekit.targets.local.target import Local

__all__ = ["Local", "Ports"]
