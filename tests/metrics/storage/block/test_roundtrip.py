"""What is written to a block comes out of it, by ours and by promtool, for every shape of block."""

from __future__ import annotations

from pathlib import Path

import pytest

from styr.metrics.model.errors import StorageError
from styr.metrics.model.labels import make
from styr.metrics.storage.block import catalog, meta
from styr.metrics.storage.block.block import Block
from styr.metrics.storage.block.verify import verify
from styr.metrics.storage.block.writer import write_block
from tests.metrics.storage.block import support
from tests.metrics.storage.block.support import (
    RANGE,
    as_bits,
    chunk_set,
    dump,
    make_block,
    numbers,
    promtool,
    read,
    small,
)


def test_samples_come_back_bit_for_bit(tmp_path: Path) -> None:
    data = small()
    block = make_block(tmp_path, data)
    assert read(block.chunks([])) == as_bits(data)
    verify(block)
    assert block.meta.stats == meta.Stats(6000, 6000, 0, 20, 60, 0)
    assert block.meta.sources == (block.meta.ulid,)
    assert block.size == sum(path.stat().st_size for path in block.directory.rglob("*") if path.is_file())


@pytest.mark.needs("promtool")
def test_promtool_reads_the_same(tmp_path: Path) -> None:
    data = small()
    block = make_block(tmp_path, data)
    assert numbers(dump(tmp_path)) == as_bits(data)
    listed = promtool("tsdb", "list", tmp_path).splitlines()[1].split()
    assert listed[0] == block.meta.ulid
    assert listed[4:7] == ["6000", "60", "20"]


def test_many_segments(tmp_path: Path) -> None:
    data = small(8, 700)
    block = make_block(tmp_path, data, maxt=4 * RANGE, segment_size=3000)
    assert len(block.files.paths) > 3
    assert all(path.stat().st_size <= 3000 for path in block.files.paths)
    assert read(block.chunks([])) == as_bits(data)
    verify(block)


@pytest.mark.needs("promtool")
def test_promtool_reads_many_segments(tmp_path: Path) -> None:
    data = small(8, 700)
    make_block(tmp_path, data, maxt=4 * RANGE, segment_size=3000)
    assert numbers(dump(tmp_path)) == as_bits(data)


def test_a_chunk_bigger_than_a_segment_gets_one_of_its_own(tmp_path: Path) -> None:
    data = small(4, 300)
    block = make_block(tmp_path, data, segment_size=64)
    assert read(block.chunks([])) == as_bits(data)


def test_times_before_1970_and_one_sample(tmp_path: Path) -> None:
    data: support.Data = {
        make({"a": "b"}): [(-5_000_000, 1.0)],
        make({"a": "c"}): [(-7_000_000 + k, float(k)) for k in range(3)],
    }
    block = make_block(tmp_path, data, mint=-RANGE, maxt=0)
    assert read(block.chunks([])) == as_bits(data)
    verify(block)


def test_only_the_chunks_of_the_time_asked_for(tmp_path: Path) -> None:
    block = make_block(tmp_path, small(3, 400))
    chunks = block.chunks([], 120 * 15_000 + 5, 240 * 15_000 - 10)
    assert chunks.offsets.tolist() == [0, 1, 2, 3]
    assert block.chunks([], 10 * RANGE, 11 * RANGE).frame.size == 0
    assert block.chunks([], -5, -1).frame.size == 0


def test_series_without_chunks_are_left_out_and_nothing_makes_no_block(tmp_path: Path) -> None:
    data = small(4, 10)
    data[make({"empty": "series"})] = []
    block = make_block(tmp_path, data)
    assert block.meta.stats.series == 4
    assert "empty" not in block.label_names()
    assert write_block(tmp_path, chunk_set({}), meta.new(support.name(1), 0, RANGE)) is None
    assert catalog.names(tmp_path) == [block.meta.ulid]
    assert not list(tmp_path.glob("*.tmp*"))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda c: c.maxt.__setitem__(0, c.mint[0] - 1), "overlap or are out of order"),
        (lambda c: c.mint.__setitem__(1, c.maxt[0]), "overlap or are out of order"),
        (lambda c: c.maxt.__setitem__(-1, RANGE), "outside its range"),
        (lambda c: c.encoding.__setitem__(0, 99), "unknown encoding"),
        (lambda c: c.encoding.__setitem__(0, 0), "unknown encoding"),
        (lambda c: c.position.__setitem__(0, 1 << 40), "not in its segment"),
        (lambda c: c.length.__setitem__(0, -1), "cannot write"),
        (lambda c: c.offsets.__setitem__(-1, 7), "do not go together"),
        (lambda c: setattr(c, "frame", c.frame.take(c.frame.order()[::-1].copy())), "not in order"),
    ],
)
def test_chunks_that_the_format_cannot_hold_are_refused(tmp_path: Path, change: object, complaint: str) -> None:
    chunks = chunk_set(small(4, 300))
    change(chunks)  # type: ignore[operator]
    with pytest.raises(StorageError, match=complaint):
        write_block(tmp_path, chunks, meta.new(support.name(0), 0, RANGE))
    assert not list(tmp_path.iterdir())


def test_what_is_read_stays_valid_when_the_block_is_removed(tmp_path: Path) -> None:
    data = small(4, 300)
    block = make_block(tmp_path, data)
    chunks = block.chunks([])
    catalog.remove(tmp_path, block.meta.ulid)
    assert not list(tmp_path.iterdir())
    assert read(chunks) == as_bits(data)


@pytest.mark.needs("promtool")
def test_blocks_of_promtool_are_read(tmp_path: Path) -> None:
    data = small(20, 700, skew=1000)  # promtool rounds fractions of a second down.
    source = tmp_path / "source.om"
    lines = []
    for labels, samples in sorted(data.items()):
        quoted = ",".join(
            '{}="{}"'.format(key, value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n"))
            for key, value in labels
            if key != "__name__"
        )
        lines += [f"{dict(labels)['__name__']}{{{quoted}}} {v!r} {t // 1000}\n" for t, v in samples]
    source.write_text("".join(lines) + "# EOF\n")
    promtool("tsdb", "create-blocks-from", "openmetrics", source, tmp_path / "out")
    found: dict[object, list[tuple[int, object]]] = {}
    loaded = catalog.load(tmp_path / "out")
    assert not loaded.corrupt
    assert len(loaded.blocks) == 2
    for block in loaded.blocks:
        verify(block)
        for labels, samples_found in read(block.chunks([])).items():
            found.setdefault(labels, []).extend(samples_found)
    assert dict(sorted(found.items(), key=str)) == dict(sorted(as_bits(data).items(), key=str))


def test_opening_what_is_no_block_says_so(tmp_path: Path) -> None:
    (tmp_path / support.name(3)).mkdir()
    with pytest.raises(StorageError, match="never finished"):
        Block(tmp_path / support.name(3))
