"""Lines as programs really print them, and files as disks really keep them."""

from __future__ import annotations

import asyncio
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiculturekit.engine import host, logs
from aiculturekit.engine.logs import Record


@pytest.fixture
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "LIMIT", 64 << 10)
    monkeypatch.setattr(logs, "PART", 32 << 10)


def write(home: Path, text: str | bytes, *, name: str = "web", instance: str = "web-1") -> Path:
    file = logs.path(home, app="shop", name=name, version="v1", instance=instance)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab") as stream:
        stream.write(text.encode() if isinstance(text, str) else text)
    return file


async def only(home: Path, text: str | bytes) -> Record:
    write(home, text)
    (record,) = await logs.read(home, app="shop")
    return record


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("INFO: ok", "info"),
        ("2026 ERROR x", "error"),
        ("[WARN] y", "warning"),
        ("CRITICAL z", "error"),
        ("an error", "info"),
    ],
)
async def test_a_level_in_capitals_is_found_in_a_plain_line(tmp_path: Path, line: str, level: str) -> None:
    assert (await only(tmp_path, line + "\n")).level == level


@pytest.mark.parametrize(
    ("fields", "level", "message", "rest"),
    [
        ({"level": "WARN", "msg": "m", "a": 1}, "warning", "m", {"a": 1}),
        ({"severity": "ERROR", "message": "m"}, "error", "m", {}),
        ({"lvl": "???", "event": "m"}, "info", "m", {}),
        ({"level": 50, "msg": "m"}, "error", "m", {}),
        ({"level": 20, "msg": "m"}, "debug", "m", {}),
        ({"msg": "m", "a": None}, "info", "m", {"a": None}),
    ],
)
async def test_a_json_line_is_taken_apart(
    tmp_path: Path, fields: dict[str, object], level: str, message: str, rest: dict[str, object]
) -> None:
    record = await only(tmp_path, json.dumps(fields) + "\n")
    assert (record.level, record.message, record.fields) == (level, message, rest)


@pytest.mark.parametrize(
    "line", ['{"a": 1}', "{not json}", '{"msg": "\\ud800"}', '{"msg": "x", "a": 1e999}', "[" * 5000 + "]" * 5000]
)
async def test_json_without_a_message_or_that_cant_be_sent_on_shows_itself(tmp_path: Path, line: str) -> None:
    record = await only(tmp_path, line + "\n")
    assert record.message == line
    json.dumps(record.as_dict(), ensure_ascii=False, allow_nan=False).encode()


@pytest.mark.parametrize("key", ["time", "ts", "timestamp", "@timestamp"])
@pytest.mark.parametrize(
    "value",
    [
        "2026-01-02T03:04:05Z",
        "2026-01-02T04:04:05+01:00",
        1767323045,
        1767323045000,
        1767323045000000,
        1767323045 * 10**9,
    ],
)
async def test_a_json_lines_own_time_is_its_time(tmp_path: Path, key: str, value: str | float) -> None:
    record = await only(tmp_path, json.dumps({key: value, "msg": "m"}) + "\n")
    assert datetime.fromtimestamp(record.at, UTC) == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize("value", ["soon", None, True, [], {}, -1e300, 1e300, float("nan"), "0001-01-01", 5])
async def test_a_time_that_is_none_leaves_one_that_can_be_shown(tmp_path: Path, value: object) -> None:
    record = await only(tmp_path, json.dumps({"time": value, "msg": "m"}) + "\n")
    assert datetime.fromtimestamp(record.at, UTC).year >= 1970
    assert record.message == "m"


async def test_lines_without_a_time_keep_their_order_around_those_with_one(tmp_path: Path) -> None:
    file = write(tmp_path, 'one\n{"time": "2026-01-02T03:04:05Z", "msg": "two"}\nthree\nfour\n')
    os.utime(file, (0, 0))
    assert [record.message for record in await logs.read(tmp_path, app="shop")] == ["one", "two", "three", "four"]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"\x1b[1;31mred\x1b[0m \x1b]0;title\x07end\r\n", "red end"),
        (b"Password: ", "Password: "),
        (b"\0\0\0after a hole\n", "after a hole"),
    ],
)
async def test_what_is_for_terminals_is_taken_off(tmp_path: Path, raw: bytes, message: str) -> None:
    assert (await only(tmp_path, raw)).message == message


