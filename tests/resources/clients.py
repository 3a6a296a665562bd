"""Each type as its real client sees it, in the same few words: what can be done with what a workload is given."""

from __future__ import annotations

import asyncio
import smtplib
import time
import urllib.request
from collections.abc import Callable, Mapping
from email.message import EmailMessage
from typing import Any, Protocol

import boto3
import botocore.config
import botocore.exceptions
import nats
import nats.errors
import nats.js.errors
import psycopg
import pymongo
import pymongo.errors
import pymysql
import redis

Given = Mapping[str, str]


class Refused(Exception):
    """The server does not let this user do it, or does not let it in."""


class Client(Protocol):
    """`make` needs the verb admin, `put` write, `get` read; `get` answers all that was put, in order. Each raises Refused."""

    def make(self, given: Given) -> None: ...
    def put(self, given: Given, text: str) -> None: ...
    def get(self, given: Given) -> list[str]: ...


class Postgres:
    def make(self, given: Given) -> None:
        self._run(given, "CREATE TABLE IF NOT EXISTS things (id serial, text text)")

    def put(self, given: Given, text: str) -> None:
        self._run(given, "INSERT INTO things (text) VALUES (%s)", text)

    def get(self, given: Given) -> list[str]:
        return [text for (text,) in self._run(given, "SELECT text FROM things ORDER BY id")]

    def _run(self, given: Given, statement: str, *values: str) -> list[Any]:
        try:
            with psycopg.connect(given["url"], connect_timeout=10) as connection:
                cursor = connection.execute(statement, values)  # type: ignore[call-overload]
                return cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            raise Refused(str(error)) from error


class Mysql:
    def make(self, given: Given) -> None:
        self.run(given, "CREATE TABLE IF NOT EXISTS things (id INT AUTO_INCREMENT PRIMARY KEY, text TEXT)")

    def put(self, given: Given, text: str) -> None:
        self.run(given, "INSERT INTO things (text) VALUES (%s)", text)

    def get(self, given: Given) -> list[str]:
        return [text for (text,) in self.run(given, "SELECT text FROM things ORDER BY id")]

    def run(self, given: Given, statement: str, *values: str) -> list[Any]:
        try:
            with (
                pymysql.connect(
                    host=given["host"],
                    port=int(given["port"]),
                    user=given["username"],
                    password=given["password"],
                    database=given["database"],
                    connect_timeout=10,
                    read_timeout=30,
                    autocommit=True,
                ) as connection,
                connection.cursor() as cursor,
            ):
                cursor.execute(statement, values or None)
                return list(cursor.fetchall())
        except (pymysql.err.OperationalError, pymysql.err.ProgrammingError) as error:
            raise Refused(str(error)) from error


class Mongodb:
    def make(self, given: Given) -> None:
        self.run(given, lambda things: things.create_index("at"))

    def put(self, given: Given, text: str) -> None:
        self.run(given, lambda things: things.insert_one({"text": text, "at": time.time_ns()}))

    def get(self, given: Given) -> list[str]:
        found: list[str] = self.run(given, lambda things: [one["text"] for one in things.find().sort("at")])
        return found

    def run(self, given: Given, work: Callable[[Any], Any]) -> Any:
        """With the collection that holds the texts."""
        with pymongo.MongoClient(given["url"], serverSelectionTimeoutMS=10000, socketTimeoutMS=30000) as client:
            try:
                return work(client.get_default_database()["things"])
            except pymongo.errors.OperationFailure as error:
                raise Refused(str(error)) from error


class Redis:
    def make(self, given: Given) -> None:
        self._run(given, "CONFIG", "GET", "appendonly")

    def put(self, given: Given, text: str) -> None:
        self._run(given, "RPUSH", "things", text)

    def get(self, given: Given) -> list[str]:
        return [text.decode() for text in self._run(given, "LRANGE", "things", 0, -1)]

    def _run(self, given: Given, *command: Any) -> Any:
        with redis.Redis.from_url(given["url"], socket_timeout=10) as connection:
            try:
                return connection.execute_command(*command)
            except (redis.exceptions.ResponseError, redis.exceptions.AuthenticationError) as error:
                raise Refused(str(error)) from error


