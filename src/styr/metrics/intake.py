"""What must not wait at a start: the data directory, open, and the pool that scrapes into it. Called by `process`, which
imports everything else meanwhile, and by `assemble`; calls storage and scraping only.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from random import Random

from styr.kit.clock import Clock
from styr.kit.log import Log
from styr.metrics.config import Config, load
from styr.metrics.jobs import Jobs
from styr.metrics.options import Options
from styr.metrics.scrape.pool import Pool
from styr.metrics.storage.db import Database, Settings
from styr.metrics.storage.head import HeadSettings

log = Log("styr.metrics.process")


def kept(options: Options, config: Config) -> Options:
    """With the retention of the configuration, if it has one: it wins, as in Prometheus."""
    if config.retention is None:
        return options
    return replace(options, retention=config.retention[0], retention_size=config.retention[1])


def window(options: Options, config: Config) -> int:
    """How late a sample may be, ms."""
    return options.out_of_order_window or config.out_of_order_window


def read_config(options: Options) -> Config:
    """Raises BadData, OSError."""
    return load(options.config) if options.config else Config()


class Intake:
    def __init__(self, options: Options, config: Config, database: Database, clock: Clock, random: Random) -> None:
        self.options, self.config, self.database = options, config, database
        self.clock, self.random = clock, random
        self.pool = Pool(database.appender, clock, seed=random.getrandbits(32))
        self.jobs = Jobs(self.pool, clock, config.jobs, options.config.parent if options.config else options.data_dir)
        self._scraping: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Scrapes from now on."""
        self.jobs.apply()
        self._scraping = asyncio.create_task(self.pool.run())

    async def run(self) -> None:
        """Scrapes until cancelled, whether `start` was called before or not."""
        if self._scraping is None:
            self.start()
        assert self._scraping is not None
        try:
            await self._scraping
        finally:
            await self._stop()

    async def _stop(self) -> None:
        if self._scraping is not None:
            self._scraping.cancel()
            await asyncio.gather(self._scraping, return_exceptions=True)

    async def close(self) -> None:
        """Everything appended is in files that Prometheus reads. Raises StorageError when the disk refuses."""
        await self._stop()
        await asyncio.to_thread(self.database.close)


def open_intake(options: Options, clock: Clock, random: Random) -> Intake:
    """Reads configuration and data directory, which takes seconds. Raises MetricsError, OSError."""
    config = read_config(options)
    head = HeadSettings(chunk_range=options.block_duration, out_of_order_window=window(options, config))
    limits = kept(options, config)
    settings = Settings(head, limits.retention, limits.retention_size)
    database = Database.open(options.data_dir, clock, settings, random)
    for problem in database.problems:
        log.warning("found in the data directory", problem=problem)
    found = database.recovered
    log.info(
        "the data directory is read",
        series=found.series,
        chunks=found.chunks,
        blocks=len(database.blocks),
        seconds=f"{found.seconds:.2f}",
    )
    return Intake(options, config, database, clock, random)
