"""The chunks folder of a block: segment files of at most 512 MiB. Called by `block` and `writer`; calls `kernels.segment`.

A reference is `segment << 32 | offset of the entry`, segments counted from 0 while the files are named from 000001. Never
decodes a chunk.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels import segment as kernels
from styr.metrics.model.errors import Corrupt, StorageError
from styr.metrics.storage.block import files
from styr.metrics.storage.chunkset import ChunkSet
from styr.metrics.storage.mapping import Bytes, map_file

MAGIC = 0x85BD40DD
VERSION = 1
HEADER = MAGIC.to_bytes(4, "big") + bytes([VERSION, 0, 0, 0])
SEGMENT_SIZE = 512 << 20
ENCODINGS = 7
"""0 to 6; `samples` arrays are indexed by encoding."""
_BATCH = 16 << 20
"""Bytes framed at a time."""

Ints = NDArray[np.int64]


@dataclass(slots=True)
class Located:
    """Where chunks are in `ChunkFiles.segments`, as ChunkSet has it."""

    segment: NDArray[np.int32]
    position: Ints
    length: Ints
    encoding: NDArray[np.uint8]


class ChunkFiles:
    """The segments of one block, mapped."""

    def __init__(self, directory: Path) -> None:
        """Raises Corrupt when a segment is missing or does not begin as one."""
        self.directory = directory
        self.paths = sorted(path for path in directory.iterdir() if path.name.isdigit()) if directory.is_dir() else []
        for number, path in enumerate(self.paths, 1):
            if int(path.name) != number:
                raise Corrupt(f"segment {number:06d} is missing", str(directory))
        self.segments: list[Bytes] = [map_file(path) for path in self.paths]
        for path, data in zip(self.paths, self.segments, strict=True):
            if len(data) < 8 or data[:5].tobytes() != HEADER[:5]:
                raise Corrupt("not a segment of chunks: wrong magic number or version", str(path), 0)

    @property
    def size(self) -> int:
        return sum(map(len, self.segments))

    def locate(self, refs: Ints) -> Located:
        """Where the chunks lie, each checked against its checksum. Raises Corrupt."""
        count = len(refs)
        found = Located(
            (refs >> 32).astype(np.int32),
            np.zeros(count, np.int64),
            np.zeros(count, np.int64),
            np.zeros(count, np.uint8),
        )
        offsets = refs & 0xFFFFFFFF
        wrong = np.flatnonzero((refs < 0) | (refs >> 32 >= len(self.segments)))
        if len(wrong):
            raise Corrupt(
                f"chunk reference {int(refs[wrong[0]])} is to a segment that is not there", str(self.directory)
            )
        for number, data in enumerate(self.segments):
            which = np.flatnonzero(found.segment == number)
            if not len(which):
                continue
            bad = kernels.locate(data, offsets, which, found.position, found.length, found.encoding)
            if bad >= 0:
                raise Corrupt(
                    "a chunk is cut off or does not match its checksum", str(self.paths[number]), int(offsets[bad])
                )
        return found


def _uvarint_size(values: Ints) -> Ints:
    size = np.ones(len(values), np.int64)
    for bits in (7, 14, 21, 28):
        size += values >= 1 << bits
    return size


def write_chunks(directory: Path, chunks: ChunkSet, segment_size: int = SEGMENT_SIZE) -> tuple[Ints, Ints]:
    """All chunks in their order, to new segment files in `directory` (made here). Returns (reference of each chunk, samples
    by encoding). Raises OSError, and StorageError for a chunk that is not in its segment."""
    directory.mkdir()
    sizes = _uvarint_size(chunks.length) + chunks.length + 5
    ends = np.cumsum(sizes)
    refs, samples = np.zeros(len(sizes), np.int64), np.zeros(ENCODINGS, np.int64)
    first = number = 0
    while first < len(sizes):
        before = int(ends[first] - sizes[first])
        last = max(first + 1, int(np.searchsorted(ends, before + segment_size - len(HEADER), "right")))
        offsets = ends[first:last] - sizes[first:last] - before + len(HEADER)
        refs[first:last] = offsets + (number << 32)
        number += 1
        with files.create(directory / f"{number:06d}") as file:
            file.write(HEADER)
            _write_segment(file, chunks, sizes, first, last, samples)
        first = last
    files.sync_directory(directory)
    return refs, samples


def _write_segment(file: files.File, chunks: ChunkSet, sizes: Ints, first: int, last: int, samples: Ints) -> None:
    ends = np.cumsum(sizes[first:last])
    out = np.zeros(0, np.uint8)
    done = 0
    while first + done < last:
        start = int(ends[done] - sizes[first + done])
        stop = max(done + 1, int(np.searchsorted(ends, start + _BATCH, "right")))
        length = int(ends[stop - 1]) - start
        if len(out) < length + 16:
            out = np.zeros(max(length, min(_BATCH, int(ends[-1]))) + 16, np.uint8)
        target = ends[done:stop] - sizes[first + done : first + stop] - start
        _frame(chunks, first + done, first + stop, target, out, samples)
        file.write(out[:length])
        done = stop


def _frame(chunks: ChunkSet, first: int, last: int, target: Ints, out: Bytes, samples: Ints) -> None:
    segment = chunks.segment[first:last]
    for number in np.flatnonzero(np.bincount(segment)).tolist():
        rows = np.flatnonzero(segment == number)
        bad = kernels.frame(
            chunks.segments[number],
            chunks.position,
            chunks.length,
            chunks.encoding,
            rows + first,
            np.ascontiguousarray(target[rows]),
            out,
            samples,
        )
        if bad >= 0:
            raise StorageError(f"cannot write chunk {bad}: it is not in its segment, or its encoding is unknown")
