"""Calls from and to another trust domain."""

from __future__ import annotations

import asyncio
import contextlib
import ssl

from tests.conformance import clients, neighbours
from tests.conformance.cases import case
from tests.conformance.neighbours import DOMAIN
from tests.conformance.stages import APP, Stage

PAY = f"mesh://{DOMAIN}/bank/pay"


async def paid(stage: Stage, source: str = "web") -> int:
    """The status of a call of the need of the other trust domain; 0 where nobody is met."""
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        return (await clients.ask(stage.far(source), "/x", method="GET", headers={}, body=b"")).status
    return 0


@case("needs mesh", web=f'["{PAY}"]')
async def a_service_of_another_trust_domain_is_called_as_who_one_is(stage: Stage) -> None:
    async with neighbours.paying(stage.roots()) as pay:
        status = await paid(stage)
        assert status == 200, (status, pay.greeted, pay.callers)
        assert set(pay.greeted) == {f"pay.bank.{DOMAIN}"}
        assert {one.partition("://")[2].partition("/")[2] for one in pay.callers} == {f"ns/{APP}/sa/web"}
        assert len(pay.replica.seen) == 1


@case("needs mesh", web=f'["{PAY}"]')
async def only_the_very_service_is_spoken_with(stage: Stage) -> None:
    async with neighbours.paying(stage.roots(), identity=("bank", "thief")) as thief:
        assert await paid(stage) in (0, 503)
        assert thief.replica.seen == []


async def greeted(
    stage: Stage, who: tuple[str, str], *, name: str = "", signer: str = DOMAIN, shows: bool = True
) -> int:
    """The status of a call from the other trust domain; 0 where the greeting is refused."""
    address, port, usual = stage.gateway()
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.load_verify_locations(stage.roots())
    made.set_alpn_protocols(["http/1.1"])
    if shows:
        neighbours.shown(who, made, signer=signer)
    with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
        async with asyncio.timeout(10):
            reader, writer = await asyncio.open_connection(address, port, ssl=made, server_hostname=name or usual)
            writer.write(f"GET /x HTTP/1.1\r\nhost: {usual}\r\nconnection: close\r\n\r\n".encode())
            line = await reader.readline()
            writer.close()
            return int(line.split()[1]) if line else 0
    return 0


_FOREIGN = f"access: {{foreign: spiffe://{DOMAIN}/ns/bank/sa/pay}}"


@case("access.foreign", api=_FOREIGN)
async def who_is_named_of_another_trust_domain_may_call(stage: Stage) -> None:
    status = await greeted(stage, ("bank", "pay"))
    assert status == 200, status
    assert {request.caller for request in stage.seen} == {"/ns/bank/sa/pay"}
    assert (await stage.ask("/x")).status == 200, "within the mesh all is as it was"
    assert (await stage.ask("/x", source="other")).status == 403


@case("access.foreign", api=_FOREIGN)
async def nobody_else_of_another_trust_domain_may_call(stage: Stage) -> None:
    status = await greeted(stage, ("bank", "spy"))
    assert status == 403, status
    assert await greeted(stage, (APP, "web")) == 403, "a name of ours in another domain is another name"
    assert await greeted(stage, ("bank", "pay"), signer="third.example") == 0, "the name is right, the root is not"
    assert await greeted(stage, ("bank", "pay"), name="other.shop.x") == 0, "no such service"
    assert await greeted(stage, ("bank", "pay"), shows=False) == 0
    assert stage.seen == []
    assert await greeted(stage, ("bank", "pay")) == 200
