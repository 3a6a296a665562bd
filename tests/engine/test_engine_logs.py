from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

from aiculturekit.engine import logs


def written(home: Path, *chunks: bytes, name: str = "web", instance: str = "web-1") -> Path:
    file = logs.path(home, app="shop", name=name, version="v1", instance=instance)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab") as stream:
        for chunk in chunks:
            stream.write(chunk)
    return file


async def test_json_lines_give_level_message_time_and_the_rest(tmp_path: Path) -> None:
    line = {"ts": "2026-01-02T03:04:05Z", "severity": "WARN", "msg": "slow", "ms": 12}
    written(tmp_path, json.dumps(line).encode() + b"\n", b"\x1b[31mERROR\x1b[0m plain\n", b"\xff\xfe raw\n")
    found = await logs.read(tmp_path, app="shop")
    by_message = {record.message: record for record in found}
    assert (by_message["slow"].level, by_message["slow"].at, by_message["slow"].fields) == (
        "warning",
        1767323045.0,
        {"ms": 12},
    )
    assert by_message["ERROR plain"].level == "error"
    assert any("\ufffd" in message for message in by_message)


async def test_replicas_are_merged_by_time_and_the_tail_is_the_last_lines(tmp_path: Path) -> None:
    for at in range(10):
        written(
            tmp_path, json.dumps({"time": 1e9 + at, "msg": f"line {at}"}).encode() + b"\n", name="a" if at % 2 else "b"
        )
    assert [record.message for record in await logs.read(tmp_path, app="shop", tail=4)] == [
        f"line {at}" for at in range(6, 10)
    ]
    assert {record.workload for record in await logs.read(tmp_path, app="shop", workload="a")} == {"a"}
    assert await logs.read(tmp_path, app="other") == []


async def test_a_long_line_is_cut_with_a_mark(tmp_path: Path) -> None:
    written(tmp_path, b"x" * 100_000 + b"\n")
    (record,) = await logs.read(tmp_path, app="shop")
    assert len(record.message) < logs.MAX_LINE + 20 and record.message.endswith("[cut]")


async def test_following_gives_what_comes_and_files_that_appear(tmp_path: Path) -> None:
    written(tmp_path, b"old\n")
    stream = logs.follow(tmp_path, app="shop", tail=1)
    assert (await anext(stream)).message == "old"
    written(tmp_path, b"new\nhalf")
    assert (await asyncio.wait_for(anext(stream), 5)).message == "new"
    written(tmp_path, b" line\n")
    assert (await asyncio.wait_for(anext(stream), 5)).message == "half line"
    written(tmp_path, b"other\n", instance="web-2")
    assert (await asyncio.wait_for(anext(stream), 5)).message == "other"


def test_rotation_gives_the_disk_back_and_loses_no_line_while_somebody_writes(tmp_path: Path) -> None:
    """The writer keeps its descriptor all the time, as a process does."""
    file = written(tmp_path, b"")
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND)
    try:
        number, rotations = 0, 0
        for _ in range(30):
            block = b"".join(b"%09d %s\n" % (number + at, b"x" * 90) for at in range(10_000))
            os.write(descriptor, block)
            number += 10_000
            rotations += logs.rotate(file)
        assert rotations >= 2
        used = sum(part.stat().st_blocks * 512 for part in file.parent.iterdir())
        assert used < logs.LIMIT + (logs.KEPT + 1) * logs.PART + (4 << 20)
        tail = [int(line.split()[0]) for line in logs.last_lines(file, count=20_000)]
        assert tail == list(range(number - len(tail), number))
        assert len(tail) >= 20
    finally:
        os.close(descriptor)


def test_the_last_lines_of_nothing_are_none(tmp_path: Path) -> None:
    assert logs.last_lines(tmp_path / "no.log") == []
