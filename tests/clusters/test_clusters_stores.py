"""NATS, S3 and MySQL in a real cluster, from images that have what the official ones have: each workload comes in with its own password and
may do what its need says, and the data outlives the server."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
import time
from collections.abc import Callable
from typing import Any

import boto3
import nats
import pymysql
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from benchmarks.products import product
from tests.clusters import shops
from tests.servers import archives, databases, programs
from tests.servers.archives import Image
from tests.servers.clusters import Cluster
from tests.servers.needs import need
from tests.servers.registries import Registry

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]  # the first time it is built
NAMESPACE = "stores"
FILE = """\
app: stores
services:
  web: {{image: "{echo}", needs: [resources/events: admin, resources/pictures: write, resources/books: admin]}}
  looks: {{image: "{echo}", migrate: "true", needs: [resources/events: read, resources/pictures: read, resources/books: read]}}
resources:
  events: {{type: nats}}
  pictures: {{type: s3, buckets: [pictures, thumbs]}}
  books: {{type: mysql, databases: [audit_log]}}
environments:
  staging: {{target: "{target}"}}
"""


@dataclasses.dataclass(frozen=True)
class Stores:
    cluster: Cluster

    def given(self, resource: str, login: str) -> dict[str, str]:
        """What the workload's Secret holds, with an address that can be dialled from here."""
        data = self.cluster.get("secret", f"{resource}-{login}", namespace=NAMESPACE)["data"]
        found = {name: base64.b64decode(value).decode() for name, value in data.items()}
        return found | {"address": self.cluster.dial_service(resource, namespace=NAMESPACE)}

    def replace(self, server: str) -> None:
        """Its pod goes, and another one is there."""
        pod = ("pod", f"{server}-0")
        self.cluster.kubectl("-n", NAMESPACE, "delete", *pod, "--wait=true", "--grace-period=30", seconds=90)
        self.cluster.kubectl(
            "-n", NAMESPACE, "rollout", "status", f"statefulset/{server}", "--timeout=120s", seconds=130
        )


