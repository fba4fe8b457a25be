"""Exactly one Release per accepted push, whatever fails in between; the branch follows the verdict."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import sys
from pathlib import Path

import pytest

from styr.client.controller import Manager
from styr.delivery import hook, landing
from styr.delivery.push import Rejected, Update, choose, progress
from styr.delivery.report import Flood, Report, clean
from styr.kinds import meta
from styr.kinds.errors import Unavailable
from styr.kinds.resources import APP, RELEASE, Resource
from styr.kit.clock import SystemClock
from tests.delivery.world import World, until

PLAIN = {"main.py": "print('hello')\n"}


@pytest.fixture
async def world(tmp_path: Path):
    async with World(tmp_path) as found:
        await found.app()
        yield found


@contextlib.asynccontextmanager
async def controllers(world: World):
    manager = Manager(world.api, SystemClock(), random.Random(1))  # type: ignore[arg-type]
    for controller in world.source.controllers():
        manager.add(controller)
    task = asyncio.create_task(manager.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def refuse_releases(world: World) -> None:
    create = world.api.create

    async def refusing(resource: Resource, obj):
        if resource == RELEASE:
            raise Unavailable("the API is away")
        return await create(resource, obj)

    world.api.create = refusing  # type: ignore[method-assign]


async def test_an_accepted_push_is_released_by_the_next_start(world: World):
    user = await world.repository(PLAIN)
    create = world.api.create
    refuse_releases(world)
    code, out = await user.run("push", world.url(), "main")
    assert code == 0
    assert "Its release follows" in out
    assert world.tip() == await user.git("rev-parse", "HEAD")
    assert world.releases() == []
    world.api.create = create  # type: ignore[method-assign]
    await world.restart()
    async with controllers(world):
        await until(world.releases, "the release")
    assert world.releases()[0]["spec"]["commit"] == world.tip()


async def test_landing_twice_makes_one_release(world: World):
    user = await world.repository(PLAIN)
    await user.git("push", "-o", "detach", world.url(), "main")
    repository = world.root / "data/git/hello.git"
    record = landing.read_record(repository, world.tip())
    assert record is not None
    assert record.release == "hello-r1"
    # As if killed after the Release was made and before that was noted:
    landing.write_record(repository, landing.replace(record, release=""))
    app = await world.api.get(APP, "hello", "default")
    both = await asyncio.gather(world.source.repositories.land(app), world.source.repositories.land(app))
    assert [meta.name(release) for release in both if release] == ["hello-r1", "hello-r1"]
    assert len(world.releases()) == 1


async def test_a_deleted_release_does_not_come_back(world: World):
    user = await world.repository(PLAIN)
    await user.git("push", "-o", "detach", world.url(), "main")
    await world.api.delete(RELEASE, "hello-r1", "default")
    assert await world.source.repositories.land(await world.api.get(APP, "hello", "default")) is None
    assert world.releases() == []


async def test_the_branch_goes_back_with_the_release(world: World):
    user = await world.repository(PLAIN)
    await user.git("push", "-o", "detach", world.url(), "main")
    good = world.tip()
    world.api.status(RELEASE, "hello-r1", phase="Promoted", weight=100)
    world.api.status(APP, "hello", stable="hello-r1")
    bad = await user.commit({"main.py": "print('bad')\n"})
    async with controllers(world):
        await user.git("push", "-o", "detach", world.url(), "main")
        world.api.status(RELEASE, "hello-r2", phase="RolledBack", weight=0, verdict="5 of 6 failures hit it.")
        await until(lambda: world.tip() == good, "the branch to go back")
        code, out = await user.run("push", world.url(), "main")
        assert code != 0
        assert "5 of 6 failures hit it." in out
        await user.git("push", "-o", "retry", "-o", "detach", world.url(), "main")
        assert world.tip() == bad
        assert [release["spec"]["number"] for release in world.releases()] == [1, 2, 3]
        fixed = await user.commit({"main.py": "print('fixed')\n"})
        await user.git("push", "-o", "detach", world.url(), "main")
        assert world.tip() == fixed


async def test_a_first_release_that_fails_leaves_no_branch(world: World):
    user = await world.repository(PLAIN)
    await user.git("push", "-o", "detach", world.url(), "main")
    async with controllers(world):
        world.api.status(RELEASE, "hello-r1", phase="Failed")
        await until(lambda: world.tip() == "", "the branch to go")
        await user.git("push", "-o", "detach", world.url(), "main")
    assert len(world.releases()) == 2


async def test_a_new_app_of_the_same_name_starts_afresh(world: World):
    user = await world.repository(PLAIN)
    await user.git("push", "-o", "detach", world.url(), "main")
    await world.api.delete(APP, "hello", "default")
    await world.api.delete(RELEASE, "hello-r1", "default")
    await world.app()
    await user.git("push", "-o", "detach", world.url(), "main")
    assert len(world.releases()) == 1


async def test_smoke_path_of_the_repository(world: World):
    user = await world.repository(PLAIN | {"pyproject.toml": '[tool.styr]\nsmoke = "/health"\n'})
    await user.git("push", "-o", "detach", world.url(), "main")
    app = await world.api.get(APP, "hello", "default")
    assert app["spec"]["smoke"]["path"] == "/health"


async def test_images_that_no_release_refers_to_are_collected(world: World):
    user = await world.repository(PLAIN)
    await user.git("push", "-o", "detach", world.url(), "main")
    reference = world.releases()[0]["spec"]["image"]
    world.source._clock = Later(10**6)
    assert await world.source.collect() == 0
    assert world.source.images.resolve(reference)
    await world.api.delete(RELEASE, "hello-r1", "default")
    assert await world.source.collect() > 0
    assert world.source.images.resolve(reference) is None


class Later(SystemClock):
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def time(self) -> float:
        return super().time() + self._seconds


def test_choose():
    good = Update("0" * 40, "a" * 40, "refs/heads/main")
    assert choose([good], "main", "hello") == good
    for updates in (
        [],
        [good, good],
        [Update("a" * 40, "0" * 40, "refs/heads/main")],
        [Update("", "a", "refs/heads/x")],
    ):
        with pytest.raises(Rejected):
            choose(updates, "main", "hello")


def test_progress():
    assert progress({}) == ""
    assert progress({"phase": "Canary", "weight": 10, "waiting": {"requests": 1200}}) == (
        "Canary: 10 % of the traffic; about 1,200 more requests to the next step"
    )
    assert "held" in progress({"phase": "Canary", "weight": 10, "outcome": "Held"})


async def test_a_flood_keeps_its_ends():
    shown: list[str] = []

    async def show(line: str) -> None:
        shown.append(line)

    flood = Flood(show, 3, tail=2)
    for number in range(100):
        await flood.feed(f"line {number}\n".encode())
    await flood.feed(b"the end, without a newline")
    await flood.finish("kubectl logs x")
    assert shown[:3] == ["line 0", "line 1", "line 2"]
    assert shown[3] == "... 96 lines left out; all of them: kubectl logs x"
    assert shown[4:] == ["line 99", "the end, without a newline"]


async def test_a_line_without_an_end_is_bounded():
    shown: list[str] = []

    async def show(line: str) -> None:
        shown.append(clean(line))

    flood = Flood(show, 3)
    for _ in range(100):
        await flood.feed(b"x" * 65536)
    await flood.finish("")
    assert len(shown) == 1
    assert len(shown[0]) < 1100


def test_clean():
    assert clean("\x1b[31mred\x1b[0m \x1b]0;title\x07end") == "red end"
    assert clean("10 %\r50 %\r100 %") == "100 %"
    assert clean("windows\r") == "windows"
    assert clean("bell\x07 null\x00") == "bell null"


async def test_the_dialect():
    lines: list[str] = []

    async def send(text: str) -> None:
        lines.append(text)

    report = Report(send, SystemClock())
    await report.step("One")
    await report.detail("two\nthree")
    await report.outcome("Four\nfive")
    assert "".join(lines) == "-----> One\n       two\n       three\n=====> Four\n       five\n"


async def test_a_full_disk_refuses_the_push_and_nothing_else(world: World, monkeypatch: pytest.MonkeyPatch):
    user = await world.repository(PLAIN)

    def full(*_: object, **__: object) -> str:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(world.source.images, "write", full)
        code, out = await user.run("push", world.url(), "main")
    assert code != 0
    assert "the disk of the machine is full" in out
    assert world.tip() == ""
    await user.git("push", "-o", "detach", world.url(), "main")
    assert len(world.releases()) == 1


async def test_the_control_plane_stops_during_a_push(world: World):
    user = await world.repository({"main.py": "", "pyproject.toml": '[tool.styr]\ntest = "exec sleep 60"\n'})
    process = await user.start("push", world.url(), "main")
    await until(lambda: [name for name in world.api.running_pods() if "-test-" in name], "the test pod")
    await world.source.stop()
    out = (await process.communicate())[0].decode()
    assert process.returncode != 0, out
    assert "the control plane stopped during this push; nothing was changed" in out
    assert world.tip() == ""
    assert world.api.running_pods() == []


async def test_the_hook_refuses_when_its_other_end_is_killed(world: World, tmp_path: Path):
    """As SIGKILL of the control plane leaves it: no answer ever comes, the socket closes."""
    ours, theirs = socket.socketpair()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-IS", hook.__file__, "pre-receive",
        env={"STYR_HOOK_FD": str(theirs.fileno())}, pass_fds=[theirs.fileno()],
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    theirs.close()
    ours.close()
    out, _ = await process.communicate(b"old new refs/heads/main\n")
    assert process.returncode == 1
    assert b"the control plane stopped during this push" in out
