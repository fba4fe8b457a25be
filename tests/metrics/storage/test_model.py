"""Random operations against a model that is a dictionary: appends, crashes, clean closes, maintenance, deletions."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from styr.metrics.kernels import head as kernels
from styr.metrics.model.labels import Labels, make
from styr.metrics.model.matchers import Matcher
from styr.metrics.storage.db import Database
from tests.metrics.storage.samples import START, bits, opened, read

RANGE = 100_000
"""A small block range, so that blocks come soon."""
SERIES = [make({"__name__": "m", "i": str(i), **({"odd": "yes"} if i % 2 else {})}) for i in range(7)]
VALUES = st.sampled_from([0.0, -0.0, 1.0, 2.0, 1e300, float("nan"), float("inf"), 0.1])


class Model:
    """Prometheus' rules for one head without a window for late samples."""

    def __init__(self) -> None:
        self.samples: dict[Labels, dict[int, int]] = {}
        self.last: dict[Labels, int] = {}
        self.forgotten: set[Labels] = set()
        """Series whose newest value is not known to the head, after a start."""
        self.max_t = self.floor = -(1 << 62)

    def append(self, labels: Labels, t: int, v: int, oldest: int) -> str:
        last = self.last.get(labels, -(1 << 62))
        if t < oldest:
            return "too_old"
        if t < last:
            return "out_of_order"
        if t == last:
            same = labels in self.forgotten or self.samples[labels].get(t) == v
            return "added" if same else "duplicate"
        self.samples.setdefault(labels, {})[t] = v
        self.last[labels] = t
        self.forgotten.discard(labels)
        self.max_t = max(self.max_t, t)
        return "added"

    def oldest(self) -> int:
        return max(self.floor, self.max_t - RANGE // 2)


class Storage(RuleBasedStateMachine):
    @initialize()
    def open(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.place = 0
        self.model = Model()
        self.now = START
        self.database = self._opened()
        self._layouts()

    def _opened(self) -> Database:
        return opened(self.folder / str(self.place), chunk_range=RANGE, samples_per_chunk=12, segment_size=64 << 10)

    def _layouts(self) -> None:
        head = self.database.head
        self.layouts = [
            (head.layout(head.refs(SERIES[:4])), SERIES[:4]),
            (head.layout(head.refs(SERIES[3:])), SERIES[3:]),
        ]
        self.generation = head.generation

    def _check(self, done: object, told: list[str]) -> None:
        counts = {name: told.count(name) for name in ("added", "duplicate", "out_of_order", "too_old")}
        assert counts == {name: getattr(done, name) for name in counts}
        assert list(done.refused) == [i for i, each in enumerate(told) if each != "added"]  # type: ignore[attr-defined]

    @rule(which=st.integers(0, 1), step=st.integers(-300, 9_000), data=st.data())
    def row(self, which: int, step: int, data: st.DataObject) -> None:
        if self.database.head.generation != self.generation:
            self._layouts()
        layout, series = self.layouts[which]
        self.now += step
        values = [data.draw(VALUES) for _ in series]
        done = self.database.head.append_row(layout, self.now, np.array(values))
        oldest = self.model.oldest()
        self._check(
            done, [self.model.append(s, self.now, bits(v), oldest) for s, v in zip(series, values, strict=True)]
        )

    @rule(samples=st.lists(st.tuples(st.sampled_from(SERIES), st.integers(-60_000, 8_000), VALUES), max_size=5))
    def loose(self, samples: list[tuple[Labels, int, float]]) -> None:
        head = self.database.head
        refs = head.refs([each[0] for each in samples])
        times = [self.now + each[1] for each in samples]
        done = head.append(refs, np.array(times, np.int64), np.array([each[2] for each in samples], np.float64))
        oldest = self.model.oldest()
        told = [self.model.append(s, t, bits(v), oldest) for (s, _, v), t in zip(samples, times, strict=True)]
        self._check(done, told)

    @rule()
    def crash(self) -> None:
        """After a commit: the directory as it is on the disk is opened by the next process."""
        self.database.head.sync()
        self.place += 1
        shutil.copytree(self.folder / str(self.place - 1), self.folder / str(self.place))
        self.database.head.stop()
        self.database.closed = True
        self._reopen()

    @rule()
    def restart(self) -> None:
        self.database.close()
        self._reopen()
        assert self.database.recovered.records <= 8

    def _reopen(self) -> None:
        self.database = self._opened()
        assert self.database.problems == []
        assert self.database.recovered.torn == 0
        registry, rows = self.database.head.registry, self.database.head.state.rows
        live = registry.live()
        unknown = live[(rows[live, kernels.PACKED] >> 56) & kernels.UNKNOWN > 0]
        self.model.forgotten = {registry.labels_of(slot) for slot in unknown.tolist()}
        self.model.max_t = self.database.head.state.max_t
        self.model.floor = self.database.head.min_valid
        self._layouts()

    @rule()
    def maintain(self) -> None:
        done = self.database.maintain_now()
        assert done.problems == []
        self.model.floor = max(self.model.floor, self.database.head.min_valid)
        known = self.database.head.registry
        alive = {known.labels_of(slot) for slot in known.live().tolist()}
        self.model.last = {labels: t for labels, t in self.model.last.items() if labels in alive}

    @rule()
    def take_checkpoint(self) -> None:
        from styr.metrics.storage.checkpoint import checkpoint

        checkpoint(self.database.head)

    @rule(labels=st.sampled_from(SERIES), low=st.integers(-40_000, 0), width=st.integers(0, 30_000))
    def delete(self, labels: Labels, low: int, width: int) -> None:
        start = self.now + low
        self.database.delete_series([[Matcher("=", "i", dict(labels)["i"])]], start, start + width)
        kept = self.model.samples.get(labels, {})
        if kept:
            newest = max(kept)
            self.model.samples[labels] = {t: v for t, v in kept.items() if not start <= t <= start + width}
            if newest not in self.model.samples[labels]:
                self.model.forgotten.discard(labels)

    @invariant()
    def reads_what_was_appended(self) -> None:
        if hasattr(self, "database"):
            want = {labels: sorted(samples.items()) for labels, samples in self.model.samples.items() if samples}
            assert read(self.database.querier()) == want

    @rule(low=st.integers(-200_000, 0), width=st.integers(0, 100_000))
    def reads_a_part(self, low: int, width: int) -> None:
        start, end = self.now + low, self.now + low + width
        want = {
            s: [(t, v) for t, v in sorted(each.items()) if start <= t <= end] for s, each in self.model.samples.items()
        }
        matchers = [Matcher("=", "odd", "yes")]
        found = read(self.database.querier(), start, end, matchers)
        assert found == {s: each for s, each in want.items() if each and dict(s).get("odd")}

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.database.close()
            shutil.rmtree(self.folder)


Storage.TestCase.settings = settings(
    max_examples=25, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestStorage = Storage.TestCase
