"""A real git against the handler: what is accepted, what is refused, and that a refusal moves nothing."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from styr.kinds import meta
from styr.kinds.resources import POD, RELEASE
from tests.delivery.world import World, until

HELLO = {
    "main.py": "import os\nprint(os.environ['PORT'])\n",
    "tests/test_main.py": (
        "import unittest\nclass Works(unittest.TestCase):\n    def test_it(self):\n        self.assertTrue(True)\n"
    ),
}


@pytest.fixture
async def world(tmp_path: Path):
    async with World(tmp_path) as found:
        await found.app()
        yield found


async def test_a_good_push_becomes_one_release(world: World):
    user = await world.repository(HELLO)
    code, out = await user.run("push", "-o", "detach", world.url(), "main")
    assert code == 0, out
    for line in (
        "-----> Received",
        "-----> Detected: python main.py",
        "Testing: python -m unittest",
        "Accepted as hello-r1",
    ):
        assert f"remote: {line}" in out or f"       {line}" in out or line in out, out
    [release] = world.releases()
    spec = release["spec"]
    assert spec["commit"] == await user.git("rev-parse", "HEAD") == world.tip()
    assert spec["number"] == 1
    assert spec["subject"] == "change"
    assert spec["tests"]["passed"] is True
    assert spec["tests"]["summary"].startswith("Ran 1 test")
    assert spec["pushedBy"] == "admin"
    image = world.source.images.resolve(spec["image"])
    assert image is not None
    assert (image.root / "main.py").read_text() == HELLO["main.py"]
    assert (image.layers[0] / "venv/bin/python").exists()


async def test_clone_and_fetch(world: World, tmp_path: Path):
    user = await world.repository(HELLO)
    await user.git("push", "-o", "detach", world.url(), "main")
    await user.git("clone", "-q", world.url(), str(tmp_path / "clone"))
    assert (tmp_path / "clone" / "main.py").read_text() == HELLO["main.py"]


async def test_without_a_token(world: World):
    user = await world.repository(HELLO)
    code, out = await user.run("push", world.url().replace("styr:secret@", ""), "main")
    assert code != 0
    assert "could not read Username" in out or "Authentication failed" in out
    assert world.releases() == []


async def test_an_app_that_does_not_exist(world: World):
    user = await world.repository(HELLO)
    code, out = await user.run("push", world.url("nobody"), "main")
    assert code != 0
    assert "not found" in out
    assert "styr link" in out
    assert not (world.root / "data" / "git" / "nobody.git").exists()


async def test_failing_tests_do_not_move_the_branch(world: World):
    user = await world.repository(HELLO)
    await user.git("push", "-o", "detach", world.url(), "main")
    before = world.tip()
    await user.commit({"tests/test_main.py": HELLO["tests/test_main.py"].replace("True)", "False)")})
    code, out = await user.run("push", "-o", "detach", world.url(), "main")
    assert code != 0
    assert "Rejected: the tests failed (Ran 1 test" in out
    assert "kubectl logs -n default hello-test-" in out
    assert world.tip() == before
    assert len(world.releases()) == 1


async def test_another_branch(world: World):
    user = await world.repository(HELLO)
    code, out = await user.run("push", world.url(), "main:feature")
    assert code != 0
    assert "only the branch main of hello deploys" in out
    assert "git push styr feature:main" in out
    assert world.tip(branch="feature") == ""
    code, out = await user.run("push", world.url(), "main", "main:feature")
    assert code != 0
    assert world.tip() == ""


async def test_a_tag(world: World):
    user = await world.repository(HELLO)
    await user.git("tag", "v1")
    code, out = await user.run("push", world.url(), "v1")
    assert code != 0
    assert "git push styr main" in out


async def test_deleting_the_branch(world: World):
    user = await world.repository(HELLO)
    await user.git("push", "-o", "detach", world.url(), "main")
    before = world.tip()
    code, out = await user.run("push", world.url(), ":main")
    assert code != 0
    assert "cannot be deleted" in out
    assert world.tip() == before


async def test_an_empty_branch(world: World):
    user = await world.repository({})
    await user.commit({}, "nothing at all")
    code, out = await user.run("push", world.url(), "main")
    assert code != 0
    assert "this commit has no files" in out
    assert world.tip() == ""


async def test_unknown_push_option(world: World):
    user = await world.repository(HELLO)
    code, out = await user.run("push", "-o", "fast", world.url(), "main")
    assert code != 0
    assert "unknown push option 'fast'" in out
    assert "skip-canary" in out


async def test_an_oversized_pack(tmp_path: Path):
    async with World(tmp_path, pack=1 << 20) as world:
        await world.app()
        user = await world.repository(HELLO)
        (user.folder / "data.bin").write_bytes(os.urandom(3 << 20))
        await user.commit({}, "data")
        code, out = await user.run("push", world.url(), "main")
        assert code != 0
        assert "larger than 1 MB" in out
        assert world.tip() == ""
        assert not list((tmp_path / "data/git/hello.git/objects").glob("*incoming*"))
        await user.git("checkout", "-q", "HEAD~1")
        await user.git("push", "-o", "detach", world.url(), "HEAD:refs/heads/main")


async def test_a_tree_with_dot_git(world: World):
    user = await world.repository(HELLO)
    blob = await user.git("hash-object", "-w", "--stdin", stdin="[core]\n\tfsmonitor = evil\n")
    inner = await user.git("mktree", stdin=f"100644 blob {blob}\tconfig\n")
    main = await user.git("hash-object", "-w", "main.py")
    tree = await user.git("mktree", stdin=f"040000 tree {inner}\t.GIT\n100644 blob {main}\tmain.py\n")
    commit = await user.git("commit-tree", tree, "-m", "evil")
    code, out = await user.run("push", world.url(), f"{commit}:refs/heads/main")
    assert code != 0
    assert "hasDotgit" in out
    assert world.tip() == ""


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "folder/../../outside"])
async def test_a_link_out_of_the_tree(world: World, target: str):
    user = await world.repository(HELLO)
    (user.folder / "link").symlink_to(target)
    await user.commit({})
    code, out = await user.run("push", world.url(), "main")
    assert code != 0
    assert f"link is a symbolic link to '{target}', outside the repository" in out
    assert world.tip() == ""


async def test_too_many_files_and_too_large_when_unpacked(tmp_path: Path):
    async with World(tmp_path, files=5, expanded=1 << 20) as world:
        await world.app()
        user = await world.repository(HELLO | {f"{n}.txt": str(n) for n in range(9)})
        code, out = await user.run("push", world.url(), "main")
        assert code != 0
        assert "11 files, the limit is 5" in out
        other = await world.repository(HELLO | {"zeros": "0" * (3 << 20)}, "other")
        code, out = await other.run("push", world.url(), "main")
        assert code != 0
        assert "when unpacked" in out


SLOW = HELLO | {
    "tests/test_main.py": (
        "import pathlib, time, unittest\nclass Waits(unittest.TestCase):\n    def test_it(self):\n"
        "        print('waiting', flush=True)\n"
        "        while not pathlib.Path('{gate}').exists(): time.sleep(0.01)\n"
    )
}


def slow(gate: Path) -> dict[str, str]:
    return {name: text.replace("{gate}", str(gate)) for name, text in SLOW.items()}


async def test_two_pushes_at_once(world: World, tmp_path: Path):
    gate = tmp_path / "gate"
    first = await world.repository(slow(gate), "first")
    second = await world.repository(HELLO | {"other.txt": "other"}, "second")
    one = await first.start("push", "-o", "detach", world.url(), "main")
    await until(world.api.running_pods, "the first build")
    two = await second.start("push", "-o", "detach", world.url(), "main")
    lines = b""
    async with asyncio.timeout(30):
        while b"this one waits" not in lines:
            assert two.stdout
            lines += await two.stdout.readline()
    gate.touch()
    out_one, _ = await one.communicate()
    out_two, _ = await two.communicate()
    assert one.returncode == 0, out_one.decode()
    assert two.returncode != 0
    assert b"main moved while this push waited" in out_two
    assert [release["spec"]["commit"] for release in world.releases()] == [await first.git("rev-parse", "HEAD")]
    await second.git("push", "-f", "-o", "detach", world.url(), "main")
    assert len(world.releases()) == 2


async def test_ctrl_c_during_the_tests(world: World, tmp_path: Path):
    user = await world.repository(slow(tmp_path / "never"))
    process = await user.start("push", world.url(), "main")
    await until(world.api.running_pods, "the test pod")
    os.killpg(process.pid, signal.SIGINT)
    await process.communicate()
    await until(lambda: not world.api.running_pods(), "the end of the pod")
    await until(lambda: not world.source.repositories.queue(meta.key(world.api.all_apps()[0])).locked(), "the queue")
    assert world.tip() == ""
    assert world.releases() == []
    assert not [pod for pod in world.api.all(POD) if meta.labels(pod)["styr.dev/step"] == "test"]
    await user.commit(HELLO)
    await user.git("push", "-o", "detach", world.url(), "main")


async def test_ctrl_c_after_acceptance(world: World):
    user = await world.repository(HELLO)
    process = await user.start("push", world.url(), "main")
    await until(world.releases, "the release")
    os.killpg(process.pid, signal.SIGINT)
    await process.communicate()
    assert world.tip() == await user.git("rev-parse", "HEAD")
    assert len(world.releases()) == 1
    await user.commit({"more.txt": "more"})
    await user.git("push", "-o", "detach", world.url(), "main")


async def test_following_to_the_verdict(world: World):
    user = await world.repository(HELLO)
    process = await user.start("push", world.url(), "main")
    await until(world.releases, "the release")
    world.api.status(RELEASE, "hello-r1", phase="Canary", weight=10)
    world.api.status(RELEASE, "hello-r1", phase="Canary", weight=50)
    world.api.status(RELEASE, "hello-r1", phase="Promoted", weight=100, verdict="No worse in 900 requests.")
    out = (await process.communicate())[0].decode()
    assert process.returncode == 0
    assert "hello-r1 promoted" in out
    assert "No worse in 900 requests." in out
    assert "styr rollback hello" in out


async def test_a_commit_that_was_taken_back(world: World):
    user = await world.repository(HELLO)
    commit = await user.git("rev-parse", "HEAD")
    remembered = [{"commit": commit, "release": "hello-r1", "verdict": "6 of 8 failures hit it."}]
    world.api.status(world.api.app_resource, "hello", remembered=remembered)
    code, out = await user.run("push", world.url(), "main")
    assert code != 0
    assert "6 of 8 failures hit it." in out
    assert "git push -o retry styr main" in out
    await user.git("push", "-o", "retry", "-o", "detach", world.url(), "main")
    assert world.releases()[0]["spec"]["retry"] is True


async def test_a_build_that_hangs(tmp_path: Path):
    async with World(tmp_path, test_seconds=1) as world:
        await world.app()
        user = await world.repository(slow(tmp_path / "never"))
        code, out = await user.run("push", world.url(), "main")
        assert code != 0
        assert "the tests were stopped: it did not end within 1 s" in out
        assert world.tip() == ""


async def test_a_build_that_floods(world: World):
    flood = "import unittest\nclass T(unittest.TestCase):\n    def test_it(self):\n        print(('x' * 70 + '\\n') * 100000)\n"
    user = await world.repository(HELLO | {"tests/test_main.py": flood})
    code, out = await user.run("push", "-o", "detach", world.url(), "main")
    assert code == 0, out[-2000:]
    assert "lines left out; all of them: kubectl logs -n default hello-test-" in out
    assert len(out) < 100_000


async def test_a_force_push(world: World):
    user = await world.repository(HELLO)
    await user.git("push", "-o", "detach", world.url(), "main")
    await user.git("commit", "-q", "--amend", "-m", "again")
    await user.git("push", "-f", "-o", "detach", world.url(), "main")
    assert world.tip() == await user.git("rev-parse", "HEAD")
    assert [release["spec"]["number"] for release in world.releases()] == [1, 2]


async def test_the_user_configuration_has_no_say(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    hooks = tmp_path / "evil"
    hooks.mkdir()
    user = await world.repository(HELLO)
    await user.git("push", "-o", "detach", world.url(), "main")
    repository = world.root / "data/git/hello.git"
    (repository / "hooks").mkdir(exist_ok=True)
    for folder in (hooks, repository / "hooks"):
        (folder / "post-update").write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        (folder / "post-update").chmod(0o755)
    with (repository / "config").open("a") as config:
        config.write(f"[core]\n\thooksPath = {hooks}\n[transfer]\n\tfsckObjects = false\n")
    await user.commit({"more.txt": "more"})
    await user.git("push", "-o", "detach", world.url(), "main")
    assert not (tmp_path / "ran").exists()
