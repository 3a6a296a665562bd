"""What requests carry."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Up(_Body):
    file: str = Field(description="Absolute path of the application file, or of the directory that holds aic.yaml.")
    environment: str | None = Field(None, description="Name of the environment overlay; local when left out.")
    reason: str = Field("", max_length=500, description="Why, for the release's record.")
    watch: bool = Field(False, description="Bring changes of the code up as they are saved.")


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


class Shutdown(_Body):
    stop_workloads: bool = Field(True, description="Stop the applications and Envoy too; false leaves them serving.")


class Federate(_Body):
    domain: str = Field(description="The other node's trust domain.")
    bundle: str = Field(
        description="Absolute path of its trust bundle, or an https address; read again by its own hint."
    )
    address: str = Field("", description="Where its gateway is, HOST:PORT; empty when it only calls us.")
