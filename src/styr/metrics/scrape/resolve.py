"""From the labels that a target names to those of the stored series: the target's labels, metric relabelling, limits.

Called by `ingest` for series that it has not met; pure. Rules: mutateSampleLabels and verifyLabelLimits of Prometheus'
scrape.go.
"""

from __future__ import annotations

from collections.abc import Iterable

from styr.metrics.model.labels import METRIC_NAME, Labels, get, is_legacy_label_name, is_legacy_metric_name, make, text
from styr.metrics.scrape.config import ScrapeConfig
from styr.metrics.scrape.relabel import relabel

EXPORTED = "exported_"


class Refused(Exception):
    """The scrape breaks a limit or a rule; nothing of it is stored. `str()` is what the targets page shows; `scraped` and
    `kept` are how many samples there were, before and after relabelling, as far as that is known."""

    def __init__(self, reason: str, scraped: int = 0, kept: int = 0) -> None:
        super().__init__(reason)
        self.scraped, self.kept = scraped, kept


class Resolver:
    """Of one target."""

    def __init__(self, config: ScrapeConfig, labels: Labels) -> None:
        self._config = config
        self._own = labels
        self._names = frozenset(name for name, _ in labels)
        self._limited = bool(config.label_limit or config.label_name_length_limit or config.label_value_length_limit)

    def resolve(self, scraped: Labels) -> Labels | None:
        """The series that a scraped label set becomes; None when relabelling drops it. Raises Refused."""
        labels = dict(scraped)
        if len(labels) != len(scraped):
            raise Refused(f"label name {_twice(scraped)!r} is not unique: invalid sample")
        conflicts = self._names & labels.keys()
        if not conflicts:
            labels.update(self._own)
        elif self._config.honor_labels:
            labels = {**dict(self._own), **labels}
        else:
            _rename(labels, conflicts, dict(self._own))
        if self._config.metric_relabel and not relabel(self._config.metric_relabel, labels):
            return None
        final = make(labels)
        if final:
            self._check(final)
        return final or None

    def _check(self, labels: Labels) -> None:
        name = get(labels, METRIC_NAME)
        if not name:
            raise Refused("missing metric name (__name__ label)")
        if self._config.legacy_names and not (
            is_legacy_metric_name(name) and all(is_legacy_label_name(key) for key, _ in labels)
        ):
            raise Refused(f"invalid metric name or label names: {text(labels)}")
        if labels[0][0] == "":
            raise Refused(f"invalid metric name or label names: {text(labels)}")
        if self._limited:
            self._check_limits(name[:50], labels)

    def _check_limits(self, name: str, labels: Labels) -> None:
        config = self._config
        if config.label_limit and len(labels) > config.label_limit:
            raise Refused(
                f"label_limit exceeded (metric: {name}, number of labels: {len(labels)}, limit: {config.label_limit})"
            )
        for key, value in labels:
            length, limit = len(key.encode()), config.label_name_length_limit
            if limit and length > limit:
                raise Refused(
                    f"label_name_length_limit exceeded (metric: {name}, label name: {key[:50]}, "
                    f"length: {length}, limit: {limit})"
                )
            length, limit = len(value.encode()), config.label_value_length_limit
            if limit and length > limit:
                raise Refused(
                    f"label_value_length_limit exceeded (metric: {name}, label name: {key[:50]}, "
                    f"value: {value[:50]!r}, length: {length}, limit: {limit})"
                )

    def report(self, name: str) -> Labels:
        """The series `up` and its like."""
        return make({METRIC_NAME: name, **dict(self._own)})


def _rename(labels: dict[str, str], conflicts: Iterable[str], own: dict[str, str]) -> None:
    """The target's labels win; what the sample said keeps living as `exported_...`, the shortest name first."""
    said = {name: labels[name] for name in conflicts}
    labels.update(own)
    for name in sorted(said, key=lambda each: (len(each), each)):
        new = EXPORTED + name
        while new in labels:
            new = EXPORTED + new
        labels[new] = said[name]


def _twice(labels: Labels) -> str:
    names = [name for name, _ in labels]
    return next(name for name in names if names.count(name) > 1)
