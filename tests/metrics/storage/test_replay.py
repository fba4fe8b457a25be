"""Rows out of the log: in whatever order layouts, samples and histograms share series, a start gives what was there."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from styr.metrics.model.histogram import Histogram
from styr.metrics.model.labels import make
from styr.metrics.storage.checkpoint import checkpoint
from styr.metrics.storage.db import Database
from tests.metrics.storage.samples import START, opened, read

SERIES = [make({"__name__": "m", "i": str(i)}) for i in range(9)]
LAYOUTS = [(0, 4), (4, 8), (2, 6), (0, 9), (8, 9), (0, 4)]


def restarted(database: Database, directory: Path, to: Path) -> Database:
    database.head.sync()
    shutil.copytree(directory, to)
    database.head.stop()
    os.close(database._lock_file)
    return opened(to, samples_per_chunk=20)


def counts(database: Database) -> int:
    """Histograms that are there."""
    return sum(len(batch.histograms) for batch in database.querier().select([], 0, 1 << 60).batches())


STEP = st.one_of(
    st.tuples(st.just("row"), st.integers(0, len(LAYOUTS) - 1), st.integers(1, 40)),
    st.tuples(st.just("samples"), st.integers(0, 8), st.integers(1, 3)),
    st.tuples(st.just("histogram"), st.integers(0, 8), st.just(1)),
    st.tuples(st.just("layout"), st.integers(0, len(LAYOUTS) - 1), st.just(1)),
    st.tuples(st.just("checkpoint"), st.just(0), st.just(1)),
    st.tuples(st.just("segment"), st.just(0), st.just(1)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEP, min_size=1, max_size=25))
def test_a_start_gives_what_was_there(steps: list[tuple[str, int, int]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name) / "a"
        database = opened(directory, samples_per_chunk=20)
        head, now = database.head, START
        refs = head.refs(SERIES)
        layouts = [head.layout(refs[low:high]) for low, high in LAYOUTS]
        for what, which, times in steps:
            for _ in range(times):
                now += 1000
                if what == "row":
                    low, high = LAYOUTS[which]
                    head.append_row(layouts[which], now - 1500 * (which % 2), np.arange(low, high) * 0.5 + now % 3)
                elif what == "samples":
                    head.append(refs[which : which + 1], np.array([now]), np.array([now * 0.1]))
                elif what == "histogram":
                    bucket = float(now % 97)
                    whole = Histogram(count=bucket, positive_spans=[(0, 1)], positive_buckets=[bucket], integer=True)
                    head.append_histograms([int(refs[which])], [now], [whole])
                elif what == "layout":
                    low, high = LAYOUTS[which]
                    layouts[which] = head.layout(refs[low:high])
                elif what == "checkpoint":
                    checkpoint(head)
                else:
                    head.wal.cut()
        want, histograms = read(database.querier()), counts(database)
        again = restarted(database, directory, Path(name) / "b")
        assert again.problems == []
        assert again.recovered.unknown == 0
        assert read(again.querier()) == want
        assert counts(again) == histograms
        third = restarted(again, Path(name) / "b", Path(name) / "c")
        assert read(third.querier()) == want
        third.close()
