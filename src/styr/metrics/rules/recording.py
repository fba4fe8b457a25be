"""Recording rules: what a query's result is recorded as. Called by `evaluation`. Pure."""

from __future__ import annotations

from styr.metrics.model.labels import METRIC_NAME, make
from styr.metrics.rules.evaluate import RuleFailed, Sample, Vector
from styr.metrics.rules.groups import Rule


def record(rule: Rule, result: Vector, t: int, limit: int) -> list[Sample]:
    """The samples of one evaluation at `t`: the rule's name and labels win over the result's. Raises RuleFailed for two
    results that become the same series, and for more than `limit` (0: any number)."""
    own = {METRIC_NAME: rule.name, **dict(rule.labels)}
    samples = [Sample(make({**dict(labels), **own}), t, value) for labels, value in result]
    if len({sample.labels for sample in samples}) != len(samples):
        raise RuleFailed("vector contains metrics with the same labelset after applying rule labels")
    if 0 < limit < len(samples):
        raise RuleFailed(f"exceeded limit of {limit} with {len(samples)} series")
    return samples
