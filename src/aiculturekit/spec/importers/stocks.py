"""Which images are servers that the platform has itself, as rows of data. Pure."""

from __future__ import annotations

import dataclasses
import re


@dataclasses.dataclass(frozen=True, slots=True)
class Stock:
    """`type` of the resource, `schemes` by which programs name it (the first needs no parts), the variables that set its first user."""

    type: str
    schemes: tuple[str, ...]
    user: tuple[str, ...] = ()
    password: tuple[str, ...] = ()
    database: tuple[str, ...] = ()


_POSTGRES = Stock("postgres", ("postgresql", "postgres"), ("POSTGRES_USER",), ("POSTGRES_PASSWORD",), ("POSTGRES_DB",))
_REDIS = Stock("redis", ("redis",), password=("REDIS_PASSWORD",))
_MYSQL = Stock(
    "mysql", ("mysql", "mariadb"), ("MYSQL_USER", "MARIADB_USER"), ("MYSQL_PASSWORD", "MARIADB_PASSWORD", "MYSQL_ROOT_PASSWORD"),
    ("MYSQL_DATABASE", "MARIADB_DATABASE"),
)  # fmt: skip
_MONGO = Stock(
    "mongodb", ("mongodb",), ("MONGO_INITDB_ROOT_USERNAME",), ("MONGO_INITDB_ROOT_PASSWORD",), ("MONGO_INITDB_DATABASE",)
)  # fmt: skip
_S3 = Stock("s3", ("s3",), ("MINIO_ROOT_USER", "MINIO_ACCESS_KEY"), ("MINIO_ROOT_PASSWORD", "MINIO_SECRET_KEY"))
_SMTP = Stock("smtp", ("smtp",))

STOCKS = {
    "postgres": _POSTGRES, "postgresql": _POSTGRES, "pgvector": _POSTGRES, "postgis": _POSTGRES, "timescaledb": _POSTGRES,
    "timescaledb-ha": _POSTGRES, "spilo": _POSTGRES, "redis": _REDIS, "valkey": _REDIS, "redis-stack": _REDIS,
    "redis-stack-server": _REDIS, "keydb": _REDIS, "dragonfly": _REDIS, "mysql": _MYSQL, "mysql-server": _MYSQL, "mariadb": _MYSQL,
    "percona": _MYSQL, "mongo": _MONGO, "mongodb": _MONGO, "nats": Stock("nats", ("nats",)), "minio": _S3, "seaweedfs": _S3,
    "mailhog": _SMTP, "mailpit": _SMTP, "maildev": _SMTP, "mailcatcher": _SMTP,
}  # fmt: skip
"""Last part of an image's name -> what it is."""

EXTENSIONS = {"pgvector": "vector", "postgis": "postgis", "timescaledb": "timescaledb", "timescaledb-ha": "timescaledb"}
TCP = {
    "rabbitmq", "kafka", "cp-kafka", "redpanda", "zookeeper", "cp-zookeeper", "memcached", "cassandra", "scylla", "mosquitto", "emqx",
    "activemq", "pulsar", "beanstalkd", "openldap", "sftp",
}  # fmt: skip
"""Servers that do not speak HTTP."""


def stem(image: str) -> str:
    """`ghcr.io/you/redis:7@sha256:…` -> `redis`."""
    return re.sub(r"[:@].*$", "", image.rsplit("/", 1)[-1]).lower()


def stock(image: str) -> Stock | None:
    return STOCKS.get(stem(image))
