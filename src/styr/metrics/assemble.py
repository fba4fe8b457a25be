"""The metrics engine put together: storage, PromQL, scraping, rules, HTTP API. Called by `process`, once, in a thread where
it may block; everything heavy is imported from here.

    engine = Engine(open_intake(options, clock, random))     # reads the data directory: seconds
    await engine.run()                                       # until cancelled: scrapes, evaluates, maintains
    await engine.close()
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from random import Random

import prometheus_client
from prometheus_client import CollectorRegistry

from styr.kit.clock import Clock
from styr.kit.log import Log
from styr.metrics import memory, selfmetrics
from styr.metrics.config import Config
from styr.metrics.intake import Intake, kept, open_intake, read_config, window
from styr.metrics.notifying import Notifying
from styr.metrics.options import Options
from styr.metrics.promql import engine as promql
from styr.metrics.promql.features import DEFAULT, EXPERIMENTAL
from styr.metrics.remote.otlp import OtlpReceiver
from styr.metrics.remote.otlp.names import Settings as OtlpSettings
from styr.metrics.remote.read import RemoteRead
from styr.metrics.remote.write import WriteReceiver
from styr.metrics.rules import evaluation
from styr.metrics.rules.bind import evaluate
from styr.metrics.rules.groups import Group
from styr.metrics.rules.manager import Manager
from styr.metrics.rules.running import RunningGroup
from styr.metrics.rules.workers import threads
from styr.metrics.web.api import Api
from styr.metrics.web.engine import PromqlEngine
from styr.metrics.web.gate import Gate
from styr.metrics.web.log import ActiveQueries, QueryLog
from styr.metrics.web.parts import Parts, Status
from styr.metrics.web.scraping import ScrapeTargets
from styr.metrics.web.storage import DatabaseAdmin
from styr.metrics.web.write import Receivers

log = Log("styr.metrics.process")

MAINTENANCE = 60.0
"""Seconds between rounds of compaction, retention and checkpoints."""
SETTLED = 10.0
"""Seconds after which a start has left behind what it needed."""
RULE_THREADS = 4
WITHOUT_OBJECTS = 20.0
"""Seconds that rules of files wait for those of Kubernetes at the start: only the first list restores what was pending."""


class Rules:
    """`parts.Rules` over the manager."""

    def __init__(self, manager: Manager, notifying: Notifying) -> None:
        self._manager, self._notifying = manager, notifying

    @property
    def groups(self) -> Sequence[RunningGroup]:
        return self._manager.groups

    def alertmanagers(self) -> tuple[Sequence[str], Sequence[str]]:
        return self._notifying.urls, []


def parts_of(options: Options, clock: Clock) -> Parts:
    """Without anything that needs the storage: the API answers 503 then."""
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    prometheus_client.ProcessCollector(registry=registry)
    prometheus_client.PlatformCollector(registry=registry)
    prometheus_client.GCCollector(registry=registry)
    status = Status(clock.time(), flags=options.flags(), retention=options.kept())
    return Parts(clock, registry, status, data_dir=options.data_dir)


def api_of(parts: Parts, options: Options) -> Api:
    """The handler; must be made on the event loop."""
    gate = Gate(parts.clock, concurrency=options.query_concurrency, timeout=options.query_timeout)
    options.data_dir.mkdir(parents=True, exist_ok=True)
    active = ActiveQueries(options.data_dir / "queries.active", options.query_concurrency)
    return Api(parts, gate, QueryLog(parts.clock, active, options.query_log))


class Engine:
    """Everything that runs while the process does."""

    def __init__(self, intake: Intake) -> None:
        self.intake, self.jobs = intake, intake.jobs
        self.options, self.config, self.database = options, config, database = (
            intake.options, intake.config, intake.database,
        )  # fmt: skip
        self._clock, self._random = clock, random = intake.clock, intake.random
        settings = promql.Settings(
            features=EXPERIMENTAL if options.experimental else DEFAULT,
            most_samples=options.query_samples,
            timeout=options.query_timeout,
            evaluation_interval=config.interval,
        )
        self.promql = promql.Engine(database.querier, settings, clock=clock.monotonic)
        self._threads = ThreadPoolExecutor(RULE_THREADS, thread_name_prefix="rules")
        self._writes = WriteReceiver(database.appender, clock, random)
        self._otlp = OtlpReceiver(database.appender, clock, config.otlp or OtlpSettings())
        url = options.external_url or f"http://{options.host}:{options.port}"
        self.notifying = Notifying(
            config.alerting, options.notify, clock, options.data_dir, config.external_labels, url
        )
        self.rules = Manager(
            evaluation.Engine(
                evaluate(self.promql),
                database.appender,
                clock,
                run=threads(self._threads),
                querier=database.querier,
                external_labels=config.external_labels,
                external_url=url,
                send=self.notifying.send,
            )
        )
        self.targets = ScrapeTargets(intake.pool, self.jobs.relabelling)
        self._from_files: Sequence[Group] = config.groups
        self._from_objects: Sequence[Group] = ()
        self._know_objects = asyncio.Event()
        self._defaults_changed = asyncio.Event()
        self._reloading = asyncio.Lock()

    def install(self, api: Api) -> None:
        """The API answers from now on."""
        parts, database = api.parts, self.database
        parts.engine = PromqlEngine(self.promql, self._clock)
        parts.appender, parts.admin = database.appender, DatabaseAdmin(database, self._clock, self._random)
        parts.rules, parts.targets = Rules(self.rules, self.notifying), self.targets
        api.alertmanager = self.notifying.api
        self._api, api.reload = api, self.reload
        parts.status.config = lambda: self.config.text
        self._publish()
        selfmetrics.register(parts.registry, database, self.rules, self.intake.pool.counters)
        self.notifying.register(parts.registry)
        parts.querier = database.querier()

    def _publish(self) -> None:
        """What the API shows of the configuration, and does by it."""
        api, config, status = self._api, self.config, self._api.parts.status
        status.external_labels = dict(config.external_labels)
        status.retention = kept(self.options, config).kept()
        status.config_ok, status.config_loaded = True, self._clock.time()
        if self.options.query_log is None and config.query_log:
            api.log.open(self.options.data_dir / config.query_log)
        elif self.options.query_log is None:
            api.log.close_file()
        api.receivers = Receivers(self._writes, self._otlp, RemoteRead(status.external_labels))

    async def run(self) -> None:
        """Until cancelled."""
        await self.notifying.start()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.intake.run())
            group.create_task(self._maintain())
            if self.options.kubeconfig is not None:
                group.create_task(self._watch(self.options.kubeconfig))
            group.create_task(self._first_rules())

    async def _first_rules(self) -> None:
        """Rules of files alone, when there is no Kubernetes API, or none that answers."""
        if self.options.kubeconfig is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._know_objects.wait(), WITHOUT_OBJECTS)
                return
        await self.rules.apply([*self._from_files, *self._from_objects])

    async def reload(self) -> None:
        """Reads the configuration again, and the notifier's: what Prometheus' reload changes, changes, jobs, rules and
        Alertmanagers by difference. Raises BadData or OSError, and everything goes on as it was."""
        async with self._reloading:
            try:
                config = await asyncio.to_thread(read_config, self.options)
                await self.notifying.apply(config.alerting, config.external_labels)
            except Exception:
                self._api.parts.status.config_ok = False
                raise
            self._take(config)
            await self.rules.apply([*self._from_files, *self._from_objects])
        log.info("the configuration is read again", jobs=len(config.jobs), groups=len(config.groups))

    def _take(self, config: Config) -> None:
        before, self.config, self._from_files = self.config, config, config.groups
        self.database.head.out_of_order.window = window(self.options, config)
        if config.otlp != before.otlp:
            self._otlp = OtlpReceiver(self.database.appender, self._clock, config.otlp or OtlpSettings())
        if (config.defaults, config.interval) != (before.defaults, before.interval):
            self._defaults_changed.set()
        limits = kept(self.options, config)
        self.database.settings = replace(
            self.database.settings, retention=limits.retention, retention_size=limits.retention_size
        )
        self.promql.settings = replace(self.promql.settings, evaluation_interval=config.interval)
        self.rules.engine.external_labels = config.external_labels
        self._publish()
        self.jobs.replace(config.jobs)

    async def _maintain(self) -> None:
        await self._clock.sleep(SETTLED)
        memory.give_back()
        while True:
            await self._clock.sleep(MAINTENANCE)
            try:
                done = await self.database.maintain()
            except Exception as error:
                log.error("maintenance failed, and will be tried again", error)
                continue
            finally:
                memory.give_back()
            for problem in done.problems:
                log.warning("maintenance is held up", cause=problem)
            if done.written or done.removed:
                log.info(
                    "maintained", written=len(done.written), removed=len(done.removed), compacted=len(done.compacted)
                )

    async def _watch(self, kubeconfig: Path) -> None:
        """Jobs, targets and rules that a Kubernetes API has."""
        from styr.client.client import Client
        from styr.metrics.cluster import Cluster, watch

        def cluster(client: Client) -> Cluster:
            made = Cluster(
                client,
                self._clock,
                self._random,
                apply_jobs=self.jobs.apply_objects,
                apply_rules=self.apply_objects,
                parse=self.promql.parse,
                defaults=self.config.defaults,
                interval=self.config.interval,
            )
            self.jobs.kubernetes = made.discovery
            self.jobs.apply()
            return made

        await watch(kubeconfig, self._clock, cluster, self._defaults_changed)

    async def apply_objects(self, groups: Sequence[Group]) -> None:
        """Rules that Kubernetes objects amount to, beside those of files."""
        self._from_objects = groups
        self._know_objects.set()
        await self.rules.apply([*self._from_files, *self._from_objects])

    async def close(self) -> None:
        """Everything appended is in files that Prometheus reads. Raises StorageError when the disk refuses."""
        await self.rules.close()
        await self.notifying.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
        await self.intake.close()


def open_engine(options: Options, clock: Clock, random: Random) -> Engine:
    """Raises MetricsError, OSError."""
    return Engine(open_intake(options, clock, random))
