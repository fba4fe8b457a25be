"""A second name for a block's files, in another folder of the same disk. Called by `storage.db` for the admin API."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from styr.metrics.storage.block import files, meta, tombstones
from styr.metrics.storage.block.block import CHUNKS, Block
from styr.metrics.storage.block.index import FILE as INDEX


def snapshot(block: Block, target: Path) -> Path:
    """Makes `target/<ULID>` with hard links; returns it. Files of a block are replaced and never changed, so that what happens
    to the block later does not reach the snapshot. Raises StorageError."""
    directory = target / block.meta.ulid
    with files.reported(f"snapshot block {block.meta.ulid}", "the snapshot must be on the same disk as the data"):
        target.mkdir(parents=True, exist_ok=True)
        directory.mkdir()
        try:
            _link(block, directory)
        except OSError:
            with contextlib.suppress(OSError):
                files.remove_tree(directory)
            raise
        files.sync_directory(target)
    return directory


def _link(block: Block, directory: Path) -> None:
    (directory / CHUNKS).mkdir()
    for path in block.files.paths:
        os.link(path, directory / CHUNKS / path.name)
    for name in (meta.FILE, INDEX, tombstones.FILE):
        if (block.directory / name).exists():
            os.link(block.directory / name, directory / name)
    files.sync_directory(directory / CHUNKS)
    files.sync_directory(directory)
