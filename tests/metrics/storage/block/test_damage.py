"""A block with a flipped bit or a cut file is told of, or answers as before: never a wrong sample, a crash or a hang."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from styr.metrics.model.errors import Corrupt
from styr.metrics.model.matchers import Matcher
from styr.metrics.storage.block import meta, tombstones
from styr.metrics.storage.block.block import Block
from styr.metrics.storage.block.delete import delete
from styr.metrics.storage.block.verify import verify
from tests.metrics.storage.block.support import RANGE, as_bits, make_block, read, small

FILES = ("index", "chunks/000001", "meta.json", "tombstones")
MATCHERS = [Matcher("=~", "mode", "idle|u.*"), Matcher("!=", "instance", "host-003:9100")]


def answers(directory: Path) -> list[object]:
    """What readers see of a block. (The range in the meta file has no checksum: `verify` compares it with the chunks.)"""
    block = Block(directory)
    return [
        read(block.chunks([])),
        read(block.chunks(MATCHERS, 1000, RANGE)),
        block.label_names(),
        block.label_values("mode"),
        block.tombstones,
        block.meta.ulid,
    ]


def damaged(directory: Path, file: str, change: Callable[[bytearray], None]) -> bool:
    """Whether a change of a file is told of; it has to be, or the answers are the same."""
    path = directory / file
    whole = path.read_bytes()
    before = answers(directory)
    data = bytearray(whole)
    change(data)
    path.unlink()  # A new file: maps of the old one stay whole.
    path.write_bytes(data)
    try:
        try:
            same = answers(directory) == before
            verify(Block(directory))
        except Corrupt:
            return True
        assert same
        return False
    finally:
        path.unlink()
        path.write_bytes(whole)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    block = make_block(tmp_path, small(6, 40), per_chunk=20)
    delete(block, [Matcher("=", "mode", "idle")], 100_000, 200_000)
    return block.directory


def cut(length: int) -> Callable[[bytearray], None]:
    return lambda data: data.__delitem__(slice(length, None))


def flip(at: int, bit: int) -> Callable[[bytearray], None]:
    return lambda data: data.__setitem__(at, data[at] ^ 1 << bit)


@pytest.mark.parametrize("file", FILES)
def test_every_truncation(directory: Path, file: str) -> None:
    size = (directory / file).stat().st_size
    for length in {*range(0, size, 1 + size // 150), *range(max(0, size - 60), size)}:
        assert damaged(directory, file, cut(length)), f"{file} of {length} bytes instead of {size}"


@pytest.mark.parametrize("file", FILES)
def test_flipped_bits(directory: Path, file: str) -> None:
    """A bit of the index or of the chunks is always seen, padding apart; of the meta file when it makes a difference."""
    size = (directory / file).stat().st_size
    choose = random.Random(3)
    positions = (
        list(range(size)) if size < 200 else [*choose.sample(range(size), 200), *range(20), *range(size - 60, size)]
    )
    missed = [at for at in positions if not damaged(directory, file, flip(at, choose.randrange(8)))]
    raw = (directory / file).read_bytes()
    if file == "meta.json":
        return
    padding = {5, 6, 7} if file.startswith("chunks") else set()
    assert all(raw[at] == 0 for at in missed), missed
    assert len(missed) <= len(positions) // 10
    assert not file.startswith("chunks") or set(missed) <= padding
    assert file != "tombstones" or not missed


def test_random_bytes_in_every_file(directory: Path) -> None:
    choose = random.Random(4)

    def scramble(data: bytearray) -> None:
        for _ in range(choose.randint(1, 8)):
            data[choose.randrange(len(data))] = choose.randrange(256)

    for _ in range(60):
        for file in FILES[:2]:
            damaged(directory, file, scramble)


@pytest.mark.parametrize("file", ["index", "meta.json"])
def test_a_missing_file(directory: Path, file: str) -> None:
    (directory / file).unlink()
    with pytest.raises(Corrupt):
        Block(directory)


def test_missing_tombstones_are_none_and_missing_segments_are_told_of(directory: Path) -> None:
    (directory / "tombstones").unlink()
    assert Block(directory).tombstones == {}
    (directory / "chunks/000001").unlink()
    with pytest.raises(Corrupt, match="segment that is not there"):
        Block(directory).chunks([])
    (directory / "chunks/000002").write_bytes(b"")
    with pytest.raises(Corrupt, match="000001 is missing"):
        Block(directory)


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        (b"", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not the meta file"),
        (b"{}", "not the meta file"),
        (b'{"version": 2}', "version 2"),
        (b'{"version": 1, "ulid": "../../etc", "minTime": 0, "maxTime": 1}', "no ULID"),
        (b'{"version": 1, "ulid": "01HF7YAT000000000000000000", "minTime": 5, "maxTime": 1}', "after maxTime"),
        (b'{"version": 1, "ulid": "01HF7YAT000000000000000000", "minTime": 1e9, "maxTime": 1}', "64-bit"),
        (
            b'{"version": 1, "ulid": "01HF7YAT000000000000000000", "minTime": 0, "maxTime": 1, "stats": 7}',
            "not the meta",
        ),
        (
            b'{"version": 1, "ulid": "01HF7YAT000000000000000000", "minTime": 0, "maxTime": 1,'
            b' "compaction": {"parents": [{"ulid": "x"}]}}',
            "no ULID",
        ),
    ],
)
def test_hostile_meta_files(document: bytes, complaint: str) -> None:
    with pytest.raises(Corrupt, match=complaint):
        meta.decode(document)


def test_meta_round_trip_keeps_everything() -> None:
    ids = [f"01HF7YAT00000000000000000{i}" for i in range(4)]
    whole = meta.Meta(
        ids[0],
        -5,
        7,
        meta.Stats(1, 2, 3, 4, 5, 6),
        3,
        (ids[1], ids[2]),
        (meta.Parent(ids[3], -1, 1),),
        True,
        True,
        (meta.OUT_OF_ORDER, meta.STALE_SERIES),
    )
    assert meta.decode(meta.encode(whole)) == whole


def test_tombstones_round_trip_and_join() -> None:
    stones = {3: [(-5, 7), (9, 9)], 1 << 40: [(-(1 << 63), (1 << 63) - 1)]}
    assert tombstones.decode(tombstones.encode(stones)) == stones
    assert tombstones.add([(1, 3), (7, 9)], (4, 5)) == [(1, 5), (7, 9)]
    assert tombstones.add([(1, 3), (7, 9)], (4, 6)) == [(1, 9)]
    assert tombstones.add([(1, 3), (7, 9)], (20, 30)) == [(1, 3), (7, 9), (20, 30)]
    assert tombstones.add([], (2, 2)) == [(2, 2)]


def test_the_reference_is_what_was_written(directory: Path) -> None:
    assert set(read(Block(directory).chunks([]))) == set(as_bits(small(6, 40)))
