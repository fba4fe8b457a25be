"""histogram_quantile, histogram_quantiles and histogram_fraction. Called by `functions`.

Classic histograms are rows that agree in all labels but `le`; they are grouped once for all steps and computed by a kernel.
Native histograms are one sample each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels import groups
from styr.metrics.model.frame import LabelFrame
from styr.metrics.model.histogram import Histogram
from styr.metrics.model.labels import METRIC_NAME
from styr.metrics.promql import annotations as notes
from styr.metrics.promql import histograms_seam
from styr.metrics.promql.arguments import Arguments
from styr.metrics.promql.binary import renamed
from styr.metrics.promql.query import Query
from styr.metrics.promql.texts import openmetrics_float
from styr.metrics.promql.values import Flags, Floats, Matrix, concat, count_rows, group_rows, own

Ints = NDArray[np.int64]
Position = tuple[int, int]


@dataclass(slots=True)
class Buckets:
    """The operand, split: `rows` are buckets, grouped by `offsets` and sorted by `bound`; `frame` has the groups' labels.
    Native histograms are the samples of `native` where `native_ok` is set."""

    matrix: Matrix
    frame: LabelFrame
    rows: Ints
    offsets: Ints
    bound: Floats
    classic_ok: Flags
    native_ok: Flags


def parse_bound(text: str) -> float | None:
    """A `le` label as Go's ParseFloat takes it."""
    if text != text.strip() or not text:
        return None
    try:
        return float(text)
    except ValueError:
        return None


def split(query: Query, matrix: Matrix, where: Position) -> Buckets:
    """Warns of labels that are no bounds and of histograms that are there twice; those of the second kind are left out."""
    frame = own(matrix.frame, query.symbols)
    floats = matrix.floats()
    classic = floats.any(axis=1)
    les = frame.column("le")
    bounds = {i: parse_bound(query.symbols.strings[i]) for i in np.unique(les).tolist()}
    bad = np.array([bounds[i] is None for i in les.tolist()], np.bool_)
    for row in np.flatnonzero(bad & classic).tolist():
        name = _name(query, frame, row)
        query.notes.add(notes.bad_bucket_label(name, query.symbols.strings[les[row]], where))
    bound = np.array([bounds[i] if bounds[i] is not None else 0.0 for i in les.tolist()], np.float64)
    rows = np.flatnonzero(classic & ~bad)
    kept = frame.drop("le")
    both = LabelFrame(frame.symbols, frame.size, kept.columns)
    group, first = group_rows(both)
    native_ok = matrix.ok & ~floats
    classic_ok = floats & ~bad[:, None]
    if matrix.histograms:
        # A native histogram conflicts with the buckets of a classic one that has its labels, `le` aside; one that itself has
        # a `le` label has no such buckets.
        _conflicts(query, matrix, frame, group, len(first), classic_ok, native_ok, where)
    member = group[rows]
    present, member = np.unique(member, return_inverse=True)
    order = np.lexsort((bound[rows], member.reshape(-1)))
    offsets = np.zeros(len(present) + 1, np.int64)
    np.cumsum(np.bincount(member.reshape(-1), minlength=len(present)), out=offsets[1:])
    return Buckets(matrix, kept.take(first[present]), rows[order], offsets, bound, classic_ok, native_ok)


def _name(query: Query, frame: LabelFrame, row: int) -> str:
    if not query.features.delayed_name_removal:
        return ""
    return str(frame.symbols.strings[frame.column(METRIC_NAME)[row]])


def _conflicts(
    query: Query,
    matrix: Matrix,
    frame: LabelFrame,
    group: Ints,
    count: int,
    classic: Flags,
    native: Flags,
    where: Position,
) -> None:
    has = count_rows(group, count, classic) > 0
    plain = frame.column("le") == 0
    clash = native & has[group] & plain[:, None]
    for row in np.flatnonzero(clash.any(axis=1)).tolist():
        query.notes.add(notes.mixed_classic_native_histograms(_name(query, frame, row), where))
        classic[group == group[row]] &= ~clash[row]
    native &= ~clash


def _native(args: Arguments, matrix: Matrix, ok: Flags, compute: Callable[[Histogram, int, str], float]) -> Matrix:
    """A float for each native histogram."""
    v = np.zeros(matrix.ok.shape)
    for row, found in matrix.histograms.items():
        name = _name(args.query, matrix.frame, row)
        for step, histogram in found.items():
            if ok[row, step]:
                v[row, step] = compute(histogram, step, name)
    return Matrix(own(matrix.frame, args.query.symbols), v, ok, {}, matrix.drop).alive()


