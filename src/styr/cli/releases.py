"""`styr releases APP`: every release that is remembered, newest first, with its verdict."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from styr.cli import options
from styr.cli.connect import require, run
from styr.cli.tables import age, show
from styr.kinds import meta
from styr.kinds.resources import APP, RELEASE, Object
from styr.plane.folder import Folder

if TYPE_CHECKING:
    from styr.client.client import Client


def row(release: Object, now: float) -> list[object]:
    spec, status = release.get("spec") or {}, release.get("status") or {}
    return [
        meta.name(release),
        str(spec.get("commit", ""))[:10],
        status.get("phase", "Pending"),
        f"{status.get('weight', 0)} %",
        age(str(meta.metadata(release).get("creationTimestamp", "")), now),
        status.get("verdict") or spec.get("subject"),
    ]


@click.command()
@click.argument("app")
@options.namespace
@options.output
@options.data_dir
def command(app: str, folder: Folder, namespace: str, output: str) -> None:
    """List the releases of APP, newest first.

    \b
    Example:
      styr releases hello
    """

    async def work(client: Client) -> list[Object]:
        await require(client, APP, app, namespace, "See them: styr apps")
        return (await client.list(RELEASE, namespace, labels=f"styr.dev/app={app}")).items

    releases = sorted(run(folder, work), key=lambda release: -int(release["spec"].get("number", 0)))
    show(
        output,
        releases,
        ("RELEASE", "COMMIT", "PHASE", "WEIGHT", "AGE", "VERDICT"),
        (row(release, time.time()) for release in releases),
        empty=f"{app} has no release yet: git push styr main",
    )