@pytest.fixture(scope="module")
def stores(real_cluster: Cluster, registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Stores:
    need(shops.obstacle())
    folder = tmp_path_factory.mktemp("stores")
    registry.push(databases.nats(folder / "nats.tar"), "library/nats:2-alpine")
    registry.push(databases.seaweedfs(folder / "seaweedfs.tar"), "chrislusf/seaweedfs:4.48")
    registry.push(databases.mariadb(folder / "mariadb.tar"), "library/mariadb:11.8")
    echo = Image("echo:1", databases.system({"echo": programs.path("echo")}), ["/echo"])
    file = folder / "app" / "aic.yaml"
    file.parent.mkdir()
    image = registry.push(archives.write(echo, to=folder / "echo.tar"), "echo:1")
    file.write_text(FILE.format(echo=image, target=f"kubernetes:///{NAMESPACE}?mirror={registry.address}"))
    real_cluster.apply(*shops.volumes(file, folder / "volumes"))
    with product() as made:
        made.set(KUBECONFIG=str(real_cluster.kubeconfig))
        done = made.run("deploy", str(file.parent), "--to", "staging", seconds=900)
        assert done.returncode == 0, done.stdout + done.stderr
    return Stores(real_cluster)


def test_events_are_kept_and_only_looked_at_by_who_may_only_look(stores: Stores) -> None:
    async def published(given: dict[str, str], text: bytes) -> None:
        async with await connected(given) as client:
            stream = client.jetstream(timeout=20)
            await stream.add_stream(name="ORDERS", subjects=["orders.>"])
            await stream.publish("orders.paid", text)

    async def last(given: dict[str, str]) -> bytes:
        async with await connected(given) as client:
            return bytes((await client.jetstream(timeout=20).get_last_msg("ORDERS", "orders.paid")).data or b"")

    async def refused(given: dict[str, str]) -> bool:
        said: list[Exception] = []

        async def hear(error: Exception) -> None:
            said.append(error)

        async with await connected(given, error_cb=hear) as client:
            await client.publish("orders.paid", b"no")
            await client.flush()
            async with asyncio.timeout(20):
                while not any("permissions violation" in str(one) for one in said):
                    await asyncio.sleep(0.05)
            return True

    asyncio.run(published(stores.given("events", "web"), b"tea"))
    stores.replace("events")
    assert asyncio.run(last(stores.given("events", "looks"))) == b"tea"
    assert asyncio.run(refused(stores.given("events", "looks")))


def test_objects_are_kept_in_the_buckets_that_the_file_names(stores: Stores) -> None:
    writer = client_of(stores.given("pictures", "web"))
    again(lambda: writer.put_object(Bucket="pictures", Key="cat", Body=b"meow"), ClientError)
    writer.put_object(Bucket="thumbs", Key="cat", Body=b"mew")
    with pytest.raises(ClientError, match="AccessDenied"):
        writer.create_bucket(Bucket="others")
    stores.replace("pictures")
    reader = client_of(stores.given("pictures", "looks"))
    assert again(lambda: reader.get_object(Bucket="pictures", Key="cat"), ClientError)["Body"].read() == b"meow"
    with pytest.raises(ClientError, match="AccessDenied"):
        reader.put_object(Bucket="pictures", Key="dog", Body=b"wuff")


def test_rows_are_kept_and_read_by_who_may_only_read(stores: Stores) -> None:
    with session(stores.given("books", "web")) as db, db.cursor() as cursor:
        cursor.execute("CREATE TABLE books (title VARCHAR(40))")
        cursor.execute("INSERT INTO books VALUES ('Walden')")
        cursor.execute("CREATE TABLE audit_log.lines (said TEXT)")
        db.commit()
    stores.replace("books")
    given = stores.given("books", "looks")
    assert again(lambda: titles(given), pymysql.err.OperationalError) == (("Walden",),)
    with session(given) as db, db.cursor() as cursor, pytest.raises(pymysql.err.OperationalError, match="denied"):
        cursor.execute("INSERT INTO books VALUES ('no')")
    with pytest.raises(pymysql.err.OperationalError, match="denied"):
        session({**stores.given("books", "looks"), "password": "guessed"})


def test_a_migration_begins_when_its_servers_let_it_in(stores: Stores) -> None:
    """Its init containers came in with its own passwords, by each server's own client, or it would not have ended."""
    pods = stores.cluster.kubectl("-n", NAMESPACE, "get", "pods", "-l", "job-name", "-o", "json")
    (pod,) = [one for one in json.loads(pods)["items"] if one["spec"].get("initContainers")]
    assert [one["name"] for one in pod["spec"]["initContainers"]] == [
        "wait-for-books",
        "wait-for-events",
        "wait-for-pictures",
    ]
    assert pod["status"]["phase"] == "Succeeded"


async def connected(given: dict[str, str], **more: Any) -> Any:
    login = {"user": given["username"], "password": given["password"]}
    return await nats.connect(f"nats://{given['address']}", **login, max_reconnect_attempts=20, **more)


def client_of(given: dict[str, str]) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=f"http://{given['address']}",
        aws_access_key_id=given["key"],
        aws_secret_access_key=given["secret"],
        region_name=given["region"],
        config=Config(retries={"max_attempts": 8, "mode": "standard"}),
    )


def session(given: dict[str, str]) -> Any:
    host, _, port = given["address"].rpartition(":")
    login = {"user": given["username"], "password": given["password"], "database": given["database"]}
    return pymysql.connect(host=host, port=int(port), connect_timeout=20, **login)


def titles(given: dict[str, str]) -> Any:
    with session(given) as db, db.cursor() as cursor:
        cursor.execute("SELECT title FROM books")
        return cursor.fetchall()


def again(work: Callable[[], Any], *errors: type[Exception], seconds: float = 60) -> Any:
    """Its result, tried for a while: a server that has just come up may still gather itself."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return work()
        except errors:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
