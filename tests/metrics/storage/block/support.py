"""Blocks for tests: made of plain samples, read back to plain samples, and what promtool says of them."""

from __future__ import annotations

import re
import struct
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from styr.metrics.kernels.xor import xor_encode
from styr.metrics.model.frame import LabelFrame
from styr.metrics.model.histogram import Histogram
from styr.metrics.model.labels import METRIC_NAME, Labels, make
from styr.metrics.model.matchers import Matcher
from styr.metrics.storage.block import meta, ulid
from styr.metrics.storage.block.block import Block
from styr.metrics.storage.block.meta import Meta
from styr.metrics.storage.block.writer import write_block
from styr.metrics.storage.chunk import decode as decode_chunk
from styr.metrics.storage.chunkset import XOR, ChunkSet
from styr.metrics.storage.histograms import encode

Value = float | Histogram
Data = dict[Labels, list[tuple[int, Value]]]

HOUR = 3_600_000
RANGE = 2 * HOUR


def bits(value: float) -> int:
    found: int = struct.unpack("q", struct.pack("d", value))[0]
    return found


def chunk_set(data: Mapping[Labels, Sequence[tuple[int, Value]]], per_chunk: int = 120) -> ChunkSet:
    """Chunks of at most `per_chunk` samples; the chunks of odd series are in a second segment."""
    rows: list[tuple[int, int, int, int, int, int]] = []
    offsets, blobs = [0], [bytearray(b"pad"), bytearray()]
    ordered = sorted(data)
    for number, labels in enumerate(ordered):
        samples = data[labels]
        for at in range(0, len(samples), per_chunk):
            for encoding, raw, mint, maxt in _encode(samples[at : at + per_chunk]):
                blob = blobs[number % 2]
                rows.append((number % 2, len(blob), len(raw), encoding, mint, maxt))
                blob += raw
        offsets.append(len(rows))
    columns = np.array(rows, np.int64).reshape(-1, 6).T.copy()
    segments = [np.frombuffer(blob + bytes(8), np.uint8) for blob in blobs]
    return ChunkSet(
        LabelFrame.of(ordered),
        np.array(offsets, np.int64),
        columns[0].astype(np.int32),
        columns[1],
        columns[2],
        columns[3].astype(np.uint8),
        columns[4],
        columns[5],
        segments,
    )


def _encode(samples: Sequence[tuple[int, Value]]) -> list[tuple[int, bytes, int, int]]:
    times = [t for t, _ in samples]
    if isinstance(samples[0][1], Histogram):
        values = [value for _, value in samples if isinstance(value, Histogram)]
        return [(each.encoding, each.data(), each.mint, each.maxt) for each in encode(times, values)]
    v = np.array([bits(value) for _, value in samples if not isinstance(value, Histogram)], np.int64)
    out = np.zeros(20 * len(times) + 64, np.uint8)
    length = xor_encode(np.array(times, np.int64), v, 0, len(times), out, 0)
    return [(XOR, out[:length].tobytes(), times[0], times[-1])]


def name(number: int) -> str:
    return ulid.make(1_700_000_000_000 + number, number.to_bytes(10, "big"))


def make_block(
    root: Path, data: Data, number: int = 0, mint: int = 0, maxt: int = RANGE, per_chunk: int = 120, **fields: object
) -> Block:
    new = meta.new(name(number), mint, maxt)
    written = write_block(root, chunk_set(data, per_chunk), new, **fields)  # type: ignore[arg-type]
    assert isinstance(written, Meta)
    return Block(root / written.ulid)


def read(chunks: ChunkSet) -> dict[Labels, list[tuple[int, int | Histogram]]]:
    """What is in it, tombstones applied: floats as bits."""
    found: dict[Labels, list[tuple[int, int | Histogram]]] = {}
    for row, labels in enumerate(chunks.frame.all_labels()):
        samples: list[tuple[int, int | Histogram]] = []
        for c in range(int(chunks.offsets[row]), int(chunks.offsets[row + 1])):
            at = int(chunks.position[c])
            data = chunks.segments[int(chunks.segment[c])][at : at + int(chunks.length[c])]
            samples += decode_chunk(data, int(chunks.encoding[c]))
        gone = chunks.deleted.get(row, ())
        found[labels] = [each for each in samples if not any(low <= each[0] <= high for low, high in gone)]
    return found


