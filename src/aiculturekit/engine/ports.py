"""Loopback ports for what runs here, from below the kernel's ephemeral range: an outgoing connection can't take one by chance."""

from __future__ import annotations

import random
import socket
from collections.abc import Collection

from aiculturekit.errors import HostTrouble
from aiculturekit.language import say

FIRST, LAST = 20000, 29999
TRIES = 500


def allocate(taken: Collection[int]) -> int:
    """A port that is free now and not in `taken`. Raises HostTrouble when none is found."""
    for _ in range(TRIES):
        port = random.randint(FIRST, LAST)  # noqa: S311  # spread, not secret
        if port not in taken and is_free(port):
            return port
    raise HostTrouble(
        say("no free port between {first} and {last}", first=FIRST, last=LAST),
        hint=say("end what holds them: `ss -ltnp` lists it"),
    )


def is_free(port: int) -> bool:
    """Whether a server could listen on 127.0.0.1:port now."""
    if not 0 < port < 65536:
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except OSError:
            return False
    return True
