"""`styr metrics tsdb`: data directories, offline. The counterparts of `promtool tsdb`; they work on Prometheus' directories
too."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from styr.cli import options
from styr.cli.options import Hint
from styr.cli.tables import show, table

if TYPE_CHECKING:
    from styr.metrics.model.labels import Labels
    from styr.metrics.model.matchers import Matcher
    from styr.metrics.storage.block.block import Block

DIRECTORY = click.Path(path_type=Path, exists=True, file_okay=False)


@click.group()
def tsdb() -> None:
    """Look into a data directory of this engine or of Prometheus, and make blocks.

    \b
    Example:
      styr metrics tsdb list DIR
      styr metrics tsdb dump DIR --match 'up' | head
    """


@contextmanager
def told() -> Iterator[None]:
    """The engine's own errors become one line."""
    from styr.metrics.model.errors import MetricsError

    try:
        yield
    except (MetricsError, OSError) as error:
        raise Hint(str(error)) from None


def _blocks(directory: Path) -> list[Block]:
    from styr.metrics.storage.block.catalog import load

    loaded = load(directory, look=True)
    for name, error in loaded.corrupt.items():
        click.echo(f"warning: block {name} cannot be opened: {error}", err=True)
    return loaded.blocks


def _block(directory: Path, name: str) -> Block:
    blocks = _blocks(directory)
    if not blocks:
        raise Hint(f"There is no block in {directory}.", "A block is made when the newest samples span three hours.")
    if not name:
        return blocks[-1]
    for block in blocks:
        if block.meta.ulid == name:
            return block
    raise Hint(f"There is no block {name} in {directory}.", f"Those there are: styr metrics tsdb list {directory}")


def _matchers(selector: str) -> list[Matcher]:
    from styr.metrics.model.errors import BadData
    from styr.metrics.promql.ast import VectorSelector
    from styr.metrics.promql.parser import parse

    if not selector:
        return []
    try:
        tree = parse(selector)
    except BadData as error:
        raise click.BadParameter(str(error), param_hint="--match") from None
    if not isinstance(tree, VectorSelector):
        raise click.BadParameter(f"{selector!r} is no series selector", param_hint="--match")
    return list(tree.matchers)


def _span(start: str, end: str) -> tuple[int, int]:
    from styr.metrics.model.errors import BadData
    from styr.metrics.web.forms import MAX_TIME, MIN_TIME, parse_time

    try:
        return parse_time(start) if start else MIN_TIME, parse_time(end) if end else MAX_TIME
    except BadData as error:
        raise click.BadParameter(str(error)) from None


@tsdb.command(name="list")
@click.argument("directory", type=DIRECTORY)
@options.output
def list_blocks(directory: Path, output: str) -> None:
    """List the blocks: their time, samples, chunks, series and bytes.

    \b
    Example:
      styr metrics tsdb list DIR
      styr metrics tsdb list DIR -o json
    """
    from styr.kit.clock import rfc3339

    with told():
        blocks = _blocks(directory)
        rows = [
            {
                "ulid": block.meta.ulid,
                "minTime": rfc3339(block.meta.mint / 1000),
                "maxTime": rfc3339(block.meta.maxt / 1000),
                "hours": round((block.meta.maxt - block.meta.mint) / 3_600_000, 2),
                "level": block.meta.level,
                "samples": block.meta.stats.samples,
                "chunks": block.meta.stats.chunks,
                "series": block.meta.stats.series,
                "bytes": block.size,
            }
            for block in blocks
        ]
    header = ["BLOCK", "FROM", "TO", "HOURS", "LEVEL", "SAMPLES", "CHUNKS", "SERIES", "BYTES"]
    show(output, rows, header, [list(row.values()) for row in rows], empty=f"No blocks in {directory}.")


@tsdb.command()
@click.argument("directory", type=DIRECTORY)
@click.argument("block", default="")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="Rows of each list.")
@click.option("--match", "selector", default="", metavar="SELECTOR", help="Only series that this selects.")
def analyze(directory: Path, block: str, limit: int, selector: str) -> None:
    """Show what a block is made of: series, churn, cardinality. Without BLOCK, of the newest.

    \b
    Example:
      styr metrics tsdb analyze DIR
      styr metrics tsdb analyze DIR 01JABCDEFGHJKMNPQRSTVWXYZ0 --limit 5
    """
    from styr.metrics.storage.block.analyze import analyze as look

    with told():
        opened = _block(directory, block)
        found = look(opened, _matchers(selector), limit)
    click.echo(f"Block {opened.meta.ulid}: {found.series} series, {found.label_names} label names")
    click.echo(f"Postings: {found.label_pairs} unique label pairs, {found.postings} entries")
    for title, counts in (
        ("Label pairs most involved in churning:", found.churning_pairs),
        ("Label names most involved in churning:", found.churning_names),
        ("Most common label pairs:", found.common_pairs),
        ("Label names with the most bytes of values:", found.value_bytes),
        ("Label names with the most values:", found.cardinality),
        ("Metric names with the most series:", found.metrics),
    ):
        click.echo(f"\n{title}")
        click.echo(table(["COUNT", "NAME"], counts) if counts else "  none")


