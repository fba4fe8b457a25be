"""Which blocks to compact, and compacting them. Called by `storage.db`; calls `merge` and `writer`.

`plan` is pure and decides as Prometheus' leveled compaction does. `compact` makes one block of several (or rewrites one without
what was deleted); the sources stay until the caller removes them, and the new block names them as its parents, so that a crash
in between is put right by `catalog.load`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from styr.metrics.model.errors import StorageError
from styr.metrics.storage.block import files, meta
from styr.metrics.storage.block.block import Block
from styr.metrics.storage.block.merge import merge
from styr.metrics.storage.block.meta import OUT_OF_ORDER, SELECTED_SERIES, STALE_SERIES, Meta
from styr.metrics.storage.block.writer import write_block

BLOCK_RANGE = 2 * 3600 * 1000
"""Milliseconds in a block that the head writes."""
_STEPS = 10
_TOMBSTONES = 0.05
"""Deleted ranges for each series from which on a big block is rewritten."""


def ranges(longest: int, shortest: int = BLOCK_RANGE) -> list[int]:
    """Lengths of blocks, each three times the one before, up to `longest` (at least one)."""
    steps = [shortest * 3**i for i in range(_STEPS)]
    return [step for step in steps if step <= longest] or steps[:1]


def plan(metas: Sequence[Meta], lengths: Sequence[int]) -> list[str]:
    """The names of the blocks to make into one, in order of time; empty when there is nothing to do. Blocks of stale or
    selected series are kept apart from the others, because they do not hold all of their time."""
    partial = (STALE_SERIES, SELECTED_SERIES)
    classes = [[m for m in metas if not any(hint in m.hints for hint in partial)]]
    classes += [[m for m in metas if STALE_SERIES in m.hints]]
    classes += [[m for m in metas if SELECTED_SERIES in m.hints and STALE_SERIES not in m.hints]]
    for each in classes:
        if chosen := _plan(sorted(each, key=lambda m: m.mint), lengths):
            return [m.ulid for m in chosen]
    return []


def _plan(metas: list[Meta], lengths: Sequence[int]) -> list[Meta]:
    if chosen := _overlapping(metas):
        return chosen
    metas = metas[:-1]  # The newest block stays as it is, so that backups can take blocks one by one.
    return _level(metas, lengths) or _tombstones(metas, lengths)


def _overlapping(metas: list[Meta]) -> list[Meta]:
    """The first blocks in time that overlap each other."""
    chosen: list[Meta] = []
    newest = metas[0].maxt if metas else 0
    for before, each in pairwise(metas):
        if each.mint < newest:
            chosen += [each] if chosen else [before, each]
        elif chosen:
            break
        newest = max(newest, each.maxt)
    return chosen


def _level(metas: list[Meta], lengths: Sequence[int]) -> list[Meta]:
    """Blocks that fill a longer range, or that are in one that newer blocks have left behind."""
    if not metas:
        return []
    for length in lengths[1:]:
        for part in _parts(metas, length):
            span = part[-1].maxt - part[0].mint
            complete = span == length or part[-1].maxt <= metas[-1].mint
            if complete and len(part) > 1 and not any(m.failed for m in part):
                return part
    return []


def _parts(metas: list[Meta], length: int) -> list[list[Meta]]:
    """The blocks by the aligned range of `length` that they are in; those that are in no one are left out."""
    parts: dict[int, list[Meta]] = {}
    for each in metas:
        start = each.mint // length * length
        if each.maxt <= start + length:
            parts.setdefault(start, []).append(each)
    return list(parts.values())


def _tombstones(metas: list[Meta], lengths: Sequence[int]) -> list[Meta]:
    """The newest big block of which much is deleted; a small one only when all is."""
    for each in reversed(metas):
        stones, series = each.stats.tombstones, each.stats.series
        if each.maxt - each.mint < lengths[len(lengths) // 2]:
            return [each] if stones and stones >= series else []
        if stones / (series + 1) > _TOMBSTONES:
            return [each]
    return []


def merged(name: str, metas: Sequence[Meta]) -> Meta:
    """The meta of the block `name` that is made of others. It is from out-of-order samples only if all of them are."""
    kept = {hint for m in metas for hint in m.hints if hint in (STALE_SERIES, SELECTED_SERIES)}
    if all(OUT_OF_ORDER in m.hints for m in metas):
        kept.add(OUT_OF_ORDER)
    return Meta(
        name,
        min(m.mint for m in metas),
        max(m.maxt for m in metas),
        level=max(m.level for m in metas) + 1,
        sources=tuple(sorted({source for m in metas for source in m.sources})),
        parents=tuple(m.of() for m in metas),
        hints=tuple(sorted(kept)),
    )


def compact(root: Path, blocks: Sequence[Block], name: str) -> Meta | None:
    """Makes the block `root/name` of `blocks`. None when nothing is left of them: they are marked deletable then.

    Raises StorageError (Corrupt is one) when a block cannot be read or the new one cannot be written; the blocks are served as
    before. Unless the disk is at fault, they are marked failed, so that the planner passes them over."""
    ordered = sorted(blocks, key=lambda block: (block.meta.mint, block.meta.ulid))
    new = merged(name, [block.meta for block in ordered])
    try:
        written = write_block(root, merge([block.chunks([]) for block in ordered]), new)
    except StorageError as error:
        if not isinstance(error.__cause__, OSError):
            _mark(ordered, failed=True)
        raise
    if written is None:
        _mark(ordered, deletable=True)
    return written


def clean(root: Path, block: Block, name: str) -> Meta | None:
    """Makes the block `root/name` of one block without what is deleted in it, at its level. None when nothing is left. Raises
    StorageError. The block stays until the caller removes it."""
    old = block.meta
    new = replace(meta.new(name, old.mint, old.maxt, parents=(old.of(),), hints=old.hints), level=1)
    return write_block(root, merge([block.chunks([])]), new)


def _mark(blocks: Sequence[Block], *, failed: bool = False, deletable: bool = False) -> None:
    for block in blocks:
        block.meta = replace(
            block.meta, failed=block.meta.failed or failed, deletable=block.meta.deletable or deletable
        )
        with files.reported(f"mark block {block.meta.ulid}"):
            meta.write(block.directory, block.meta)