@given(raw=st.binary(max_size=300) | st.text(max_size=100).map(lambda text: json.dumps({"msg": text}).encode()))
def test_whatever_is_printed_can_be_read_and_sent_on(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    home = tmp_path_factory.mktemp("home")
    write(home, raw)
    for record in asyncio.run(logs.read(home, app="shop")):
        json.dumps(record.as_dict(), ensure_ascii=False, allow_nan=False).encode()


def numbered(first: int, count: int) -> str:
    return "".join(f"line {number:06}\n" for number in range(first, first + count))


@pytest.mark.usefixtures("small_files")
class TestRotation:
    def test_a_file_within_its_bound_is_left_alone(self, tmp_path: Path) -> None:
        file = write(tmp_path, numbered(0, 100))
        assert logs.rotate(file) is False
        assert [path.name for path in file.parent.iterdir()] == ["web-1.log"]
        assert logs.rotate(file.with_name("none.log")) is False

    def test_no_line_is_broken_in_two(self, tmp_path: Path) -> None:
        file = write(tmp_path, numbered(0, 8000) + "line 008")
        assert logs.rotate(file)
        write(tmp_path, "000\n" + numbered(8001, 10))
        assert logs.last_lines(file, count=12) == numbered(7999, 12).splitlines()

    def test_where_no_hole_can_be_punched_the_file_is_cut(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(host, "discard_head", lambda descriptor, upto: False)
        file = write(tmp_path, numbered(0, 8000))
        assert logs.rotate(file)
        assert file.stat().st_size == 0
        write(tmp_path, numbered(8000, 5))
        assert logs.last_lines(file, count=10) == numbered(7995, 10).splitlines()

    def test_where_no_part_can_be_kept_the_disk_is_relieved_all_the_same(self, tmp_path: Path) -> None:
        file = write(tmp_path, numbered(0, 8000))
        file.with_suffix(".log.1").write_text("older")
        (file.with_suffix(".log.2") / "in the way").mkdir(parents=True)
        assert logs.rotate(file)
        assert file.stat().st_blocks * 512 <= 8192

    def test_a_log_goes_with_its_parts(self, tmp_path: Path) -> None:
        file = write(tmp_path, numbered(0, 8000))
        logs.rotate(file)
        logs.remove(file)
        logs.remove(file)
        assert list(file.parent.iterdir()) == []


def test_only_the_newest_logs_of_ended_replicas_are_kept(tmp_path: Path) -> None:
    for number in range(8):
        file = write(tmp_path, "x\n", instance=f"web-{number}")
        os.utime(file, (1000 + number, 1000 + number))
    write(tmp_path, "x\n", name="other", instance="other-1")
    logs.prune(tmp_path, app="shop", name="web", version="v1", running={"web-0"}, keep=3)
    left = sorted(path.name for path in (tmp_path / "logs").rglob("*.log"))
    assert left == ["other-1.log", "web-0.log", "web-5.log", "web-6.log", "web-7.log"]


def test_the_tail_of_a_large_file_begins_with_a_whole_line(tmp_path: Path) -> None:
    lines = [f"{number:06} " + "x" * 3000 for number in range(300)]
    file = write(tmp_path, "".join(line + "\n" for line in lines))
    told = logs.last_lines(file, count=250)
    assert told == lines[-len(told) :]
    assert len(told) > 50


class Following:
    """The messages that `follow` has told so far."""

    def __init__(self, home: Path, *, tail: int = 200) -> None:
        self.messages: list[str] = []
        self._task = asyncio.create_task(self._run(home, tail))

    async def _run(self, home: Path, tail: int) -> None:
        async for record in logs.follow(home, app="shop", tail=tail):
            self.messages.append(record.message)

    async def reaches(self, count: int) -> list[str]:
        async with asyncio.timeout(5):
            while len(self.messages) < count:
                await asyncio.sleep(0.01)
        return self.messages

    async def end(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def test_a_line_that_was_half_written_when_following_began_is_told_whole(tmp_path: Path) -> None:
    write(tmp_path, "a\nb")
    following = Following(tmp_path)
    await following.reaches(1)
    write(tmp_path, "c\nd\n")
    assert await following.reaches(3) == ["a", "bc", "d"]
    await following.end()


async def test_following_tells_every_line_once_while_they_come_in(tmp_path: Path) -> None:
    write(tmp_path, "")
    following = Following(tmp_path, tail=5000)
    for start in range(0, 3000, 100):
        write(tmp_path, numbered(start, 100))
        await asyncio.sleep(0.002)
    assert await following.reaches(3000) == numbered(0, 3000).splitlines()
    await following.end()


async def test_following_goes_over_a_hole_at_once(tmp_path: Path) -> None:
    file = write(tmp_path, numbered(0, 10))
    following = Following(tmp_path, tail=1)
    await following.reaches(1)
    with file.open("ab") as stream:
        stream.truncate(300 << 20)
    write(tmp_path, "after\n")
    assert await following.reaches(2) == ["line 000009", "after"]
    await following.end()
