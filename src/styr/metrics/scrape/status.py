"""What the API shows of scraping: targets, dropped targets, pools, metadata, and counters for the engine's own metrics.

Filled by `loop` and `pool`, read by `web`. Pure data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from styr.metrics.model.labels import Labels
from styr.metrics.model.samples import Metadata

Health = Literal["up", "down", "unknown"]


@dataclass(slots=True)
class LastScrape:
    """Of one target, as of its last scrape. Times in seconds."""

    health: Health = "unknown"
    last_error: str = ""
    last_scrape: float = 0.0
    duration: float = 0.0


@dataclass(frozen=True, slots=True)
class ActiveTarget:
    """An entry of /api/v1/targets; `interval` and `timeout` as Prometheus prints durations."""

    discovered_labels: Mapping[str, str]
    labels: Labels
    pool: str
    url: str
    health: Health
    last_error: str
    last_scrape: float
    duration: float
    interval: str
    timeout: str


@dataclass(frozen=True, slots=True)
class DroppedTarget:
    discovered_labels: Mapping[str, str]
    pool: str


@dataclass(frozen=True, slots=True)
class TargetMetadata:
    """An entry of /api/v1/targets/metadata."""

    labels: Labels
    family: str
    metadata: Metadata


@dataclass(slots=True)
class Counters:
    """Since the start, over all targets."""

    scrapes: int = 0
    failures: int = 0
    samples: int = 0
    hits: int = 0
    """Scrapes whose layout was that of the scrape before."""
    duplicates: int = 0
    out_of_order: int = 0
    out_of_bounds: int = 0
    body_size_exceeded: int = 0
    sample_limit_exceeded: int = 0
    label_limit_exceeded: int = 0
    target_limit_exceeded: int = 0
    commit_failures: int = 0
    syncs: int = 0
    targets_failed: int = 0
    """Targets that could not be made of what discovery found."""
    late: dict[str, int] = field(default_factory=dict)
    """By job: scrapes that were skipped because the one before was still running."""
