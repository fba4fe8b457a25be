"""The scrape pool as the API sees it, with relabelling shown rule by rule. Called by `process`'s assembly; adds no state."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from styr.metrics.model.errors import BadData
from styr.metrics.model.labels import Labels, make
from styr.metrics.scrape.pool import Pool
from styr.metrics.scrape.relabel import Rule
from styr.metrics.scrape.status import ActiveTarget, DroppedTarget, TargetMetadata


class ScrapeTargets:
    """`parts.Targets`. `rules` tells the `relabel_configs` by job."""

    def __init__(self, pool: Pool, rules: Callable[[], Mapping[str, Sequence[Rule]]]) -> None:
        self._pool, self._rules = pool, rules

    def pools(self) -> Sequence[str]:
        return self._pool.pools()

    def active(self) -> Sequence[ActiveTarget]:
        return self._pool.active()

    def dropped(self) -> Sequence[DroppedTarget]:
        return self._pool.dropped()

    def dropped_counts(self) -> Mapping[str, int]:
        return self._pool.dropped_counts()

    def metadata(self) -> Sequence[TargetMetadata]:
        return self._pool.metadata()

    def relabel_steps(self, pool: str, labels: Mapping[str, str], /) -> list[tuple[Any, Labels, bool]]:
        rules = self._rules().get(pool)
        if rules is None:
            raise BadData(f'error retrieving scrape config: scrape pool "{pool}" not found')
        steps: list[tuple[Any, Labels, bool]] = []
        found, keep = {name: value for name, value in labels.items() if value}, True
        for rule in rules:
            keep = keep and rule.apply(found)
            steps.append((shown(rule), make(found) if keep else (), keep))
        return steps


def shown(rule: Rule) -> dict[str, Any]:
    """As its YAML has it."""
    out: dict[str, Any] = {"action": rule.action, "separator": rule.separator, "regex": rule.regex}
    out["replacement"] = rule.replacement
    if rule.source_labels:
        out["source_labels"] = list(rule.source_labels)
    if rule.target_label:
        out["target_label"] = rule.target_label
    if rule.modulus:
        out["modulus"] = rule.modulus
    return out
