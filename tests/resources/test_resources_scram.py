from __future__ import annotations

import pytest

from aiculturekit.resources import scram


def test_the_exchange_of_the_rfc_is_made_to_the_letter() -> None:
    """RFC 7677, 3, but for the user's name, which PostgreSQL does not read here."""
    client = scram.Client("pencil", nonce="rOprNGfwEbeRWgbNEkqO")
    assert client.first() == b"n,,n=,r=rOprNGfwEbeRWgbNEkqO"
    named = scram.Client("pencil", nonce="rOprNGfwEbeRWgbNEkqO")
    named._bare = "n=user,r=rOprNGfwEbeRWgbNEkqO"
    challenge = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    assert named.final(challenge) == (
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    )


@pytest.mark.parametrize("challenge", [b"r=x,s=eA==", b"r=x,s=eA==,i=9999999999"])
def test_a_challenge_that_is_none_is_refused(challenge: bytes) -> None:
    with pytest.raises(ValueError, match="not SCRAM"):
        scram.Client("x").final(challenge)
