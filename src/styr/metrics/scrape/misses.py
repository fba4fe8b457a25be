"""The lines of a body that its layout does not know, parsed by themselves. Called by `ingest`; pure.

A line alone does not tell the type of its family, which Prometheus needs for `le` and `quantile`: the TYPE line in front of
it is parsed along with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from styr.metrics.exposition.entry import Exposition
from styr.metrics.exposition.negotiate import Media
from styr.metrics.exposition.parse import parse_lines
from styr.metrics.kernels import text
from styr.metrics.scrape.buffers import Body
from styr.metrics.scrape.lines import Lines, Scratch

Small = NDArray[np.int32]


class Reparse(Exception):
    """Lines alone do not tell what the body means; the whole of it does."""


@dataclass(slots=True)
class Missed:
    """`table` is the layout of the new body, with the columns of the old one and those of the missed samples, which are the
    lines `numbers`, still to be filled in."""

    table: Small
    numbers: list[int]
    exposition: Exposition


def missed_lines(lines: Lines, scratch: Scratch, body: Body, media: Media) -> Missed:
    """After a walk over `body`. Raises Reparse, and ExpositionError, which may only come of reading lines alone."""
    count = int(scratch.counts[text.LINES])
    line = scratch.found[:count, 1]
    table = np.zeros((count + 1, 4), np.int32)
    table[:count, text.START], table[count, text.START] = scratch.found[:count, 0], body.end
    hit = line >= 0
    table[:count][hit, text.KEY] = lines.table[line[hit], text.KEY]
    table[:count][hit, text.COLUMN] = lines.table[line[hit], text.COLUMN]
    numbers, parts = _gather(table, np.flatnonzero(~hit), hit, body)
    exposition = parse_lines(b"".join(parts), media)
    if len(exposition.samples) != len(numbers) or not exposition.by_line:
        raise Reparse
    for number, sample in zip(numbers, exposition.samples, strict=True):
        table[number, text.KEY] = sample.value_at - sample.start
    return Missed(table, numbers, exposition)


def _gather(
    table: Small, missed: NDArray[np.int64], hit: NDArray[np.bool_], body: Body
) -> tuple[list[int], list[bytes]]:
    """(numbers of the missed lines that should be samples, lines to parse). Comments get their column and key."""
    starts = table[:, text.START].tolist()
    comments = np.flatnonzero(hit & (table[:-1, text.COLUMN] == text.OTHER)).tolist()
    numbers: list[int] = []
    parts: list[bytes] = []
    governing, place = -1, 0
    for number in missed.tolist():
        whole = body.buffer[starts[number] : starts[number + 1]].tobytes()
        bare = whole.strip(b" \t\n")
        if bare and not bare.startswith(b"#"):
            while place < len(comments) and comments[place] < number:
                place += 1
            kind = _type_line(body, starts, comments, place - 1, governing)
            if kind >= 0:
                governing = kind
                parts.append(body.buffer[starts[kind] : starts[kind + 1]].tobytes())
            numbers.append(number)
        else:
            table[number, text.COLUMN], table[number, text.KEY] = text.OTHER, len(whole) - 1
            if _is_type(bare):
                governing = number
        parts.append(whole)
    return numbers, parts


def _is_type(line: bytes) -> bool:
    return line.startswith(b"#") and line[1:].lstrip(b" \t").startswith(b"TYPE")


def _type_line(body: Body, starts: list[int], comments: list[int], place: int, governing: int) -> int:
    """The last TYPE line among the known comments up to `place` that comes after line `governing`; -1 if there is none."""
    while place >= 0 and comments[place] > governing:
        number = comments[place]
        if _is_type(body.buffer[starts[number] : starts[number + 1]].tobytes().lstrip(b" \t")):
            return number
        place -= 1
    return -1
