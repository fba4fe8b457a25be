"""Headers that two sides agree on."""

from __future__ import annotations

import pytest

from styr.metrics.exposition.negotiate import UnknownMedia, accept, media
from styr.metrics.scrape.config import PROTO_FIRST, TEXT_FIRST


def test_the_accept_header_is_that_of_prometheus() -> None:
    assert accept(TEXT_FIRST, "allow-utf-8") == (
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
        "application/openmetrics-text;version=0.0.1;q=0.5,"
        "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
        "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
    )
    assert accept(PROTO_FIRST, "underscores").startswith(
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,"
    )


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("text/plain", "text"),
        ("text/plain; version=0.0.4; charset=utf-8", "text"),
        ("TEXT/PLAIN;version=1.0.0;escaping=allow-utf-8", "text"),
        ('application/openmetrics-text; version="1.0.0"; charset=utf-8', "openmetrics"),
        ("application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited", "protobuf"),
    ],
)
def test_what_came(content_type: str, expected: str) -> None:
    assert media(content_type) == expected


@pytest.mark.parametrize("content_type", ["", "text/html", "application/json", "text", "text/plain; =x", "///"])
def test_what_says_nothing_falls_back_or_is_refused(content_type: str) -> None:
    with pytest.raises(UnknownMedia, match="no fallback_scrape_protocol"):
        media(content_type)
    assert media(content_type, "PrometheusText0.0.4") == "text"
    assert media(content_type, "PrometheusProto") == "protobuf"
