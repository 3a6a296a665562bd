"""What requests carry."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Variables = Annotated[
    dict[str, str],
    Field(
        max_length=200,
        repr=False,
        description="Those of the caller's shell that the file names, by which it is filled in; in place of the daemon's own.",
    ),
]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class Up(_Body):
    file: str = Field(description="Absolute path of the application file, or of the directory that holds aic.yaml.")
    environment: str | None = Field(None, description="Name of the environment overlay; local when left out.")
    reason: str = Field("", max_length=500, description="Why, for the release's record.")
    watch: bool = Field(False, description="Bring changes of the code up as they are saved.")
    snapshot: str = Field("", description="Begin with the data of this snapshot, NAME or APP/NAME.")


class Plan(_Body):
    file: str = Field(description="Absolute path of the application file, or of the directory that holds aic.yaml.")
    environment: str | None = Field(None, description="Name of the environment overlay; local when left out.")


class Traffic(_Body):
    weights: dict[str, float] = Field(description="Version to percent; versions left out share the rest.", min_length=1)


class Scale(_Body):
    replicas: int = Field(ge=0, le=100, description="Replicas to run.")
    version: str | None = Field(None, description="Only this version; every version when left out.")


class Rollback(_Body):
    release: int | None = Field(None, ge=1, description="The release to go back to; the one before when left out.")
    reason: str = Field("", max_length=500, description="Why, for the release's record.")


class Deliver(_Body):
    file: str = Field(description="Absolute path of the application file, or of the directory that holds aic.yaml.")
    environment: str | None = Field(None, description="Name of the environment overlay; local when left out.")
    reason: str = Field("", max_length=500, description="Why, for the release's record.")
    canary: str | None = Field(None, description="Percentages, in order: 5,25,50,100. Left out: blue/green.")
    every: str = Field("30s", description="How long each step of a canary lasts.")
    slo: str = Field(
        "", max_length=200, description="What must hold: errors<1% p95<400ms; for a canary errors<1% when left out."
    )
    min_requests: int | None = Field(None, ge=1, le=1_000_000, description="Requests that a judgement needs.")
    patience: str | None = Field(
        None, description="Longest wait of a step for so many requests; ten steps when left out."
    )
    version: str | None = Field(None, description="The version of the file that requests move to: v2, or SERVICE/v2.")
    promote_after: str | None = Field(None, description="Blue/green: promote by itself after this time.")
    keep: str = Field("10m", description="Blue/green: how long the old version stays for an instant way back.")


class Save(_Body):
    name: str = Field("", max_length=63, description="The snapshot's name; the moment when left out.")


class Rewind(_Body):
    at: str = Field(max_length=40, description="The moment, as 2026-11-25T08:00:00Z or with another zone.")


class Word(_Body):
    reason: str = Field("", max_length=500, description="Why, for the record.")


class Shutdown(_Body):
    stop_workloads: bool = Field(True, description="Stop the applications and Envoy too; false leaves them serving.")


class Federate(_Body):
    domain: str = Field(description="The other node's trust domain.")
    bundle: str = Field(
        description="Absolute path of its trust bundle, or an https address; read again by its own hint."
    )
    address: str = Field("", description="Where its gateway is, HOST:PORT; empty when it only calls us.")
