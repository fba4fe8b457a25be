"""The one door to the parsers: a body and its media to samples. Called by `scrape.ingest`. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from styr.metrics.exposition import openmetrics, text
from styr.metrics.exposition.classic import convert
from styr.metrics.exposition.entry import Exposition
from styr.metrics.exposition.negotiate import Media
from styr.metrics.exposition.protobuf import parse as parse_protobuf


@dataclass(frozen=True)
class Options:
    """`native`: take native histograms (else only their classic parts); `classic`: keep the classic parts of those that are
    native too; `convert`: make native histograms with custom buckets of classic ones."""

    native: bool = False
    classic: bool = False
    convert: bool = False


_DEFAULTS = Options()


def parse(body: bytes, media: Media, options: Options = _DEFAULTS) -> Exposition:
    """Raises ExpositionError. A body without a byte is no error in any format, as in Prometheus: a page without series."""
    if not body:
        return Exposition()
    if media == "protobuf":
        return parse_protobuf(body, options.native, options.classic, options.convert)
    exposition = openmetrics.parse(body) if media == "openmetrics" else text.parse(body)
    return convert(exposition, options.classic) if options.convert else exposition


def parse_lines(lines: bytes, media: Media) -> Exposition:
    """Whole lines of a text body, without its end. Raises ExpositionError."""
    return openmetrics.parse(lines + b"# EOF\n") if media == "openmetrics" else text.parse(lines)
