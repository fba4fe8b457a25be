"""`/federate`: the page of a real Prometheus over the same samples, and what text cannot carry."""

from __future__ import annotations

import math
import shutil
import time
import urllib.request
from pathlib import Path
from random import Random
from urllib.parse import urlencode

import pytest

from styr.kinds.transport import Request
from styr.kit.clock import SystemClock
from styr.metrics.model.histogram import CUSTOM_BUCKETS, GAUGE, Histogram
from styr.metrics.model.labels import make
from styr.metrics.storage.block import ulid
from styr.metrics.storage.block.backfill import create_blocks
from styr.metrics.web.federate import page
from tests.metrics.web.fakes import body_of
from tests.metrics.web.peer import ours
from tests.peers.prometheus import beside, prometheus

VALUES = [
    1.0,
    0.1,
    -2.5,
    1e6,
    1.5e7,
    1e20,
    1e21,
    1e-4,
    1e-5,
    123456789.0,
    1e-7,
    math.inf,
    -math.inf,
    math.nan,
    0.0,
    1e300,
]


@pytest.mark.needs("prometheus")
async def test_the_page_is_prometheus_own(tmp_path: Path) -> None:
    now = int(time.time() * 1000)
    rows = [
        (make({"__name__": name, "i": str(i), "quoted": 'a "b" \\ \n'}), now - age, value)
        for name in ("a", "b:c", "z")
        for i, value in enumerate(VALUES)
        for age in (20_000, 1_000, 400_000)
    ]
    rows.append((make({"__name__": "old"}), now - 400_000, 1.0))
    rows.append((make({"__name__": "own", "instance": "kept"}), now - 1_000, 1.0))
    create_blocks(tmp_path / "ours", rows, ulid.names(SystemClock(), Random(1)))
    shutil.copytree(tmp_path / "ours", tmp_path / "theirs")
    query = [("match[]", '{__name__=~"a|b:c"}'), ("match[]", '{i="1"}'), ("match[]", "old"), ("match[]", "own")]
    async with ours(tmp_path / "ours") as api, beside(prometheus(tmp_path / "theirs")) as peer:
        response = await api(Request("GET", "/federate", query))
        mine = (await body_of(response)).decode()
        with urllib.request.urlopen(f"{peer.url}/federate?{urlencode(query)}", timeout=30) as answer:
            theirs, content_type = answer.read().decode(), answer.headers["content-type"]
    assert response.headers["content-type"] == content_type
    assert mine.splitlines() == theirs.splitlines()


async def test_a_bad_selector_is_refused(tmp_path: Path) -> None:
    async with ours(tmp_path / "data") as api:
        assert (await api(Request("GET", "/federate", [("match[]", "{")]))).status == 400
        assert await body_of(await api(Request("GET", "/federate", []))) == b""


def test_histograms_with_custom_bounds_become_classic_and_others_are_left_out() -> None:
    custom = Histogram(
        CUSTOM_BUCKETS,
        count=6,
        sum=2.5,
        positive_spans=[(0, 1), (1, 1)],
        positive_buckets=[2, 4],
        custom_values=[0.1, 1.0],
    )
    gauge = Histogram(CUSTOM_BUCKETS, count=1, custom_values=[1.0], counter_reset_hint=GAUGE)
    rows = [
        (make({"__name__": "h", "a": "b"}), 5, 0.0, custom),
        (make({"__name__": "g"}), 5, 0.0, gauge),
        (make({"__name__": "native"}), 5, 0.0, Histogram(3, count=1)),
        (make({"no": "name"}), 5, 1.0, None),
        (make({"__name__": "with.dots", "label é": "x"}), 5, 1.0, None),
    ]
    text = page(rows, {"site": "x"}).decode()
    labels = 'a="b",instance="",site="x"'
    assert (
        f'h_bucket{{{labels},le="0.1"}} 2 5\nh_bucket{{{labels},le="1"}} 2 5\nh_bucket{{{labels},le="+Inf"}} 6 5\n'
        in text
    )
    assert f"h_sum{{{labels}}} 2.5 5\nh_count{{{labels}}} 6 5\n" in text
    assert "# TYPE g gaugehistogram\n" in text
    assert "native" not in text
    assert "no=" not in text
    assert 'with_dots{label__="x",instance="",site="x"} 1 5\n' in text
