"""`styr metrics test`: unit tests of rules, on virtual time; promtool's file format."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import click

from styr.cli.options import Hint

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.group()
def test() -> None:
    """Run tests.

    \b
    Example:
      styr metrics test rules rules_test.yml
    """


@test.command()
@click.argument("files", type=FILE, nargs=-1, required=True)
@click.option("--run", "pattern", default="", metavar="REGEX", help="Only tests whose name matches.")
@click.option("--experimental", is_flag=True, help="PromQL's experimental functions and modifiers are allowed.")
def rules(files: tuple[Path, ...], pattern: str, experimental: bool) -> None:
    """Run the unit tests in FILES, which are written as for `promtool test rules`. Exits with 1 when one fails.

    \b
    Example:
      styr metrics test rules tests/*.yml --run latency
    """
    from styr.metrics.promql.features import DEFAULT, EXPERIMENTAL
    from styr.metrics.rules.unittest import run_file

    try:
        wanted = re.compile(pattern)
    except re.error as error:
        raise click.BadParameter(f"{pattern!r}: {error}", param_hint="--run") from None
    failed = []
    for path in files:
        report = asyncio.run(
            run_file(
                path,
                wanted=lambda name: wanted.search(name) is not None,
                features=EXPERIMENTAL if experimental else DEFAULT,
            )
        )
        click.echo(f"{path}: {len(report.ran)} tests, {'FAILED' if report.failures else 'ok'}")
        failed += report.failures
    if failed:
        raise Hint("\n".join(failed))
