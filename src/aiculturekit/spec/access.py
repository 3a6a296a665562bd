"""`access:` — who may come in from outside, and how strictly. What workloads may call each other says `needs`. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator

from aiculturekit.spec.fields import Duration, Part, Prefix, Text, listed
from aiculturekit.spec.traffic import short

_OWN = re.compile(r"http://([a-z][a-z0-9-]*)(/.*)?")


_ID = re.compile(r"spiffe://[a-z0-9._-]{1,255}(/(?!\.{1,2}(/|$))[A-Za-z0-9._-]+)+")


def _spiffe_id(text: str) -> str:
    if not _ID.fullmatch(text) or len(text) > 2048:
        raise ValueError(f"{text[:80]!r} is no SPIFFE ID; write spiffe://TRUST-DOMAIN/ns/APP/sa/WORKLOAD")
    return text


class Jwt(Part):
    """A token that requests from outside must carry (RFC 7519), signed by a key of the issuer's JWKS (RFC 7517)."""

    issuer: str = Field(min_length=1, description="Who must have made it: the `iss` claim.")
    audience: Annotated[tuple[str, ...], BeforeValidator(listed)] = Field(
        (), description="For whom it must be: one of these in the `aud` claim."
    )
    jwks: str = Field(description="The issuer's public keys: a file beside this one, or https://...")
    claims: Mapping[str, Text] = Field(default_factory=dict, description="Claim to the value that it must have.")
    open: Annotated[tuple[Prefix, ...], BeforeValidator(listed)] = Field(
        (), description="Path prefixes that need no token."
    )
    optional: bool = Field(False, description="Requests without a token may pass; one that is wrong never does.")

    @field_validator("jwks")
    @classmethod
    def _place(cls, value: str) -> str:
        if "://" in value and not value.startswith(("https://", "http://")):
            raise ValueError(f"{value[:80]!r} is neither a file nor an http(s) address")
        return value


class Check(Part):
    """A service of yours that is asked about each request from outside: 2xx lets it pass, anything else is the answer (ext_authz)."""

    url: str = Field(
        pattern=r"^https?://[^/\s]+(/\S*)?$",
        description="Address, or http://SERVICE/path of this application; the request's path is appended.",
    )
    timeout: Duration = Field(0.5, description="Longest wait for its answer.")
    headers: Annotated[tuple[str, ...], BeforeValidator(listed)] = Field(
        (), description="Headers of its answer that the service gets."
    )
    fails: Literal["closed", "open"] = Field(
        "closed", description="What happens when it does not answer: 503, or the request passes."
    )

    @property
    def service(self) -> str | None:
        """The service of this application that is asked, through the mesh; a name with neither dot nor port."""
        found = _OWN.fullmatch(self.url)
        return None if found is None or found[1] == "localhost" else found[1]


class Access(Part):
    """Who may come in, and how strictly."""

    audit: bool = Field(False, description="Calls that `needs` does not name are logged, not refused.")
    jwt: Annotated[tuple[Jwt, ...], BeforeValidator(listed)] = Field(
        (), description="Tokens that requests from outside must carry: one of these."
    )
    check: Annotated[Check | None, short("url")] = Field(
        None, description="A service that is asked about each request."
    )
    foreign: Annotated[tuple[Annotated[str, AfterValidator(_spiffe_id)], ...], BeforeValidator(listed)] = Field(
        (), description="Workloads of federated nodes that may call, by their SPIFFE IDs."
    )
