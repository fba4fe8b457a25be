"""A checkpoint: all that a start needs of the log so far, so that its segments can go. Called by `db`; calls `head`, `wal`.

`wal/checkpoint.N` stands for the segments up to N, as Prometheus' does, and holds series, metadata, tombstones, exemplars
and, in our own record type, the open chunks. The samples themselves are not copied: closed chunks are in chunks_head/, which
is synced before anything is dropped. It is taken while samples come in: the log moves to a new segment first, and what a
copied chunk has already of that segment is skipped when it is replayed.
"""

from __future__ import annotations

import os
import threading
from itertools import islice
from pathlib import Path

import numpy as np

from styr.metrics.kernels import replay
from styr.metrics.model.errors import Unavailable
from styr.metrics.storage import records
from styr.metrics.storage.block.files import remove_tree, reported, sync_directory
from styr.metrics.storage.head import Head
from styr.metrics.storage.wal import Wal

_SLICE = 5_000
"""Series that are copied at a time, under the lock."""
_BATCH = 1_000


def checkpoint(head: Head) -> None:
    """Takes one and drops the segments that it stands for. Raises StorageError and Unavailable; then they stay, and nothing is
    lost."""
    with head.lock:
        for slot in list(head.histograms.open):
            head.histograms.close(slot)
        head.wal.cut()
        last = head.wal.segment - 1
    final = head.directory / "wal" / f"checkpoint.{last:08d}"
    temporary = final.with_name(final.name + ".tmp")
    with reported(f"write checkpoint {final}", "free some space on its disk"):
        remove_tree(temporary)
        _fill(head, temporary)
        _sync_chunks(head)
        head.sync()
        head.wal.touch()
        os.rename(temporary, final)
        sync_directory(final.parent)
        head.wal.drop_until(last)


def _sync_chunks(head: Head) -> None:
    """The chunks that were closed until now, to the disk for good."""
    with head.lock:
        head.state.flush()
        if head.state.staged:
            raise Unavailable(f"the disk of {head.directory} takes no chunks; free some space on it")
    head.disk.sync()


def _fill(head: Head, directory: Path) -> None:
    out = Wal(directory, threading.RLock(), number=0)
    with head.lock:
        live = head.registry.live()
        families = list(head.metadata.items())
        stones = [(ref, low, high) for ref, ranges in head.tombstones.items() for low, high in ranges]
        exemplars = iter(head.exemplars.all())
    for first in range(0, len(live), _BATCH):
        with head.lock:
            slots = live[first : first + _BATCH].tolist()
            batch = [(int(head.registry.refs[slot]), head.registry.labels_of(slot)) for slot in slots]
        out.log_bytes(records.series(item for item in batch if item[0]))
    for name, metadata in families:
        out.log_bytes(records.family(name, metadata))
    if stones:
        out.log_bytes(records.tombstones(stones))
    while part := list(islice(exemplars, _BATCH)):
        out.log_bytes(records.exemplars(part))
    scratch = np.zeros(_SLICE * 1144 + 16, np.uint8)
    scratch[0] = records.OPEN
    for first in range(0, len(live), _SLICE):
        with head.lock:
            some = live[first : first + _SLICE]
            some = some[head.registry.refs[some] > 0]
            end = int(replay.write_open(head.state.rows, head.state.slabs, head.registry.refs, some, scratch, 1))
        if end > 1:
            out.log(scratch, end, compress=True)
    out.close()
