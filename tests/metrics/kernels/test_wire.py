"""Remote write's walker under a fuzzer with every index checked, and the samples that remote read writes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from styr.metrics.kernels import keys, wire
from tests.metrics.remote.protos import v1

FUZZ = """
import random
from styr.kit.clock import SystemClock
from styr.metrics.model.errors import BadData
from styr.metrics.remote.request import parse
from styr.metrics.remote.series import SeriesRefs
from tests.metrics.remote.fakes import FakeAppender
from tests.metrics.remote.test_write import INTEGER, UP, T, fill, request1, request2

draw = random.Random(11)
seen = 0
for version, made in ((1, request1), (2, request2)):
    whole = made((UP, [(T, 1.0), (T + 1, 2.0)]), ({"__name__": "m", "a": "b" * 40, "c": "x"}, [(T, 3.0)]))
    fill(whole.timeseries[0].histograms.add(), **INTEGER)
    body = whole.SerializeToString()
    refs = SeriesRefs(FakeAppender(), draw)
    bodies = [body[:size] for size in range(len(body) + 1)]
    for _ in range(3000):
        damaged = bytearray(body[: draw.randrange(len(body) + 1)] if draw.random() < 0.3 else body)
        for _ in range(draw.randint(1, 6)):
            if damaged:
                damaged[draw.randrange(len(damaged))] = draw.choice([0, 1, 127, 128, 255, draw.randrange(256)])
        bodies.append(bytes(damaged))
    bodies += [draw.randbytes(draw.randrange(80)) for _ in range(2000)]
    for each in bodies:
        try:
            request = parse(each, version)
        except BadData:
            continue
        refs.refs(request.keys, request.key_ends, request.about)
        seen += 1
assert seen > 100, seen
"""


def test_no_damaged_request_reads_or_writes_out_of_bounds() -> None:
    root = Path(__file__).parents[3]
    environment = {**os.environ, "STYR_KERNEL_BOUNDSCHECK": "1", "PYTHONPATH": f"{root}:{root / 'src'}"}
    done = subprocess.run(
        [sys.executable, "-c", FUZZ], capture_output=True, text=True, timeout=170, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_samples_of_remote_read_parse_as_protobuf() -> None:
    t = np.array([0, 1, -1, 2**62, 1_700_000_000_000], np.int64)
    v = np.array([0.0, -1.5, np.inf, np.nan, 5e-324])
    out = np.zeros(22 * len(t) + 4, np.uint8)
    size = wire.write_samples(t, v.view(np.int64), 1, 5, out)
    found = v1.TimeSeries.FromString(out[:size].tobytes()).samples
    assert [each.timestamp for each in found] == t[1:].tolist()
    assert np.array([each.value for each in found]).tobytes() == v[1:].tobytes()


def test_keys_that_differ_hash_apart_and_the_seed_matters() -> None:
    data = np.frombuffer(b"abcdefgh12345678" + bytes(16), np.uint8)
    hashes = {int(keys.hash_key(data, start, stop, 1)) for start in range(16) for stop in range(start + 1, 17)}
    assert len(hashes) == 16 * 17 // 2
    assert keys.hash_key(data, 0, 9, 1) != keys.hash_key(data, 0, 9, 2)
