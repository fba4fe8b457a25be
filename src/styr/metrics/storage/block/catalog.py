"""The blocks of a data directory: listing, opening, removing. Called by `storage.db` at its start and after each compaction.

Blocks are made and removed in one step (a rename), so that after a crash each is there whole or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from styr.metrics.model.errors import Corrupt
from styr.metrics.storage.block import files, meta, ulid
from styr.metrics.storage.block.block import Block
from styr.metrics.storage.block.meta import OUT_OF_ORDER, SELECTED_SERIES, STALE_SERIES, Meta
from styr.metrics.storage.block.writer import CREATING

DELETING = ".tmp-for-deletion"
SNAPSHOT = "chunk_snapshot."
"""Folders in which Prometheus, told to, leaves its head at a stop. They say again what is in wal/ and chunks_head/, up to a
place in wal/; to a log that has gone on elsewhere they do not belong any more, and Prometheus would not see that."""


@dataclass(slots=True)
class Loaded:
    """`blocks` by time. `corrupt` could not be opened; they are left where they are."""

    blocks: list[Block]
    corrupt: dict[str, Corrupt]


def clean(root: Path) -> list[str]:
    """Removes what crashes left behind, blocks half written or half removed, and snapshots of another head. Returns their
    names. Raises StorageError."""
    gone = []
    with files.reported(f"clean up {root}"):
        for path in sorted(root.iterdir()) if root.is_dir() else []:
            name = path.name.removesuffix(CREATING).removesuffix(DELETING)
            if (name != path.name and ulid.is_ulid(name)) or name.startswith(SNAPSHOT):
                files.remove_tree(path)
                gone.append(path.name)
    return gone


def names(root: Path) -> list[str]:
    """Of the blocks, sorted, which is by the time at which they were made."""
    return sorted(path.name for path in root.iterdir() if ulid.is_ulid(path.name)) if root.is_dir() else []


def superseded(metas: Iterable[Meta]) -> set[str]:
    """The blocks that are not to be served: another one has been made of them, or nothing is left of them."""
    gone: set[str] = set()
    for each in metas:
        gone.update(parent.ulid for parent in each.parents)
        if each.deletable:
            gone.add(each.ulid)
    return gone


def load(root: Path, known: Mapping[str, Block] | None = None, *, look: bool = False) -> Loaded:
    """Opens the blocks under `root`, except those in `known` (by name), which are taken over. Removes those that are
    superseded, or only passes them over to `look` into a directory that is another's. Raises StorageError; a block that is
    corrupt is told of in the result."""
    loaded = Loaded([], {})
    with files.reported(f"open the blocks in {root}"):
        found: dict[str, Block | Meta] = {}
        for name in names(root):
            try:
                found[name] = (known or {}).get(name) or meta.read(root / name)
            except Corrupt as error:
                loaded.corrupt[name] = error
        metas = [each.meta if isinstance(each, Block) else each for each in found.values()]
        gone = superseded(metas)
        for name in [*found, *loaded.corrupt]:
            if name in gone:
                if not look:
                    remove(root, name)
                loaded.corrupt.pop(name, None)
        for name, each in found.items():
            if name not in gone:
                _open(root / name, each, loaded)
    loaded.blocks.sort(key=lambda block: (block.meta.mint, block.meta.ulid))
    return loaded


def newest(blocks: Iterable[Block], default: int) -> int:
    """Up to where (exclusive) blocks have everything: the end of the last one that is not of some series only, or of late
    samples. `default` when there is none."""
    partial = {OUT_OF_ORDER, STALE_SERIES, SELECTED_SERIES}
    return max((block.meta.maxt for block in blocks if not partial & set(block.meta.hints)), default=default)


def _open(directory: Path, each: Block | Meta, loaded: Loaded) -> None:
    try:
        loaded.blocks.append(each if isinstance(each, Block) else Block(directory))
    except Corrupt as error:
        loaded.corrupt[directory.name] = error


def remove(root: Path, name: str) -> None:
    """In one step; open readers go on. Raises StorageError."""
    with files.reported(f"remove block {name}"):
        if (root / name).exists():
            files.remove_tree(root / (name + DELETING))
            files.rename(root / name, root / (name + DELETING))
            files.remove_tree(root / (name + DELETING))
