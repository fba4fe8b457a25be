"""The database as the API sees it beyond reading and writing: deletes, snapshots, statistics, exemplars. Called by
`process`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any

import numpy as np

from styr.kit.clock import Clock
from styr.metrics.model.labels import METRIC_NAME, Labels
from styr.metrics.model.matchers import Matcher
from styr.metrics.model.samples import Exemplar, Metadata
from styr.metrics.storage.block import meta
from styr.metrics.storage.db import Database
from styr.metrics.storage.headread import label_ids
from styr.metrics.storage.postings import match
from styr.metrics.web.parts import HeadStats


class DatabaseAdmin:
    """`parts.Admin`."""

    def __init__(self, database: Database, clock: Clock, random: Random) -> None:
        self._database = database
        self._clock = clock
        self._random = random

    def delete(self, matchers: Sequence[Matcher], start: int, end: int, /) -> None:
        self._database.delete_series([matchers], start, end)

    def clean_tombstones(self) -> None:
        self._database.clean_tombstones()

    def snapshot(self, skip_head: bool, /) -> str:
        stamp = datetime.fromtimestamp(self._clock.time(), UTC).strftime("%Y%m%dT%H%M%SZ")
        name = f"{stamp}-{self._random.getrandbits(63):016x}"
        self._database.snapshot(self._database.path / "snapshots" / name, not skip_head)
        return name

    def stats(self, limit: int, /) -> HeadStats:
        head, found = self._database.head, self._database.stats()
        with head.lock:
            names, ids, symbols = label_ids(head.registry, head.registry.live())
        strings = symbols.strings
        metrics: Counter[str] = Counter()
        values: Counter[str] = Counter()
        sizes: Counter[str] = Counter()
        pairs: Counter[str] = Counter()
        for column, name in enumerate(names):
            used, counts = np.unique(ids[:, column], return_counts=True)
            rows = [(strings[i], count) for i, count in zip(used.tolist(), counts.tolist(), strict=True) if i]
            values[name] = len(rows)
            sizes[name] = sum(len(value.encode()) for value, _ in rows)
            pairs.update({f"{name}={value}": count for value, count in rows})
            if name == METRIC_NAME:
                metrics.update(dict(rows))
        top = [counter.most_common(limit) for counter in (metrics, values, sizes, pairs)]
        empty = found.min_t > found.max_t
        return HeadStats(
            found.series, len(pairs), found.chunks, 0 if empty else found.min_t, 0 if empty else found.max_t, *top
        )

    def blocks(self) -> Sequence[Mapping[str, Any]]:
        return [json.loads(meta.encode(block.meta)) for block in self._database.blocks]

    def replay(self) -> tuple[int, int, int]:
        """The log has been read: there is an admin."""
        return 0, 0, 0

    def exemplars(
        self, matchers: Sequence[Sequence[Matcher]], start: int, end: int, /
    ) -> Sequence[tuple[Labels, Sequence[Exemplar]]]:
        head = self._database.head
        with head.lock:
            found = head.exemplars.between(start, end)
            refs = np.array(sorted(found), np.int64)
            slots = head.registry.slots_of(refs)
            wanted = np.unique(np.concatenate([match(head.registry, each) for each in matchers]))
            keep = (slots >= 0) & np.isin(slots, wanted)
            rows = [
                (head.registry.labels_of(slot), found[ref])
                for ref, slot in zip(refs[keep].tolist(), slots[keep].tolist(), strict=True)
            ]
        return sorted(rows, key=lambda row: row[0])

    def metadata(self) -> Mapping[str, Metadata]:
        return dict(self._database.head.metadata)
