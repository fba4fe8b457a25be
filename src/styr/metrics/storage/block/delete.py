"""Deleting samples out of a block. Called by `storage.db` for the admin API; calls `tombstones` and `meta`.

Only ranges are noted; the samples go when the block is rewritten (`compact.plan` says when, `compact.clean` does it at once).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from styr.metrics.model.matchers import Matcher
from styr.metrics.storage.block import files, meta, tombstones
from styr.metrics.storage.block.block import Block


def delete(block: Block, matchers: Sequence[Matcher], start: int, end: int) -> int:
    """Deletes the samples of `start .. end` (inclusive) of all series that `matchers` match. Returns how many series there
    were. Raises Corrupt, and StorageError when the disk refuses; nothing is deleted then."""
    found = block.find(matchers, start, end)
    if not len(found.ids):
        return 0
    everything = block.index.series(found.ids)  # Ranges end with the series' own samples, not beyond.
    lows = np.maximum(everything.mints[everything.chunk_at[:-1]], start).tolist()
    highs = np.minimum(everything.maxts[everything.chunk_at[1:] - 1], end).tolist()
    stones = dict(block.tombstones)
    for ref, low, high in zip(found.ids.tolist(), lows, highs, strict=True):
        stones[ref] = tombstones.add(stones.get(ref, ()), (low, high))
    stats = replace(block.meta.stats, tombstones=sum(map(len, stones.values())))
    changed = replace(block.meta, stats=stats)
    with files.reported(f"delete samples of block {block.meta.ulid}"):
        tombstones.write(block.directory, stones)
        meta.write(block.directory, changed)
    block.tombstones, block.meta = stones, changed
    return len(found.ids)
