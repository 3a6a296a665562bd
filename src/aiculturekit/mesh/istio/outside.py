"""What lies outside and a workload needs: ServiceEntries that only the application's namespace knows, and of which each workload's Sidecar
shows it its own. Pure.

https passes by the name in the TLS greeting, unopened; http by the Host header; tcp by the address. In an application with such a need all
workloads are held to what they need (`sidecars`).
"""

from __future__ import annotations

from collections.abc import Iterator

from aiculturekit.language import say
from aiculturekit.mesh.envoy.egresses import is_number
from aiculturekit.mesh.istio import names
from aiculturekit.mesh.istio.matches import Json
from aiculturekit.mesh.nodes import Caller, Egress, Node
from aiculturekit.mesh.rendering import Gap, Manifest, Place

_PROTOCOLS = {"https": "TLS", "http": "HTTP", "tcp": "TCP"}


def rendered(node: Node, place: Place) -> Iterator[Manifest]:
    """One for each host, with all the ports that are needed of it."""
    for host in sorted({egress.host for egress in node.egresses}):
        ports = {one.port: one for one in sorted(_of(node, host), key=lambda one: one.scheme)}
        name = f"outside-{host.replace('*', 'any').replace('.', '-')}"
        yield names.networking(
            "ServiceEntry",
            name,
            place,
            hosts=[known_as(host, place)],
            **({"addresses": [host]} if is_number(host) else {}),
            exportTo=["."],
            location="MESH_EXTERNAL",
            ports=[_port(one) for _, one in sorted(ports.items())],
            **_resolution(host, ports),
        )
        greeted = [port for port, one in sorted(ports.items()) if _protocol(one) == "TLS"]
        if greeted and _resolution(host, ports)["resolution"] != "DYNAMIC_DNS":
            tls = _greeted(host, greeted)
            yield names.networking("VirtualService", name, place, hosts=[host], exportTo=["."], tls=tls)


def _greeted(host: str, ports: list[int]) -> list[Json]:
    """By the name in the greeting, also where Istio has given the host an address of its own, by which it would tell it otherwise. A
    wildcard's name is looked at in any case."""
    return [
        {
            "match": [{"port": port, "sniHosts": [host]}],
            "route": [{"destination": {"host": host, "port": {"number": port}}}],
        }
        for port in ports
    ]


def hosts(node: Node, caller: Caller, place: Place) -> list[str]:
    """The names of what the caller needs outside, as its Sidecar shows them."""
    mine = {one.host for one in node.egresses if (one.app, one.caller) == (caller.app, caller.name)}
    return [f"./{known_as(host, place)}" for host in sorted(mine)]


def known_as(host: str, place: Place) -> str:
    """A number has no name of its own."""
    return f"{host.replace('.', '-')}.{place.namespace}.internal" if is_number(host) else host


def _of(node: Node, host: str) -> list[Egress]:
    return [egress for egress in node.egresses if egress.host == host]


def _port(egress: Egress) -> Json:
    protocol = _protocol(egress)
    return {"number": egress.port, "name": f"{protocol.lower()}-{egress.port}", "protocol": protocol}


def _protocol(egress: Egress) -> str:
    """No TLS greeting names a number."""
    return "TCP" if egress.scheme == "https" and is_number(egress.host) else _PROTOCOLS[egress.scheme]


def _resolution(host: str, ports: dict[int, Egress]) -> Json:
    """Envoy looks the name up, whatever address the workload has dialled."""
    instead = {one.port: one.stand_in for one in ports.values() if one.stand_in}
    if instead:
        ends: list[Json] = [
            {"address": at[0], "ports": {_port(ports[port])["name"]: at[1]}} for port, at in sorted(instead.items())
        ]
        return {"resolution": "STATIC" if all(is_number(end["address"]) for end in ends) else "DNS", "endpoints": ends}
    if is_number(host):
        return {"resolution": "STATIC", "endpoints": [{"address": host}]}
    return {"resolution": "DYNAMIC_DNS" if host.startswith("*") else "DNS"}


def gaps(node: Node) -> Iterator[Gap]:
    for egress in node.egresses:
        if reason := _unsaid(node, egress):
            yield Gap(egress.app, egress.caller, "needs", reason)


def _unsaid(node: Node, egress: Egress) -> str | None:
    if egress.host == "localhost" or egress.host.startswith("127."):
        return say("{need} is this machine, which is not in a cluster; name an address that is", need=egress.need)
    wider = sorted({one.caller for one in _of(node, egress.host) if _doors(node, one) != _doors(node, egress)})
    if wider:
        return say(
            "Istio shows a workload all ports of a host; {others} and {caller} need different ones of {host}",
            others=", ".join(wider),
            caller=egress.caller,
            host=egress.host,
        )
    if egress.scheme == "tcp" and not is_number(egress.host) and (others := _beside(node, egress)):
        return say(
            "tcp says no name on the wire, and {other} has the same port: name its address (tcp://NUMBER:PORT)",
            other=others[0],
        )
    return None


def _doors(node: Node, egress: Egress) -> set[tuple[str, int]]:
    """(scheme, port) of all that a workload needs of the host."""
    return {(one.scheme, one.port) for one in _of(node, egress.host) if one.caller == egress.caller}


def _beside(node: Node, egress: Egress) -> list[str]:
    """What the same workload needs at another host on the same port."""
    mine = [one for one in node.egresses if one.caller == egress.caller and one.port == egress.port]
    return sorted(one.need for one in mine if one.host != egress.host and not is_number(one.host))
