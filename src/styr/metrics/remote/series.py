"""Which ref a pushed series has: a table from label bytes to refs, so that a series that was seen before costs no Python.

Called by `write` (and `otlp`). Calls `kernels.keys` and the storage's appender. Keys are compared byte by byte, so no choice of
labels can make two series one; the hash is seeded, so none can make the table slow. Forgets all when the appender's generation
moves, or when it has grown to its limit. Used by one task at a time: the caller holds the lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels import keys as table
from styr.metrics.kernels import wire
from styr.metrics.model import labels as label
from styr.metrics.model.labels import Labels
from styr.metrics.model.samples import Appender, Refs

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]

MAX_ENTRIES = 4_000_000
MAX_ARENA = 1 << 30
"""Bytes of keys."""


@dataclass(slots=True)
class Rows:
    """`refs`: of each series, -1 where its labels are wrong. `bad` says why; `learned` are those never seen before."""

    refs: Refs
    bad: dict[int, str]
    learned: dict[int, Labels]


class SeriesRefs:
    """`refs()` for the keys of a request."""

    def __init__(self, appender: Appender, random: Random) -> None:
        self._appender = appender
        self._seed = random.getrandbits(62)
        self._generation = appender.generation
        self._forget()

    def _forget(self) -> None:
        self._slots = np.full(1024, -1, np.int64)
        self._entries = np.zeros((512, 4), np.int64)
        self._arena = np.zeros(1 << 16, np.uint8)
        self._used = self._filled = 0

    def __len__(self) -> int:
        return self._used

    def refs(self, keys: Bytes, key_ends: Ints, about: Ints) -> Rows:
        """`keys` has at least 8 bytes behind the last."""
        if self._generation != self._appender.generation or self._used > MAX_ENTRIES or self._filled > MAX_ARENA:
            self._generation = self._appender.generation
            self._forget()
        refs, hashes = np.empty(len(key_ends), np.int64), np.empty(len(key_ends), np.int64)
        bad = {int(row): _REFERENCES[int(about[row, 0])] for row in np.flatnonzero(about[:, 0])}
        learned: dict[int, Labels] = {}
        if table.look_up(keys, key_ends, self._seed, self._slots, self._entries, self._arena, hashes, refs):
            learned = self._learn(keys, key_ends, hashes, refs, bad)
        if bad:
            refs[list(bad)] = -1
        return Rows(refs, bad, learned)

    def _learn(self, keys: Bytes, key_ends: Ints, hashes: Ints, refs: Refs, bad: dict[int, str]) -> dict[int, Labels]:
        learned: dict[int, Labels] = {}
        raw = keys.tobytes()
        ends = key_ends.tolist()
        for row in np.flatnonzero(refs < 0).tolist():
            if row in bad:
                continue
            try:
                learned[row] = labels_of(raw, ends[row - 1] if row else 0, ends[row])
            except ValueError as error:
                bad[row] = str(error)
        if learned:
            refs[list(learned)] = self._appender.refs(list(learned.values()))
        for row in learned:
            self._put(keys, ends[row - 1] if row else 0, ends[row], int(hashes[row]), int(refs[row]))
        return learned

    def _put(self, keys: Bytes, start: int, stop: int, hashed: int, ref: int) -> None:
        if self._used == len(self._entries):
            self._entries = np.concatenate([self._entries, np.zeros_like(self._entries)])
            self._slots = np.full(4 * len(self._entries), -1, np.int64)
            table.rehash(self._entries, self._used, self._slots)
        while self._filled + stop - start + 8 > len(self._arena):
            self._arena = np.concatenate([self._arena, np.zeros_like(self._arena)])
        arrays = (self._slots, self._entries, self._arena, self._used, self._filled)
        if table.remember(keys, start, stop, hashed, ref, *arrays):
            self._used += 1
            self._filled += stop - start


_REFERENCES = {
    wire.BAD_REFERENCE: "a label refers to a symbol that is not there, or the labels are longer than 1 MiB",
    wire.ODD_REFERENCES: "the number of label references is odd",
}


def labels_of(keys: bytes, start: int, stop: int) -> Labels:
    """The label set of a key. Raises ValueError that says what is wrong: no metric name, an empty or repeated label name, or
    bytes that are not UTF-8."""
    parts = []
    while start < stop:
        length = int.from_bytes(keys[start : start + 4], "little")
        start += 4 + length
        try:
            parts.append(keys[start - length : start].decode())
        except UnicodeDecodeError:
            raise ValueError("a label name or value is not UTF-8") from None
    return checked(list(zip(parts[::2], parts[1::2], strict=True)))


def checked(pairs: Sequence[tuple[str, str]]) -> Labels:
    """Sorted, without empty values. Raises ValueError as `labels_of`."""
    names = {name for name, _ in pairs}
    if "" in names:
        raise ValueError("a label name is empty")
    labels = label.make(pairs)
    if len(names) != len(pairs):
        raise ValueError(f"a label name occurs twice in {label.text(labels)}")
    if not label.get(labels, label.METRIC_NAME):
        raise ValueError(f"there is no metric name in {label.text(labels)}")
    return labels
