"""The long run: `python -m tests.faults --deaths 100 --seed 1`. Two hundred writers, five watchers."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path

from tests.faults.kill import scene


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--deaths", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="styr-faults-") as folder:
        async with scene(Path(folder), options.seed) as play:
            await play.run(options.deaths)
    resumed = min(watcher.resumed for watcher in play.watchers)
    print(
        f"{options.deaths} deaths: {len(play.acks)} acknowledged writes all there, each watcher resumed {resumed} times"
    )


asyncio.run(main())
