"""When a target is scraped and which timestamp its samples get. Called by `loop`; pure.

A target's scrapes lie at its own offset within the interval, the same after a restart; a scrape that begins within 1 % of the
interval, and within 10 ms, of the grid gets the grid's timestamp. That keeps timestamps cheap: on the grid one costs a bit,
beside it two bytes. Prometheus has the same rule with 2 ms; on two busy cores half of all scrapes begin later than that.

Offsets lie on ticks, so that targets with the same one are scraped together: a process that wakes for one small target pays
more for its cold caches than for the scrape.
"""

from __future__ import annotations

import math

TOLERANCE = 10.0
"""Milliseconds."""

TICK = 50.0
"""Milliseconds between two offsets, or a twentieth of the interval if that is less."""


def offset(identity: int, seed: int, interval: int, now: float) -> float:
    """Milliseconds from `now` (ms since 1970) to a target's next scrape; `identity` and `seed` are 64-bit numbers."""
    tick = min(TICK, interval / 20)
    wanted = (identity ^ seed) % math.ceil(interval / tick) * tick
    ahead = interval - now % interval + wanted
    return ahead - interval if ahead > interval else ahead


class Grid:
    """The timestamps of one target. `stamp` is called at the beginning of each scrape with the time, ms since 1970."""

    def __init__(self, interval: int) -> None:
        self.interval = interval
        self._anchor: float | None = None
        self._off, self._misses = 0.0, 0

    def stamp(self, now: float) -> int:
        anchor = self._anchor
        if anchor is None or now < anchor - self.interval:
            self._anchor = now  # the first scrape, or the clock was set back
            return int(now)
        if now > anchor:
            anchor += (now - anchor) // self.interval * self.interval
        self._anchor = anchor
        tolerance = min(self.interval / 100, TOLERANCE)
        if anchor + self.interval - now <= tolerance:
            anchor += self.interval
        if abs(now - anchor) <= tolerance:
            self._misses = 0
            return int(anchor)
        self._follow(now, anchor, tolerance)
        return int(now)

    def _follow(self, now: float, anchor: float, tolerance: float) -> None:
        """Scrapes that are off the grid by the same time again and again: the clock was set. That is a new grid."""
        off = now - anchor
        self._misses = self._misses + 1 if abs(off - self._off) <= tolerance else 1
        self._off = off
        if self._misses == 3:
            self._anchor, self._misses = now, 0
