"""Infos and warnings of a query: their texts, their positions, and the collector that removes duplicates.

Raised by every evaluating file (`query.notes.add(annotations.invalid_quantile(q, position))`), shown by the HTTP API (`texts`).
Pure. Texts are Prometheus 3.14's, word for word, since dashboards and tests look at them. A position is (start, end) in
characters of the query, of which the start is shown. Notes with the same text are one: the newest stands for all.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from styr.metrics.model.labels import quote

Position = tuple[int, int]
Kind = Literal["warning", "info"]

MOST = 10
"""Of each kind that the HTTP API shows."""

ADDITION, SUBTRACTION, AGGREGATION = "addition", "subtraction", "aggregation"
"""What histograms were doing when their counter resets or their bounds did not fit."""


@dataclass(frozen=True, slots=True)
class Note:
    """`text` without kind and position; it alone decides what is a duplicate. `detail` follows it when it is shown."""

    kind: Kind
    text: str
    position: Position = (0, 0)
    detail: str = ""

    @property
    def raw(self) -> str:
        """With its kind, as rule evaluation and duplicates see it."""
        return f"PromQL {self.kind}: {self.text}"

    def merged(self, before: Note) -> Note:
        """This one, after `before` said the same."""
        return self

    def shown(self, query: str) -> str:
        return f"{self.raw}{self.detail} ({place(query, self.position[0])})" if query else self.raw


@dataclass(frozen=True, slots=True)
class ForcedMonotonicity(Note):
    """Which buckets of a classic histogram went down, by how much at the most, how often and when (ms)."""

    first: int = 0
    last: int = 0
    low: float = 0.0
    high: float = 0.0
    difference: float = 0.0
    count: int = 0

    def merged(self, before: Note) -> Note:
        if not isinstance(before, ForcedMonotonicity):
            return self
        return replace(
            before,
            first=min(self.first, before.first),
            last=max(self.last, before.last),
            low=min(self.low, before.low),
            high=max(self.high, before.high),
            difference=max(self.difference, before.difference),
            count=before.count + self.count + 1,
        )

    def shown(self, query: str) -> str:
        if not query:
            return self.raw
        span = f"over {self.count + 1} samples from {_rfc3339(self.first)} to {_rfc3339(self.last)}"
        buckets = f"from buckets {go_float(self.low)} to {go_float(self.high)}"
        most = f"with a max diff of {_two_digits(self.difference)}"
        return f"{self.raw}, {buckets}, {most}, {span} ({place(query, self.position[0])})"


@dataclass(frozen=True, slots=True)
class StartTimeOverlap(Note):
    count: int = 1

    def merged(self, before: Note) -> Note:
        return replace(before, count=before.count + self.count) if isinstance(before, StartTimeOverlap) else self

    def shown(self, query: str) -> str:
        if not query:
            return self.raw
        times = f" ({self.count} occurrences)" if self.count > 1 else ""
        return f"{self.raw}{times} ({place(query, self.position[0])})"


class Annotations:
    """What one query has to say, in the order in which it was first said."""

    __slots__ = ("_notes",)

    def __init__(self, notes: Iterable[Note] = ()) -> None:
        self._notes: dict[str, Note] = {}
        for note in notes:
            self.add(note)

    def add(self, note: Note) -> None:
        before = self._notes.get(note.raw)
        self._notes[note.raw] = note if before is None else note.merged(before)

    def merge(self, other: Iterable[Note]) -> None:
        for note in other:
            self.add(note)

    def texts(self, query: str = "", most: int = MOST) -> tuple[list[str], list[str]]:
        """(warnings, infos), at most `most` of each (0: all) and then how many were left out; with positions when the query's
        text is given."""
        return self._kind("warning", query, most), self._kind("info", query, most)

    def _kind(self, kind: Kind, query: str, most: int) -> list[str]:
        all_of = [note.shown(query) for note in self if note.kind == kind]
        if not most or len(all_of) <= most:
            return all_of
        return [*all_of[:most], f"{len(all_of) - most} more {kind} annotations omitted"]

    def __iter__(self) -> Iterator[Note]:
        return iter(self._notes.values())

    def __len__(self) -> int:
        return len(self._notes)


def place(query: str, start: int) -> str:
    """`line:column`, both from 1; columns count UTF-8 bytes, as Prometheus does."""
    if not 0 <= start <= len(query):
        return "invalid position"
    before = query[:start]
    line_start = before.rfind("\n") + 1
    return f"{before.count(chr(10)) + 1}:{len(before[line_start:].encode('utf-8', 'surrogatepass')) + 1}"


def go_float(value: float) -> str:
    """As Go's `%g` and `%v`: the shortest digits, with an exponent below 1e-4 and from 1e6 on."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    mantissa, _, exponent = f"{value!r}".partition("e")
    return _arranged(mantissa, int(exponent or 0), 6)


def _arranged(mantissa: str, exponent: int, largest: int) -> str:
    """Python's shortest digits, in Go's choice of notation."""
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    digits = (whole + fraction).lstrip("0")
    power = exponent + len(whole) - 1 - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    if not digits:
        return sign + "0"
    if power < -4 or power >= largest:
        rest = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{rest}e{'-' if power < 0 else '+'}{abs(power):02d}"
    if power < 0:
        return f"{sign}0.{'0' * (-power - 1)}{digits}"
    if len(digits) <= power + 1:
        return f"{sign}{digits}{'0' * (power + 1 - len(digits))}"
    return f"{sign}{digits[: power + 1]}.{digits[power + 1 :]}"


