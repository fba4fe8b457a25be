"""Many label sets as columns of integers, so that grouping and joining 100,000 series is a few numpy calls.

Called by storage (which fills frames), PromQL (which groups, joins and drops) and the HTTP API (which prints). Pure.
A column holds, for each series, the id of its value in `symbols`; id 0 is "", which means that the label is not there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from styr.metrics.model.labels import Labels

Ids = NDArray[np.int32]
Rows = NDArray[np.int64]


class Symbols:
    """Strings by number, append-only; number 0 is "". Not thread-safe: one per query, or guarded by its owner."""

    __slots__ = ("_ids", "strings")

    def __init__(self) -> None:
        self.strings: list[str] = [""]
        self._ids: dict[str, int] = {"": 0}

    @classmethod
    def of(cls, strings: Sequence[str]) -> Symbols:
        """Of distinct strings without "", which get the numbers from 1 on."""
        made = cls()
        made.strings.extend(strings)
        return made

    def _known(self) -> dict[str, int]:
        """The numbers by string. Those of strings that `of` was given are made when one is asked for, which seldom happens."""
        if len(self._ids) < len(self.strings):
            self._ids = dict(zip(self.strings, range(len(self.strings)), strict=True))
        return self._ids

    def id(self, string: str) -> int:
        """The number of a string, given now if it is new."""
        ids = self._known()
        found = ids.get(string)
        if found is None:
            found = ids[string] = len(self.strings)
            self.strings.append(string)
        return found

    def find(self, string: str) -> int:
        """The number, -1 when the string is not there."""
        return self._known().get(string, -1)

    def __len__(self) -> int:
        return len(self.strings)


@dataclass(slots=True)
class LabelFrame:
    """`size` label sets. Columns are never changed in place: a frame made from another shares them."""

    symbols: Symbols
    size: int
    columns: dict[str, Ids] = field(default_factory=dict)
    texts: list[bytes] | None = field(default=None, init=False, repr=False, compare=False)
    """Every label set as whoever prints it made it, so that a frame that lives longer than a query is printed once."""
    _order: Rows | None = field(default=None, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, sets: Sequence[Labels], symbols: Symbols | None = None) -> LabelFrame:
        symbols = symbols or Symbols()
        columns: dict[str, Ids] = {}
        for row, labels in enumerate(sets):
            for name, value in labels:
                column = columns.get(name)
                if column is None:
                    column = columns[name] = np.zeros(len(sets), np.int32)
                column[row] = symbols.id(value)
        return cls(symbols, len(sets), columns)

    def column(self, name: str) -> Ids:
        """Value ids of one label, zeros where it is absent."""
        found = self.columns.get(name)
        return np.zeros(self.size, np.int32) if found is None else found

    def values(self, name: str) -> list[str]:
        strings = self.symbols.strings
        return [strings[i] for i in self.column(name).tolist()]

    def take(self, rows: Rows) -> LabelFrame:
        """The label sets at `rows`, in that order."""
        return LabelFrame(self.symbols, len(rows), {name: column[rows] for name, column in self.columns.items()})

    def keep(self, names: Iterable[str]) -> LabelFrame:
        return LabelFrame(self.symbols, self.size, {n: self.columns[n] for n in names if n in self.columns})

    def drop(self, *names: str) -> LabelFrame:
        return LabelFrame(self.symbols, self.size, {n: c for n, c in self.columns.items() if n not in names})

    def replace(self, name: str, column: Ids) -> LabelFrame:
        """With one column set; its ids are of this frame's `symbols`."""
        return LabelFrame(self.symbols, self.size, {**self.columns, name: column})

    def labels(self, row: int) -> Labels:
        strings = self.symbols.strings
        pairs = ((name, strings[column[row]]) for name, column in sorted(self.columns.items()) if column[row])
        return tuple(pairs)

    def all_labels(self) -> list[Labels]:
        """Every label set, materialised: for printing, not for evaluating."""
        strings = self.symbols.strings
        pairs: list[list[tuple[str, str]]] = [[] for _ in range(self.size)]
        for name, column in sorted(self.columns.items()):
            for row, number in enumerate(column.tolist()):
                if number:
                    pairs[row].append((name, strings[number]))
        return [tuple(each) for each in pairs]

    def group(self, names: Iterable[str] | None = None) -> tuple[Rows, Rows]:
        """Groups rows that agree in the columns `names` (all columns by default). Returns (group of each row, first row of each
        group); groups are numbered in the order of their first rows."""
        wanted = self.columns if names is None else [name for name in names if name in self.columns]
        key = np.zeros(self.size, np.int64)
        for name in wanted:
            column = self.columns[name]
            key = _dense(key * (int(column.max(initial=0)) + 1) + column)
        _, first, group = np.unique(key, return_index=True, return_inverse=True)
        order = np.argsort(first, kind="stable")
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        return rank[group.reshape(-1)], first[order]

    def order(self) -> Rows:
        """Rows sorted as Prometheus sorts label sets: pair by pair, name before value; a set that ends comes before one that
        goes on. Rows with equal labels keep their order."""
        if self._order is None:
            self._order = self._sorted()
        return self._order

    def _sorted(self) -> Rows:
        names = sorted(name for name, column in self.columns.items() if self.size and column.any())
        keys = []
        later = np.zeros(self.size, np.bool_)
        for name in reversed(names):
            column = self.columns[name]
            rank = _ranks(column, self.symbols.strings)
            absent = column == 0
            # Without this label, the next one of the row is compared with it, and its name is greater.
            keys.append(np.where(absent & later, np.iinfo(np.int64).max, rank))
            later |= ~absent
        return np.lexsort(keys).astype(np.int64) if keys else np.arange(self.size, dtype=np.int64)


def _ranks(column: Ids, strings: list[str]) -> Rows:
    """Of each row's value among the column's values; 0 for absent ones."""
    used = np.zeros(int(column.max(initial=0)) + 1, np.bool_)
    used[column] = True
    used[0] = False
    found = sorted(np.flatnonzero(used).tolist(), key=strings.__getitem__)
    ranks = np.zeros(len(used), np.int64)
    ranks[found] = np.arange(1, len(found) + 1)
    return ranks[column]


def _dense(key: Rows) -> Rows:
    """Small numbers for big ones, so that the next column cannot overflow them."""
    return np.unique(key, return_inverse=True)[1].reshape(-1).astype(np.int64)
