"""Resources as containers of their makers' images, for compose: a row for each type. Pure.

Passwords are never written: `${NAME_PASSWORD}` comes from the environment of whoever runs it, or from a file `.env`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from aiculturekit.resources import outputs
from aiculturekit.spec import stores
from aiculturekit.spec.models import Resource

USER = "app"
Service = dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """`image` has {version} where the file's own goes, `version` being the usual one; `url` and `service` have {name}, {database} and
    {password} filled in; `data` is where the server keeps what must stay."""

    image: str
    version: str
    port: int
    url: str
    data: str = "/data"
    service: Mapping[str, Any] = dataclasses.field(default_factory=dict, hash=False)


_CHECKED = {"interval": "5s", "timeout": "5s", "retries": 12}
ROWS: Mapping[str, Row] = {
    "postgres": Row(
        "postgres:{version}",
        "18",
        5432,
        "postgresql://{user}:{password}@{name}:5432/{database}",
        data="/var/lib/postgresql",
        service={
            "environment": {"POSTGRES_USER": "{user}", "POSTGRES_PASSWORD": "{password}", "POSTGRES_DB": "{database}"},
            "healthcheck": {
                "test": ["CMD", "pg_isready", "-h", "127.0.0.1", "-U", "{user}", "-d", "{database}"],
                **_CHECKED,
            },
        },
    ),
    "redis": Row(
        "valkey/valkey:{version}",
        "9",
        6379,
        "redis://:{password}@{name}:6379/0",
        service={
            "command": ["valkey-server", "--appendonly", "yes", "--requirepass", "{password}"],
            "environment": {"REDISCLI_AUTH": "{password}"},
            "healthcheck": {"test": ["CMD", "valkey-cli", "ping"], **_CHECKED},
        },
    ),
    "nats": Row(
        "nats:{version}-alpine",
        "2",
        4222,
        "nats://{user}:{password}@{name}:4222",
        service={
            "command": [
                "--jetstream",
                "--store_dir",
                "/data",
                "--http_port",
                "8222",
                "--user",
                "{user}",
                "--pass",
                "{password}",
            ],
            "healthcheck": {"test": ["CMD", "wget", "-qO-", "http://127.0.0.1:8222/healthz"], **_CHECKED},
        },
    ),
    "mysql": Row(
        "mysql:{version}",
        "8.4",
        3306,
        "mysql://{user}:{password}@{name}:3306/{database}",
        data="/var/lib/mysql",
        service={
            "environment": {
                "MYSQL_USER": "{user}",
                "MYSQL_PASSWORD": "{password}",
                "MYSQL_DATABASE": "{database}",
                "MYSQL_RANDOM_ROOT_PASSWORD": "yes",
            },
            "healthcheck": {"test": ["CMD", "mysqladmin", "ping", "-h", "127.0.0.1"], **_CHECKED},
        },
    ),
    "mongodb": Row(
        "mongo:{version}",
        "8.0",
        27017,
        "mongodb://{user}:{password}@{name}:27017/{database}?authSource=admin",
        data="/data/db",
        service={
            "environment": {"MONGO_INITDB_ROOT_USERNAME": "{user}", "MONGO_INITDB_ROOT_PASSWORD": "{password}"},
            "healthcheck": {"test": ["CMD", "mongosh", "--quiet", "--eval", "db.adminCommand('ping')"], **_CHECKED},
        },
    ),
    "s3": Row(
        "chrislusf/seaweedfs:{version}",
        "latest",
        8333,
        "s3://{user}:{password}@{name}:8333/{bucket}?tls=false",
        service={
            "command": ["server", "-dir=/data", "-s3", "-s3.port=8333"],
            "environment": {"AWS_ACCESS_KEY_ID": "{user}", "AWS_SECRET_ACCESS_KEY": "{password}"},
        },
    ),
    "smtp": Row("axllent/mailpit:{version}", "latest", 1025, "smtp://{name}:1025", service={}),
}
FILES = ("sqlite", "volume")


def is_contained(resource: Resource) -> bool:
    """Whether a container of compose plays it: not what stands elsewhere, nor a command, nor a file."""
    return resource.url is None and resource.type in ROWS


def service(name: str, resource: Resource) -> Service:
    row = ROWS[resource.type]
    filled = _filled(dict(row.service), _values(name, resource))
    image = resource.image or row.image.format(version=_version(resource))
    found = {"image": image, "restart": "unless-stopped", **filled}
    if script(resource):
        found["configs"] = [{"source": name, "target": "/docker-entrypoint-initdb.d/aic.sql"}]
    return found | ({} if resource.type == "smtp" else {"volumes": [f"{name}:{_data(resource)}"]})


def script(resource: Resource) -> str:
    """What a new PostgreSQL runs once, for what else the file asks of it; empty for nothing."""
    if resource.type != "postgres" or not is_contained(resource):
        return ""
    made = [f'CREATE DATABASE "{part}";' for part in resource.databases]
    made += [f'CREATE EXTENSION IF NOT EXISTS "{one}";' for one in resource.extensions]
    return "".join(f"{line}\n" for line in made)


def _version(resource: Resource) -> str:
    """Only where the versions are the server's own; those of s3, nats and mail are our packages'."""
    usual = ROWS[resource.type].version
    return str(resource.version) if resource.version and resource.type in ("postgres", "mysql", "mongodb") else usual


def _data(resource: Resource) -> str:
    """Before 18 PostgreSQL's image keeps its data one folder deeper, on a volume of its own."""
    major = re.match(r"\d+", _version(resource))
    is_old = resource.type == "postgres" and major is not None and int(major[0]) < 18
    return f"{ROWS[resource.type].data}/data" if is_old else ROWS[resource.type].data


def given(name: str, resource: Resource) -> dict[str, str]:
    """Every output by name, as compose fills it in; only `url` for what is not known by its parts."""
    if resource.url:
        wanted = stores.secret(resource.url)
        variable = wanted.name if wanted and wanted.kind == "env" else f"{name.upper().replace('-', '_')}_URL"
        return {"url": f"${{{variable}:?}}" if wanted else resource.url.replace("$", "$$")}
    if resource.type in FILES:
        return {"url": f"sqlite:////data/{name}/{name}.db" if resource.type == "sqlite" else f"file:///data/{name}"}
    if resource.type not in ROWS:
        return {}
    values, row = _values(name, resource), ROWS[resource.type]
    found = {"url": row.url.format(**values), "host": name, "port": str(row.port)}
    if resource.type == "s3":
        return {
            "url": found["url"],
            "endpoint": f"http://{name}:{row.port}",
            "key": USER,
            "secret": values["password"],
            "bucket": values["bucket"],
            "region": outputs.REGION,
        }
    parts = {f"url:{part}": row.url.format(**{**values, "database": part}) for part in resource.databases}
    return found | parts | {"username": USER, "password": values["password"], "database": values["database"]}


def _values(name: str, resource: Resource) -> dict[str, str]:
    return {
        "name": name,
        "user": USER,
        "password": f"${{{name.upper().replace('-', '_')}_PASSWORD:?}}",
        "database": name.replace("-", "_"),
        "bucket": resource.buckets[0] if resource.buckets else name,
    }


def _filled(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return value.format(**values) if "{" in value else value
    if isinstance(value, dict):
        return {key: _filled(inner, values) for key, inner in value.items()}
    return [_filled(inner, values) for inner in value] if isinstance(value, list) else value
