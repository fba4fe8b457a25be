"""`styr apps`: what is deployed, where it answers, what is being judged."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from styr.cli import options
from styr.cli.connect import run
from styr.cli.tables import age, show
from styr.kinds import meta
from styr.kinds.resources import APP, Object
from styr.plane.folder import Folder

if TYPE_CHECKING:
    from styr.client.client import Client


def row(app: Object, now: float) -> list[object]:
    status = app.get("status") or {}
    candidate = status.get("candidate")
    return [
        meta.name(app),
        status.get("url"),
        status.get("stable"),
        f"{candidate} ({status.get('weight', 0)} %)" if candidate else None,
        age(str(meta.metadata(app).get("creationTimestamp", "")), now),
    ]


@click.command()
@options.namespace
@options.output
@options.data_dir
def command(folder: Folder, namespace: str, output: str) -> None:
    """List the apps: address, stable release, and the release being judged with its share of the traffic.

    \b
    Example:
      styr apps
      styr apps -o json | jq -r '.[].status.url'
    """

    async def work(client: Client) -> list[Object]:
        return (await client.list(APP, namespace)).items

    apps = sorted(run(folder, work), key=meta.name)
    show(
        output,
        apps,
        ("NAME", "URL", "STABLE", "CANDIDATE", "AGE"),
        (row(app, time.time()) for app in apps),
        empty=f"No apps in namespace {namespace} yet. In a git repository: styr link && git push styr main",
    )
