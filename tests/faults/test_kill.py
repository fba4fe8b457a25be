"""SIGKILL at random moments under 200 writers; the hundred deaths of the long run are `python -m tests.faults`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.kill import scene


@pytest.mark.timeout(120)
async def test_killed_under_two_hundred_writers(tmp_path: Path) -> None:
    async with scene(tmp_path, 7) as play:
        await play.run(4)
    assert len(play.acks) > 200
    assert all(watcher.resumed >= 4 for watcher in play.watchers)
