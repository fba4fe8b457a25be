"""The two text formats: what the parsers say that a scrape does not show, and what no input may do to them."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary, generate_latest
from prometheus_client.openmetrics import exposition as client_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from styr.metrics.exposition import openmetrics, text
from styr.metrics.exposition.entry import NO_TIME, Exposition, ExpositionError, Family
from styr.metrics.exposition.numbers import NORMAL_NAN, go_float, openmetrics_float, parse_float
from styr.metrics.model.samples import NORMAL_NAN_BITS, Exemplar
from tests.metrics.exposition.cases import OPENMETRICS, TEXT

PARSERS = {"text": text.parse, "openmetrics": openmetrics.parse}


def test_metadata_and_places_of_a_text() -> None:
    body = b'# HELP a h\\nelp\n# TYPE a gauge\n  \na{x="1"}  2.5 77\n'
    found = text.parse(body)
    assert found.families == {"a": Family("gauge", "h\nelp")}
    sample = found.samples[0]
    assert (sample.t, body[sample.start : sample.value_at], body[sample.stop :]) == (77, b'a{x="1"}  ', b"\n")
    assert found.by_line


def test_metadata_exemplars_and_created_of_openmetrics() -> None:
    found = openmetrics.parse(
        b"# TYPE a_seconds counter\n# UNIT a_seconds seconds\n# HELP a_seconds h\n"
        b'a_seconds_total{x="1"} 2 5.25 # {t="q\\"q"} 0.5 1.5\n'
        b'a_seconds_created{x="1"} 1.5\n'
        b'a_seconds_total{x="2"} 2 # {} 0.5\n# EOF\n'
    )
    assert found.families == {"a_seconds": Family("counter", "h", "seconds")}
    first, created, second = found.samples
    assert (first.t, first.created, second.created) == (5250, 1500, 0)
    assert first.exemplars == (Exemplar((("t", 'q\\"q'),), 0.5, 1500),)
    assert second.exemplars == (Exemplar((), 0.5, NO_TIME),)
    assert created.value == 1.5


def registry() -> CollectorRegistry:
    found = CollectorRegistry()
    counter = Counter("c", "help \\ with\nlines", ["x", "y"], registry=found)
    counter.labels('q"q', "b\\b").inc(1.5)
    counter.labels("n\nn", "é€").inc(2, exemplar={"t": "1"})
    Gauge("g", "", registry=found).set(-math.inf)
    Histogram("h", "h", ["x"], buckets=(0.005, 1, 1e6), registry=found).labels("1").observe(0.5)
    Summary("s", "s", registry=found).observe(3)
    return found


def by_series(families: object) -> dict[object, float]:
    return {
        tuple(sorted({"__name__": sample.name, **sample.labels}.items())): sample.value
        for family in families  # type: ignore[attr-defined]
        for sample in family.samples
    }


def normal(labels: object) -> object:
    """With `le` as prometheus_client writes it."""
    return tuple((name, repr(float(value)) if name == "le" else value) for name, value in labels)  # type: ignore[attr-defined]


def test_the_same_as_prometheus_client() -> None:
    body = generate_latest(registry())
    theirs = {
        normal(labels): value for labels, value in by_series(text_string_to_metric_families(body.decode())).items()
    }
    assert {normal(each.labels): each.value for each in text.parse(body).samples} == theirs
    body = client_openmetrics.generate_latest(registry())
    theirs = {normal(labels): value for labels, value in by_series(openmetrics_families(body.decode())).items()}
    assert {normal(each.labels): each.value for each in openmetrics.parse(body).samples} == theirs


def outcome(media: str, body: bytes) -> Exposition | str:
    try:
        return PARSERS[media](body)
    except ExpositionError as error:
        return str(error)


@pytest.mark.parametrize("media", PARSERS)
def test_cut_at_every_byte(media: str) -> None:
    for body in (TEXT if media == "text" else OPENMETRICS)[:60]:
        for end in range(len(body)):
            outcome(media, body[:end])


PIECES = st.sampled_from(
    (
        *(
            b"a",
            b"{",
            b"}",
            b'"',
            b"\\",
            b"\n",
            b" ",
            b"\t",
            b"=",
            b",",
            b"1",
            b".",
            b"e",
            b"-",
            b"#",
            b"# HELP ",
            b"# TYPE ",
        ),
        *(b"# EOF\n", b" # {", b"NaN", b"\0", b"\xff", b'x="1"', b"a 1\n", b"\xc3\xa9", b":", b"le", b"histogram"),
    )
)


@settings(max_examples=600, deadline=None)
@given(st.lists(PIECES, max_size=40).map(b"".join))
@example(b'a{x="' + b"\\" * 99)
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    for media in PARSERS:
        outcome(media, body)


@pytest.mark.parametrize(
    "line",
    [
        b'a{x="' + b"\\n" * 1_000_000,
        b'a{x="' + b"y" * 2_000_000 + b'"} 1',
        b"a{" + b'x="1",' * 300_000,
        b"a" * 2_000_000,
        b"a 1 " + b" " * 2_000_000 + b"x",
        b"a " + b"1" * 2_000_000,
        b'a{x="1"' + b" " * 2_000_000 + b"z",
        b"{" * 1_000_000,
        b'a{"' + b'","' * 500_000,
    ],
    ids=range(9),
)
def test_hostile_lines_cost_their_length(line: bytes) -> None:
    began = time.process_time()
    for media in PARSERS:
        outcome(media, line + b"\n# EOF\n")
    assert time.process_time() - began < 5


def test_floats_as_go_writes_them() -> None:
    written = {
        0.0: "0",
        1.0: "1",
        100000.0: "100000",
        123456.0: "123456",
        1e6: "1e+06",
        1234567.0: "1.234567e+06",
        1e-4: "0.0001",
        1e-5: "1e-05",
        0.1: "0.1",
        -2.5: "-2.5",
        1e21: "1e+21",
        5e-324: "5e-324",
        1.7976931348623157e308: "1.7976931348623157e+308",
        math.inf: "+Inf",
        -math.inf: "-Inf",
    }
    assert {value: go_float(value) for value in written} == written
    assert go_float(-0.0) == "-0"
    assert [openmetrics_float(each) for each in (1.0, 0.5, 1e6, math.inf, math.nan, 100.0)] == [
        *("1.0", "0.5", "1e+06", "+Inf", "NaN", "100.0")
    ]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_read_back(value: float) -> None:
    assert parse_float(go_float(value).encode()).hex() == value.hex()


def test_every_nan_becomes_the_normal_one() -> None:
    import struct

    assert struct.unpack("<Q", struct.pack("<d", parse_float(b"nan")))[0] == NORMAL_NAN_BITS
    assert struct.pack("<d", NORMAL_NAN) == struct.pack("<Q", NORMAL_NAN_BITS)
