"""sum and avg of native histograms, group by group and step by step. Called by `aggregate`; computes with `histograms.sums`."""

from __future__ import annotations

import numpy as np

from styr.metrics.model.frame import LabelFrame
from styr.metrics.model.histogram import Histogram
from styr.metrics.model.labels import METRIC_NAME
from styr.metrics.promql import annotations as texts
from styr.metrics.promql.annotations import AGGREGATION
from styr.metrics.promql.ast import AggregateExpr
from styr.metrics.promql.histograms.arithmetic import IncompatibleSchemas
from styr.metrics.promql.histograms.sums import Mean, Sum
from styr.metrics.promql.query import Query
from styr.metrics.promql.values import Flags

Key = tuple[int, int]
"""(group, step)."""


class HistogramSums:
    """Fed in the order of the rows, which decides the last bits."""

    def __init__(self, query: Query, expr: AggregateExpr, frame: LabelFrame, groups: int, steps: int) -> None:
        self.query, self.frame, self.shape = query, frame, (groups, steps)
        self._kind = Mean if expr.op == "avg" else Sum
        self._position = expr.expr.start, expr.expr.end
        self._totals: dict[Key, Sum] = {}
        self._mixed: set[Key] = set()
        """That begin with a float, so that nothing is added up."""
        self._failed: dict[Key, bool] = {}
        """Whose schemas do not go together, and whether there was a float before that was seen."""

    def add(self, group: int, step: int, histogram: Histogram, row: int, after_float: bool) -> None:
        """`row` of the operand's frame: its metric name is told when schemas do not go together. `after_float`: the group has
        had a float at this step."""
        key = group, step
        total = self._totals.get(key)
        if total is None and after_float:
            self._mixed.add(key)
            return
        if total is None:
            self._totals[key] = self._kind(histogram)
            return
        if key in self._failed:
            return
        try:
            total.add(histogram)
        except IncompatibleSchemas:
            self._failed[key] = after_float
            name = self.frame.symbols.strings[self.frame.column(METRIC_NAME)[row]]
            self.query.notes.add(texts.mixed_exponential_custom_histograms(name, self._position))

    def finish(self, ok: Flags) -> tuple[Flags, dict[int, dict[int, Histogram]]]:
        """(where there is a result, the histograms among them). `ok` says where there is a sum of floats: floats and histograms
        together have none."""
        if not self._totals and not self._mixed:
            return ok, {}
        result, notes = ok.copy(), self.query.notes
        cells: dict[int, dict[int, Histogram]] = {}
        for group, step in self._mixed:
            result[group, step] = False
            notes.add(texts.mixed_floats_histograms_in_aggregation(self._position))
        for (group, step), total in self._totals.items():
            if total.reconciled:
                notes.add(texts.mismatched_custom_buckets(self._position, AGGREGATION))
            if self._failed.get((group, step), bool(ok[group, step])):
                notes.add(texts.mixed_floats_histograms_in_aggregation(self._position))
            if (group, step) in self._failed or ok[group, step]:
                result[group, step] = False
                continue
            if total.collision:
                notes.add(texts.counter_reset_collision(self._position, AGGREGATION))
            result[group, step] = True
            cells.setdefault(group, {})[step] = total.result()
        return np.ascontiguousarray(result), cells
