"""Row records in bulk into the head. Called by `recovery`; calls `kernels.replay`.

Rows of a layout wait until there are some, and are then appended column by column, which is several times as fast as row by
row. They never wait beyond anything else that touches their series: samples in other records, another layout that takes them
over.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels import head as headkernels
from styr.metrics.kernels import replay
from styr.metrics.kernels import wal as kernels
from styr.metrics.model.errors import Corrupt
from styr.metrics.storage.arrays import grown
from styr.metrics.storage.head import Head
from styr.metrics.storage.headstate import LATE
from styr.metrics.storage.records import Reader
from styr.metrics.storage.wal import Records

Ints = NDArray[np.int64]
Slots = NDArray[np.int32]
Bytes = NDArray[np.uint8]

_MOST_NUMBER = 1 << 24
_NOTHING = np.zeros(1, np.uint8)


class RowReader:
    def __init__(self, head: Head) -> None:
        self._registry, self._state = head.registry, head.state
        self._layouts: Ints = np.full((64, 6), -1, np.int64)
        self._slots: Slots = np.zeros(1 << 14, np.int32)
        self._last: Ints = np.zeros(1 << 14, np.int64)
        self._waiting: Ints = np.zeros(replay.BATCH << 14, np.int64)
        self._times: Ints = np.zeros(replay.BATCH * 64, np.int64)
        self._owner: Slots = np.zeros(1024, np.int32)
        """By slot: one more than the number of the layout that had it last."""
        self._used = 0
        self._idle = True
        self.skipped = 0
        """Rows of layouts that the log does not define, or that do not parse."""

    def take(self, found: Records, first: int, last: int) -> None:
        """The rows among the records `first .. last - 1`; some of them wait."""
        self._idle = False
        self._run(found.data, found.starts, first, last, everything=False)

    def finish(self) -> None:
        """No row waits any more."""
        if not self._idle:
            self._run(_NOTHING, np.zeros(1, np.int64), 0, 0, everything=True)
            self._idle = True

    def before(self, slots: Slots) -> None:
        """Something else is about to be appended to these series."""
        if not self._idle and (self._owner[slots[(slots >= 0) & (slots < len(self._owner))]] > 0).any():
            self.finish()

    def _run(self, data: Bytes, starts: Ints, first: int, last: int, everything: bool) -> None:
        state, progress = self._state, np.array([first, 0, -1, 0, 0, 0], np.int64)
        flag = np.uint8(everything)
        while missing := replay.replay_rows(
            data, starts, last, flag, self._layouts, self._slots, self._last, self._waiting, self._times, progress,
            state.rows, state.slabs, state.pool, state.info, state.stage, state.chunks, self._registry.refs,
        ):  # fmt: skip
            if missing == headkernels.IS_HISTOGRAM:
                state.close_histogram(int(progress[replay.SLOT]))
            else:
                state.provide(missing)
        self.skipped += int(progress[replay.SKIPPED])

    def layout(self, data: Bytes, start: int, end: int) -> None:
        """A layout record. Raises Corrupt."""
        reader = Reader(data[start : min(end, start + 24)].tobytes())
        number, columns = reader.uvarint(), reader.uvarint()
        refs = np.zeros(min(columns, end - start), np.int64)
        if (
            number > _MOST_NUMBER
            or kernels.decode_layout(data, start + reader.at, end, refs) < 0
            or len(refs) < columns
        ):
            raise Corrupt("a layout record of the write-ahead log ends too early")
        self.finish()
        slots = self._registry.slots_of(refs)
        known = slots[slots >= 0]
        self._make_room(number, columns)
        newest = self._state.rows[known, headkernels.LAST_T]
        closed = int(newest.min(initial=LATE)) if len(newest) else headkernels.NEVER
        at = int(self._layouts[number, replay.AT])
        if int(self._layouts[number, replay.COLUMNS]) != columns:
            at, self._used = self._used, self._used + columns
        self._slots[at : at + columns] = slots
        self._layouts[number] = at, columns, 0, closed, 0, 0
        self._owner[self._owner == number + 1] = 0
        before = np.unique(self._owner[known])
        others = before[(before > 0) & (before != number + 1)] - 1
        self._layouts[others, replay.SHARED] = 1
        self._owner[known] = number + 1

    def _make_room(self, number: int, columns: int) -> None:
        before = len(self._layouts)
        self._layouts = grown(self._layouts, number + 1)
        self._layouts[before:] = -1
        self._times = grown(self._times, replay.BATCH * len(self._layouts))
        behind = self._used + columns
        self._slots, self._last = grown(self._slots, behind, self._used), grown(self._last, behind, self._used)
        self._waiting = grown(self._waiting, replay.BATCH * len(self._last), 0)
        self._owner = grown(self._owner, len(self._state.rows))
