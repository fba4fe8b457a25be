"""The one door to the parsers: a body and its media to samples. Called by `scrape.ingest`. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from styr.metrics.exposition import text
from styr.metrics.exposition.entry import Exposition
from styr.metrics.exposition.negotiate import Media


@dataclass(frozen=True)
class Options:
    """`native`: take native histograms (else only their classic parts); `classic`: keep the classic parts of those that are
    native too; `convert`: make native histograms with custom buckets of classic ones."""

    native: bool = False
    classic: bool = False
    convert: bool = False


def parse(body: bytes, media: Media, options: Options = Options()) -> Exposition:  # frozen
    """Raises ExpositionError."""
    return text.parse(body)


def parse_lines(lines: bytes, media: Media) -> Exposition:
    """Whole lines of a text body, without its end. Raises ExpositionError."""
    return text.parse(lines)
