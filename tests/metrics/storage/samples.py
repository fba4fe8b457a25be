"""What a test reads back from a database, in a form that compares: samples by label set, values as bits."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

from styr.metrics.model.labels import Labels
from styr.metrics.model.matchers import Matcher
from styr.metrics.model.samples import STALE_BITS, Querier
from styr.metrics.storage.db import Database, Settings
from styr.metrics.storage.head import HeadSettings

FIRST, LAST = -(1 << 60), 1 << 60
START = 1_700_000_000_000 // 7_200_000 * 7_200_000
"""The beginning of a block range."""
EVERYTHING = [Matcher("=~", "__name__", ".*")]

Found = dict[Labels, list[tuple[int, int]]]


class StoppedClock:
    """At `now` seconds since 1970, until a test moves it."""

    def __init__(self, now: float = START / 1000) -> None:
        self.now = now

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


def opened(path: Path, settings: Settings | None = None, **head: Any) -> Database:
    return Database.open(path, StoppedClock(), settings or Settings(head=HeadSettings(**head)))


def read(querier: Querier, start: int = FIRST, end: int = LAST, matchers: list[Matcher] | None = None) -> Found:
    """All floats, series without any left out."""
    selection = querier.select(matchers or EVERYTHING, start, end)
    labels, found = selection.frame.all_labels(), {}
    assert labels == sorted(labels)
    for batch in selection.batches(1000):
        for i in range(len(batch.offsets) - 1):
            low, high = int(batch.offsets[i]), int(batch.offsets[i + 1])
            t, v = batch.t[low:high], batch.v[low:high].view(np.int64)
            assert (np.diff(t) > 0).all()
            each = zip(range(low, high), t.tolist(), v.tolist(), strict=True)
            if floats := [(time, value) for place, time, value in each if place not in batch.histograms]:
                found[labels[batch.first + i]] = floats
    return found


def bits(value: float) -> int:
    return int(struct.unpack(">q", struct.pack(">d", value))[0])


def of_prometheus(series: dict[Any, list[tuple[int, str]]]) -> Found:
    """What a peer told, without histograms, as `read` gives it; a NaN is the normal one."""
    out: Found = {}
    for labels, samples in series.items():
        floats = [(t, bits(float(v))) for t, v in samples if not v.startswith("{")]
        if floats:
            out[labels] = floats
    return out


def without_stale(found: Found) -> Found:
    kept = {labels: [(t, v) for t, v in samples if v != STALE_BITS] for labels, samples in found.items()}
    return {labels: samples for labels, samples in kept.items() if samples}
