"""`styr metrics query`: a PromQL expression as a table, JSON, CSV, or a chart in the terminal."""

from __future__ import annotations

import csv
import io
import json
import shutil
import sys
import time
from datetime import datetime
from typing import Any

import click

from styr.cli.metrics.chart import Line, Look, draw
from styr.cli.metrics.server import Server, server
from styr.cli.tables import table

Series = dict[str, Any]


@click.command()
@click.argument("expr")
@click.option(
    "--at", default="", metavar="TIME", help="Evaluate at this time: RFC 3339, or seconds since 1970.  [default: now]"
)
@click.option(
    "--range",
    "span",
    default="",
    metavar="DURATION",
    help="Evaluate over the time up to --at, as 1h or 30m, and draw it.",
)
@click.option(
    "--step", default="", metavar="DURATION", help="Distance between points of --range.  [default: what fits the width]"
)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json", "csv", "chart"]),
    default=None,
    help="How to show it.  [default: chart with --range on a terminal, else table]",
)
@click.option("--limit", type=click.IntRange(0), default=0, help="Series at the most; 0 shows all.")
@server
def query(server: Server, expr: str, at: str, span: str, step: str, output: str | None, limit: int) -> None:
    """Evaluate a PromQL expression, now, at a time, or over a range.

    \b
    Example:
      styr metrics query 'up == 0'
      styr metrics query 'rate(http_requests_total[5m])' --range 1h
      styr metrics query 'up' --range 6h --step 5m -o csv > up.csv
    """
    fields = [("query", expr), *([("limit", str(limit))] if limit else [])]
    end = _seconds(at) if at else time.time()
    if not span:
        data = server.get("query", [*fields, *([("time", f"{end:.3f}")] if at else [])], post=True)
        show(data, output or "table")
        return
    start = end - _duration(span)
    width = shutil.get_terminal_size((100, 24)).columns
    every = _duration(step) if step else max(1.0, round((end - start) / max(40, 2 * width)))
    fields += [("start", f"{start:.3f}"), ("end", f"{end:.3f}"), ("step", f"{every:g}")]
    data = server.get("query_range", fields, post=True)
    chosen = output or ("chart" if sys.stdout.isatty() else "table")
    if chosen == "chart":
        click.echo(chart(data, start, end, width))
    else:
        show(data, chosen)


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except ValueError:
        raise click.BadParameter(f"{text!r} is neither RFC 3339 nor a number of seconds", param_hint="--at") from None


def _duration(text: str) -> float:
    units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31536000.0}
    total, digits, unit = 0.0, "", ""
    for char in text + "\0":
        if unit and not char.isalpha():
            if unit not in units or not digits:
                break
            total, digits, unit = total + float(digits) * units[unit], "", ""
        if char.isalpha():
            unit += char
        elif char != "\0":
            digits += char
    try:
        total = total + float(digits) if digits and not unit else total
    except ValueError:
        total = 0.0
    if unit or total <= 0:
        raise click.BadParameter(f"{text!r} is no duration: 30s, 5m, 1h30m, or seconds")
    return total


def name(metric: dict[str, str]) -> str:
    """A series as PromQL writes it."""
    inner = ", ".join(
        f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in metric.items() if key != "__name__"
    )
    return metric.get("__name__", "") + (f"{{{inner}}}" if inner or "__name__" not in metric else "")


def chart(data: dict[str, Any], start: float, end: float, width: int) -> str:
    """A range query's answer as a chart; colour on a terminal only."""
    lines = [
        Line(name(series["metric"]), [float(t) for t, _ in series["values"]], [float(v) for _, v in series["values"]])
        for series in data["result"]
        if series.get("values")
    ]
    if not lines:
        return (
            "No series."
            if not data["result"]
            else "Only native histograms: histogram_quantile() makes numbers of them."
        )
    zone = datetime.now().astimezone().tzinfo
    assert zone is not None
    return draw(lines, start, end, Look(width=min(width, 160), colour=sys.stdout.isatty(), zone=zone))


def show(data: dict[str, Any], output: str) -> None:
    """The answer of `query` or `query_range`, but for charts."""
    if output == "json":
        click.echo(json.dumps(data, indent=2))
    elif output == "csv":
        click.echo(_csv(data), nl=False)
    elif data["resultType"] in ("scalar", "string"):
        click.echo(data["result"][1])
    else:
        rows = _rows(data)
        click.echo(table(["SERIES", "TIME", "VALUE"], rows) if rows else "No series.")


def _rows(data: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(name(series["metric"]), _stamp(t), _value(v)) for series in data["result"] for t, v in samples(series)]


def samples(series: Series) -> list[tuple[float, Any]]:
    """Its points, floats and histograms, by time."""
    found = [*series.get("values", ()), *series.get("histograms", ())]
    found += [series[key] for key in ("value", "histogram") if key in series]
    return sorted(((float(t), value) for t, value in found), key=lambda pair: pair[0])


def _value(value: Any) -> str:
    return value if isinstance(value, str) else f"histogram(count {value['count']}, sum {value['sum']})"


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="milliseconds" if seconds % 1 else "seconds")


def _csv(data: dict[str, Any]) -> str:
    """A column for each label that any series has, then time (seconds since 1970) and value."""
    if data["resultType"] in ("scalar", "string"):
        return f"time,value\n{data['result'][0]},{data['result'][1]}\n"
    labels = sorted({key for series in data["result"] for key in series["metric"]})
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*labels, "time", "value"])
    for series in data["result"]:
        cells = [series["metric"].get(label, "") for label in labels]
        writer.writerows([*cells, f"{t:.3f}", _value(v)] for t, v in samples(series))
    return out.getvalue()
