"""PodLogs: tail, follow, previous, limits, times, streams, rotation."""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from styr.kinds import meta
from styr.kinds.errors import BadRequest, NotFound
from styr.kinds.resources import POD
from styr.kinds.seams import LogOptions
from styr.kit.clock import parse_rfc3339
from styr.node.entries import Reader, Wanted, plain, stamp
from styr.node.logs import Tail, start_of_tail
from styr.node.runtimes.pump import Log
from tests.node.world import World, container, is_ready, phase, shell, world


async def read(w: World, name: str, **options: Any) -> bytes:
    found = w.api.pod(name) or {}
    stream = w.node.logs("default", name, meta.uid(found), LogOptions(**options))
    return b"".join([chunk async for chunk in stream])


async def test_reading(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.run("a", *shell("for i in 1 2 3; do echo line $i; done; echo oops >&2"))
        await w.until("a", phase("Succeeded"))
        assert await read(w, "a") == b"line 1\nline 2\nline 3\noops\n"
        assert await read(w, "a", tail_lines=2) == b"line 3\noops\n"
        assert await read(w, "a", tail_lines=0) == b""
        assert await read(w, "a", tail_lines=99, follow=True) == b"line 1\nline 2\nline 3\noops\n"
        assert await read(w, "a", limit_bytes=8) == b"line 1\nl"
        assert await read(w, "a", container="web", since_seconds=3600) == b"line 1\nline 2\nline 3\noops\n"
        assert await read(w, "a", stream="Stderr") == b"oops\n"
        assert await read(w, "a", stream="Stdout", timestamps=False) == b"line 1\nline 2\nline 3\n"
        stamped = (await read(w, "a", timestamps=True)).splitlines()
        assert [line[31:] for line in stamped] == [b"line 1", b"line 2", b"line 3", b"oops"]
        first = parse_rfc3339(stamped[0][:26].decode() + "Z")
        assert abs(first - w.clock.time()) < 20
        assert await read(w, "a", since_time=first + 100) == b""
        for wrong in ({"container": "no"}, {"previous": True}):
            with pytest.raises(BadRequest):
                await read(w, "a", **wrong)
        w.clock.jump(100)
        assert await read(w, "a", since_seconds=10) == b""


async def test_following_until_the_end(tmp_path: Path) -> None:
    script = "echo first; while ! test -e $HOME/go; do sleep 0.02; done; echo last"
    async with world(tmp_path) as w:
        await w.run("f", *shell(script))
        found = await w.until("f", is_ready)
        following = asyncio.create_task(read(w, "f", follow=True))
        (w.pod_folder(found) / "work" / "web" / "go").touch()
        assert await asyncio.wait_for(following, 10) == b"first\nlast\n"


async def test_previous(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.run("p", *shell("echo run in $HOME; exit 1"), spec={"restartPolicy": "Always"})
        await w.until("p", lambda p: container(p)["restartCount"] == 1 and "waiting" in container(p)["state"])
        assert (await read(w, "p", previous=True)).startswith(b"run in")
        assert (await read(w, "p")).startswith(b"run in")


async def test_unknown_pods(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        for uid, error in (("no-such", NotFound), ("../..", BadRequest), ("", BadRequest)):
            with pytest.raises(error):
                await anext(aiter(w.node.logs("default", "x", uid, LogOptions())))


async def test_a_follower_ends_when_the_pod_goes(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.run("g", *shell("echo up; sleep 1000"))
        found = await w.until("g", is_ready)
        stream = w.node.logs("default", "g", meta.uid(found), LogOptions(follow=True))
        assert await asyncio.wait_for(anext(aiter(stream)), 10) == b"up\n"
        await w.api.delete(POD, "g", "default", grace=0)
        rest = asyncio.create_task(anext(aiter(stream), b"end"))
        assert await asyncio.wait_for(rest, 10) == b"end"


def test_rotation_loses_nothing_for_a_follower(tmp_path: Path) -> None:
    log = Log(str(tmp_path / "0.log"), 5000)
    tail, reader = Tail(tmp_path / "0.log", 0), Reader(Wanted())
    seen = written = b""
    for number in range(1000):
        line = b"%d\n" % number
        log.write(1, line)
        written += line
        if number % 37 == 0:
            while (lines := tail.lines()) is not None:
                seen += reader.text(lines)
    while (lines := tail.lines()) is not None:
        seen += reader.text(lines)
    tail.close()
    assert seen == written
    assert (tmp_path / "0.log.1").exists()


def test_a_follower_that_was_away_for_two_rotations_goes_on_with_what_is_left(tmp_path: Path) -> None:
    log = Log(str(tmp_path / "0.log"), 1000)
    log.write(1, b"first\n")
    tail, reader = Tail(tmp_path / "0.log", 0), Reader(Wanted())
    for number in range(200):
        log.write(1, b"%d\n" % number)
    seen = b""
    while (lines := tail.lines()) is not None:
        seen += reader.text(lines)
    tail.close()
    assert seen.startswith(b"first\n")
    assert seen.endswith(b"198\n199\n")


@pytest.mark.parametrize("lines", [0, 1, 4, 40_000])
def test_the_tail_reaches_into_the_rotated_file(tmp_path: Path, lines: int) -> None:
    path = tmp_path / "0.log"
    log = Log(str(path), 1 << 20)
    said = [b"%d\n" % number for number in range(60_000)]
    for start in range(0, len(said), 1000):
        log.write(1, b"".join(said[start : start + 1000]))
    log.write(2, b"x\nun")
    log.write(2, b"finished\n")
    said += [b"x\n", b"unfinished\n"]
    kept = len(plain((tmp_path / "0.log.1").read_bytes() + path.read_bytes()).splitlines())
    reader, text = Reader(Wanted()), b""
    with Tail(path, start_of_tail(path, lines)) as tail:
        while (found := tail.lines()) is not None:
            text += reader.text(found)
    count = min(lines, kept)
    assert text == b"".join(said[len(said) - count :])
    assert kept > 10_000


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(min_size=1, max_size=40)), max_size=12), st.integers(1, 6))
def test_what_was_written_is_read(pieces: list[tuple[int, bytes]], lines: int) -> None:
    """Byte by byte, each stream on its own; and the last lines are the last lines."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "0.log"
        log = Log(str(path), 1 << 20)
        for stream, data in pieces:
            log.write(stream, data)
        entries = path.read_bytes().split(b"\n")[:-1]
        for stream, name in ((1, b"stdout"), (2, b"stderr")):
            said = b"".join(data for number, data in pieces if number == stream)
            assert Reader(Wanted(stream=name)).text(entries) == said
        if len({stream for stream, _ in pieces}) == 1:
            whole = b"".join(data for _, data in pieces)
            wanted = whole.splitlines(keepends=True) if b"\r" not in whole else None
            with Tail(path, start_of_tail(path, lines)) as tail:
                text, reader = b"", Reader(Wanted())
                while (found := tail.lines()) is not None:
                    text += reader.text(found)
            split = whole.split(b"\n")
            last = [part + b"\n" for part in split[:-1]] + ([split[-1]] if split[-1] else [])
            assert text == b"".join(last[-lines:])
            assert wanted is None or text


def test_times_stand_before_lines_and_not_within(tmp_path: Path) -> None:
    log = Log(str(tmp_path / "0.log"), 1 << 20)
    entries = [
        *log.entries(1, b"one\ntw", 1_700_000_000_000_000_001).split(b"\n")[:-1],
        *log.entries(1, b"o\n", 1_700_000_001_000_000_000).split(b"\n")[:-1],
    ]
    text = Reader(Wanted(timestamps=True)).text(entries)
    assert text == b"2023-11-14T22:13:20.000000001Z one\n2023-11-14T22:13:20.000000001Z two\n"
    late = Wanted(since=stamp(1_700_000_001.0))
    assert Reader(late).text(entries) == b"o\n"


def test_a_log_of_an_older_styr_is_read_without_times() -> None:
    assert Reader(Wanted(timestamps=True)).text([b"plain", b"2026 text"]) == b"plain\n2026 text\n"


def test_a_full_disk_loses_text_and_nothing_else(tmp_path: Path) -> None:
    with open("/dev/full", "ab") as full:
        log = Log(str(tmp_path / "0.log"), 1 << 20)
        ours, log._file = log._file, full.fileno()
        log.write(1, b"lost\n")
        log._file = ours
    log.write(1, b"kept\n")
    assert plain((tmp_path / "0.log").read_bytes()).splitlines() == [b"", b"kept"]


def test_the_tail_of_a_log_that_was_just_turned_over(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    old = b"".join(b"2020-01-01T00:00:00.000000000Z stdout F line %d\n" % number for number in range(3))
    path.with_name("0.log.1").write_bytes(old)
    path.write_bytes(b"")
    assert start_of_tail(path, 1) == old.rindex(b"2020")
    assert start_of_tail(path, 5) == 0
