"""Type, help and unit of pushed metrics, told to storage once and not with every request.

Called by `write` and `otlp`; calls the storage's appender. A series' metadata is read when the series is first seen; what
changes later is noticed after `AGAIN` seconds, so that 100,000 repeated series cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from styr.kit.clock import Clock
from styr.metrics.model.errors import BadData
from styr.metrics.model.labels import METRIC_NAME, Labels, get
from styr.metrics.model.samples import Appender, Metadata
from styr.metrics.remote.proto import Message
from styr.metrics.remote.request import Request
from styr.metrics.remote.series import labels_of

AGAIN = 600.0
TYPES = ("unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset")
"""Both versions' enum MetricType."""
MAX_FAMILIES = 200_000
_SUFFIXES = {
    "histogram": ("_bucket", "_count", "_sum"),
    "gaugehistogram": ("_bucket", "_gcount", "_gsum"),
    "summary": ("_count", "_sum"),
}


def family_of(name: str, kind: str) -> str:
    """The family that a series' name belongs to: without `_bucket`, `_count`, `_sum`."""
    for suffix in _SUFFIXES.get(kind, ()):
        if name.endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return name


class FamilyMetadata:
    """Remembers what storage was told."""

    def __init__(self, appender: Appender, clock: Clock) -> None:
        self._appender = appender
        self._clock = clock
        self._told: dict[str, Metadata] = {}
        self._checked = -AGAIN

    def tell(self, family: str, metadata: Metadata) -> None:
        if not family or self._told.get(family) == metadata:
            return
        if len(self._told) >= MAX_FAMILIES:
            self._told.clear()
        self._told[family] = metadata
        self._appender.set_metadata(family, metadata)

    def of_family(self, message: Message) -> None:
        """Version 1: a MetricMetadata message."""
        kind = message.get("type", 0)
        known = TYPES[kind] if 0 <= kind < len(TYPES) else "unknown"
        found = Metadata(known, message.get("help", ""), message.get("unit", ""))
        self.tell(message.get("metric_family_name", ""), found)

    def of_series(self, request: Request, learned: dict[int, Labels]) -> None:
        """Version 2: of the series just learned, or of all when it is time to look again. What refers to no symbol is left out:
        the samples count, and they are there."""
        rows: Iterable[int] = learned
        now = self._clock.monotonic()
        if now - self._checked >= AGAIN:
            self._checked = now
            rows = np.flatnonzero(request.about[:, 1:].any(axis=1) & (request.about[:, 0] == 0)).tolist()
        raw = request.keys.tobytes() if rows else b""
        for row in rows:
            _, kind, help_ref, unit_ref = request.about[row].tolist()
            if not (kind or help_ref or unit_ref):
                continue
            try:
                labels = learned.get(row) or labels_of(
                    raw, int(request.key_ends[row - 1]) if row else 0, int(request.key_ends[row])
                )
                known = TYPES[kind] if 0 <= kind < len(TYPES) else "unknown"
                found = Metadata(known, request.symbol(help_ref), request.symbol(unit_ref))
            except (BadData, ValueError):
                continue
            self.tell(family_of(get(labels, METRIC_NAME), known), found)
