"""Older readers read ours, and older blocks are read."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from styr.metrics.kernels.crc import crc32c
from styr.metrics.model.errors import Corrupt
from styr.metrics.model.matchers import Matcher
from styr.metrics.storage.block.block import Block
from styr.metrics.storage.block.delete import delete
from styr.metrics.storage.block.index import Index
from styr.metrics.storage.block.verify import verify
from styr.metrics.storage.chunkset import XOR
from tests.metrics.storage.block.support import (
    as_bits,
    content,
    dump,
    make_block,
    numbers,
    promtool,
    read,
    small,
    union,
)
from tests.peers import prometheus_source


@pytest.mark.needs("promtool-2")
def test_prometheus_2_reads_the_same(tmp_path: Path) -> None:
    data = small()
    block = make_block(tmp_path, data)
    assert numbers(dump(tmp_path, tool="promtool-2")) == as_bits(data)
    delete(block, [Matcher("=", "__name__", "metric_1")], 100_000, 2_000_000)
    left = {labels: samples for labels, samples in content(block).items() if samples}
    assert dict(sorted(numbers(dump(tmp_path, tool="promtool-2")).items(), key=str)) == left
    assert block.meta.ulid in promtool("tsdb", "list", tmp_path, tool="promtool-2")


@pytest.mark.needs("promtool-2")
def test_blocks_of_prometheus_2_are_read(tmp_path: Path) -> None:
    data = small(6, 100, skew=1000)
    text = "".join(
        f'{dict(labels)["__name__"]}{{instance="{dict(labels)["instance"]}"}} {v!r} {t // 1000}\n'
        for labels, samples in sorted(data.items())
        for t, v in samples
    )
    (tmp_path / "source.om").write_text(text + "# EOF\n")
    promtool("tsdb", "create-blocks-from", "openmetrics", tmp_path / "source.om", tmp_path / "out", tool="promtool-2")
    (directory,) = [path for path in (tmp_path / "out").iterdir() if path.name != "wal"]
    block = Block(directory)
    verify(block)
    want = {tuple(pair for pair in labels if pair[0] in ("__name__", "instance")): s for labels, s in data.items()}
    assert content(block) == union(want)


@pytest.mark.needs("go")
def test_an_index_of_version_1_is_read() -> None:
    source = prometheus_source()
    if source is None:
        pytest.skip("Prometheus' source cannot be had")
    block = Block(source / "tsdb" / "testdata" / "index_format_v1")
    assert block.index.version == 1
    verify(block)
    found = block.chunks([])
    assert found.frame.size == json.loads((block.directory / "meta.json").read_text())["stats"]["numSeries"]
    assert set(found.encoding.tolist()) == {XOR}
    everything = read(found)
    for name in block.label_names():
        assert block.label_values(name) == sorted({dict(labels)[name] for labels in everything if name in dict(labels)})
        for matcher in (Matcher("=~", name, "1.*"), Matcher("=", name, "1"), Matcher("!=", name, "1")):
            want = [labels for labels in everything if matcher.matches(dict(labels).get(name, ""))]
            assert block.chunks([matcher]).frame.all_labels() == want


def test_version_3_is_read_and_4_is_refused(tmp_path: Path) -> None:
    data = small(3, 10)
    block = make_block(tmp_path, data)
    path = block.directory / "index"
    raw = bytearray(path.read_bytes())
    for version in (3, 4):
        raw[4] = version
        path.unlink()
        path.write_bytes(raw)
        if version == 3:
            assert read(Block(block.directory).chunks([])) == as_bits(data)
        else:
            with pytest.raises(Corrupt, match="version 4; 1 to 3"):
                Block(block.directory)


def sealed(raw: bytearray, at: int) -> bytes:
    """With the right checksum for the section at `at`."""
    size = int.from_bytes(raw[at : at + 4], "big")
    body = np.frombuffer(bytes(raw[at + 4 : at + 4 + size]), np.uint8).copy()
    raw[at + 4 + size : at + 8 + size] = int(crc32c(body, 0, size)).to_bytes(4, "big")
    return bytes(raw)


@pytest.mark.parametrize("count", [2**32 - 1, 2**31, 10**6])
@pytest.mark.parametrize("section", ["symbols", "postings_offsets"])
def test_counts_that_lie_under_a_right_checksum(tmp_path: Path, section: str, count: int) -> None:
    """They are refused before memory is taken for them."""
    block = make_block(tmp_path, small(3, 10))
    raw = bytearray((block.directory / "index").read_bytes())
    at = getattr(block.index.toc, section)
    raw[at + 4 : at + 8] = count.to_bytes(4, "big")
    data = np.frombuffer(sealed(raw, at), np.uint8)
    with pytest.raises(Corrupt, match=re.escape(f"{count}")):
        Index(data.copy(), "index")


def test_postings_that_lie_under_a_right_checksum(tmp_path: Path) -> None:
    block = make_block(tmp_path, small(3, 10))
    raw = bytearray((block.directory / "index").read_bytes())
    at = block.index.table.offset("", "")
    raw[at + 8 : at + 12] = b"\xff\xff\xff\xff"
    index = Index(np.frombuffer(sealed(raw, at), np.uint8).copy(), "index")
    with pytest.raises(Corrupt, match="a series is cut off"):
        index.series(index.postings("", ""))
    raw[at + 4 : at + 8] = b"\x00\x00\x00\x07"
    index = Index(np.frombuffer(sealed(raw, at), np.uint8).copy(), "index")
    with pytest.raises(Corrupt, match="7 entries"):
        index.postings("", "")
