"""A data directory of this engine or of Prometheus, read as it is: blocks, and the head from chunks_head/, wal/ and wbl/.
Called by the command line; calls `recovery`, `querier`, `block`. Changes nothing in it and takes no lock, so it may be in use;
what its owner writes or drops meanwhile may be missing.

Chunks that become full while the log is read go to a folder beside, which has links to those that are there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from styr.metrics.storage.block import catalog
from styr.metrics.storage.head import Head
from styr.metrics.storage.querier import DatabaseQuerier
from styr.metrics.storage.recovery import recover


@dataclass(frozen=True, slots=True)
class Looked:
    """`problems` are sentences about what could not be read."""

    querier: DatabaseQuerier
    problems: list[str]


@contextmanager
def look(directory: Path) -> Iterator[Looked]:
    """Raises OSError and StorageError when it cannot be read."""
    loaded = catalog.load(directory, look=True)
    problems = [f"block {name} cannot be opened: {error}" for name, error in loaded.corrupt.items()]
    with TemporaryDirectory(prefix="styr-look-") as beside:
        _link(directory, Path(beside))
        head = Head(Path(beside))
        head.min_valid = catalog.newest(loaded.blocks, head.min_valid)
        problems += recover(head, look=True).problems
        head.disk.close()
        yield Looked(DatabaseQuerier(head, lambda: loaded.blocks), problems)


def _link(directory: Path, beside: Path) -> None:
    for name in ("wal", "wbl"):
        if (directory / name).is_dir():
            (beside / name).symlink_to((directory / name).resolve())
    chunks = beside / "chunks_head"
    chunks.mkdir()
    if (directory / chunks.name).is_dir():
        for path in (directory / chunks.name).iterdir():
            (chunks / path.name).symlink_to(path.resolve())
