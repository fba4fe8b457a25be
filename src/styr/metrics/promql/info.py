"""info(): adds the labels of info metrics (`target_info` by default) to series. Called by `evaluate`.

Series find their info series by the labels `instance` and `job`. Row by row and step by step: it is experimental and used on
few series.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from styr.metrics.model.errors import ExecutionError
from styr.metrics.model.frame import LabelFrame
from styr.metrics.model.labels import METRIC_NAME, Labels, get, text
from styr.metrics.model.matchers import Matcher
from styr.metrics.promql import selectors
from styr.metrics.promql.ast import Call, VectorSelector
from styr.metrics.promql.plan import StepInvariant
from styr.metrics.promql.query import Part, Query, Stream, collect
from styr.metrics.promql.values import SAME_LABELSET, Matrix

Ints = NDArray[np.int64]
IDENTIFYING = ("instance", "job")


def info(query: Query, expr: Call, base: Matrix, times: Ints, tally: Ints) -> Matrix:
    """`base` is the first argument, evaluated; `tally` gets the samples of each step added."""
    chosen: tuple[Matcher, ...] = (Matcher("=", METRIC_NAME, "target_info"),)
    if len(expr.args) > 1:
        selector = expr.args[1]
        if isinstance(selector, StepInvariant):
            selector = selector.expr
        chosen = selector.matchers if isinstance(selector, VectorSelector) else ()
    names = effective([matcher for matcher in chosen if matcher.name == METRIC_NAME])
    data = [matcher for matcher in chosen if matcher.name != METRIC_NAME]
    labels = base.frame.all_labels()
    ignored = [all(matcher.matches(get(each, METRIC_NAME)) for matcher in names) for each in labels]
    infos = _fetch(query, _wanted(labels, ignored), names + data, times, tally)
    return _combine(base, labels, ignored, infos, data)


def effective(matchers: list[Matcher]) -> list[Matcher]:
    """What selects the info metrics: something must match by name."""
    if any(matcher.op in ("=", "=~") for matcher in matchers):
        return matchers
    if matchers:
        return [Matcher("=~", METRIC_NAME, ".+_info"), *matchers]
    return [Matcher("=", METRIC_NAME, "target_info")]


_LONGEST = 8000
"""Characters of a pattern of identifying labels. What it does not select is joined by those labels anyway."""


def _wanted(labels: list[Labels], ignored: list[bool]) -> list[Matcher] | None:
    """What finds the info series of these series; None when they have no identifying labels."""
    values: dict[str, set[str]] = {}
    for each, skip in zip(labels, ignored, strict=True):
        for name in IDENTIFYING if not skip else ():
            if value := get(each, name):
                values.setdefault(name, set()).add(value)
    patterns = {name: "|".join(sorted(map(re.escape, found))) for name, found in sorted(values.items())}
    made = [Matcher("=~", name, pattern) for name, pattern in patterns.items() if len(pattern) <= _LONGEST]
    return made if values else None


def _fetch(query: Query, wanted: list[Matcher] | None, chosen: list[Matcher], times: Ints, tally: Ints) -> Matrix:
    """The info series, each sample's time as its value."""
    if wanted is None:
        return Matrix.empty(len(times))
    selector = VectorSelector("", (*wanted, *chosen))
    stream = selectors.instant(query, selector, times, tally, "taken")
    return collect(query, Stream(stream.frame, _only_floats(stream.parts)), len(times))


def _only_floats(parts: Iterator[Part]) -> Iterator[Part]:
    for part in parts:
        if part.histograms:
            raise ExecutionError("info sample should be float")
        yield part


def _signature(labels: Labels) -> tuple[str, ...]:
    return tuple(get(labels, name) for name in IDENTIFYING)


def _newest(infos: Matrix, labels: list[Labels], step: int) -> dict[tuple[str, ...], dict[str, int]]:
    """signature -> info metric -> row of its newest series at a step."""
    found: dict[tuple[str, ...], dict[str, int]] = {}
    for row in np.flatnonzero(infos.ok[:, step]).tolist():
        by_name = found.setdefault(_signature(labels[row]), {})
        name = get(labels[row], METRIC_NAME)
        other = by_name.get(name)
        if other is not None:
            one, two = infos.v[other, step], infos.v[row, step]
            if one == two:
                raise ExecutionError(
                    f"found duplicate series for info metric: existing {text(labels[other])} @ {round(one * 1000)}, "
                    f"new {text(labels[row])} @ {round(two * 1000)}"
                )
            if one > two:
                continue
        by_name[name] = row
    return found


def _combine(base: Matrix, labels: list[Labels], ignored: list[bool], infos: Matrix, data: list[Matcher]) -> Matrix:
    info_labels = infos.frame.all_labels()
    wanted = {matcher.name for matcher in data}
    required = any(not matcher.matches_empty for matcher in data)
    rows: dict[Labels, int] = {}
    origin: list[int] = []
    cells: list[tuple[int, int, int]] = []
    for step in range(base.steps):
        newest = _newest(infos, info_labels, step)
        for row in np.flatnonzero(base.ok[:, step]).tolist():
            own_labels = labels[row]
            if not ignored[row]:
                there = newest.get(_signature(own_labels), {})
                if not there and required:
                    continue
                own_labels = _enriched(own_labels, [info_labels[i] for i in there.values()], wanted)
            out = rows.setdefault(own_labels, len(rows))
            if out == len(origin):
                origin.append(row)
            cells.append((out, step, row))
    return _assembled(base, list(rows), origin, cells)


def _enriched(labels: Labels, infos: list[Labels], wanted: set[str]) -> Labels:
    added: dict[str, str] = {}
    mine = dict(labels)
    for each in infos:
        for name, value in each:
            if name == METRIC_NAME or (wanted and name not in wanted):
                continue
            if added.get(name, value) != value:
                raise ExecutionError(f"conflicting label: {name}")
            if name not in mine:
                added[name] = value
    return tuple(sorted({**mine, **added}.items()))


def _assembled(base: Matrix, labels: list[Labels], origin: list[int], cells: list[tuple[int, int, int]]) -> Matrix:
    v, ok = np.zeros((len(labels), base.steps)), np.zeros((len(labels), base.steps), np.bool_)
    histograms: dict[int, dict[int, object]] = {}
    for out, step, row in cells:
        if ok[out, step]:
            raise ExecutionError(SAME_LABELSET)
        v[out, step], ok[out, step] = base.v[row, step], True
        if row in base.histograms and step in base.histograms[row]:
            histograms.setdefault(out, {})[step] = base.histograms[row][step]
    drop = None if base.drop is None else np.zeros(len(labels), np.bool_)
    return Matrix(LabelFrame.of(labels), v, ok, histograms, drop)  # type: ignore[arg-type]
