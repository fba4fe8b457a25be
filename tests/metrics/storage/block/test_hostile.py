"""Files whose checksums are right and whose content is not: somebody made them so. Nothing goes out of bounds."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys

import numpy as np
import pytest

from styr.metrics.kernels import index as kernels
from styr.metrics.kernels import rewrite as rewriting
from styr.metrics.kernels import segment
from styr.metrics.kernels.crc import crc32c
from styr.metrics.model.errors import Corrupt
from styr.metrics.storage.block.block import Block
from styr.metrics.storage.block.index import ALIGNMENT, FIRST, LAST, Index
from styr.metrics.storage.block.merge import merge
from tests.metrics.storage.block.support import chunk_set, make_block, small

ODD = [0, 1, 0x7F, 0x80, 0xFF]


def checksum(raw: bytearray, start: int, end: int) -> bytes:
    body = np.frombuffer(bytes(raw[start:end]), np.uint8).copy()
    return int(crc32c(body, 0, len(body))).to_bytes(4, "big")


def sprinkle(choose: random.Random, raw: bytearray, start: int, end: int) -> None:
    for _ in range(choose.randint(1, 4)):
        raw[choose.randrange(start, end)] = choose.choice([*ODD, choose.randrange(256)])


@pytest.fixture(scope="module")
def block(tmp_path_factory: pytest.TempPathFactory) -> Block:
    return make_block(tmp_path_factory.mktemp("block"), small(12, 100), per_chunk=9)


def use(index: Index) -> None:
    """Everything that a reader does."""
    ids = index.postings("", "")
    for start, end in ((FIRST, LAST), (0, 100_000), (LAST, FIRST)):
        found = index.series(ids, start, end)
        assert found.frame.size == len(found.chunk_at) - 1
        found.frame.all_labels()
    for name in index.table.names:
        values, offsets = index.table.values(name)
        for value, offset in zip(values, offsets.tolist(), strict=True):
            index.table.offset(name, value)
            index.postings_at(offset)


def tried(raw: bytearray) -> None:
    with contextlib.suppress(Corrupt):
        use(Index(np.frombuffer(bytes(raw), np.uint8).copy(), "index"))


def test_series(block: Block) -> None:
    choose = random.Random(1)
    whole = (block.directory / "index").read_bytes()
    ids = block.index.postings("", "").tolist()
    for _ in range(1500):
        raw = bytearray(whole)
        at = choose.choice(ids) * ALIGNMENT
        size = raw[at]
        sprinkle(choose, raw, at + 1, at + 1 + size)
        raw[at + 1 + size : at + 5 + size] = checksum(raw, at + 1, at + 1 + size)
        tried(raw)


@pytest.mark.parametrize("section", ["symbols", "postings_offsets"])
def test_sections(block: Block, section: str) -> None:
    choose = random.Random(2)
    whole = (block.directory / "index").read_bytes()
    at = getattr(block.index.toc, section)
    size = int.from_bytes(whole[at : at + 4], "big")
    for _ in range(700):
        raw = bytearray(whole)
        sprinkle(choose, raw, at + 4, at + 4 + size)
        raw[at + 4 + size : at + 8 + size] = checksum(raw, at + 4, at + 4 + size)
        tried(raw)


def test_tables_of_contents(block: Block) -> None:
    choose = random.Random(3)
    whole = (block.directory / "index").read_bytes()
    for _ in range(500):
        raw = bytearray(whole)
        at = len(raw) - 52
        place = at + 8 * choose.randrange(6)
        value = choose.choice(
            [0, 1, 5, len(raw) - 52, len(raw) - 60, 1 << 62, (1 << 64) - 1, choose.randrange(len(raw))]
        )
        raw[place : place + 8] = value.to_bytes(8, "big")
        raw[-4:] = checksum(raw, at, at + 48)
        tried(raw)


def test_postings(block: Block) -> None:
    choose = random.Random(4)
    whole = (block.directory / "index").read_bytes()
    at = block.index.table.offset("", "")
    size = int.from_bytes(whole[at : at + 4], "big")
    for _ in range(500):
        raw = bytearray(whole)
        sprinkle(choose, raw, at + 8, at + 4 + size)
        raw[at + 4 + size : at + 8 + size] = checksum(raw, at + 4, at + 4 + size)
        tried(raw)


def test_chunks_that_overlap_are_merged_whatever_is_in_them() -> None:
    choose = random.Random(5)
    data = small(6, 100)
    for _ in range(150):
        sets = [chunk_set(data, 30), chunk_set(data, 40)]
        raw = sets[0].segments[0].copy()
        for _ in range(choose.randint(1, 6)):
            raw[choose.randrange(len(raw))] = choose.randrange(256)
        sets[0].segments = [raw, *sets[0].segments[1:]]
        try:
            merge(sets)
        except Corrupt:
            continue


def test_references_to_anywhere(block: Block) -> None:
    for ref in (-1, 1, 7, 9, 1 << 32, 1 << 62, len(block.files.segments[0]) - 1, len(block.files.segments[0]), FIRST):
        with pytest.raises(Corrupt):
            block.files.locate(np.array([ref], np.int64))


def test_kernels_say_where_they_stop() -> None:
    data = np.frombuffer(b"\x05abc", np.uint8).copy()
    entries = np.zeros(3, np.int64)
    assert kernels.scan_symbols(data, 0, len(data), entries) == -1
    assert kernels.scan_table(data, 0, len(data), entries, entries.copy()) == -1
    one = np.array([0], np.int64)
    none = np.zeros(1, np.int64)
    encoding = np.ones(1, np.uint8)
    out, samples = np.zeros(8, np.uint8), np.zeros(7, np.int64)
    for position, length in ((0, 5), (-1, 3), (3, 2), (0, 1), (0, -1), (0, 4)):
        at, size = np.array([position], np.int64), np.array([length], np.int64)
        assert segment.frame(data, at, size, encoding, one, none, out, samples) == 0
    assert segment.gather(data, one, np.array([5], np.int64), one, none, out) == 0
    first = np.zeros(0, np.bool_)
    assert rewriting.find_clusters(one[:0], one[:0], one[:0], first) == 0


def test_all_of_it_with_every_index_checked() -> None:
    """In a process whose kernels check bounds; there an access outside raises IndexError, which is no Corrupt."""
    if os.environ.get("STYR_KERNEL_BOUNDSCHECK") == "1":
        return
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", __file__],
        env={**os.environ, "STYR_KERNEL_BOUNDSCHECK": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-3000:]
