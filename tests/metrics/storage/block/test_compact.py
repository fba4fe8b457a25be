"""What is in a compacted block is the union of the sources."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

from styr.metrics.model.errors import Corrupt, StorageError
from styr.metrics.model.histogram import Histogram
from styr.metrics.model.labels import make
from styr.metrics.storage.block import catalog, compact
from styr.metrics.storage.block.block import Block
from styr.metrics.storage.block.merge import merge
from styr.metrics.storage.block.verify import verify
from styr.metrics.storage.chunk import decode as decode_chunk
from tests.metrics.storage.block.support import (
    RANGE,
    Data,
    chunk_set,
    content,
    dump,
    make_block,
    name,
    numbers,
    read,
    shifted,
    small,
    union,
)


def compacted(root: Path, number: int = 99) -> Block:
    blocks = catalog.load(root).blocks
    made = compact.compact(root, blocks, name(number))
    assert made is not None
    (block,) = catalog.load(root).blocks
    assert block.meta == made
    verify(block)
    return block


def test_blocks_in_a_row_are_copied(tmp_path: Path) -> None:
    parts = [small(12), shifted(small(15, skew=2), RANGE), shifted(small(9), 2 * RANGE)]
    for i, part in enumerate(parts):
        make_block(tmp_path, part, i, i * RANGE, (i + 1) * RANGE)
    chunks = sum(block.meta.stats.chunks for block in catalog.load(tmp_path).blocks)
    block = compacted(tmp_path)
    assert content(block) == union(*parts)
    assert block.meta.stats.chunks == chunks
    assert block.meta.level == 2
    assert catalog.names(tmp_path) == [block.meta.ulid]


@pytest.mark.needs("promtool")
def test_promtool_reads_a_compacted_block(tmp_path: Path) -> None:
    parts = [small(12), shifted(small(15, skew=2), RANGE // 2)]
    make_block(tmp_path, parts[0], 0)
    make_block(tmp_path, parts[1], 1, 0, 2 * RANGE)
    compacted(tmp_path)
    assert dict(sorted(numbers(dump(tmp_path)).items(), key=str)) == union(*parts)


def test_overlapping_blocks_are_merged(tmp_path: Path) -> None:
    """Same series and times with other values, times between, and chunks of all sizes."""
    choose = random.Random(11)
    parts: list[Data] = []
    for number in range(4):
        part: Data = {}
        for i in choose.sample(range(12), 9):
            times = sorted(choose.sample(range(0, RANGE, 1000), choose.randint(1, 500)))
            part[make({"s": str(i)})] = [(t, float(choose.randint(0, 9))) for t in times]
        parts.append(part)
        make_block(tmp_path, part, number, per_chunk=choose.choice([1, 7, 120]))
    want = union(*parts)
    chosen: dict[object, list[tuple[int, object]]] = {}
    for labels, samples in first_begun(catalog.load(tmp_path).blocks).items():
        assert [t for t, _ in samples] == [t for t, _ in want[labels]]
        chosen[labels] = samples
    block = compacted(tmp_path)
    assert content(block) == chosen
    assert all(int(n) <= 120 for n in _counts(block))


def first_begun(blocks: list[Block]) -> dict[object, list[tuple[int, object]]]:
    """All samples; of those with the same time that of the chunk that begins first."""
    found: dict[object, list[tuple[int, int, list[tuple[int, int | Histogram]]]]] = {}
    for number, block in enumerate(blocks):
        chunks = block.chunks([])
        for row, labels in enumerate(chunks.frame.all_labels()):
            for c in range(int(chunks.offsets[row]), int(chunks.offsets[row + 1])):
                at = int(chunks.position[c])
                data = chunks.segments[int(chunks.segment[c])][at : at + int(chunks.length[c])]
                decoded = decode_chunk(data, int(chunks.encoding[c]))
                found.setdefault(labels, []).append((int(chunks.mint[c]), number, decoded))
    chosen: dict[object, dict[int, object]] = {}
    for labels, each in found.items():
        for _, _, decoded in sorted(each, key=lambda chunk: chunk[:2]):
            for t, value in decoded:
                chosen.setdefault(labels, {}).setdefault(t, value)
    return {labels: sorted(samples.items()) for labels, samples in sorted(chosen.items(), key=str)}


def _counts(block: Block) -> list[int]:
    chunks = block.chunks([])
    return [
        int(chunks.segments[int(s)][int(p)]) << 8 | int(chunks.segments[int(s)][int(p) + 1])
        for s, p in zip(chunks.segment, chunks.position, strict=True)
    ]


@pytest.mark.parametrize(
    ("low", "high"), [(0, RANGE), (1_000_000, 2_000_000), (14_999, 15_003), (-9, -1), (5, 5), (9e6, 10e6)]
)
def test_only_some_time_is_taken(tmp_path: Path, low: float, high: float) -> None:
    low, high = int(low), int(high)
    data = small(6)
    other: Data = {labels: [(t + 7, v) for t, v in samples[::3]] for labels, samples in data.items()}
    sets = [chunk_set(data, 50), chunk_set(other, 7)]
    for chosen, want in ((sets, union(data, other)), (sets[:1], union(data))):
        found = read(merge(chosen, low, high))
        inside = {labels: [each for each in samples if low <= each[0] <= high] for labels, samples in want.items()}
        assert {k: list(v) for k, v in found.items()} == {
            labels: samples for labels, samples in inside.items() if samples
        }


def test_nothing_of_nothing() -> None:
    assert merge([chunk_set({})]).frame.size == 0
    assert merge([chunk_set({}), chunk_set({})]).frame.size == 0


def test_the_same_block_twice_is_itself(tmp_path: Path) -> None:
    data = small(6)
    make_block(tmp_path, data, 0)
    make_block(tmp_path, data, 1)
    block = compacted(tmp_path)
    assert content(block) == union(data)


def test_staleness_markers_and_odd_floats_survive_a_merge(tmp_path: Path) -> None:
    odd = [struct.unpack("d", struct.pack("Q", b))[0] for b in (0x7FF0000000000002, 0x7FF8000000000001, 1 << 63, 1)]
    one: Data = {make({"a": "b"}): [(2 * k, odd[k % 4]) for k in range(200)]}
    two: Data = {make({"a": "b"}): [(2 * k + 1, odd[k // 2 % 4]) for k in range(200)]}
    make_block(tmp_path, one, 0)
    make_block(tmp_path, two, 1)
    assert content(compacted(tmp_path)) == union(one, two)


def histogram(count: int, shift: int = 0, *, integer: bool = True) -> Histogram:
    values = [float(count + k) for k in range(3)]
    return Histogram(1, 0.5, 1.0, sum(values) + 1, count * 0.5, [(shift, 2), (1, 1)], values, integer=integer)


def test_histograms_are_merged_with_histograms_and_floats(tmp_path: Path) -> None:
    key = make({"h": "1"})
    one: Data = {key: [(k * 10, histogram(k)) for k in range(150)], make({"f": "1"}): [(5, 1.0)]}
    two: Data = {key: [(k * 10 + 5, histogram(k, integer=False)) for k in range(40, 60)]}
    three: Data = {key: [(k * 10 + 7, float(k)) for k in range(100, 110)]}
    for i, part in enumerate((one, two, three)):
        make_block(tmp_path, part, i)
    block = compacted(tmp_path)
    found = content(block)[key]
    want = union(one, two, three)[key]
    assert [t for t, _ in found] == [t for t, _ in want]
    for (_, got), (_, wanted) in zip(found, want, strict=True):
        if isinstance(wanted, Histogram):
            assert isinstance(got, Histogram)
            got.counter_reset_hint = wanted.counter_reset_hint
        assert got == wanted
    assert block.meta.stats.floats == 11
    assert block.meta.stats.histograms == 170


def test_a_compaction_that_fails_marks_its_blocks_and_they_are_served(tmp_path: Path) -> None:
    data = small(5)
    make_block(tmp_path, data, 0)
    make_block(tmp_path, shifted(data, RANGE), 1, RANGE, 2 * RANGE)
    broken = catalog.load(tmp_path).blocks[1].files.paths[0]
    raw = bytearray(broken.read_bytes())
    raw[100] ^= 1
    broken.write_bytes(raw)
    blocks = catalog.load(tmp_path).blocks
    with pytest.raises(Corrupt):
        compact.compact(tmp_path, blocks, name(9))
    loaded = catalog.load(tmp_path)
    assert [block.meta.failed for block in loaded.blocks] == [True, True]
    assert content(loaded.blocks[0]) == union(data)
    assert catalog.names(tmp_path) == [name(0), name(1)]
    with pytest.raises(StorageError):
        verify(loaded.blocks[1])