class S3:
    def make(self, given: Given) -> None:
        self.run(given, "create_bucket", Bucket="another-one")

    def put(self, given: Given, text: str) -> None:
        count = len(self.get(given))
        self.run(given, "put_object", Bucket=given["bucket"], Key=f"a folder/{count:03d} ü+.txt", Body=text.encode())

    def get(self, given: Given) -> list[str]:
        listed = self.run(given, "list_objects_v2", Bucket=given["bucket"]).get("Contents", [])
        return [
            self.run(given, "get_object", Bucket=given["bucket"], Key=one["Key"])["Body"].read().decode()
            for one in listed
        ]

    def run(self, given: Given, action: str, **arguments: Any) -> Any:
        settings = botocore.config.Config(retries={"max_attempts": 0}, connect_timeout=10, read_timeout=30)
        client = boto3.client(
            "s3",
            endpoint_url=given["endpoint"],
            aws_access_key_id=given["key"],
            aws_secret_access_key=given["secret"],
            region_name=given["region"],
            config=settings,
        )
        try:
            return getattr(client, action)(**arguments)
        except botocore.exceptions.ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != 403:
                raise
            raise Refused(str(error)) from error
        finally:
            client.close()


class Nats:
    def make(self, given: Given) -> None:
        async def work(connection: Any) -> None:
            await connection.jetstream().add_stream(name="things", subjects=["things.*"])

        self._run(given, work)

    def put(self, given: Given, text: str) -> None:
        async def work(connection: Any) -> None:
            await connection.jetstream().publish("things.one", text.encode())

        self._run(given, work)

    def get(self, given: Given) -> list[str]:
        async def work(connection: Any) -> list[str]:
            stream = connection.jetstream()
            about = await stream.stream_info("things")
            numbers = range(about.state.first_seq, about.state.last_seq + 1)
            return [(await stream.get_msg("things", seq=number)).data.decode() for number in numbers]

        found: list[str] = self._run(given, work)
        return found

    def _run(self, given: Given, work: Any) -> Any:
        """A refusal comes as an error beside the connection, and the answer never."""
        trouble: list[str] = []

        async def noted(error: Exception) -> None:
            trouble.append(str(error))

        async def connected() -> Any:
            connection = await nats.connect(
                given["url"], error_cb=noted, allow_reconnect=False, max_reconnect_attempts=0, connect_timeout=10
            )
            try:
                return await work(connection)
            finally:
                await connection.close()

        try:
            return asyncio.run(
                asyncio.wait_for(connected(), 30)
            )  # the client may wait for ever on a server that was killed
        except (nats.errors.Error, nats.js.errors.Error, TimeoutError) as error:
            if any("violation" in text.lower() for text in (*trouble, str(error))):
                raise Refused(f"{error} {trouble}") from error
            raise


class Smtp:
    """What was put is read by who has the files."""

    def make(self, given: Given) -> None:
        raise NotImplementedError

    def put(self, given: Given, text: str) -> None:
        message = EmailMessage()
        message["Subject"], message["From"], message["To"] = text, "shop@example.com", "ann@example.com"
        message.set_content(f"Dear Ann, {text}. Grüße")
        try:
            with smtplib.SMTP(given["host"], int(given["port"]), timeout=10) as client:
                client.login(given["username"], given["password"])
                client.send_message(message)
        except (smtplib.SMTPAuthenticationError, smtplib.SMTPSenderRefused) as error:
            raise Refused(str(error)) from error

    def get(self, given: Given) -> list[str]:
        raise NotImplementedError


class Custom:
    def make(self, given: Given) -> None:
        raise NotImplementedError

    def put(self, given: Given, text: str) -> None:
        urllib.request.urlopen(given["url"], data=text.encode(), timeout=10).close()

    def get(self, given: Given) -> list[str]:
        with urllib.request.urlopen(given["url"], timeout=10) as answer:
            return [line for line in answer.read().decode().splitlines() if line]


CLIENTS: Mapping[str, Client] = {
    "postgres": Postgres(),
    "redis": Redis(),
    "s3": S3(),
    "nats": Nats(),
    "mysql": Mysql(),
    "mongodb": Mongodb(),
    "smtp": Smtp(),
    "custom": Custom(),
}
