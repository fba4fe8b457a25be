"""The series that the head knows: label sets, their slots and references. Called by `head` (under its lock) and `postings`.
 A slot is a place in the head's arrays and is used again after a series has gone; a reference is a number in files and in
callers' hands and never is. Labels are pairs by number, so a label set costs 4 bytes a label and no Python object. Not
thread-safe.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels import registry as kernels
from styr.metrics.model.errors import BadData
from styr.metrics.model.labels import Labels
from styr.metrics.storage.arrays import grown

Ints = NDArray[np.int64]
Slots = NDArray[np.int32]

_PAGE = 4096
"""References in one page of the map to slots."""
MOST_REF = (1 << 40) - 1
"""Prometheus packs a reference into 40 bits."""


class Registry:
    """`refs[slot]` is 0 where a slot is free."""

    def __init__(self) -> None:
        self.pair_ids: dict[tuple[str, str], int] = {}
        self.pairs: list[tuple[str, str] | None] = []
        self.names: list[str] = []
        self.name_ids: dict[str, int] = {}
        self.pairs_of_name: list[dict[int, None]] = []
        self.name_of: Slots = np.zeros(1024, np.int32)
        self.lists: Ints = np.zeros((1024, 3), np.int64)
        self._free_pairs: list[int] = []
        self.labels: Slots = np.zeros(16_384, np.int32)
        self.at: Ints = np.zeros(1024, np.int64)
        self.count: Slots = np.zeros(1024, np.int32)
        self.refs: Ints = np.zeros(1024, np.int64)
        self.table: Slots = np.zeros(4096, np.int32)
        self.free: Slots = np.zeros(0, np.int32)
        self.arena: Slots = np.zeros(16_384, np.int32)
        self.info: Ints = np.zeros(kernels.FIELDS, np.int64)
        self.info[kernels.NEXT_REF] = 1
        self.version = 0
        """Changes with the set of series."""
        self._page_of: Slots = np.full(1, -1, np.int32)
        self._pages: Slots = np.zeros((0, _PAGE), np.int32)

    def __len__(self) -> int:
        return int(self.info[kernels.LIVE])

    @property
    def slots(self) -> int:
        """One more than the largest slot ever used."""
        return int(self.info[kernels.SLOTS])

    def live(self) -> Slots:
        return np.flatnonzero(self.refs[: self.slots]).astype(np.int32)

    def pair(self, name: str, value: str) -> int:
        """The number of a pair, given now if it is new."""
        key = (name, value)
        found = self.pair_ids.get(key)
        return self._new_pair(key) if found is None else found

    def _new_pair(self, key: tuple[str, str]) -> int:
        name = self.name_ids.get(key[0])
        if name is None:
            name = self.name_ids[key[0]] = len(self.names)
            self.names.append(key[0])
            self.pairs_of_name.append({})
        if self._free_pairs:
            number = self._free_pairs.pop()
            self.pairs[number] = key
        else:
            number = len(self.pairs)
            self.pairs.append(key)
            self.name_of = grown(self.name_of, number + 1)
            self.lists = grown(self.lists, number + 1)
        self.name_of[number] = name
        self.pair_ids[key] = number
        self.pairs_of_name[name][number] = None
        return number

    def resolve(self, series: Sequence[Labels]) -> tuple[Slots, Ints]:
        """The slots of label sets, made where there are none, and which of `series` are new. BadData for an empty one."""
        get, flat, offsets = self.pair_ids.get, [], np.zeros(len(series) + 1, np.int64)
        for i, labels in enumerate(series):
            if not labels:
                raise BadData("a series without any label cannot be stored; give it at least a name")
            for key in labels:
                number = get(key)
                flat.append(self._new_pair(key) if number is None else number)
            offsets[i + 1] = len(flat)
        return self.resolve_pairs(np.array(flat, np.int32), offsets, np.zeros(len(series), np.int64))

    def resolve_pairs(self, pairs: Slots, offsets: Ints, wanted: Ints) -> tuple[Slots, Ints]:
        """The same for series i with the pair numbers `pairs[offsets[i]:offsets[i + 1]]` and the reference `wanted[i]` (0: the
        next). Every wanted reference leads to the slot afterwards, even if the series had another one already."""
        self._make_room(len(pairs), len(wanted))
        found, info = np.zeros(len(wanted), np.int32), self.info
        info[kernels.RESUME] = 0
        while kernels.register(
            pairs, offsets, wanted, self.labels, self.at, self.count, self.refs, self.table, self.free, self.lists, self.arena,
            info, found,
        ):  # fmt: skip
            self.arena = grown(self.arena, len(self.arena) * 2, int(info[kernels.POSTINGS]))
        new = np.flatnonzero(found < 0)
        slots = np.where(found < 0, -1 - found, found).astype(np.int32)
        if len(new):
            self.version += 1
            self._map(self.refs[slots[new]], slots[new])
        aliased = np.flatnonzero(wanted)
        if len(aliased):
            self._map(wanted[aliased], slots[aliased])
            info[kernels.NEXT_REF] = max(int(info[kernels.NEXT_REF]), int(wanted.max()) + 1)
        return slots, new

    def _make_room(self, labels: int, series: int) -> None:
        info = self.info
        self.labels = grown(self.labels, int(info[kernels.LABELS]) + labels, int(info[kernels.LABELS]))
        slots = self.slots + series
        self.at, self.count, self.refs = grown(self.at, slots), grown(self.count, slots), grown(self.refs, slots)
        size = len(self.table)
        while (len(self) + series) * 2 > size:
            size *= 2
        if size > len(self.table):
            self._rehash(size)

    def _rehash(self, size: int) -> None:
        self.table = np.zeros(size, np.int32)
        kernels.rehash(self.table, self.labels, self.at, self.count, self.refs, self.slots)

    def _map(self, refs: Ints, slots: Slots) -> None:
        """Makes references lead to slots."""
        pages = refs >> 12
        need = int(pages.max()) + 1
        if need > len(self._page_of):
            wider = np.full(max(need, 2 * len(self._page_of)), -1, np.int32)
            wider[: len(self._page_of)] = self._page_of
            self._page_of = wider
        missing = np.unique(pages[self._page_of[pages] < 0])
        if len(missing):
            first = len(self._pages)
            self._pages = np.concatenate([self._pages, np.full((len(missing), _PAGE), -1, np.int32)])
            self._page_of[missing] = np.arange(first, first + len(missing))
        self._pages[self._page_of[pages], refs & (_PAGE - 1)] = slots

    def slots_of(self, refs: Ints) -> Slots:
        """The slot of each reference, -1 where there is none (any more)."""
        pages = refs >> 12
        known = (pages >= 0) & (pages < len(self._page_of))
        page = np.where(known, self._page_of[np.where(known, pages, 0)], -1)
        if not len(self._pages):
            return np.full(len(refs), -1, np.int32)
        slots = np.where(page >= 0, self._pages[page, refs & (_PAGE - 1)], np.int32(-1))
        return slots.astype(np.int32)

    def labels_of(self, slot: int) -> Labels:
        begin = int(self.at[slot])
        pairs = self.pairs
        return tuple(pairs[i] for i in self.labels[begin : begin + int(self.count[slot])].tolist())

    def values(self, name: str) -> list[str]:
        """All values of a label, in no order."""
        number = self.name_ids.get(name)
        if number is None:
            return []
        return [pair[1] for i in self.pairs_of_name[number] if (pair := self.pairs[i]) is not None]

    def remove(self, slots: Slots) -> None:
        """Forgets series. What they leave unused (room in arenas, pages) is free afterwards, pairs after `sweep`."""
        self.refs[slots] = 0
        self.info[kernels.LIVE] -= len(slots)
        self.version += 1
        self.free = np.concatenate([self.free[: int(self.info[kernels.FREE])], slots])
        self.info[kernels.FREE] = len(self.free)
        self._rebuild()
        self._forget_pages(slots)

    def _rebuild(self) -> None:
        live = self.live()
        total = int(self.count[live].sum())
        kept, arena = np.zeros(total + 1024, np.int32), np.zeros(total + 1024, np.int32)
        lists = np.zeros_like(self.lists)
        used = kernels.rebuild(self.labels, self.at, self.count, self.refs, self.slots, kept, lists, arena)
        self.labels, self.lists, self.arena = kept, lists, arena
        self.info[kernels.LABELS] = self.info[kernels.POSTINGS] = used
        size = 4096
        while len(self) * 2 > size:
            size *= 2
        self._rehash(size)

    def sweep(self, most: int = 4096) -> bool:
        """Forgets pairs that no series has, so many at the most. False when there are none left: a long list of them is no
        reason to keep others waiting."""
        pairs, unused = self.pairs, self.lists[: len(self.pairs), kernels.USED] == 0
        unused[self._free_pairs] = False
        found = np.flatnonzero(unused)[:most].tolist()
        for number in found:
            key = pairs[number]
            assert key is not None
            pairs[number] = None
            del self.pair_ids[key]
            del self.pairs_of_name[int(self.name_of[number])][number]
        self._free_pairs += found
        return len(found) == most

    def _forget_pages(self, slots: Slots) -> None:
        """Unmaps the references of slots, and pages without any."""
        pages, gone = self._pages, np.zeros(self.slots + 1, np.bool_)
        gone[slots] = True  # and [-1], which stands for no slot, is False
        pages[gone[pages]] = -1
        used = (pages >= 0).any(axis=1)
        place = np.where(used, np.cumsum(used) - 1, -1).astype(np.int32)
        mapped = self._page_of >= 0
        self._page_of[mapped] = place[self._page_of[mapped]]
        self._pages = np.ascontiguousarray(pages[used])
