"""Infos and warnings: texts, positions, duplicates, limits."""

from __future__ import annotations

import math

import pytest

from styr.metrics.promql import annotations as texts
from styr.metrics.promql.annotations import Annotations, go_float, place


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (-0.0, "-0"),
        (1.0, "1"),
        (123456.0, "123456"),
        (1e6, "1e+06"),
        (1234567.5, "1.2345675e+06"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (-2.5e-7, "-2.5e-07"),
        (0.1, "0.1"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
        (math.nan, "NaN"),
    ],
)
def test_numbers_as_go_prints_them(value: float, shown: str) -> None:
    assert go_float(value) == shown


def test_places_count_lines_and_bytes() -> None:
    assert place("sum(x)", 4) == "1:5"
    assert place("sum(\n  x)", 7) == "2:3"
    assert place('{a="é"} + x', 10) == "1:12"
    assert place("x", 0) == "1:1"
    assert place("x", 7) == "invalid position"


def test_the_same_text_is_one_note_and_the_newest_stays() -> None:
    notes = Annotations()
    notes.add(texts.histogram_not_counter("a", (4, 5)))
    notes.add(texts.histogram_not_counter("b", (6, 7)))
    notes.add(texts.histogram_not_counter("a", (10, 11)))
    warnings, infos = notes.texts("0123456789a")
    assert warnings == [
        'PromQL warning: this native histogram metric is not a counter: "a" (1:11)',
        'PromQL warning: this native histogram metric is not a counter: "b" (1:7)',
    ]
    assert infos == []
    assert notes.texts()[0][0] == 'PromQL warning: this native histogram metric is not a counter: "a"'
    assert len(notes) == 2


def test_more_than_ten_are_counted() -> None:
    notes = Annotations(texts.possible_non_counter(f"m{i}", (0, 1)) for i in range(13))
    _, infos = notes.texts("m")
    assert len(infos) == 11
    assert infos[-1] == "3 more info annotations omitted"
    assert len(notes.texts("m", 0)[1]) == 13


def test_forced_monotonicity_is_summed_up() -> None:
    notes = Annotations()
    notes.add(texts.forced_monotonicity("h", (2, 3), 60_000, 1.0, 2.0, 3.0))
    notes.add(texts.forced_monotonicity("h", (2, 3), 120_000, 0.5, 1.5, 123456.0))
    (shown,) = notes.texts("ab c")[1]
    assert shown == (
        "PromQL info: input to histogram_quantile needed to be fixed for monotonicity (see "
        "https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile) for metric name "
        '"h", from buckets 0.5 to 2, with a max diff of 1.2e+05, over 2 samples from 1970-01-01T00:01:00Z '
        "to 1970-01-01T00:02:00Z (1:3)"
    )


def test_overlapping_start_times_are_counted() -> None:
    notes = Annotations()
    for _ in range(3):
        notes.add(texts.start_time_overlap("c", (0, 1)))
    assert notes.texts("c")[0] == [
        'PromQL warning: sample has start time that overlaps with previous sample timestamp for metric "c" '
        "(3 occurrences) (1:1)"
    ]


def test_merging_keeps_both() -> None:
    one = Annotations([texts.invalid_quantile(2.0, (0, 1))])
    one.merge(Annotations([texts.invalid_quantile(2.0, (3, 4)), texts.invalid_ratio(-3.0, -1.0, (5, 6))]))
    assert one.texts("x" * 9)[0] == [
        "PromQL warning: quantile value should be between 0 and 1, got 2 (1:4)",
        "PromQL warning: ratio value should be between -1 and 1, got -3, capping to -1 (1:6)",
    ]
