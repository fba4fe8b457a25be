"""Inhibition: alerts that keep others quiet. Called by `config` and `pipeline`. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from styr.metrics.model.errors import BadData
from styr.metrics.model.labels import Labels, get
from styr.metrics.rules.notify import matchers as matching
from styr.metrics.rules.notify.alert import Alert
from styr.metrics.rules.notify.matchers import Matchers

_FIELDS = frozenset(
    (
        *("name", "equal", "source_match", "source_match_re", "source_matchers"),
        *("target_match", "target_match_re", "target_matchers"),
    )
)


@dataclass(frozen=True, slots=True)
class Rule:
    """A firing alert that `source` matches keeps those quiet that `target` matches and whose `equal` labels agree with its
    own."""

    source: Matchers
    target: Matchers
    equal: tuple[str, ...] = ()


class Inhibitor:
    """The firing alerts at one time, indexed by rule and equal labels. Made anew for each decision or listing."""

    def __init__(self, rules: Iterable[Rule], alerts: Iterable[Alert], now: int) -> None:
        self._rules = list(rules)
        self._sources: list[dict[tuple[str, ...], list[Alert]]] = [{} for _ in self._rules]
        if not self._rules:
            return
        for alert in alerts:
            if alert.resolved(now):
                continue
            for rule, sources in zip(self._rules, self._sources, strict=True):
                if matching.matches(rule.source, alert.labels):
                    key = tuple(get(alert.labels, name) for name in rule.equal)
                    sources.setdefault(key, []).append(alert)

    def by(self, labels: Labels) -> str:
        """The fingerprint of an alert that keeps this one quiet, "" when there is none. An alert that is both source and
        target of a rule is not kept quiet by others that are both too, least of all by itself."""
        for rule, sources in zip(self._rules, self._sources, strict=True):
            if not sources or not matching.matches(rule.target, labels):
                continue
            both = matching.matches(rule.source, labels)
            for source in sources.get(tuple(get(labels, name) for name in rule.equal), ()):
                if not both or not matching.matches(rule.target, source.labels):
                    return source.fingerprint
        return ""


def read(data: Any, path: str) -> Rule:
    """Raises BadData with the field's path."""
    if not isinstance(data, Mapping):
        raise BadData(f"{path}: must be a map")
    for name in data:
        if name not in _FIELDS:
            raise BadData(f"{path}.{name}: unknown field; known are {', '.join(sorted(_FIELDS))}")
    equal = data.get("equal") or []
    if not isinstance(equal, list) or not all(isinstance(name, str) for name in equal):
        raise BadData(f"{path}.equal: must be a list of label names")
    source = matching.of_config(data, path, "source_")
    target = matching.of_config(data, path, "target_")
    if not source or not target:
        raise BadData(f"{path}: an inhibition rule needs source_matchers and target_matchers")
    return Rule(source, target, tuple(equal))