def as_bits(data: Data) -> dict[Labels, list[tuple[int, int | Histogram]]]:
    return {
        labels: [(t, value if isinstance(value, Histogram) else bits(value)) for t, value in samples]
        for labels, samples in sorted(data.items())
    }


def small(series: int = 20, samples: int = 300, step: int = 15_000, skew: int = 1) -> Data:
    """Counters, gauges, constants and values that are hard to print; label sets that differ in length."""
    random = np.random.default_rng(series * 1000 + samples)
    data: Data = {}
    for i in range(series):
        pairs = {METRIC_NAME: f"metric_{i % 3}", "instance": f"host-{i:03d}:9100"}
        if i % 2:
            pairs["mode"] = ["idle", "user", 'sätze 日本 "quoted\\"', "a\nb"][i // 2 % 4]
        if i % 5 == 0:
            pairs["zone"] = "ünïcode"
        values = {
            0: np.cumsum(random.integers(0, 9, samples)).astype(float),
            1: random.normal(size=samples),
            2: np.full(samples, 42.5),
            3: np.where(random.random(samples) < 0.1, np.inf, random.random(samples) * 1e300),
        }[i % 4]
        data[make(pairs)] = [(k * step + i * skew, float(v)) for k, v in enumerate(values)]
    return data


def shifted(data: Data, by: int) -> Data:
    return {labels: [(t + by, v) for t, v in samples] for labels, samples in data.items()}


def union(*parts: Data) -> dict[object, list[tuple[int, object]]]:
    """Of samples with the same time the first part's stays."""
    found: dict[object, dict[int, object]] = {}
    for part in parts:
        for labels, samples in as_bits(part).items():
            for t, value in samples:
                found.setdefault(labels, {}).setdefault(t, value)
    return {labels: sorted(samples.items()) for labels, samples in sorted(found.items(), key=str)}


def content(block: Block) -> dict[object, list[tuple[int, object]]]:
    return {labels: list(samples) for labels, samples in sorted(read(block.chunks([])).items(), key=str)}


def without(data: Data, matchers: list[Matcher], low: int, high: int) -> Data:
    kept: Data = {}
    for labels, samples in data.items():
        hit = all(m.matches(dict(labels).get(m.name, "")) for m in matchers)
        left = [(t, v) for t, v in samples if not (hit and low <= t <= high)]
        if left:
            kept[labels] = left
    return kept


# --- promtool ---------------------------------------------------------------------------------------------------------

_LINE = re.compile(r"^\{(?P<labels>.*)\} (?P<value>\S+|\{.*\}) (?P<t>-?\d+)$")
_PAIR = re.compile(r'("(?:[^"\\]|\\.)*"|[a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')


def promtool(*arguments: str | Path, tool: str = "promtool") -> str:
    done = subprocess.run([tool, *map(str, arguments)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _unquote(text: str) -> str:
    return re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m[1], m[1]), text)


def dump(root: Path, *arguments: str, tool: str = "promtool") -> dict[Labels, list[tuple[int, str]]]:
    """`promtool tsdb dump` as samples; values stay text. `root` gets the wal folder that promtool looks for."""
    (root / "wal").mkdir(exist_ok=True)
    found: dict[Labels, list[tuple[int, str]]] = {}
    for line in promtool("tsdb", "dump", *arguments, root, tool=tool).splitlines():
        match = _LINE.match(line)
        assert match, line
        pairs = [(_unquote(key.strip('"')), _unquote(value)) for key, value in _PAIR.findall(match["labels"])]
        found.setdefault(make(pairs), []).append((int(match["t"]), match["value"]))
    return found


def numbers(dumped: dict[Labels, list[tuple[int, str]]]) -> dict[Labels, list[tuple[int, int]]]:
    """Floats of a dump as bits."""
    return {labels: [(t, bits(float(v))) for t, v in samples] for labels, samples in sorted(dumped.items())}
