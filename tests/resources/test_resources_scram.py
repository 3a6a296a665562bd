"""Verifiers against the example of RFC 7677, section 3: what a server stores must answer for that exchange."""

from __future__ import annotations

import base64
import hashlib
import hmac

from aiculturekit.resources import scram

SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
MESSAGE = (
    b"n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
    b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
)
PROOF = base64.b64decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
SIGNATURE = "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def keys(verifier: str) -> tuple[bytes, bytes]:
    stored, server = verifier.rpartition("$")[2].split(":")
    return base64.b64decode(stored), base64.b64decode(server)


def test_the_stored_key_accepts_the_clients_proof_and_the_server_key_signs() -> None:
    verifier = scram.verifier("pencil", salt=SALT)
    assert verifier.startswith("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$")
    stored, server = keys(verifier)
    signature = hmac.digest(stored, MESSAGE, "sha256")
    client_key = bytes(a ^ b for a, b in zip(PROOF, signature, strict=True))
    assert hashlib.sha256(client_key).digest() == stored
    assert base64.b64encode(hmac.digest(server, MESSAGE, "sha256")).decode() == SIGNATURE


def test_two_verifiers_of_one_password_have_nothing_in_common() -> None:
    assert keys(scram.verifier("pencil")) != keys(scram.verifier("pencil"))
