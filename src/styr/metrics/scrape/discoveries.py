"""From a job's configuration to its discoveries. Called by the process, for jobs that come from a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from styr.kit.clock import Clock
from styr.metrics.model.errors import BadData
from styr.metrics.scrape.config import ScrapeConfig
from styr.metrics.scrape.discovery import Discovery, Static
from styr.metrics.scrape.file_sd import FileDiscovery
from styr.metrics.scrape.http_sd import HttpDiscovery

Kubernetes = Callable[[str], Discovery]
"""Makes the discovery of one kubernetes_sd_config, given as JSON. Raises BadData for one that it does not understand."""


def discoveries(
    config: ScrapeConfig, clock: Clock, folder: Path, kubernetes: Kubernetes | None = None
) -> list[Discovery]:
    """`folder` is where relative file names begin. Raises BadData when the job wants Kubernetes and there is none."""
    found: list[Discovery] = []
    if config.static:
        found.append(Static(config.static))
    found += [FileDiscovery(each, folder, clock) for each in config.file_sd]
    found += [HttpDiscovery(each, clock) for each in config.http_sd]
    for text in config.kubernetes_sd:
        if kubernetes is None:
            raise BadData(f"job {config.job!r}: kubernetes_sd_configs needs a Kubernetes API, and none is configured")
        found.append(kubernetes(text))
    return found
