"""A layout must change nothing but the cost: scrapes that reuse it store what scrapes store that parse every body anew.

Run a second time in a process of its own with bounds checking on, where an access out of bounds is an error and not luck.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from styr.metrics.model.labels import get
from tests.metrics.scrape.test_ingest import Scraped

VALUES = [
    b"1",
    b"2.5",
    b"-0",
    b"NaN",
    b"+Inf",
    b"1e5",
    b"0.1",
    b"123456789012345678901234567890",
    b"1e23",
    b"x",
    b"",
    b"1 2",
]
NAMES = [b"a", b"ab", b"abc_total", b"h_bucket", b"very_long_metric_name_number_seventeen", b'{"q.u",x="1"}']
LABELS = [
    b"",
    b"{}",
    b'{x="1"}',
    b'{x="12"}',
    b'{x="1",y="2"}',
    b'{y="2",x="1"}',
    b'{le="1"}',
    b'{le="2"}',
    b'{x="}"}',
    b'{x="\\""}',
]
ODD = [
    *(b"# HELP a text", b"# TYPE h counter", b"# TYPE h gauge", b"# comment", b"", b"  ", b"#", b"# TYPE a what"),
    *(b"\0", b'a{x="', b'"} 1', b"a{", b"a 1 77 x", b"a 1{", b"  a 1", b"a\t1", b'a{x="\xff"} 1', b"z" * 100),
]
EXEMPLARS = [b"", b"", b"", b' # {t="1"} 5', b' # {t="2"} 5 6.5', b" # {", b" #"]
SECONDS = [b"", b"", b"", b" 5", b" 7.25", b" 8.5", b" x", b" NaN"]
STAMPS = [b"", b"", b"", b"", b" 5000", b" 7000", b" 99999999999999999999", b" -5"]


def line(chance: random.Random, media: str, wild: float) -> bytes:
    if chance.random() < wild:
        return chance.choice(ODD)
    name = chance.choice(NAMES)
    labels = b"" if name.startswith(b"{") else chance.choice(LABELS)
    values = VALUES if chance.random() < wild else VALUES[:9]
    tail = chance.choice(STAMPS[:6] if chance.random() > wild else STAMPS)
    if media == "openmetrics":
        tail = chance.choice(SECONDS[:6] if chance.random() > wild else SECONDS)
        tail += chance.choice(EXEMPLARS[:5] if chance.random() > wild else EXEMPLARS)
    return name + labels + b" " + chance.choice(values) + tail


def change(chance: random.Random, lines: list[bytes], media: str, wild: float) -> list[bytes]:
    lines = list(lines)
    for _ in range(chance.choice([0, 0, 1, 1, 2, 5])):
        place = chance.randrange(len(lines) + 1)
        what = chance.random()
        if what < 0.3 or not lines:
            lines.insert(place, line(chance, media, wild))
        elif what < 0.5:
            del lines[min(place, len(lines) - 1)]
        elif what < 0.6:
            chance.shuffle(lines)
        else:
            at = min(place, len(lines) - 1)
            head, space, _ = lines[at].rpartition(b" ")
            lines[at] = head + space + chance.choice(VALUES[:9]) if space else lines[at]
    return lines


def body(lines: list[bytes], media: str, chance: random.Random) -> bytes:
    text = b"".join(each + b"\n" for each in lines)
    if media == "openmetrics":
        return text + chance.choice([b"# EOF\n", b"# EOF\n", b"# EOF\n", b"# EOF"])
    return text if chance.random() < 0.9 else text.removesuffix(b"\n")


def stored(scraped: Scraped) -> object:
    """Everything but the number of series that were new."""
    samples = {k: v for k, v in scraped.memory.samples.items() if get(k, "__name__") != "scrape_series_added"}
    return samples, scraped.memory.metadata


def check(seed: int, media: str, wild: float, **settings: object) -> None:
    chance = random.Random(seed)
    reusing, anew = Scraped(media, **settings), Scraped(media, **settings)
    lines = [line(chance, media, wild) for _ in range(chance.choice([0, 1, 5, 30]))]
    for _ in range(8):
        data = body(lines, media, chance)
        anew.ingest.forget()
        outcomes = reusing.scrape(data), anew.scrape(data)
        assert outcomes[0].error == outcomes[1].error, (seed, data)
        assert outcomes[0].kept == outcomes[1].kept, (seed, data)
        assert stored(reusing) == stored(anew), (seed, data)
        new = {(labels, each) for labels, each in anew.memory.exemplars}
        assert {(labels, each) for labels, each in reusing.memory.exemplars} <= new, (seed, data)
        lines = change(chance, lines, media, wild)
        if chance.random() < 0.1:
            reusing.scrape(None)
            anew.scrape(None)


ROUNDS = int(os.environ.get("STYR_FUZZ_ROUNDS", "100"))


@pytest.mark.parametrize("media", ["text", "openmetrics"])
@pytest.mark.parametrize("wild", [0.0, 0.02, 0.2])
def test_layouts_change_nothing(media: str, wild: float) -> None:
    for seed in range(ROUNDS):
        check(seed, media, wild)
    for seed in range(ROUNDS // 5):
        check(seed, media, wild, track_timestamps_staleness=True)
        check(seed, media, wild, honor_timestamps=False)


@pytest.mark.parametrize("media", ["text", "openmetrics"])
def test_flipped_bytes_and_cut_bodies(media: str) -> None:
    chance = random.Random(11)
    good = body([line(chance, media, 0.0) for _ in range(12)], "text", random.Random(0))
    end = b"# EOF\n" if media == "openmetrics" else b""
    reusing, anew = Scraped(media), Scraped(media)
    for _ in range(ROUNDS * 2):
        data = bytearray(good)
        for _ in range(chance.choice([0, 1, 1, 2, 8])):
            data[chance.randrange(len(data))] = chance.choice(b'\n \t{}",=#\\\0\xff10aeN.+-')
        whole = bytes(data[: chance.choice([len(data), chance.randrange(len(data) + 1)])]) + end
        anew.ingest.forget()
        assert reusing.scrape(whole).error == anew.scrape(whole).error, whole
        assert stored(reusing) == stored(anew), whole


def test_nothing_out_of_bounds() -> None:
    if os.environ.get("STYR_KERNEL_BOUNDSCHECK") == "1":
        return
    kernels = Path(__file__).parent.parent / "kernels"
    files = [__file__, str(kernels / "test_floats.py"), str(kernels / "test_chunked.py")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *files],
        env={**os.environ, "STYR_KERNEL_BOUNDSCHECK": "1", "STYR_FUZZ_ROUNDS": "25"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