def quantile(args: Arguments) -> Matrix:
    q, matrix = args.scalar(0), args.vector(1)
    _validate(args.query, q, args.where(0))
    parts = _quantile(args, q, split(args.query, matrix, args.where(1)), args.where(1))
    return renamed(args.query, concat([part for part in parts if part.size] or [parts[0]]))


def _validate(query: Query, q: Floats, where: Position) -> None:
    for value in np.unique(q[~((q >= 0) & (q <= 1))]).tolist():
        query.notes.add(notes.invalid_quantile(value, where))


def _quantile(args: Arguments, q: Floats, buckets: Buckets, where: Position) -> list[Matrix]:
    """[of native, of classic histograms], names not yet dropped."""
    query, matrix = args.query, buckets.matrix
    native = _native(
        args,
        matrix,
        buckets.native_ok,
        lambda h, step, name: histograms_seam.quantile(query, float(q[step]), h, name, args.where(0)),
    )
    shape = (buckets.frame.size, matrix.steps)
    out, ok = np.zeros(shape), np.zeros(shape, np.bool_)
    held = 3 * shape[0] * shape[1]
    query.hold(held)
    forced = np.empty((*shape, 3))
    forced[:] = (np.inf, -np.inf, 0.0)
    v, there = np.ascontiguousarray(matrix.v), np.ascontiguousarray(buckets.classic_ok)
    groups.bucket_quantile(q, v, there, buckets.rows, buckets.offsets, buckets.bound, out, ok, forced)
    _tell_forced(args, buckets, forced, where)
    query.release(held)
    return [native, Matrix(buckets.frame, out, ok).alive()]


def _tell_forced(args: Arguments, buckets: Buckets, forced: Floats, where: Position) -> None:
    """One note for each metric name, of all its buckets that had to be raised."""
    rows, steps = np.nonzero(forced[:, :, 0] < np.inf)
    if not len(rows):
        return
    named = args.query.features.delayed_name_removal
    names = buckets.frame.column(METRIC_NAME)[rows] if named else np.zeros(len(rows), np.int32)
    for name in np.unique(names).tolist():
        mine = names == name
        found, times = forced[rows[mine], steps[mine]], args.times[steps[mine]]
        low, high, difference = found[:, 0].min(), found[:, 1].max(), found[:, 2].max()
        shown = buckets.frame.symbols.strings[name]
        note = notes.forced_monotonicity(shown, where, int(times.min()), float(low), float(high), float(difference))
        args.query.notes.add(replace(note, last=int(times.max()), count=int(mine.sum()) - 1))


def quantiles(args: Arguments, label: str) -> Matrix:
    """One series for each quantile, which its label tells."""
    query = args.query
    for i in range(2, len(args.values)):
        _validate(query, args.scalar(i), args.where(i))
    buckets = split(query, args.vector(0), args.where(0))
    parts: list[Matrix] = []
    for i in range(2, len(args.values)):
        q = args.scalar(i)
        for part in _quantile(args, q, buckets, args.where(0)):
            parts.extend(_labelled(query, part, label, q))
    return renamed(query, concat(parts)) if parts else Matrix.empty(len(args.times), query.symbols)


def _labelled(query: Query, part: Matrix, label: str, q: Floats) -> list[Matrix]:
    """With the quantile as a label; quantiles that change from step to step give several series."""
    made = []
    for bits in np.unique(q.view(np.int64)).tolist() if part.size else []:
        value = float(np.int64(bits).view(np.float64))
        number = query.symbols.id(openmetrics_float(value))
        column = np.full(part.size, number, np.int32)
        steps = q.view(np.int64) == bits
        chosen = part.labelled(part.frame.replace(label, column)).only(np.broadcast_to(steps, part.ok.shape))
        if chosen.size:
            made.append(chosen)
    return made


def fraction(args: Arguments) -> Matrix:
    lower, upper, matrix = args.scalar(0), args.scalar(1), args.vector(2)
    query, buckets = args.query, split(args.query, matrix, args.where(2))
    native = _native(
        args,
        matrix,
        buckets.native_ok,
        lambda h, step, name: histograms_seam.fraction(
            query, float(lower[step]), float(upper[step]), h, name, args.where(0)
        ),
    )
    shape = (buckets.frame.size, matrix.steps)
    out, ok = np.zeros(shape), np.zeros(shape, np.bool_)
    v, there = np.ascontiguousarray(matrix.v), np.ascontiguousarray(buckets.classic_ok)
    groups.bucket_fraction(lower, upper, v, there, buckets.rows, buckets.offsets, buckets.bound, out, ok)
    parts = [native, Matrix(buckets.frame, out, ok).alive()]
    return renamed(query, concat([part for part in parts if part.size] or [native]))
