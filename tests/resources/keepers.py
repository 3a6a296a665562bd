"""A service that writes into its resource and says, line by line, what was acknowledged: run as `python keepers.py KIND` with $PORT and $THING_*.

POST /PREFIX?SECONDS writes PREFIX-0, PREFIX-1, … over one connection for so long, or until the first error. Each line is sent as soon as the
write was acknowledged, so that whoever is killed in the middle, what arrived was acknowledged. GET answers all that is there. A mail cannot be
read: its files are.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import smtplib
import sqlite3
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import botocore.config
import nats
import psycopg
import pymysql
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

Given = Mapping[str, str]
DONE = "."
"""The last line of an answer that no error ended."""
_WITHIN = 10
_AT_ONCE = 100


def _postgres(given: Given) -> Any:
    return psycopg.connect(given["url"], connect_timeout=_WITHIN, autocommit=True)


def _mysql(given: Given) -> Any:
    return pymysql.connect(
        host=given["host"],
        port=int(given["port"]),
        user=given["username"],
        password=given["password"],
        database=given["database"],
        connect_timeout=_WITHIN,
        read_timeout=_WITHIN,
        autocommit=True,
    )


def _sqlite(given: Given) -> Any:
    """Its usual journal, and a disk that has it before the commit is answered."""
    connection = sqlite3.connect(given["url"].removeprefix("sqlite:///"), isolation_level=None, timeout=_WITHIN)
    connection.execute("PRAGMA synchronous = FULL")
    return connection


class Tables:
    """A database of rows: `mark` is how its driver writes a value."""

    def __init__(self, connect: Callable[[Given], Any], mark: str) -> None:
        self._connect, self._mark = connect, mark

    def make(self, given: Given) -> None:
        self._run(given, "CREATE TABLE IF NOT EXISTS kept (text VARCHAR(50) PRIMARY KEY)")

    def put(self, given: Given, texts: Iterable[str]) -> Iterator[str]:
        connection = self._connect(given)
        try:
            cursor = connection.cursor()
            for text in texts:
                cursor.execute(f"INSERT INTO kept VALUES ({self._mark})", (text,))
                yield text
        finally:
            connection.close()

    def get(self, given: Given) -> list[str]:
        return [text for (text,) in self._run(given, "SELECT text FROM kept")]

    def _run(self, given: Given, statement: str) -> Any:
        connection = self._connect(given)
        try:
            cursor = connection.cursor()
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()


class Redis:
    def make(self, given: Given) -> None:
        pass

    def put(self, given: Given, texts: Iterable[str]) -> Iterator[str]:
        with self._connected(given) as connection:
            for text in texts:
                connection.set(text, text)
                yield text

    def get(self, given: Given) -> list[str]:
        with self._connected(given) as connection:
            return [key.decode() for key in connection.keys("*")]

    def _connected(self, given: Given) -> Any:
        return redis.Redis.from_url(given["url"], socket_timeout=_WITHIN, retry=Retry(NoBackoff(), 0))


class S3:
    """What an object holds is its name; the newest are read, since each costs a question."""

    def make(self, given: Given) -> None:
        pass

    def put(self, given: Given, texts: Iterable[str]) -> Iterator[str]:
        client = self._client(given)
        for text in texts:
            client.put_object(Bucket=given["bucket"], Key=text, Body=text.encode())
            yield text

    def get(self, given: Given) -> list[str]:
        client, bucket = self._client(given), given["bucket"]
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        listed = [one for page in pages for one in page.get("Contents", [])]
        newest = sorted(listed, key=lambda one: one["LastModified"])[-100:]
        torn = {
            one["Key"]
            for one in newest
            if client.get_object(Bucket=bucket, Key=one["Key"])["Body"].read() != one["Key"].encode()
        }
        return [one["Key"] for one in listed if one["Key"] not in torn]

    def _client(self, given: Given) -> Any:
        settings = botocore.config.Config(retries={"max_attempts": 0}, connect_timeout=_WITHIN, read_timeout=_WITHIN)
        return boto3.client(
            "s3",
            endpoint_url=given["endpoint"],
            aws_access_key_id=given["key"],
            aws_secret_access_key=given["secret"],
            region_name=given["region"],
            config=settings,
        )


class Nats:
    def make(self, given: Given) -> None:
        async def work(stream: Any) -> None:
            await stream.add_stream(name="kept", subjects=["kept.*"])

        asyncio.run(self._with(given, work))

    def put(self, given: Given, texts: Iterable[str]) -> Iterator[str]:
        with asyncio.Runner() as runner:
            connection = runner.run(self._connected(given))
            try:
                for text in texts:
                    runner.run(connection.jetstream().publish("kept.one", text.encode(), timeout=_WITHIN))
                    yield text
            finally:
                runner.run(asyncio.wait_for(connection.close(), _WITHIN))

    def get(self, given: Given) -> list[str]:
        async def work(stream: Any) -> list[str]:
            state = (await stream.stream_info("kept")).state
            found: list[str] = []
            for first in range(state.first_seq, state.last_seq + 1, _AT_ONCE):
                numbers = range(first, min(first + _AT_ONCE, state.last_seq + 1))
                some = await asyncio.gather(*[stream.get_msg("kept", seq=number) for number in numbers])
                found += [one.data.decode() for one in some]
            return found

        found: list[str] = asyncio.run(self._with(given, work))
        return found

    async def _with(self, given: Given, work: Callable[[Any], Any]) -> Any:
        connection = await self._connected(given)
        try:
            return await work(connection.jetstream())
        finally:
            await connection.close()

    async def _connected(self, given: Given) -> Any:
        return await nats.connect(
            given["url"], allow_reconnect=False, max_reconnect_attempts=0, connect_timeout=_WITHIN
        )


class Smtp:
    def make(self, given: Given) -> None:
        pass

    def put(self, given: Given, texts: Iterable[str]) -> Iterator[str]:
        with smtplib.SMTP(given["host"], int(given["port"]), timeout=_WITHIN) as client:
            client.login(given["username"], given["password"])
            for text in texts:
                client.sendmail("shop@example.com", ["ann@example.com"], f"Subject: {text}\r\n\r\n{text}\r\n")
                yield text

    def get(self, given: Given) -> list[str]:
        return []


KEEPERS: Mapping[str, Any] = {
    "postgres": Tables(_postgres, "%s"),
    "mysql": Tables(_mysql, "%s"),
    "sqlite": Tables(_sqlite, "?"),
    "redis": Redis(),
    "s3": S3(),
    "nats": Nats(),
    "smtp": Smtp(),
}


def _texts(prefix: str, seconds: float) -> Iterator[str]:
    """One at least."""
    until = time.monotonic() + seconds
    for number in itertools.count():
        yield f"{prefix}-{number}"
        if time.monotonic() > until:
            return


def _given() -> Given:
    return {name[6:].lower(): value for name, value in os.environ.items() if name.startswith("THING_")}


class Handler(BaseHTTPRequestHandler):
    """An answer's end is the end of its connection."""

    def do_POST(self) -> None:
        prefix, _, seconds = self.path.rpartition("/")[2].partition("?")
        self._begin()
        try:
            for text in KEEPERS[sys.argv[1]].put(_given(), _texts(prefix, float(seconds))):
                self._say(text)
            self._say(DONE)
        except Exception as error:  # whatever its library makes of a server that is gone
            self._say(f"! {error!r}")

    def do_GET(self) -> None:
        try:
            found = KEEPERS[sys.argv[1]].get(_given())
        except Exception as error:
            found = [f"! {error!r}"]
        self._begin()
        self._say("\n".join(found))

    def _begin(self) -> None:
        self.send_response(200)
        self.end_headers()

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\n".encode())
        self.wfile.flush()

    def log_message(self, *values: object) -> None:
        pass


def main() -> None:
    if sys.argv[2:] == ["make"]:
        KEEPERS[sys.argv[1]].make(_given())
    else:
        ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()


if __name__ == "__main__":
    main()
