"""`styr metrics check`: rule files and configurations, before an engine reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from styr.cli.options import Hint

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.group()
def check() -> None:
    """Check files, and say where they are wrong.

    \b
    Example:
      styr metrics check rules rules.yml
      styr metrics check config prometheus.yml
    """


def document(path: Path) -> Any:
    """A YAML file. Raises Hint."""
    import yaml

    try:
        return yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise Hint(f"{path}: {error}") from None


@check.command()
@click.argument("files", type=FILE, nargs=-1, required=True)
def rules(files: tuple[Path, ...]) -> None:
    """Check rule files. Exits with 1 when one is wrong, and names every fault.

    \b
    Example:
      styr metrics check rules rules/*.yml
    """
    from styr.metrics.model.errors import BadData
    from styr.metrics.promql.parser import parse
    from styr.metrics.rules.groups import parse_groups

    faults = []
    for path in files:
        try:
            groups = parse_groups(document(path), str(path), parse)
        except BadData as error:
            faults.append(str(error))
            continue
        count = sum(len(group.rules) for group in groups)
        click.echo(f"{path}: {count} rules in {len(groups)} groups")
    if faults:
        raise Hint("\n".join(faults))


@check.command()
@click.argument("file", type=FILE)
def config(file: Path) -> None:
    """Check a prometheus.yml, and the rule files that it names.

    \b
    Example:
      styr metrics check config prometheus.yml
    """
    from styr.metrics.config import load
    from styr.metrics.model.errors import BadData

    try:
        found = load(file)
    except BadData as error:
        raise Hint(f"{file}: {error}") from None
    rules_found = sum(len(group.rules) for group in found.groups)
    click.echo(f"{file}: {len(found.jobs)} scrape jobs, {rules_found} rules in {len(found.groups)} groups")
