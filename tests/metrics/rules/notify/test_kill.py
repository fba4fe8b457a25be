"""The notifier as a process that is killed again and again: everything is told, and at most the notification under way
twice."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from random import Random

from tests.metrics.rules.notify.kit import Peer

PROGRAM = """
import asyncio, sys
from pathlib import Path
from styr.kit.clock import SystemClock
from styr.metrics.rules.notify.alert import Alert
from styr.metrics.rules.notify.config import of_data
from styr.metrics.rules.notify.notifier import Notifier

async def main(url, state, *names):
    data = {
        "route": {"receiver": "r", "group_by": ["alertname"], "group_wait": "0s", "group_interval": "500ms"},
        "receivers": [{"name": "r", "webhook_configs": [{"url": url}]}],
    }
    notifier = Notifier(of_data(data), SystemClock(), Path(state))
    await notifier.start()
    for end in range(len(names)):
        now = notifier.now()
        notifier.receive([Alert((("alertname", n),), (), now, now + 3_600_000, now) for n in names[: end + 1]])
        while len(notifier._log.every()) <= end:
            await asyncio.sleep(0.001)
        await notifier.save()
        print(names[end], flush=True)
    await asyncio.sleep(1)

asyncio.run(main(*sys.argv[1:]))
"""
KILLS, EACH = 3, 5


async def test_killed_at_any_moment_everything_is_told_and_what_was_kept_only_once(tmp_path: Path) -> None:
    """All that fires is reported again and again, as rules do it. What the program says to have kept is not told again."""
    random = Random(1)
    async with Peer() as peer:
        names: list[str] = []
        kept: list[str] = []
        counts: dict[str, int] = {}
        for round_ in range(KILLS + 1):
            names += [f"A{round_}-{i}" for i in range(EACH)]
            arguments = [sys.executable, "-c", PROGRAM, peer.url, str(tmp_path / "state.json"), *names]
            process = await asyncio.create_subprocess_exec(*arguments, stdout=asyncio.subprocess.PIPE)
            if round_ < KILLS:
                wanted = len(set(_told(peer))) + random.randrange(1, EACH)
                await _until(lambda wanted=wanted: len(set(_told(peer))) >= wanted)
                await asyncio.sleep(random.random() * 0.02)
                process.kill()
            output, _ = await process.communicate()
            assert {name: _told(peer).count(name) for name in kept} == counts
            kept += [name for name in output.decode().split("\n")[:-1] if name not in kept]
            counts = {name: _told(peer).count(name) for name in kept}
        told = _told(peer)
        assert set(told) == set(names)
        twice = {name for name in names if told.count(name) > 1}
        assert len(twice) <= KILLS
        assert all(told.count(name) <= 2 for name in names)


def _told(peer: Peer) -> list[str]:
    return [sent["groupLabels"]["alertname"] for _, _, sent in peer.requests]


async def _until(true: object) -> None:
    assert callable(true)
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.005)
