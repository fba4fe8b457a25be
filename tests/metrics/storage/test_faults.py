"""A disk that fails at any call: whatever is committed is there at the next start, and queries answer as before."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from styr.metrics.model.errors import MetricsError
from styr.metrics.model.labels import make
from styr.metrics.storage import checkpoint, headchunks, wal
from styr.metrics.storage.block import files
from styr.metrics.storage.db import Database
from tests.metrics.storage.samples import START, Found, bits, opened, read

SERIES = [make({"__name__": "m", "i": str(i)}) for i in range(12)]
CALLS = ("pwrite", "write", "ftruncate", "fdatasync", "fsync", "open", "rename", "truncate")


class Failing:
    """Stands in for `os`: call number `at` of those in CALLS fails, and the next `more` too."""

    def __init__(self, at: int, more: int) -> None:
        self.at, self.more, self.count = at, more, 0

    def __getattr__(self, name: str) -> object:
        found = getattr(os, name)
        return self._counted(found) if name in CALLS else found

    def _counted(self, call: Callable[..., object]) -> Callable[..., object]:
        def called(*arguments: object, **named: object) -> object:
            self.count += 1
            if self.at <= self.count <= self.at + self.more:
                raise OSError(5, "Input/output error", "somewhere")
            return call(*arguments, **named)

        return called


def work(database: Database, committed: Found) -> Found:
    """Appends, commits, cuts, checkpoints; notes in `committed` what was promised. Returns all that was appended."""
    head = database.head
    sent: Found = {labels: [] for labels in SERIES}
    layout, generation = head.layout(head.refs(SERIES)), head.generation
    for row in range(260):
        if head.generation != generation:
            layout, generation = head.layout(head.refs(SERIES)), head.generation
        t, values = START + row * 5_000, np.arange(12.0) + row // 4
        try:
            assert head.append_row(layout, t, values).added == 12
        except MetricsError:
            continue
        for labels, value in zip(SERIES, values.tolist(), strict=True):
            sent[labels].append((t, bits(value)))
        if row % 20 == 19:
            try:
                head.sync()
                committed.update({labels: list(samples) for labels, samples in sent.items()})
            except MetricsError:
                continue
        if row % 60 == 59:
            database.maintain_now()
    return sent


def run(directory: Path, monkeypatch: pytest.MonkeyPatch, at: int, more: int) -> int:
    database = opened(directory, chunk_range=300_000, samples_per_chunk=12, segment_size=32 << 10)
    disk = Failing(at, more)
    with monkeypatch.context() as patched:
        for module in (wal, headchunks, checkpoint, files):
            patched.setattr(module, "os", disk)
        committed: Found = {}
        sent = work(database, committed)
        assert read(database.querier()) == sent
        database.head.stop()
    os.close(database._lock_file)
    again = opened(directory, chunk_range=300_000, samples_per_chunk=12)
    found = read(again.querier())
    for labels, samples in committed.items():
        assert found[labels][: len(samples)] == samples
    assert all(samples == sent[labels][: len(samples)] for labels, samples in found.items())
    again.close()
    return disk.count


def test_one_failing_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = run(tmp_path / "0", monkeypatch, 1 << 30, 0)
    assert calls > 50
    for turn, at in enumerate(range(1, calls, 7)):
        run(tmp_path / str(at), monkeypatch, at, (0, 2, 40)[turn % 3])
