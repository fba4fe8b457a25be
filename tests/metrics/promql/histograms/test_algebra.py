"""The algebra of native histograms: by hand, by law, and on input that nobody should send."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random

import pytest

from styr.metrics.model.histogram import CUSTOM_BUCKETS, GAUGE, NOT_RESET, RESET, UNKNOWN, Histogram
from styr.metrics.promql.annotations import Annotations
from styr.metrics.promql.histograms import arithmetic, buckets, fractions, layout, moments, quantiles, text, trim
from styr.metrics.promql.histograms.arithmetic import IncompatibleSchemas, add, compacted, equal, subtract
from styr.metrics.promql.histograms.bounds import exponential, upper
from styr.metrics.promql.histograms.resets import start_time_overlaps, start_time_reset, was_reset
from styr.metrics.promql.histograms.sums import Mean, Sum

NOWHERE = (0, 0)


def made(counts: list[float], offset: int = 0, **fields: object) -> Histogram:
    base = Histogram(positive_spans=[(offset, len(counts))], positive_buckets=counts, count=sum(counts), sum=2.0)
    return replace(base, **fields)  # type: ignore[arg-type]


def custom(bounds: list[float], counts: list[float], **fields: object) -> Histogram:
    return made(counts, schema=CUSTOM_BUCKETS, custom_values=bounds, **fields)


def whole(seed: int, zero_threshold: float = 0.25) -> Histogram:
    """With integer counts, so that sums are exact; schemas differ."""
    random = Random(seed)
    threshold, schema = zero_threshold, random.choice([3, 2, 0, -1])
    low = next(i for i in range(-9, 20) if exponential(i - 1, schema) >= threshold)
    at = sorted(random.sample(range(low, low + 30), random.randrange(12)))
    below = sorted(random.sample(range(low, low + 20), random.randrange(5)))
    positive = [float(random.randrange(9)) for _ in at]
    negative = [float(random.randrange(9)) for _ in below]
    zero = float(random.randrange(4)) if threshold else 0.0
    count, total = sum(positive) + sum(negative) + zero, float(random.randrange(99))
    above, under = layout.spans(at), layout.spans(below)
    return Histogram(schema, threshold, zero, count, total, above, positive, under, negative)


def test_bounds() -> None:
    assert [exponential(i, 0) for i in (-1, 0, 1, 2)] == [0.5, 1.0, 2.0, 4.0]
    assert exponential(1, 1) == 1.414213562373095  # not the nearest float: Prometheus' own table
    assert exponential(1, -4) == 65536.0
    assert exponential(1024, 0) == 1.7976931348623157e308
    assert exponential(1025, 0) == math.inf
    assert exponential(64, -4) == 1.7976931348623157e308
    assert [upper(i, CUSTOM_BUCKETS, (1.0, 5.0)) for i in (-1, 0, 1, 2)] == [-math.inf, 1.0, 5.0, math.inf]


def test_a_coarser_schema_takes_the_buckets_of_a_finer_one() -> None:
    fine, coarse = made([1, 2, 4, 8], schema=1), made([100, 1000, 0])
    found, outcome = add(fine, coarse)
    assert (found.schema, found.positive_spans) == (0, [(0, 3)])
    assert found.positive_buckets == [101, 1006, 8]
    assert not outcome.collision
    assert add(coarse, fine)[0].positive_buckets == [101, 1006, 8]


def test_the_wider_zero_bucket_swallows_buckets() -> None:
    narrow = made([4, 2], offset=-2, zero_threshold=0.001, zero_count=1.0)
    wide = made([8], offset=1, zero_threshold=0.2, zero_count=16.0)
    found, _ = add(narrow, wide)
    assert (found.zero_threshold, found.zero_count) == (0.25, 21.0), "0.2 is inside a populated bucket, up to 0.25"
    assert (found.positive_spans, found.positive_buckets) == ([(-1, 1), (1, 1)], [2, 8])
    assert equal(found, add(wide, narrow)[0])


def test_custom_bounds_are_reduced_to_the_shared_ones() -> None:
    found, outcome = add(custom([1, 2, 5], [1, 2, 4, 8]), custom([2, 10], [100, 1000, 10000]))
    assert outcome.reconciled
    assert (found.custom_values, found.positive_buckets) == ([2], [103, 11012])
    apart, _ = add(custom([1], [1, 2]), custom([2], [4, 8]))
    assert (apart.custom_values, apart.positive_buckets) == ([], [15])


def test_exponential_and_custom_buckets_do_not_mix() -> None:
    for operation in (add, subtract):
        with pytest.raises(IncompatibleSchemas):
            operation(made([1]), custom([1], [1, 2]))


@pytest.mark.parametrize(
    ("one", "other", "hint", "collision"),
    [
        (UNKNOWN, UNKNOWN, UNKNOWN, False),
        (RESET, RESET, RESET, False),
        (RESET, NOT_RESET, UNKNOWN, True),
        (NOT_RESET, RESET, UNKNOWN, True),
        (RESET, UNKNOWN, UNKNOWN, False),
        (UNKNOWN, NOT_RESET, UNKNOWN, False),
        (GAUGE, RESET, GAUGE, False),
        (UNKNOWN, GAUGE, GAUGE, False),
        (NOT_RESET, GAUGE, GAUGE, False),
    ],
)
def test_hints_of_a_sum(one: int, other: int, hint: int, collision: bool) -> None:
    found, outcome = add(made([1], counter_reset_hint=one), made([1], counter_reset_hint=other))
    assert (found.counter_reset_hint, outcome.collision) == (hint, collision)


def observations(h: Histogram) -> tuple[float, ...]:
    """By count, and by what is in buckets: zero buckets may be wider or narrower by the order of additions."""
    return h.count, h.sum, h.zero_count + sum(h.positive_buckets) + sum(h.negative_buckets)


def test_addition_has_its_laws() -> None:
    for seed in range(300):
        a, b, c = (whole(3 * seed + i, (0.0, 0.25, 1.0)[seed % 3]) for i in range(3))
        assert equal(add(a, b)[0], add(b, a)[0])
        assert observations(add(add(a, b)[0], c)[0]) == observations(add(a, add(b, c)[0])[0])
        difference, _ = subtract(a, a)
        assert (difference.count, difference.sum, difference.positive_buckets, difference.negative_buckets) == (
            0,
            0,
            [],
            [],
        )
        total = Sum(a)
        for each in (b, c):
            total.add(each)
        assert equal(total.result(), add(add(a, b)[0], c)[0])


def test_operations_leave_their_operands_alone() -> None:
    a, b = whole(5), whole(9)
    before = repr(a), repr(b)
    add(a, b)
    subtract(a, b)
    trim.trimmed(a, 1.5, below=True)
    arithmetic.divided(a, 0.0)
    was_reset(a, b)
    total = Mean(a)
    total.add(b)
    total.result()
    assert (repr(a), repr(b)) == before


def test_what_rounding_takes_is_given_back() -> None:
    total = Sum(made([1e16]))
    for _ in range(10):
        total.add(made([1.0]))
    assert total.result().positive_buckets == [1e16 + 10]


def test_means_survive_sums_that_overflow() -> None:
    mean = Mean(made([1e308]))
    for _ in range(3):
        mean.add(made([1e308]))
    found = mean.result()
    assert found.positive_buckets == pytest.approx([1e308])
    assert not math.isinf(found.count)


def test_dividing_by_zero_leaves_no_buckets() -> None:
    found = arithmetic.divided(made([1, 2], sum=-3.0), 0.0)
    assert (found.count, found.sum, found.positive_buckets) == (math.inf, -math.inf, [])
    assert math.isnan(found.zero_count)
    assert arithmetic.negated(made([1])).counter_reset_hint == GAUGE


def test_resets() -> None:
    h = made([1, 2, 3])
    assert not was_reset(h, h)
    assert not was_reset(made([1, 2, 3, 4]), h)
    assert was_reset(made([1, 2, 2, 9]), h), "a bucket has gone down, although there is more in all"
    assert was_reset(made([2, 9], offset=1), h), "a bucket has gone"
    assert was_reset(replace(h, schema=1), h), "a finer schema"
    assert not was_reset(made([9, 9], schema=-1), h), "a coarser one that has all of it"
    assert was_reset(h, replace(h, zero_threshold=0.1)), "a narrower zero bucket"
    assert was_reset(replace(h, counter_reset_hint=RESET), h)
    assert not was_reset(replace(made([0]), counter_reset_hint=NOT_RESET), h)
    assert was_reset(custom([1], [1, 9]), h)
    assert not was_reset(custom([1, 2], [1, 1, 1]), custom([1, 3], [1, 1, 0]))
    assert was_reset(custom([1, 2], [0, 2, 1]), custom([1, 3], [1, 1, 1]))


def test_start_timestamps() -> None:
    assert start_time_reset(0, 10, 15, 20)
    assert start_time_reset(5, 10, 10, 20), "a delta series begins where the sample before was taken"
    assert not start_time_reset(0, 10, 10, 20)
    assert not start_time_reset(5, 10, 5, 20)
    assert not start_time_reset(5, 10, 0, 20)
    assert not start_time_reset(5, 10, 20, 20)
    assert start_time_overlaps(3, 10, 5)
    assert not start_time_overlaps(5, 10, 5)


def test_quantiles() -> None:
    notes = Annotations()

    def of(q: float, h: Histogram) -> float:
        return quantiles.quantile(q, h, notes, "h", NOWHERE)

    h = made([4, 4], offset=1)
    assert of(0.25, h) == pytest.approx(math.sqrt(2)), "exponential between 1 and 2"
    assert (of(0, h), of(1, h)) == (1.0, 4.0)
    assert (of(-1, h), of(2, h)) == (-math.inf, math.inf)
    assert math.isnan(of(math.nan, h))
    assert math.isnan(of(0.5, Histogram()))
    assert of(0.5, custom([10, 20], [0, 4, 0])) == 15.0
    assert of(0.99, custom([10, 20], [0, 0, 4])) == 20.0, "the last bound there is"
    assert of(0.5, Histogram(zero_threshold=1.0, zero_count=4, count=4)) == 0.0
    assert of(0.5, made([0], zero_threshold=1.0, zero_count=4, count=4.0)) == 0.5, "nothing below zero"
    assert len(notes) == 0
    nans = replace(h, count=10.0, sum=math.nan)
    assert of(0.5, nans) == pytest.approx(2 * math.sqrt(2) ** 0.5)
    assert math.isnan(of(0.99, nans))
    assert [note.kind for note in notes] == ["info", "info"]


def test_fractions_are_the_inverse_of_quantiles() -> None:
    notes = Annotations()
    for seed in range(200):
        h = whole(seed)
        if h.count == 0:
            continue
        for q in (0.1, 0.5, 0.77):
            value = quantiles.quantile(q, h, notes, "", NOWHERE)
            assert fractions.fraction(-math.inf, value, h, notes, "", NOWHERE) == pytest.approx(q, abs=1e-9)
    assert fractions.fraction(2, 1, made([1]), notes, "", NOWHERE) == 0.0
    assert math.isnan(fractions.fraction(math.nan, 1, made([1]), notes, "", NOWHERE))


def test_moments() -> None:
    h = custom([10, 20], [0, 4, 0], sum=60.0)
    assert (moments.average(h), moments.variance(h)) == (15.0, 0.0)
    assert moments.deviation(made([4], offset=1, sum=4 * math.sqrt(2))) == pytest.approx(0.0, abs=1e-7)
    assert math.isnan(moments.average(Histogram()))


def test_trimming_keeps_what_is_on_the_side() -> None:
    h = custom([10, 20], [2, 4, 8], sum=300.0)
    below, above = trim.trimmed(h, 15.0, below=True), trim.trimmed(h, 15.0, below=False)
    assert (below.positive_buckets, above.positive_buckets) == ([2, 2], [2, 8])
    assert below.count + above.count == h.count
    assert equal(trim.trimmed(h, math.inf, below=False), Histogram(CUSTOM_BUCKETS, custom_values=[10, 20]))
    assert equal(trim.trimmed(whole(7), math.inf, below=True), whole(7)), "nothing cut, nothing changed"
    for seed in range(200):
        h = whole(seed)
        for at in (-1.7, 0.0, 0.3, 1.0, 2.9):
            parts = trim.trimmed(h, at, below=True), trim.trimmed(h, at, below=False)
            assert sum(part.count for part in parts) == pytest.approx(h.count)


def test_text() -> None:
    h = made([1, 0, 2], offset=-1, schema=1, sum=3.5, zero_threshold=0.001, zero_count=4.0, count=7.0)
    assert text.expression(h) == "{{schema:1 count:7 sum:3.5 z_bucket:4 z_bucket_w:0.001 offset:-1 buckets:[1 0 2]}}"
    assert text.shown(h) == "{count:7, sum:3.5, [-0.001,0.001]:4, (0.5,0.7071067811865475]:1, (1,1.414213562373095]:2}"
    assert text.json_buckets(h) == [
        (3, -0.001, 0.001, 4.0),
        (0, 0.5, 0.7071067811865475, 1.0),
        (0, 1.0, 1.414213562373095, 2.0),
    ]
    nhcb = custom([1, 2], [1, 0, 2], counter_reset_hint=GAUGE)
    expected = "{{schema:-53 count:3 sum:2 custom_values:[1 2] counter_reset_hint:gauge buckets:[1 0 2]}}"
    assert text.expression(nhcb) == expected
    assert text.json_buckets(nhcb) == [(3, -math.inf, 1, 1), (0, 2, math.inf, 2)]
    below = Histogram(negative_spans=[(0, 1)], negative_buckets=[3.0], count=3.0, sum=-3.0)
    assert text.shown(below) == "{count:3, sum:-3, [-1,-0.5):3}"


def test_spans_that_lie_are_read_as_far_as_they_go() -> None:
    for h in (
        Histogram(positive_spans=[(0, 5)], positive_buckets=[1.0, 2.0], count=3.0),
        Histogram(positive_spans=[(0, 1)], positive_buckets=[1.0, 2.0, 4.0], count=7.0),
        Histogram(positive_spans=[(3, 0), (2, 2), (0, 0)], positive_buckets=[1.0, 2.0], count=3.0),
        Histogram(negative_spans=[(-4, 1)], negative_buckets=[], count=1.0),
        Histogram(CUSTOM_BUCKETS, positive_spans=[(0, 9)], positive_buckets=[1.0] * 9, custom_values=[1.0], count=9.0),
    ):
        assert add(h, h)[0].count == 2 * h.count
        text.shown(h)
        compacted(h)
        was_reset(h, h)
        quantiles.quantile(0.5, h, Annotations(), "", NOWHERE)
        fractions.fraction(0.1, 5, h, Annotations(), "", NOWHERE)
        trim.trimmed(h, 0.7, below=False)


def test_odd_numbers_never_raise() -> None:
    random = Random(11)
    odd = [0.0, -0.0, 1.0, -3.0, math.nan, math.inf, -math.inf, 1e308, 5e-324]
    for _ in range(2000):
        nhcb = random.random() < 0.3
        h = Histogram(
            CUSTOM_BUCKETS if nhcb else random.randrange(-4, 9),
            random.choice([0.0, 0.001, 1.0, math.inf]),
            random.choice(odd),
            random.choice(odd),
            random.choice(odd),
            [(random.randrange(-2000, 2000) * (not nhcb), 3)],
            random.choices(odd, k=3),
            [(random.randrange(-2000, 2000), 2)],
            random.choices(odd, k=2),
            sorted(random.choices([-1.0, 0.0, 0.5, 7.0], k=2)) if nhcb else [],
        )
        notes = Annotations()
        for q in (*odd, 0.5):
            quantiles.quantile(q, h, notes, "", NOWHERE)
            fractions.fraction(q, 1.0, h, notes, "", NOWHERE)
            trim.trimmed(h, q, below=True)
            trim.trimmed(h, q, below=False)
            arithmetic.scaled(h, q)
            arithmetic.divided(h, q)
        moments.deviation(h)
        text.shown(h)
        list(buckets.descending(h))
        add(h, h)
        was_reset(h, replace(h, count=h.count, schema=h.schema))
        mean = Mean(h)
        mean.add(h)
        mean.result()
