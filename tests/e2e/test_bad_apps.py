"""Apps that misbehave, and pushes that must not land: a clear word to the pusher, and what serves goes on serving."""

import asyncio
import os
import signal
import time

import pytest

from styr.kinds.resources import POD
from tests.e2e.test_thread import version

pytestmark = pytest.mark.timeout(240)


async def served(app) -> bytes:
    return (await app.get()).body


async def test_an_app_that_crashes_at_once(app):
    crash = await app("crash", version("one"))
    assert (await crash.push()).code == 0
    await crash.change({"main.py": "print('no database', flush=True)\nraise SystemExit(3)\n"})
    pushed = await crash.push()
    assert "no database" in pushed.output
    assert "Failed" in pushed.output or "failed" in pushed.output
    assert await served(crash) == b"one\n"


async def test_an_app_that_ignores_sigterm_still_goes(app):
    text = version("one")["main.py"].replace("lambda *_: sys.exit(0)", "signal.SIG_IGN")
    deaf = await app("deaf", {**version("one"), "main.py": text}, rollout={"keepWarmSeconds": 0})
    assert (await deaf.push()).code == 0
    client = deaf.client()
    pods = (await client.list(POD, "default", labels="styr.dev/release=deaf-r1")).items
    await client.delete(POD, pods[0]["metadata"]["name"], "default", grace=2)
    async with asyncio.timeout(30):
        while any(
            pod["metadata"]["uid"] == pods[0]["metadata"]["uid"]
            for pod in (await client.list(POD, "default", labels="styr.dev/release=deaf-r1")).items
        ):
            await asyncio.sleep(0.1)
    await client.close()


async def test_another_branch_does_not_deploy(app):
    branch = await app("branch", version("one"))
    pushed = await branch.git("push", "styr", "main:feature")
    assert pushed.code != 0
    assert "main" in pushed.output
    assert "feature" in pushed.output


async def test_a_hanging_build_is_stopped_with_a_word(app):
    slow = await app(
        "hang", {**version("one"), "test_main.py": "import time\ntime.sleep(600)\n"}, tests={"timeoutSeconds": 3}
    )
    began = time.monotonic()
    pushed = await slow.push()
    assert pushed.code != 0
    assert time.monotonic() - began < 40
    assert "3 s" in pushed.output
    assert (await slow.git("ls-remote", "styr", "main")).output.strip() == ""


async def test_a_flood_of_output_does_not_drown_the_pusher(app):
    body = "for n in range(300000): print('line', n)"
    flood = f"import unittest\nclass T(unittest.TestCase):\n    def test(self):\n        {body}\n"
    loud = await app("loud", {**version("one"), "test_main.py": flood})
    pushed = await loud.push()
    assert pushed.code == 0, pushed.output[-2000:]
    assert len(pushed.output) < 200_000


async def test_ctrl_c_during_the_tests_changes_nothing(app, platform):
    paused = await app("paused", {**version("one"), "test_main.py": "import time\ntime.sleep(600)\n"})
    push = await asyncio.create_subprocess_exec(
        "git",
        "push",
        "styr",
        "main",
        cwd=paused.repository,
        env=paused.env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    client = paused.client()
    try:
        await until(lambda: busy(client))
        os.killpg(push.pid, signal.SIGINT)
        await asyncio.wait_for(push.wait(), 20)
        await until(lambda: idle(client))
    finally:
        await client.close()
        if push.returncode is None:
            push.kill()
    assert (await paused.git("ls-remote", "styr", "main")).output.strip() == ""
    assert "has no release" in await paused.styr("releases", "paused")


async def busy(client) -> bool:
    pods = (await client.list(POD, "default", labels="styr.dev/app=paused")).items
    return any((pod.get("status") or {}).get("phase") == "Running" for pod in pods)


async def idle(client) -> bool:
    return not await busy(client)


async def until(condition) -> None:
    async with asyncio.timeout(40):
        while not await condition():
            await asyncio.sleep(0.05)


async def test_pushed_code_cannot_read_the_platforms_secrets(app, platform):
    """Only where the machine has Landlock: the node says so."""
    import json

    spy = await app(
        "spy",
        {
            **version("one"),
            "test_main.py": "import unittest\nclass T(unittest.TestCase):\n    def test(self):\n"
            + f"        for path in ({str(platform.folder.token)!r}, {str(platform.folder.kubeconfig)!r}):\n"
            + "            try:\n                print('READ', open(path).read())\n"
            + "            except OSError as error:\n                print('DENIED', error)\n"
            + "        import os\n"
            + "        print('ENV', sorted(name for name in os.environ if 'STYR' in name or 'TOKEN' in name))\n",
        },
    )
    from styr.kinds.resources import NODE

    client = spy.client()
    node = (await client.list(NODE)).items[0]
    await client.close()
    pushed = await spy.push()
    assert pushed.code == 0, pushed.output
    if json.loads(node["metadata"]["annotations"]["styr.dev/sandbox"])["files"].startswith("none"):
        pytest.skip("no Landlock on this machine")
    assert pushed.output.count("DENIED") == 2, pushed.output
    assert "READ" not in pushed.output
    assert "ENV []" in pushed.output
