"""What a parser of an exposition hands over: samples with their labels as the target named them, and what it said of
families.

Filled by `text`, `openmetrics` and `protobuf`, read by `scrape` and `web` (federation's tests). Pure data.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from styr.metrics.model.errors import BadData
from styr.metrics.model.histogram import Histogram
from styr.metrics.model.labels import Labels
from styr.metrics.model.samples import Exemplar, Metadata


class ExpositionError(BadData):
    """A body is not what its format demands; the scrape is refused as a whole."""


NO_TIME = -(2**63)
"""`Exemplar.t` of an exemplar without a timestamp: it gets its sample's."""


@dataclass(slots=True)
class Sample:
    """`t` in ms, None when the target leaves it to the scraper. `created`: when the counter began, ms, 0 unknown.

    `start`, `value_at`, `stop`: where the line begins, where its value does, and its newline, as offsets in a text
    body."""

    labels: Labels
    value: float
    t: int | None = None
    histogram: Histogram | None = None
    exemplars: tuple[Exemplar, ...] = ()
    created: int = 0
    start: int = -1
    value_at: int = -1
    stop: int = -1


@dataclass(slots=True)
class Family:
    """What a body said of a metric family; None where it said nothing."""

    type: str | None = None
    help: str | None = None
    unit: str | None = None

    def over(self, before: Metadata) -> Metadata:
        """What is known now."""
        return Metadata(
            before.type if self.type is None else self.type,
            before.help if self.help is None else self.help,
            before.unit if self.unit is None else self.unit,
        )


@dataclass(slots=True)
class Exposition:
    """A whole body. `by_line` is False when something in it does not have lines of its own."""

    samples: list[Sample] = field(default_factory=list)
    families: dict[str, Family] = field(default_factory=dict)
    marks: list[tuple[int, str, str]] = field(default_factory=list)
    """Each TYPE line of a text: (how many samples came before it, family, type)."""
    by_line: bool = True
