"""What blocks were asked for lately: the series that some matchers find, and where their chunks lie. Called by `block`.

A block's index never changes, so what was found once holds as long as the block does, for every time range; dashboards and
rules ask the same again and again. All blocks share one budget of memory; what has not been asked for the longest goes first.
Thread-safe. Whatever is kept is shared by the queries that get it, and never changed.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable

from styr.metrics.storage.block.index import Found

BUDGET = 48 << 20
"""Bytes, about."""
MOST = BUDGET // 4
"""Bytes of one answer; a larger one is not kept."""
_TEXT = 64
"""Bytes of a string or of a series' printed labels, about."""


class Recent:
    def __init__(self, budget: int = BUDGET, most: int = MOST) -> None:
        self._budget, self._most = budget, most
        self._lock = threading.Lock()
        self._found: OrderedDict[Hashable, tuple[Found, int]] = OrderedDict()
        self.size = 0

    def get(self, key: Hashable) -> Found | None:
        with self._lock:
            entry = self._found.get(key)
            if entry is None:
                return None
            self._found.move_to_end(key)
            return entry[0]

    def put(self, key: Hashable, found: Found) -> None:
        size = _size(found)
        if size > self._most:
            return
        with self._lock:
            if key in self._found:  # Two queries asked at once.
                return
            self._found[key] = found, size
            self.size += size
            while self.size > self._budget:
                _, (_, gone) = self._found.popitem(last=False)
                self.size -= gone


def _size(found: Found) -> int:
    frame = found.frame
    integers = len(found.ids) + len(found.chunk_at) + 3 * len(found.refs)
    return 8 * integers + 4 * frame.size * len(frame.columns) + _TEXT * (len(frame.symbols) + frame.size)


RECENT = Recent()
"""That of all blocks of the process."""
