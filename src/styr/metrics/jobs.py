"""Scrape jobs from files and from Kubernetes objects together, each with its discoveries. Called by `intake` and `assemble`;
calls the pool."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from styr.kit.clock import Clock
from styr.kit.log import Log
from styr.metrics.model.errors import BadData
from styr.metrics.scrape.config import ScrapeConfig
from styr.metrics.scrape.discoveries import discoveries
from styr.metrics.scrape.discovery import Discovery
from styr.metrics.scrape.pool import Pool
from styr.metrics.scrape.relabel import Rule

log = Log("styr.metrics.process")


class Jobs:
    """`kubernetes` makes the discovery of one kubernetes_sd_config, and raises BadData for one it does not understand.
    Relative files of file_sd_configs are looked for in `folder`."""

    def __init__(self, pool: Pool, clock: Clock, from_files: Sequence[ScrapeConfig], folder: Path) -> None:
        self._pool, self._clock, self._folder = pool, clock, folder
        self._relabelling: dict[str, Sequence[Rule]] = {}
        self._from_files = from_files
        self._from_objects: Sequence[ScrapeConfig] = ()
        self.kubernetes: Callable[[str], Discovery] | None = None

    def apply(self) -> None:
        """Everything there is now. A file's job wins over an object's of the same name."""
        named = {config.job: config for config in (*self._from_objects, *self._from_files)}
        self._relabelling = {name: config.relabel for name, config in named.items()}
        self._pool.apply([(config, self._discoveries(config)) for config in named.values()])

    def relabelling(self) -> Mapping[str, Sequence[Rule]]:
        """`relabel_configs` by job."""
        return self._relabelling

    def replace(self, from_files: Sequence[ScrapeConfig]) -> None:
        """Other jobs from files."""
        self._from_files = from_files
        self.apply()

    def apply_objects(self, configs: Sequence[ScrapeConfig]) -> None:
        """The jobs that Kubernetes objects amount to."""
        self._from_objects = configs
        self.apply()

    def _discoveries(self, config: ScrapeConfig) -> list[Discovery]:
        """What cannot be understood is told, and left out: the job's other targets are scraped."""
        try:
            return discoveries(config, self._clock, self._folder, self._kubernetes)
        except BadData as error:
            log.error("discovery is left out", job=config.job, cause=error)
            return discoveries(replace(config, kubernetes_sd=()), self._clock, self._folder)

    def _kubernetes(self, text: str) -> Discovery:
        if self.kubernetes is None:
            raise BadData("there is no --kubeconfig to ask a Kubernetes API with")
        return self.kubernetes(text)
