"""PodLogs: tail, follow, previous, limits, rotation, and what a plain file cannot give."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from styr.kinds import meta
from styr.kinds.errors import BadRequest, NotFound
from styr.kinds.resources import POD
from styr.kinds.seams import LogOptions
from styr.node.logs import Tail, start_of_tail
from styr.node.runtimes.launcher import rotate
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
        for wrong in ({"container": "no"}, {"timestamps": True}, {"previous": True}):
            with pytest.raises(BadRequest):
                await read(w, "a", **wrong)
        w.clock.jump(100)
        with pytest.raises(BadRequest, match="sinceSeconds"):
            await read(w, "a", since_seconds=10)


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
    path = tmp_path / "0.log"
    tail, seen = Tail(path, 0), b""
    written = b""
    for round in range(5):
        with path.open("ab") as file:
            for number in range(100):
                line = b"%d-%d\n" % (round, number)
                file.write(line)
                written += line
                if number == 50:
                    file.flush()
                    seen += tail.read()
        rotate(str(path), 100 << 10)
        while data := tail.read():
            seen += data
    assert seen == written


def test_the_tail_reaches_into_the_rotated_file(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    path.write_bytes(b"".join(b"%d\n" % n for n in range(50000)))
    rotate(str(path), 1 << 20)
    path.write_bytes(b"x\ny\n")
    tail = Tail(path, start_of_tail(path, 4))
    assert tail.read() + tail.read() == b"49998\n49999\nx\ny\n"
    tail = Tail(path, start_of_tail(path, 40000))
    whole = b""
    while data := tail.read():
        whole += data
    assert whole.count(b"\n") == 40000


def test_rotation_keeps_the_end_of_a_flood(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    path.write_bytes(b"a" * 5000 + b"b" * 1000)
    rotate(str(path), 1000)
    assert (tmp_path / "0.log.1").read_bytes() == b"b" * 1000
    assert path.stat().st_size == 0
