"""Blocks for `metrics-query`: `python -m bench._blocks DIR TARGETS SERIES`.

A day of scrapes a minute apart, appended and compacted by the engine itself, so that the same directory can be given to
Prometheus.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import numpy as np

from bench._targets import Body
from bench.metrics_query import BEYOND, END, INTERVAL, SPAN
from styr.kit.clock import SystemClock
from styr.metrics.exposition.text import parse
from styr.metrics.model.labels import make
from styr.metrics.storage.db import DAY, Database, Settings

PER_ROUND = 120
"""Rows between two rounds of maintenance."""


async def main(folder: Path, targets: int, series: int) -> None:
    database = Database.open(folder, SystemClock(), Settings(retention=3650 * DAY))
    appender = database.appender
    bodies = [Body(series, seed) for seed in range(targets)]
    keys = [dict(entry.labels) for entry in parse(bodies[0].text()).samples]
    layouts = []
    for number in range(targets):
        place = {"job": f"job-{number}", "instance": "127.0.0.1:1", "target": str(number)}
        layouts.append(appender.layout(appender.refs([make({**key, **place}) for key in keys])))
    for row, t in enumerate(range(END - SPAN - 3600, END + BEYOND, INTERVAL)):
        for body, layout in zip(bodies, layouts, strict=True):
            body.step()
            appender.append_row(layout, t * 1000, np.array(body.values))
        if row % PER_ROUND == PER_ROUND - 1:
            await appender.commit()
            await database.maintain()
    await appender.commit()
    await database.maintain()
    database.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
