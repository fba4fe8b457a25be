"""`styr metrics`: queries, what is scraped, rules, and tools for data directories. A file per subcommand, imported when called:
none of them costs `styr apps` anything, and those that ask over HTTP never import numpy."""

from __future__ import annotations

import importlib

import click

SUBCOMMANDS: dict[str, tuple[str, str, str]] = {
    "query": ("query", "query", "Evaluate a PromQL expression; over a range, as a chart."),
    "labels": ("series", "labels", "List label names, or the values of one."),
    "series": ("series", "series", "List the series that selectors find."),
    "targets": ("targets", "targets", "What is scraped, and how it goes."),
    "rules": ("rules", "rules", "Recording and alerting rules, and their state."),
    "alerts": ("rules", "alerts", "Alerts that are pending or firing."),
    "warm": ("warm", "warm", "Compile the engine's kernels ahead."),
    "tsdb": ("tsdb", "tsdb", "Look into a data directory, and make blocks."),
    "check": ("check", "check", "Check rule files and configurations."),
    "test": ("unittest", "test", "Run unit tests of rules."),
}
"""Name: (file, attribute, sentence)."""


class Subcommands(click.Group):
    """In the order a newcomer meets them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in SUBCOMMANDS:
            return None
        file, attribute, _ = SUBCOMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(f"styr.cli.metrics.{file}"), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, sentence) for name, (_, _, sentence) in SUBCOMMANDS.items()])


@click.group(cls=Subcommands)
def command() -> None:
    """Ask the metrics engine, and work on its data.

    \b
    Example:
      styr metrics query 'up'
      styr metrics query 'sum by (app) (rate(http_requests_total[5m]))' --range 1h
      styr metrics targets
    """
