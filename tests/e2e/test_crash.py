"""SIGKILL of the control plane: nothing is lost, nothing fails, and everything goes on afterwards."""

import asyncio

import pytest

from styr.cli.demo.load import Load
from tests.e2e.test_thread import version

pytestmark = pytest.mark.timeout(240)


async def test_pushes_go_on_after_a_crash(app, platform):
    phoenix = await app("phoenix", version("v0"))
    assert (await phoenix.push()).code == 0
    async with Load(platform.port, "phoenix.localhost", rate=50) as load:
        for number in (1, 2):
            platform.kill()
            await platform.styr("up", "--detach")
            await phoenix.change(version(f"v{number}"))
            pushed = await phoenix.push("-o", "skip-canary")
            assert pushed.code == 0, pushed.output
            async with asyncio.timeout(20):
                while (await phoenix.get()).body != f"v{number}\n".encode():
                    await asyncio.sleep(0.05)
    assert load.tally.failures == 0, load.tally.errors
    assert load.tally.requests > 50


async def test_a_crash_while_a_release_is_judged(app, platform):
    """The record is on disk before a decision is acted upon: the judge goes on where it was."""
    judged = await app(
        "judged", version("v0"), rollout={"harmBudget": 0.5, "minStepSeconds": 1, "startWeight": 20, "latency": False}
    )
    assert (await judged.push()).code == 0
    async with Load(platform.port, "judged.localhost", rate=50) as load:
        await judged.change(version("v1"))
        push = asyncio.create_task(judged.push("-o", "detach"))
        assert (await push).code == 0
        async with asyncio.timeout(30):
            while (await judged.get()).body != b"v1\n":
                await asyncio.sleep(0.02)
        platform.kill()
        await platform.styr("up", "--detach")
        async with asyncio.timeout(90):
            while "Promoted" not in (text := await judged.styr("releases", "judged")).split("judged-r1")[0]:
                assert "RolledBack" not in text
                await asyncio.sleep(0.2)
        why = await judged.styr("why", "judged-r2")
    assert "the same numbers, bit for bit" in why
    assert load.tally.failures == 0, load.tally.errors
