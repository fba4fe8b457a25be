"""Which blocks are too old, or too many. Called by `storage.db` after each change of blocks. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from styr.metrics.storage.block.meta import Meta


def expired(sized: Sequence[tuple[Meta, int]], longest: int = 0, most: int = 0, other: int = 0) -> list[str]:
    """Names of the blocks to remove, newest first. `sized` are blocks and their bytes. `longest`: milliseconds that may lie
    between the end of the newest block and that of one that stays (0: no limit). `most`: bytes that blocks may have together
    with the `other` files of the database (0: no limit). From the first block that is too much on, all older ones go."""
    ordered = sorted(sized, key=lambda each: each[0].maxt, reverse=True)
    total = other
    for number, (meta, size) in enumerate(ordered):
        total += size
        old = longest > 0 and ordered[0][0].maxt - meta.maxt >= longest
        if old or (most > 0 and total > most):
            return [each.ulid for each, _ in ordered[number:]]
    return []
