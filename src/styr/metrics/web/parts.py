"""What the HTTP API is handed: the engine, the storage, what is scraped, the rules. Protocols and plain data, no I/O.

`process` makes a `Parts` of the real ones; tests make one of fakes. Times are milliseconds since 1970 unless a name says
seconds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from styr.kit.clock import Clock
from styr.metrics.model.frame import LabelFrame
from styr.metrics.model.histogram import Histogram
from styr.metrics.model.labels import Labels
from styr.metrics.model.matchers import Matcher
from styr.metrics.model.samples import Appender, Exemplar, Metadata, Querier, Times, Values
from styr.metrics.rules.running import RunningGroup
from styr.metrics.scrape.status import ActiveTarget, DroppedTarget, TargetMetadata


@dataclass(slots=True)
class Points:
    """Points of many series: those of series i are `offsets[i]:offsets[i + 1]` of `t` and `v`; where `histograms` has an
    entry, the point is that histogram."""

    frame: LabelFrame
    offsets: NDArray[np.int64]
    t: Times
    v: Values
    histograms: Mapping[int, Histogram] = field(default_factory=dict)


@dataclass(slots=True)
class Result:
    """What a query gave. A vector has one point for each series; a scalar is a vector of one series without labels."""

    type: Literal["matrix", "vector", "scalar", "string"]
    points: Points
    text: str = ""
    warnings: Sequence[str] = ()
    infos: Sequence[str] = ()
    stats: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one query. `deadline` is a monotonic time in seconds; `canceled` is set when nobody waits for the answer any more."""

    deadline: float
    canceled: threading.Event
    lookback: int = 0
    """Milliseconds; 0: the engine's own."""
    stats: Literal["", "true", "all"] = ""


class Engine(Protocol):
    """PromQL, as the API needs it. Called from worker threads. Raises MetricsError."""

    def instant(self, text: str, t: int, limits: Limits, /) -> Result: ...

    def range(self, text: str, start: int, end: int, step: int, limits: Limits, /) -> Result: ...

    def parse(self, text: str, /) -> Any:
        """The tree, `promql.ast`. Raises ParseError."""

    def pretty(self, text: str, /) -> str: ...

    def text(self, tree: Any, /) -> str: ...

    def matchers(self, selector: str, /) -> Sequence[Matcher]:
        """Of a series selector. Raises ParseError."""


class Targets(Protocol):
    """What is scraped. Lists are sorted by pool."""

    def pools(self) -> Sequence[str]: ...

    def active(self) -> Sequence[ActiveTarget]: ...

    def dropped(self) -> Sequence[DroppedTarget]: ...

    def dropped_counts(self) -> Mapping[str, int]:
        """By pool; not all that were dropped are kept."""

    def metadata(self) -> Sequence[TargetMetadata]: ...

    def relabel_steps(self, pool: str, labels: Mapping[str, str], /) -> list[tuple[Any, Labels, bool]]:
        """(rule as its YAML has it, labels after it, kept). Raises BadData for an unknown pool."""


class Rules(Protocol):
    @property
    def groups(self) -> Sequence[RunningGroup]:
        """By file and name."""

    def alertmanagers(self) -> tuple[Sequence[str], Sequence[str]]:
        """URLs: (active, dropped)."""


@dataclass(slots=True)
class HeadStats:
    """Of the newest samples. The lists are (name, count), the biggest first."""

    series: int = 0
    label_pairs: int = 0
    chunks: int = 0
    mint: int = 0
    maxt: int = 0
    by_metric: Sequence[tuple[str, int]] = ()
    values_by_label: Sequence[tuple[str, int]] = ()
    bytes_by_label: Sequence[tuple[str, int]] = ()
    by_pair: Sequence[tuple[str, int]] = ()


class Admin(Protocol):
    """The storage, beyond reading and writing. Called from worker threads. Raises MetricsError."""

    def delete(self, matchers: Sequence[Matcher], start: int, end: int, /) -> None: ...

    def clean_tombstones(self) -> None: ...

    def snapshot(self, skip_head: bool, /) -> str:
        """The name of the folder made under `snapshots/`."""

    def stats(self, limit: int, /) -> HeadStats: ...

    def blocks(self) -> Sequence[Mapping[str, Any]]:
        """Their `meta.json`."""

    def replay(self) -> tuple[int, int, int]:
        """WAL segments: (first, last, now being read)."""

    def exemplars(
        self, matchers: Sequence[Sequence[Matcher]], start: int, end: int, /
    ) -> Sequence[tuple[Labels, Sequence[Exemplar]]]: ...

    def metadata(self) -> Mapping[str, Metadata]:
        """Of families that were pushed rather than scraped."""


@dataclass(slots=True)
class Status:
    """What the process says of itself."""

    started: float
    """Seconds since 1970."""
    config: Callable[[], str] = lambda: ""
    flags: Mapping[str, str] = field(default_factory=dict)
    retention: str = "15d"
    config_loaded: float = 0.0
    config_ok: bool = True
    external_labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Parts:
    """Everything. What is None is not there yet (the storage is being read) and answers 503."""

    clock: Clock
    registry: CollectorRegistry
    status: Status
    engine: Engine | None = None
    querier: Querier | None = None
    appender: Appender | None = None
    admin: Admin | None = None
    targets: Targets | None = None
    rules: Rules | None = None
    data_dir: Path | None = None