def _two_digits(value: float) -> str:
    """Go's `%.2g`."""
    if math.isnan(value) or math.isinf(value):
        return go_float(value)
    return f"{value:.2g}"


def _rfc3339(milliseconds: int) -> str:
    try:
        return datetime.fromtimestamp(int(milliseconds / 1000), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError):
        return f"{milliseconds}ms"


def _named(text: str, name: str) -> str:
    return f"{text} for metric name {quote(name)}" if name else text


def invalid_quantile(q: float, position: Position) -> Note:
    return Note("warning", f"quantile value should be between 0 and 1, got {go_float(q)}", position)


def invalid_ratio(ratio: float, to: float, position: Position) -> Note:
    """`to` is what it is taken for."""
    text = f"ratio value should be between -1 and 1, got {go_float(ratio)}, capping to {go_float(to)}"
    return Note("warning", text, position)


def bad_bucket_label(name: str, label: str, position: Position) -> Note:
    text = f'bucket label "le" is missing or has a malformed value of {quote(label)}'
    return Note("warning", _named(text, name), position)


def mixed_floats_histograms(name: str, position: Position) -> Note:
    text = f"encountered a mix of histograms and floats for metric name {quote(name)}"
    return Note("warning", text, position)


def mixed_floats_histograms_in_aggregation(position: Position) -> Note:
    return Note("warning", "encountered a mix of histograms and floats for aggregation", position)


def mixed_classic_native_histograms(name: str, position: Position) -> Note:
    return Note("warning", _named("vector contains a mix of classic and native histograms", name), position)


def histogram_not_counter(name: str, position: Position) -> Note:
    return Note("warning", f"this native histogram metric is not a counter: {quote(name)}", position)


def histogram_not_gauge(name: str, position: Position) -> Note:
    return Note("warning", f"this native histogram metric is not a gauge: {quote(name)}", position)


def mixed_exponential_custom_histograms(name: str, position: Position) -> Note:
    text = "vector contains a mix of histograms with exponential and custom buckets schemas for metric name"
    return Note("warning", f"{text} {quote(name)}", position)


def incompatible_bucket_layout(operator: str, position: Position) -> Note:
    return Note("warning", f"incompatible bucket layout encountered for binary operator {operator}", position)


def sort_in_range_query(position: Position) -> Note:
    text = "sort is ineffective for range queries since results are always ordered by labels"
    return Note("warning", text, position)


def possible_non_counter(name: str, position: Position) -> Note:
    text = "metric might not be a counter, name does not end in _total/_sum/_count/_bucket:"
    return Note("info", f"{text} {quote(name)}", position)


def possible_non_counter_label(name: str, kind: str, position: Position) -> Note:
    """`kind`: the value of the label `__type__`."""
    text = 'metric might not be a counter, __type__ label is not set to "counter" or "histogram"'
    return Note("info", f"{text}, got {quote(kind)}: {quote(name)}", position)


def forced_monotonicity(
    name: str, position: Position, t: int, low: float, high: float, difference: float
) -> ForcedMonotonicity:
    """`t` in ms; `low` and `high` are the upper bounds of the first and the last bucket that were raised."""
    text = (
        "input to histogram_quantile needed to be fixed for monotonicity "
        "(see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)"
    )
    return ForcedMonotonicity(
        "info", _named(text, name), position, first=t, last=t, low=low, high=high, difference=difference
    )


def incompatible_types(left: str, operator: str, right: str, position: Position) -> Note:
    """`left` and `right` are "float" or "histogram"."""
    what = f"{quote(operator)}: {left} {operator} {right}"
    return Note("info", f"incompatible sample types encountered for binary operator {what}", position)


def histogram_ignored_in_aggregation(aggregation: str, position: Position) -> Note:
    return Note("info", f"ignored histogram in {aggregation} aggregation", position)


def histogram_ignored_in_mixed_range(name: str, position: Position) -> Note:
    text = "ignored histograms in a range containing both floats and histograms for metric name"
    return Note("info", f"{text} {quote(name)}", position)


def quantile_nan_result(name: str, position: Position) -> Note:
    text = "input to histogram_quantile has NaN observations, result is NaN"
    return Note("info", _named(text, name), position)


def quantile_nan_skew(name: str, position: Position) -> Note:
    text = "input to histogram_quantile has NaN observations, result is skewed higher"
    return Note("info", _named(text, name), position)


def fraction_nans(name: str, position: Position) -> Note:
    text = "input to histogram_fraction has NaN observations, which are excluded from all fractions"
    return Note("info", _named(text, name), position)


def counter_reset_collision(position: Position, operation: str) -> Note:
    """`operation`: ADDITION, SUBTRACTION or AGGREGATION."""
    return Note("warning", f"conflicting counter resets during histogram {operation}", position)


def mismatched_custom_buckets(position: Position, operation: str) -> Note:
    return Note("info", f"mismatched custom buckets were reconciled during {operation}", position)


def start_time_overlap(name: str, position: Position) -> StartTimeOverlap:
    text = f"sample has start time that overlaps with previous sample timestamp for metric {quote(name)}"
    return StartTimeOverlap("warning", text, position)
