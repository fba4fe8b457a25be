"""A running Prometheus on our blocks: it answers as they do, deletes from them, rewrites them; we read what it made of them."""

from __future__ import annotations

import struct
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from styr.metrics.model.matchers import Matcher
from styr.metrics.storage.block import catalog
from styr.metrics.storage.block.delete import delete
from styr.metrics.storage.block.verify import verify
from tests.metrics.storage.block.support import (
    RANGE,
    Data,
    bits,
    content,
    make_block,
    numbers,
    shifted,
    small,
    union,
    without,
)
from tests.peers.prometheus import Peer, prometheus

pytestmark = pytest.mark.needs("prometheus")

DATA = {k: v for k, v in small(12).items() if dict(k).get("zone") is None}
LATER = shifted(DATA, RANGE)


def answered(peer: Peer) -> dict[object, list[tuple[int, int]]]:
    found = numbers(peer.raw(2 * RANGE, 2 * RANGE + 1))
    return dict(sorted(found.items(), key=str))


def blocks_of(root: Path) -> dict[object, list[tuple[int, object]]]:
    loaded = catalog.load(root, look=True)
    assert not loaded.corrupt
    found: dict[object, list[tuple[int, object]]] = {}
    for block in loaded.blocks:
        verify(block)
        for labels, samples in content(block).items():
            found.setdefault(labels, []).extend(samples)
    return {labels: samples for labels, samples in sorted(found.items(), key=str) if samples}


def post(peer: Peer, path: str, **parameters: str) -> None:
    query = urllib.parse.urlencode(parameters)
    urllib.request.urlopen(urllib.request.Request(f"{peer.url}{path}?{query}", method="POST"), timeout=30).close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    directory = tmp_path / "data"
    make_block(directory, DATA, 0)
    make_block(directory, LATER, 1, RANGE, 2 * RANGE)
    return directory


def test_it_answers_as_the_blocks_do(root: Path) -> None:
    want = union(DATA, LATER)
    with prometheus(root) as peer:
        assert answered(peer) == want
    assert blocks_of(root) == want


def test_it_sees_what_we_deleted(root: Path) -> None:
    matchers = [Matcher("=~", "mode", "idle|user")]
    for block in catalog.load(root).blocks:
        delete(block, matchers, 1_000_000, RANGE + 500_000)
    left = [without(part, matchers, 1_000_000, RANGE + 500_000) for part in (DATA, LATER)]
    with prometheus(root) as peer:
        assert answered(peer) == union(*left)


def test_we_see_what_it_deleted_and_rewrote(root: Path) -> None:
    """First by its tombstones, then in the blocks that it wrote without them."""
    matchers = [Matcher("=", "__name__", "metric_1")]
    left = union(*(without(part, matchers, 1_000_000, RANGE + 500_000) for part in (DATA, LATER)))
    with prometheus(root, "--web.enable-admin-api") as peer:
        span = {"start": "1000", "end": str((RANGE + 500_000) // 1000)}
        post(peer, "/api/v1/admin/tsdb/delete_series", **{"match[]": "metric_1", **span})
        assert blocks_of(root) == left
        assert any(block.tombstones for block in catalog.load(root, look=True).blocks)
        post(peer, "/api/v1/admin/tsdb/clean_tombstones")
        assert answered(peer) == left
    assert blocks_of(root) == left
    assert not any(block.tombstones for block in catalog.load(root, look=True).blocks)


def test_the_marker_of_a_series_that_ended_is_one_for_it_too(tmp_path: Path) -> None:
    stale = struct.unpack("d", struct.pack("Q", 0x7FF0000000000002))[0]
    key = (("__name__", "m"),)
    data: Data = {key: [(1000, 1.0), (2000, stale), (3000, 2.0)]}
    make_block(tmp_path / "data", data)
    with prometheus(tmp_path / "data") as peer:
        assert answered(peer) == {key: [(1000, bits(1.0)), (3000, bits(2.0))]}
