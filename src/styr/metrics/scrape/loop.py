"""One target, scraped again and again until it goes: when, what came of it, and how its series end. Called by `pool`.

    offset within the interval ─▶ fetch (at most the timeout) ─▶ ingest ─▶ commit ─▶ the next point of the grid
    stop() ─▶ the scrape that runs ends ─▶ two intervals and a tenth without being started again ─▶ staleness markers

Staleness markers of a target that has gone are stamped with the time of its first missed scrape. There are none when the whole
process stops: after a restart the series go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from styr.kit.log import Log
from styr.metrics.exposition.negotiate import Media, UnknownMedia, media
from styr.metrics.model.errors import MetricsError
from styr.metrics.scrape.buffers import Body
from styr.metrics.scrape.config import ScrapeConfig
from styr.metrics.scrape.connection import BodyTooLarge, FetchError
from styr.metrics.scrape.fetch import Fetcher
from styr.metrics.scrape.ingest import Ingest, Outcome
from styr.metrics.scrape.prepared import Prepared
from styr.metrics.scrape.schedule import Grid, offset
from styr.metrics.scrape.shared import Shared
from styr.metrics.scrape.status import LastScrape
from styr.metrics.scrape.target import Target

log = Log("styr.metrics.scrape")


class Loop:
    def __init__(self, target: Target, config: ScrapeConfig, ingest: Ingest, shared: Shared) -> None:
        self.target, self.config, self.ingest = target, config, ingest
        self.last = LastScrape()
        self.forced_error = ""
        """Set by the pool when a limit of the whole pool is exceeded: no scrape then."""
        self._shared, self._clock, self._counters = shared, shared.clock, shared.counters
        self._fetcher = shared.fetcher(target, config)
        self._grid = Grid(target.interval)
        self._wake = asyncio.Event()
        self._stopping = self._busy = False
        self._left: list[Fetcher] = []
        self._next = 0.0

    def reconfigure(self, target: Target, config: ScrapeConfig, fetcher: Fetcher) -> None:
        """Other settings from the next scrape on, without a gap. Only the same target (`Target.identity`) may follow itself."""
        if (target.interval, target.labels) != (self.target.interval, self.target.labels):
            self._grid = Grid(target.interval)
        if _reads_alike(self.config, config) and target.steering == self.target.steering:
            self.ingest.retime(target, config)
        else:
            self.ingest.reconfigure(target, config)
        changed = target.interval != self.target.interval
        self.target, self.config = target, config
        self._leave(self._fetcher)
        self._fetcher = fetcher
        if changed:
            self._wake.set()

    def _leave(self, fetcher: Fetcher) -> None:
        """A scrape that runs is not disturbed by other settings."""
        if self._busy:
            self._left.append(fetcher)
        else:
            fetcher.close()

    def stop(self) -> None:
        """`run` ends the series in its own time and returns."""
        self._stopping = True
        self._wake.set()

    def resume(self) -> None:
        """The target is there again before its series were ended."""
        self._stopping = False
        self._wake.set()

    async def run(self) -> None:
        """Until the target has gone for good, or cancelled."""
        try:
            while True:
                await self._scrapes()
                if await self._ending():
                    return
        finally:
            for fetcher in (*self._left, self._fetcher):
                fetcher.close()

    async def _scrapes(self) -> None:
        """Until `stop`."""
        interval = -1
        while not self._stopping:
            if interval != self.target.interval:
                interval = self.target.interval
                wait = offset(self.target.hash, self._shared.seed, interval, self._clock.time() * 1000)
                self._next = self._clock.monotonic() + wait / 1000
            if not await self._sleep_until(self._next):
                continue
            await self._scrape()
            now, step = self._clock.monotonic(), interval / 1000
            missed = max(0, int((now - self._next) / step))
            self._next += (missed + 1) * step
            if missed:
                late = self._counters.late
                late[self.config.job] = late.get(self.config.job, 0) + missed

    async def _ending(self) -> bool:
        """True when the series have been ended, False when the target came back."""
        step = self.target.interval / 1000
        if not await self._sleep_until(self._next, stopping=False):
            return False
        stale = self._clock.time() * 1000
        if not await self._sleep_until(self._next + 1.1 * step, stopping=False):
            return False
        try:
            self.ingest.end(self._grid.stamp(stale))
            await self._shared.committed()
        except MetricsError as error:
            log.warning("staleness markers were not stored", target=self.target.url, error=str(error))
        return True

    async def _sleep_until(self, moment: float, stopping: bool = True) -> bool:
        """False when something happened before: `stop` or other settings, `resume` when not `stopping`."""
        self._wake.clear()
        wait = moment - self._clock.monotonic()
        if wait <= 0:
            await asyncio.sleep(0)
        else:
            timer = asyncio.get_running_loop().call_later(wait, self._wake.set)
            try:
                await self._wake.wait()
            finally:
                timer.cancel()
        if self._stopping is stopping:
            return False
        return self._clock.monotonic() >= moment - 1e-6

    async def _scrape(self) -> None:
        """One scrape, whatever happens to it."""
        clock, started = self._clock, self._clock.monotonic()
        begun = clock.time()
        t = self._grid.stamp(begun * 1000)

        def elapsed() -> float:
            return clock.monotonic() - started

        self._busy = True
        try:
            outcome = await self._fetch_and_store(t, elapsed)
            await self._shared.committed()
        except MetricsError as error:
            outcome = Outcome(str(error))
            log.warning("a scrape was not stored", target=self.target.url, error=str(error))
        except Exception as error:
            # Our bug, and no reason not to scrape this target again.
            self.ingest.forget()
            outcome = Outcome(f"internal error: {error!r}")
            log.error("a scrape failed", error, target=self.target.url)
        finally:
            self._busy = False
            while self._left:
                self._left.pop().close()
        self._tell(outcome, begun, elapsed())

    async def _fetch_and_store(self, t: int, elapsed: Callable[[], float]) -> Outcome:
        if self.forced_error:
            return self.ingest.fail(t, self.forced_error, elapsed)
        try:
            async with asyncio.timeout(self.target.timeout / 1000):
                page = await self._fetcher.fetch()
            form = media(page.content_type, self.config.fallback_protocol)
        except BodyTooLarge as error:
            self._counters.body_size_exceeded += 1
            return self.ingest.fail(t, str(error), elapsed, size=-1)
        except TimeoutError:
            return self.ingest.fail(t, f"no answer within {self.target.timeout / 1000:g} s", elapsed)
        except (FetchError, UnknownMedia) as error:
            return self.ingest.fail(t, str(error), elapsed)
        prepared = await self._prepare(page.body, form) if self.ingest.is_large(page.body) else None
        return self.ingest.scrape(page.body, form, t, elapsed, prepared)

    async def _prepare(self, body: Body, form: Media) -> Prepared | None:
        """What takes long, where it holds up nobody; None when something is wrong with the body, which `scrape` will tell."""
        async with self._shared.parsing:
            prepared = await asyncio.to_thread(self.ingest.prepare, body.bytes(), form)
            if prepared is not None:
                for _ in prepared.register(self._shared.appender, self.config.sample_limit):
                    await asyncio.sleep(0)
            return prepared

    def _tell(self, outcome: Outcome, begun: float, seconds: float) -> None:
        counters = self._counters
        counters.scrapes += 1
        counters.samples += outcome.kept
        counters.hits += outcome.hit
        counters.duplicates += outcome.duplicate
        counters.out_of_order += outcome.out_of_order
        counters.out_of_bounds += outcome.out_of_bounds
        if outcome.error:
            counters.failures += 1
            counters.sample_limit_exceeded += "sample limit exceeded" in outcome.error
            counters.label_limit_exceeded += "label_" in outcome.error and "limit exceeded" in outcome.error
        last = self.last
        last.health, last.last_error = ("down" if outcome.error else "up"), outcome.error
        last.last_scrape, last.duration = begun, seconds


def _reads_alike(before: ScrapeConfig, after: ScrapeConfig) -> bool:
    """Whether what was learnt of a page's series under one configuration holds under the other."""
    return all(
        getattr(before, name) == getattr(after, name)
        for name in (
            *("honor_labels", "honor_timestamps", "track_timestamps_staleness", "native_histograms", "legacy_names"),
            *("classic_histograms", "convert_classic", "extra_metrics", "metric_relabel", "label_limit"),
            *("label_name_length_limit", "label_value_length_limit", "sample_limit", "bucket_limit", "job"),
            "min_bucket_factor",
        )
    )