@tsdb.command()
@click.argument("directory", type=DIRECTORY)
@click.option("--match", "selector", default="", metavar="SELECTOR", help="Which series.  [default: all]")
@click.option("--start", default="", metavar="TIME", help="From this time: RFC 3339, or seconds since 1970.")
@click.option("--end", default="", metavar="TIME", help="Up to this time.")
def dump(directory: Path, selector: str, start: str, end: str) -> None:
    """Print every sample of the blocks and of the write-ahead log, as `promtool tsdb dump` does: series, value, milliseconds.
    Nothing is changed; the engine may run on the directory.

    \b
    Example:
      styr metrics tsdb dump DIR --match 'up' > up.txt
    """
    from styr.metrics.storage.look import look

    (low, high), matchers = _span(start, end), _matchers(selector)
    with told(), look(directory) as found:
        for problem in found.problems:
            click.echo(f"warning: {problem}", err=True)
        out = sys.stdout
        for line in _samples(found.querier.select(matchers, low, high)):
            out.write(line)


def _samples(found: Any) -> Iterator[str]:
    for batch in found.batches():
        offsets, times, values = batch.offsets.tolist(), batch.t.tolist(), batch.v.tolist()
        for i in range(len(offsets) - 1):
            head = _series_text(found.frame.labels(batch.first + i))
            for k in range(offsets[i], offsets[i + 1]):
                value = batch.histograms.get(k)
                yield f"{head} {_value(values[k]) if value is None else value} {times[k]}\n"


def _series_text(labels: Labels) -> str:
    from styr.metrics.model.labels import is_legacy_label_name, quote

    pairs = (f"{name if is_legacy_label_name(name) else quote(name)}={quote(value)}" for name, value in labels)
    return "{" + ", ".join(pairs) + "}"


def _value(value: float) -> str:
    from styr.metrics.promql.annotations import go_float

    return go_float(value)


@tsdb.group(name="create-blocks-from")
def create_blocks_from() -> None:
    """Make blocks of samples from elsewhere.

    \b
    Example:
      styr metrics tsdb create-blocks-from openmetrics FILE DIR
    """


@create_blocks_from.command()
@click.argument("file", type=click.File("rb"))
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--max-block-duration", default="2h", show_default=True, metavar="DURATION", help="No block is longer.")
@click.option(
    "--label", "labels", multiple=True, metavar="NAME=VALUE", help="Put this label on every series; may be repeated."
)
def openmetrics(file: Any, directory: Path, max_block_duration: str, labels: tuple[str, ...]) -> None:
    """Make blocks of an OpenMetrics text whose samples all have timestamps. FILE may be - for stdin. The text has no native
    histograms; classic ones are series like any others, and exemplars are left out, as promtool does.

    \b
    Example:
      styr metrics tsdb create-blocks-from openmetrics old.om DIR --label site=a
    """
    from random import SystemRandom

    from styr.kit.clock import SystemClock
    from styr.metrics.exposition.parse import parse
    from styr.metrics.storage.block.backfill import create_blocks
    from styr.metrics.storage.block.ulid import names
    from styr.metrics.web.forms import parse_duration

    extra = dict(each.split("=", 1) for each in labels if "=" in each)
    with told():
        samples = parse(file.read(), "openmetrics").samples
        missing = next((each for each in samples if each.t is None), None)
        if missing is not None:
            raise Hint(f"{_series_text(missing.labels)} has no timestamp; backfilled samples need one.")
        rows = ((each.labels, each.t or 0, each.value) for each in samples)
        made = create_blocks(
            directory,
            rows,
            names(SystemClock(), SystemRandom()),
            longest=int(parse_duration(max_block_duration) * 1000),
            extra=extra,
        )
    rows_of = [[meta.ulid, meta.stats.samples, meta.stats.series] for meta in made]
    click.echo(table(["BLOCK", "SAMPLES", "SERIES"], rows_of) if made else "No samples, no blocks.")


@tsdb.command()
@click.argument("directory", type=DIRECTORY)
def verify(directory: Path) -> None:
    """Read everything in every block and check that it goes together. Exits with 1 at a fault.

    \b
    Example:
      styr metrics tsdb verify DIR
    """
    from styr.metrics.model.errors import Corrupt
    from styr.metrics.storage.block.catalog import load
    from styr.metrics.storage.block.verify import verify as check

    with told():
        loaded = load(directory, look=True)
    faults = {name: str(error) for name, error in loaded.corrupt.items()}
    for block in loaded.blocks:
        try:
            check(block)
        except Corrupt as error:
            faults[block.meta.ulid] = str(error)
        click.echo(f"{block.meta.ulid}  {faults.get(block.meta.ulid, 'ok')}")
    if faults:
        raise Hint("\n".join(f"block {name}: {fault}" for name, fault in faults.items()))


@tsdb.command()
@click.argument("directory", type=DIRECTORY)
def close(directory: Path) -> None:
    """Bring the write-ahead log of a directory that a crash left into chunks, so that Prometheus reads all of it. The engine
    must not run on the directory.

    \b
    Example:
      styr metrics tsdb close DIR
    """
    from styr.kit.clock import SystemClock
    from styr.metrics.storage.db import close_directory

    with told():
        found = close_directory(directory, SystemClock())
    for problem in found.problems:
        click.echo(f"warning: {problem}", err=True)
    click.echo(f"{found.series} series, {found.chunks} chunks: Prometheus can open {directory}.")
