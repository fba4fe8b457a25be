"""Scraping into the real database: what comes out is what targets said, also after churn, failures and a restart."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np

from styr.kit.clock import SystemClock
from styr.metrics.model.labels import get
from styr.metrics.model.matchers import Matcher
from styr.metrics.storage.db import Database
from tests.metrics.scrape.appender import Memory, key, readable
from tests.metrics.scrape.test_ingest import Scraped

EPOCH = 1_700_000_000_000


def page(chance: random.Random, live: set[int]) -> str:
    """A page with churn: some series go, some come, values move, one has its own timestamp."""
    for number in list(live):
        if chance.random() < 0.05:
            live.discard(number)
    live.update(chance.randrange(400) for _ in range(5))
    lines = ["# TYPE m counter"]
    lines += [f'm{{n="{number}"}} {chance.choice([1, 2, 2.5, "NaN", "+Inf"])}' for number in sorted(live)]
    return "\n".join(lines) + "\n"


def stored(database: Database, start: int, end: int) -> dict[str, list[tuple[int, object]]]:
    selection = database.querier().select([Matcher("=~", "__name__", "m|up")], start, end)
    found: dict[str, list[tuple[int, object]]] = {}
    names = [key(labels) for labels in selection.frame.all_labels()]
    for batch in selection.batches():
        bits = np.ascontiguousarray(batch.v).view(np.int64).tolist()
        times, offsets = batch.t.tolist(), batch.offsets.tolist()
        for row in range(len(offsets) - 1):
            part = range(offsets[row], offsets[row + 1])
            if part:
                found[names[batch.first + row]] = [(times[i], readable(bits[i])) for i in part]
    return found


def wanted(memory: Memory) -> dict[str, list[tuple[int, object]]]:
    return {
        key(labels): [(t, readable(value)) for t, value in samples]
        for labels, samples in memory.samples.items()
        if get(labels, "__name__") in ("m", "up")
    }


def test_what_targets_said_is_what_queries_find(tmp_path: Path) -> None:
    chance = random.Random(3)
    database = Database.open(tmp_path, SystemClock())
    real, kept = Scraped(), Scraped()
    real.use(database.appender)
    real.t = kept.t = EPOCH
    live: set[int] = set()
    for _ in range(150):
        body = None if chance.random() < 0.05 else page(chance, live)
        assert real.scrape(body).error == kept.scrape(body).error
    assert repr(stored(database, EPOCH, EPOCH + 10**9)) == repr(dict(sorted(wanted(kept.memory).items())))
    database.close()
    database = Database.open(tmp_path, SystemClock())
    assert repr(stored(database, EPOCH, EPOCH + 10**9)) == repr(dict(sorted(wanted(kept.memory).items())))
    database.close()
