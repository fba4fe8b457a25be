"""`styr why RELEASE`: the verdict, recomputed here from the recorded counters (docs/decisions/0004-layer-of-why.md)."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from styr.cli import options
from styr.cli.connect import require, run
from styr.cli.options import Hint
from styr.kinds.errors import NotFound
from styr.kinds.resources import CONFIG_MAP, RELEASE, Object
from styr.plane.folder import Folder

if TYPE_CHECKING:
    from styr.client.client import Client


@click.command()
@click.argument("release")
@options.namespace
@options.output
@options.data_dir
def command(release: str, folder: Folder, namespace: str, output: str) -> None:
    """Say why RELEASE was promoted or rolled back: the counts, the evidence over time, and whether recomputing it from the
    record gives the same numbers.

    \b
    Example:
      styr why hello-r3
    """
    from styr.delivery import record, why

    async def work(client: Client) -> tuple[Object, str]:
        found = await require(client, RELEASE, release, namespace, "See them: styr releases APP")
        try:
            kept = await client.get(CONFIG_MAP, f"{release}-record", namespace)
        except NotFound:
            return found, ""
        return found, str((kept.get("data") or {}).get(record.NAME, ""))

    found, text = run(folder, work)
    status = found.get("status") or {}
    if not text:
        sentence = status.get("verdict") or f"{release} is {status.get('phase', 'Pending')}: nothing was judged yet."
        click.echo(
            json.dumps({"release": release, "sentence": sentence, "agrees": None}) if output == "json" else sentence
        )
        return
    try:
        explanation = why.explain(record.loads(text))
    except record.RecordError as error:
        raise Hint(f"The record of {release} cannot be replayed: {error}") from None
    click.echo(json.dumps(asdict(explanation), indent=2) if output == "json" else why.render(explanation))
