"""What every job and loop of a pool uses. Made by `pool`; calls nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from styr.kit.clock import Clock
from styr.metrics.model.samples import Appender
from styr.metrics.scrape.buffers import Buffers
from styr.metrics.scrape.config import ScrapeConfig
from styr.metrics.scrape.fetch import Fetcher
from styr.metrics.scrape.lines import Scratch
from styr.metrics.scrape.status import Counters
from styr.metrics.scrape.target import Target

MakeFetcher = Callable[[Target, ScrapeConfig], Fetcher]

_PARSED_AT_ONCE = 2
"""Large pages, which are a kilobyte a sample while they are parsed. The GIL lets one run; the other place is for a page that
is not as large as the first."""


class Shared:
    """`committed` is awaited after each scrape that was stored; it returns at once when commits are grouped."""

    def __init__(
        self,
        appender: Appender,
        clock: Clock,
        fetcher: MakeFetcher,
        committed: Callable[[], Awaitable[None]],
        buffers: Buffers,
        counters: Counters,
        seed: int,
    ) -> None:
        self.appender, self.clock, self.fetcher, self.committed = appender, clock, fetcher, committed
        self.buffers, self.counters, self.seed = buffers, counters, seed
        self.scratch = Scratch()
        self.parsing = asyncio.Semaphore(_PARSED_AT_ONCE)
