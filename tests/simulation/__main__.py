"""`python -m tests.simulation --seeds 200 [--first 1]`: one line per seed that fails, with what it takes to see it again."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from dataclasses import dataclass

from tests.simulation import delivery, scenario, virtual
from tests.simulation.faults import Trace
from tests.simulation.world import World


@dataclass
class Result:
    seed: int
    problems: list[str]
    trace: Trace
    crashes: int
    seconds: float
    """Virtual."""


def one_seed(seed: int, *, actions: int = 80) -> Result:
    """Plays the scenario, lets it settle without faults, checks it, and that it then keeps still."""

    async def main() -> Result:
        world = World(seed)
        await world.start()
        try:
            await scenario.play(world, actions=actions)
            world.calm()
            problems = await world.settle(scenario.wrong)
            if not problems and (writes := await world.quiet()):
                problems = [f"{writes} writes in a minute in which nothing changed", *world.trace.lines[-20:]]
            if not problems:
                problems = await scenario.wrong(world)
            problems = world.monitor.violations[:5] + problems
            seconds = world.clock.monotonic()
        finally:
            await world.stop()
        return Result(seed, problems, world.trace, world.crashes, seconds)

    return virtual.run(main)


def one_delivery(seed: int) -> Result:
    """The same for releases of an App, with users and a proxy."""

    async def main() -> Result:
        deliveries = delivery.Deliveries(seed)
        world = deliveries.world
        await deliveries.start()
        try:
            problems = await delivery.play(deliveries)
            problems = [*world.monitor.violations[:5], *problems]
            problems += deliveries.told if problems else []
            seconds = world.clock.monotonic()
        finally:
            await deliveries.stop()
        return Result(seed, problems, world.trace, world.crashes, seconds)

    return virtual.run(main)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="how many (20)")
    parser.add_argument("--first", type=int, default=1, help="the first seed (1)")
    parser.add_argument("--actions", type=int, default=80, help="changes per seed (80)")
    parser.add_argument("--delivery", action="store_true", help="releases under traffic instead of plain workloads")
    parser.add_argument("--trace", action="store_true", help="print the end of the trace of each seed that fails")
    parser.add_argument("--log", action="store_true", help="print what the control plane logs")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO if options.log else logging.CRITICAL + 1, format="%(name)s: %(message)s")
    began, failed, hours, requests = time.process_time(), 0, 0.0, 0
    for seed in range(options.first, options.first + options.seeds):
        result = one_delivery(seed) if options.delivery else one_seed(seed, actions=options.actions)
        hours += result.seconds / 3600
        requests += result.trace.count
        if result.problems:
            failed += 1
            print(f"seed {seed}: {len(result.problems)} problems after {result.crashes} crashes")
            print(*(f"  {problem}" for problem in result.problems[:20]), sep="\n")
            if options.trace:
                print(*(f"    {line}" for line in result.trace.lines[-80:]), sep="\n")
    spent = time.process_time() - began
    print(f"{options.seeds} seeds, {failed} failed, {hours:.1f} virtual hours, {requests} requests, {spent:.1f} CPU-s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
