"""meta.json of a block: its name, time range, statistics and ancestry. Called by all of `block`; calls `files`.

`mint` is inclusive, `maxt` exclusive, as in the file (milliseconds since 1970).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from styr.metrics.model.errors import Corrupt
from styr.metrics.storage.block import files, ulid

FILE = "meta.json"
VERSION = 1

OUT_OF_ORDER = "from-out-of-order"
STALE_SERIES = "from-stale-series"
SELECTED_SERIES = "from-selected-series"


@dataclass(frozen=True, slots=True)
class Stats:
    samples: int = 0
    floats: int = 0
    histograms: int = 0
    series: int = 0
    chunks: int = 0
    tombstones: int = 0
    """Deleted ranges; those of different series count each."""


_STATS = {
    "numSamples": "samples",
    "numFloatSamples": "floats",
    "numHistogramSamples": "histograms",
    "numSeries": "series",
    "numChunks": "chunks",
    "numTombstones": "tombstones",
}


@dataclass(frozen=True, slots=True)
class Parent:
    """A block that went into this one."""

    ulid: str
    mint: int
    maxt: int


@dataclass(frozen=True, slots=True)
class Meta:
    ulid: str
    mint: int
    maxt: int
    stats: Stats = field(default_factory=Stats)
    level: int = 1
    """How many times its data has been compacted; 1 comes from a head."""
    sources: tuple[str, ...] = ()
    """The blocks of level 1 that went into it, itself if it is one."""
    parents: tuple[Parent, ...] = ()
    failed: bool = False
    """A compaction with it failed; the planner leaves it alone."""
    deletable: bool = False
    """A compaction of it left nothing; it goes at the next start."""
    hints: tuple[str, ...] = ()

    def of(self) -> Parent:
        """How its children name it."""
        return Parent(self.ulid, self.mint, self.maxt)

    def overlaps(self, start: int, end: int) -> bool:
        """Whether it may hold samples of `start .. end` (inclusive)."""
        return self.mint <= end and start < self.maxt


def new(name: str, mint: int, maxt: int, *, parents: tuple[Parent, ...] = (), hints: tuple[str, ...] = ()) -> Meta:
    """Of a block that a head (or a backfill) writes."""
    return Meta(name, mint, maxt, sources=(name,), parents=parents, hints=hints)


def encode(meta: Meta) -> bytes:
    stats = {name: value for name, own in _STATS.items() if (value := getattr(meta.stats, own))}
    compaction: dict[str, Any] = {"level": meta.level}
    if meta.sources:
        compaction["sources"] = list(meta.sources)
    if meta.deletable:
        compaction["deletable"] = True
    if meta.parents:
        compaction["parents"] = [{"ulid": p.ulid, "minTime": p.mint, "maxTime": p.maxt} for p in meta.parents]
    if meta.failed:
        compaction["failed"] = True
    if meta.hints:
        compaction["hints"] = sorted(meta.hints)
    document = {
        "ulid": meta.ulid,
        "minTime": meta.mint,
        "maxTime": meta.maxt,
        "stats": stats,
        "compaction": compaction,
        "version": VERSION,
    }
    return json.dumps(document, indent="\t").encode()


def decode(data: bytes, file: str = "") -> Meta:
    """Raises Corrupt. Fields that are not there have Go's zero values; unknown ones are passed over."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Corrupt(f"not JSON: {error}", file) from None
    try:
        return _decode(document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Corrupt(f"not the meta file of a block: {error!r}", file) from None


def _integer(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not -(1 << 63) <= value < 1 << 63:
        raise ValueError(f"{value!r} is no 64-bit integer")
    return value


def _name(value: object) -> str:
    if not isinstance(value, str) or not ulid.is_ulid(value):
        raise ValueError(f"{value!r} is no ULID")
    return value


def _decode(document: Mapping[str, Any]) -> Meta:
    if document["version"] != VERSION:
        raise ValueError(f"version {document['version']!r} instead of {VERSION}")
    stats = document.get("stats") or {}
    compaction = document.get("compaction") or {}
    hints = compaction.get("hints") or ()
    mint, maxt = _integer(document["minTime"]), _integer(document["maxTime"])
    if maxt < mint:
        raise ValueError(f"minTime {mint} is after maxTime {maxt}")
    return Meta(
        _name(document["ulid"]),
        mint,
        maxt,
        stats=Stats(**{own: _integer(stats.get(name, 0)) for name, own in _STATS.items()}),
        level=_integer(compaction.get("level", 0)),
        sources=tuple(map(_name, compaction.get("sources") or ())),
        parents=tuple(
            Parent(_name(p["ulid"]), _integer(p["minTime"]), _integer(p["maxTime"]))
            for p in compaction.get("parents") or ()
        ),
        failed=compaction.get("failed", False) is True,
        deletable=compaction.get("deletable", False) is True,
        hints=tuple(str(hint) for hint in hints),
    )


def read(directory: Path) -> Meta:
    """Raises Corrupt (also when there is none) and OSError."""
    path = directory / FILE
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise Corrupt("there is no meta file: the block was never finished", str(path)) from None
    found = decode(data, str(path))
    if ulid.is_ulid(directory.name) and found.ulid != directory.name:
        raise Corrupt(f"the meta file is that of block {found.ulid}", str(path))
    return found


def write(directory: Path, meta: Meta) -> None:
    """In one step, in place of the one that is there."""
    files.write_file(directory / FILE, [encode(meta)])
    files.sync_directory(directory)
