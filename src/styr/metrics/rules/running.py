"""What is remembered of running rules from one evaluation to the next. Called by `evaluation`, `scheduler`, `manager`
and `status`. Pure data and its transfer to a changed group."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from styr.metrics.model.labels import Labels, text
from styr.metrics.model.samples import Refs
from styr.metrics.rules.alerting import AlertStates
from styr.metrics.rules.groups import Group, Rule

Health = Literal["unknown", "ok", "err"]


@dataclass(slots=True)
class RunningRule:
    """`evaluation_time` in seconds, `last_evaluation` in milliseconds since 1970 (None: never). `previous` holds the
    series of the last evaluation that was written; `refs` the storage's numbers for exactly `known`, as long as its
    `generation` stays."""

    rule: Rule
    states: AlertStates | None
    health: Health = "unknown"
    last_error: str = ""
    evaluation_time: float = 0.0
    last_evaluation: int | None = None
    previous: dict[Labels, None] = field(default_factory=dict)
    known: list[Labels] = field(default_factory=list)
    refs: Refs | None = None
    generation: int = -1

    def fail(self, reason: str) -> None:
        self.health, self.last_error = "err", reason


@dataclass(slots=True)
class Counters:
    """Since the group's start; `iterations` counts the missed ones too."""

    evaluations: int = 0
    failures: int = 0
    iterations: int = 0
    missed: int = 0
    samples: int = 0
    """Of the last evaluation."""
    restore_time: float = 0.0


@dataclass(slots=True)
class RunningGroup:
    """`stale` are series of rules that are no more, to be marked after the next evaluation."""

    group: Group
    rules: list[RunningRule]
    restoring: bool = False
    stale: list[Labels] = field(default_factory=list)
    evaluation_time: float = 0.0
    last_evaluation: int | None = None
    counters: Counters = field(default_factory=Counters)

    @classmethod
    def of(cls, group: Group, *, restoring: bool = False) -> RunningGroup:
        rules = [
            RunningRule(rule, AlertStates(rule, restored=not restoring) if rule.alerting else None)
            for rule in group.rules
        ]
        return cls(group, rules, restoring and any(rule.alerting for rule in group.rules))

    def take_over(self, old: RunningGroup) -> None:
        """The state of the group's former version. Rules are the same when kind, name and labels are; of several, the
        first goes to the first. Series of rules that are gone are marked stale after the next evaluation."""
        self.evaluation_time, self.last_evaluation = old.evaluation_time, old.last_evaluation
        self.counters = old.counters
        self.restoring = self.restoring or old.restoring
        left: dict[str, list[RunningRule]] = {}
        for rule in old.rules:
            left.setdefault(_identity(rule.rule), []).append(rule)
        for rule in self.rules:
            same = left.get(_identity(rule.rule))
            if not same:
                continue
            former = same.pop(0)
            rule.previous, rule.known = former.previous, former.known
            rule.refs, rule.generation = former.refs, former.generation
            if rule.states is not None and former.states is not None:
                rule.states.active = former.states.active
                rule.states.restored = former.states.restored
        self.stale = list(old.stale)
        for former in (rule for rules in left.values() for rule in rules):
            self.stale.extend(former.previous)

    def series(self) -> list[Labels]:
        """All that must be marked stale when the group goes."""
        return [*self.stale, *(labels for rule in self.rules for labels in rule.previous)]


def _identity(rule: Rule) -> str:
    return f"{rule.alerting} {rule.name} {text(rule.labels)}"
