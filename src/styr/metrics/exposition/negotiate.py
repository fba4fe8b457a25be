"""Which format to ask for, and which one came. Called by `scrape`. Pure.

Headers as Prometheus sends them (scrape.go acceptHeader, config.ScrapeProtocolsHeaders).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

Media = Literal["text", "openmetrics", "protobuf"]

HEADERS = {
    "PrometheusProto": "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
    "PrometheusText0.0.4": "text/plain;version=0.0.4",
    "PrometheusText1.0.0": "text/plain;version=1.0.0",
    "OpenMetricsText0.0.1": "application/openmetrics-text;version=0.0.1",
    "OpenMetricsText1.0.0": "application/openmetrics-text;version=1.0.0",
}
"""By the name of the protocol in a configuration."""

_MEDIA: dict[str, Media] = {
    "text/plain": "text",
    "application/openmetrics-text": "openmetrics",
    "application/vnd.google.protobuf": "protobuf",
}
_TYPE = re.compile(r"\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*((?:;.*)?)", re.DOTALL)
_PARAMETER = re.compile(
    r';\s*(?:[!#$%&\'*+.^_`|~0-9A-Za-z-]+\s*=\s*(?:"(?:[^"\\]|\\.)*"|[!#$%&\'*+.^_`|~0-9A-Za-z-]+)\s*)?'
)


class UnknownMedia(ValueError):
    """The answer's Content-Type says nothing that can be parsed, and no fallback is configured."""


def accept(protocols: Sequence[str], escaping: str) -> str:
    """The Accept header: the formats in order of preference, then anything."""
    weight = len(HEADERS) + 1
    values = []
    for protocol in protocols:
        escape = f";escaping={escaping}" if protocol.endswith("Text1.0.0") else ""
        values.append(f"{HEADERS[protocol]}{escape};q=0.{weight}")
        weight -= 1
    return ",".join([*values, f"*/*;q=0.{weight}"])


def media(content_type: str, fallback: str = "") -> Media:
    """The format of an answer; `fallback` is the protocol to take when its Content-Type does not tell. Raises UnknownMedia."""
    found = _TYPE.fullmatch(content_type)
    if found is not None and _PARAMETER.sub("", found[2]).strip() == "":
        known = _MEDIA.get(found[1].lower())
        if known is not None:
            return known
        reason = f"received unsupported Content-Type {content_type!r}"
    elif not content_type:
        reason = "non-compliant scrape target sending blank Content-Type"
    else:
        reason = f"cannot parse Content-Type {content_type!r}"
    if not fallback:
        raise UnknownMedia(f"{reason} and no fallback_scrape_protocol specified for target")
    return _MEDIA[HEADERS[fallback].split(";")[0]]
