"""Output: tables for people, JSON for programs. Pure but for the printing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import click

from styr.kit.clock import parse_rfc3339


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Columns three spaces apart, as kubectl prints them; None becomes "-"."""
    lines = [list(header), *[["-" if cell in (None, "") else str(cell) for cell in row] for row in rows]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def show(output: str, data: Any, header: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str) -> None:
    """Prints `data` as JSON, or the rows; `empty` is the sentence for no rows."""
    if output == "json":
        click.echo(json.dumps(data, indent=2))
        return
    lines = list(rows)
    click.echo(table(header, lines) if lines else empty)


def age(stamp: str, now: float) -> str:
    """`12s`, `5m`, `3h`, `2d` since an RFC 3339 time; "-" when there is none."""
    try:
        seconds = max(0, int(now - parse_rfc3339(stamp)))
    except ValueError:
        return "-"
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size or (unit != "m" and seconds >= size):
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
