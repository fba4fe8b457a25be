"""SIGKILL of a writer at random moments: every committed sample is there afterwards, once, and nothing else than what was sent.

The writer tells each commit on its output; what it told before it died must be found. A handful of kills in the suite;
`-m slow` does 100.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.metrics.storage.samples import START, opened, read

WRITER = """
import sys
from pathlib import Path
import numpy as np
from styr.metrics.model.labels import make
from tests.metrics.storage.samples import START, opened
database = opened(Path(sys.argv[1]), chunk_range=400_000, samples_per_chunk=12, segment_size=128 << 10)
head = database.head
begin = int(sys.argv[2])
series = [make({"__name__": "m", "i": str(i)}) for i in range(40)]
layout = head.layout(head.refs(series))
generation = head.generation
for row in range(begin, begin + 100_000):
    if head.generation != generation:
        layout, generation = head.layout(head.refs(series)), head.generation
    values = (np.arange(40) * 7 + row // (1 + np.arange(40) % 3)).astype(np.float64)
    assert head.append_row(layout, START + row * 1000, values).added == 40
    if row % 3 == 0:
        head.sync()
        print(row, flush=True)
    if row % 97 == 0:
        database.maintain_now()
        if row % 194 == 0:
            from styr.metrics.storage.checkpoint import checkpoint
            checkpoint(head)
"""


def value(series: int, row: int) -> float:
    return float(series * 7 + row // (1 + series % 3))


def kill_and_check(directory: Path, begin: int, after: int) -> int:
    """Lets a writer go on from row `begin`, kills it some bytes behind its `after`-th commit. Returns the next row."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(directory), str(begin)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    told = begin - 1
    for _ in range(after):
        line = process.stdout.readline()
        if not line:
            raise AssertionError(process.stderr.read())
        told = int(line)
    process.kill()
    rest = process.stdout.read().split("\n")[:-1]
    process.wait()
    process.stderr.close()
    process.stdout.close()
    told = int(rest[-1]) if rest else told
    database = opened(directory, chunk_range=400_000, samples_per_chunk=12)
    assert database.problems == []
    found = read(database.querier())
    newest = max(t for samples in found.values() for t, _ in samples)
    rows = (newest - START) // 1000
    assert rows >= told
    for labels, samples in found.items():
        i = int(dict(labels)["i"])
        want = np.array([value(i, row) for row in range(rows + 1)]).view(np.int64).tolist()
        assert samples[: told + 1] == [(START + row * 1000, want[row]) for row in range(told + 1)]
        assert samples == [(START + row * 1000, want[row]) for row in range(len(samples))]
    assert len(found) == 40
    database.head.stop()
    database.head.sync()
    database.closed = True
    os.close(database._lock_file)
    return rows + 1


def kills(directory: Path, count: int) -> None:
    chance = random.Random(7)
    row = 0
    for _ in range(count):
        row = kill_and_check(directory, row, chance.randrange(1, 120))


def test_killed_at_random_moments(tmp_path: Path) -> None:
    kills(tmp_path / "data", 4)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_a_hundred_random_moments(tmp_path: Path) -> None:
    kills(tmp_path / "data", 100)
