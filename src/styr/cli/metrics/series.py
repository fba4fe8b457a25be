"""`styr metrics labels` and `styr metrics series`."""

from __future__ import annotations

import json

import click

from styr.cli import options
from styr.cli.metrics.query import name
from styr.cli.metrics.server import Server, server


@click.command()
@click.argument("label", required=False)
@click.option(
    "--match", "matches", multiple=True, metavar="SELECTOR", help="Only of series that this selects; may be repeated."
)
@options.output
@server
def labels(server: Server, label: str | None, matches: tuple[str, ...], output: str) -> None:
    """List all label names, or all values of LABEL.

    \b
    Example:
      styr metrics labels
      styr metrics labels __name__ --match '{job="api"}'
    """
    path = f"label/{label}/values" if label else "labels"
    _print(output, server.get(path, [("match[]", each) for each in matches]))


@click.command()
@click.argument("selectors", nargs=-1, required=True)
@click.option("--limit", type=click.IntRange(0), default=0, help="Series at the most; 0 shows all.")
@options.output
@server
def series(server: Server, selectors: tuple[str, ...], limit: int, output: str) -> None:
    """List the series that any of the SELECTORS finds.

    \b
    Example:
      styr metrics series 'up' '{__name__=~"process_.*"}'
    """
    fields = [("match[]", each) for each in selectors] + ([("limit", str(limit))] if limit else [])
    found = server.get("series", fields, post=True)
    _print(output, found if output == "json" else [name(each) for each in found])


def _print(output: str, found: list[object]) -> None:
    if output == "json":
        click.echo(json.dumps(found, indent=2))
    else:
        click.echo("\n".join(map(str, found)) or "Nothing found.")
