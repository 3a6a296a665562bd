"""Looking into a real object store and a real NATS: buckets, objects, streams."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from benchmarks.products import Product, application, product
from tests.integration.test_integration_looks import call

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
TEXT = f"""
app: library
services:
  web: {{run: "{sys.executable} -m http.server --bind 127.0.0.1 $PORT", needs: [resources/files, resources/queue: admin]}}
resources:
  files: {{type: s3, buckets: [covers, texts]}}
  queue: {{type: nats}}
"""
STORED = """
import os, boto3
from urllib.parse import unquote, urlsplit
place = urlsplit(os.environ["FILES_URL"])
client = boto3.client("s3", endpoint_url=f"http://{place.hostname}:{place.port}", aws_access_key_id=place.username,
    aws_secret_access_key=unquote(place.password), region_name="us-east-1")
for number in range(3):
    client.put_object(Bucket="texts", Key=f"a folder/{number} \\u00fc+.txt", Body=f"text {number}".encode())
client.put_object(Bucket="covers", Key="one.png", Body=bytes(range(256)))
"""
STREAMED = """
import asyncio, os, nats
async def main():
    client = await nats.connect(os.environ["QUEUE_URL"])
    stream = client.jetstream()
    await stream.add_stream(name="orders", subjects=["orders.>"])
    for number in range(5):
        await stream.publish("orders.new", b"order")
    await client.close()
asyncio.run(main())
"""
ONE = "apps/library/resources/files"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with product() as made:
        made.aic("up", "-d", str(application(tmp_path_factory.mktemp("library"), TEXT)))
        made.aic("exec", "web", "--", sys.executable, "-c", STORED)
        made.aic("exec", "web", "--", sys.executable, "-c", STREAMED)
        yield made


def test_buckets_and_their_objects(library: Product) -> None:
    status, view = call(library, ONE)
    assert status == 200 and view["trouble"] == ""
    buckets = {row["name"]: (row["objects"], row["bytes"]) for row in view["sections"]["buckets"]}
    assert buckets["texts"] == (3, 18) and buckets["covers"] == (1, 256)
    metrics = call(library, "metrics", prefix="/")[1]
    assert 's3_objects{app="library",resource="files",bucket="texts"} 3' in metrics


def test_who_asks_often_is_told_of_a_minute_ago(library: Product) -> None:
    """Each question for the figures would list every object."""
    assert call(library, ONE)[0] == 200
    known = objects(library)
    more = STORED.replace("range(3)", "range(3, 5)")
    library.aic("exec", "web", "--", sys.executable, "-c", more)
    assert objects(library) == known and "s3_up{" in figures(library)
    assert call(library, ONE)[0] == 200, "who looks sees what there is"
    assert objects(library) != known


def figures(made: Product) -> str:
    return str(call(made, "metrics", prefix="/")[1])


def objects(made: Product) -> list[str]:
    return [line for line in figures(made).split("\n") if line.startswith("s3_objects{") and '"texts"' in line]


def test_objects_are_found_by_their_beginning_and_opened(library: Product) -> None:
    found = call(library, f"{ONE}/items?what=objects&search={quote('texts/a folder/1')}")[1]
    assert [row["name"] for row in found] == ["texts/a folder/1 ü+.txt"]
    assert len(call(library, f"{ONE}/items?what=objects&search=texts/&limit=2")[1]) == 2
    item = call(library, f"{ONE}/item?what=objects&key={quote(found[0]['name'])}".replace("+", "%2B"))[1]
    assert item["content"] == "text 1"
    assert "00 01 02" in call(library, f"{ONE}/item?what=objects&key=covers/one.png")[1]["content"]
    assert call(library, f"{ONE}/item?what=objects&key=covers/none")[0] == 404


def test_streams_and_what_is_in_them(library: Product) -> None:
    status, view = call(library, "apps/library/resources/queue")
    assert status == 200 and view["trouble"] == "" and view["engine"].startswith("2.")
    (stream,) = view["sections"]["streams"]
    assert (stream["name"], stream["messages"], stream["consumers"]) == ("orders", 5, 0) and stream["bytes"] > 25
    line = 'jetstream_stream_total_messages{app="library",resource="queue",stream_name="orders"} 5'
    assert line in call(library, "metrics", prefix="/")[1]
