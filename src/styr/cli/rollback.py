"""`styr rollback APP`: takes the release back that is being judged, or else the one that serves; waits until it is done."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import TYPE_CHECKING

import click

from styr.cli import options
from styr.cli.connect import require, run
from styr.cli.options import Hint
from styr.kinds import conditions, meta
from styr.kinds.resources import APP, RELEASE, Object
from styr.plane.folder import Folder

if TYPE_CHECKING:
    from styr.client.client import Client

OVER = ("RolledBack", "Failed", "Superseded")
PATIENCE = 90.0
"""Seconds to wait: the release before may have to be started again."""


def release_to_take_back(app: Object) -> str:
    """The candidate if there is one, else the stable release. Raises `Hint` when there is neither."""
    status = app.get("status") or {}
    name = status.get("candidate") or status.get("stable")
    if not name:
        raise Hint(f"{meta.name(app)} has no release to take back.", "Deploy one: git push styr main")
    return str(name)


async def _until_taken_back(client: Client, app: str, release: str, namespace: str) -> Object:
    """The release once it is over. The platform takes the annotation away when it cannot be done: a `Hint` says why."""
    from styr.delivery.kinds import ROLLBACK_ANNOTATION

    async with aclosing(client.watch(RELEASE, namespace, fields=f"metadata.name={release}")) as events:
        async for event in events:
            if event.type == "BOOKMARK":
                continue
            if event.type == "DELETED" or (event.object.get("status") or {}).get("phase") in OVER:
                return event.object
            if ROLLBACK_ANNOTATION not in meta.annotations(event.object):
                status = (await client.get(APP, app, namespace)).get("status") or {}
                refused = conditions.find(status.get("conditions"), "RollingBack") or {}
                raise Hint(str(refused.get("message") or f"{release} was not taken back."), f"See: styr releases {app}")
    raise Hint(f"The server ended the watch of {release}.", "Look again: styr apps")


@click.command()
@click.argument("app")
@click.option("--reason", default="taken back by hand", show_default=True, help="Why; it is shown with the release.")
@options.namespace
@options.output
@options.data_dir
def command(app: str, reason: str, folder: Folder, namespace: str, output: str) -> None:
    """Take back what APP released last: a release that is still being judged is stopped; else the traffic returns to the
    release before, at once if that is still warm. The commit is remembered and not deployed again without `-o retry`.

    \b
    Example:
      styr rollback hello --reason "wrong prices"
    """
    from styr.delivery.kinds import ROLLBACK_ANNOTATION

    async def work(client: Client) -> tuple[Object, Object]:
        name = release_to_take_back(await require(client, APP, app, namespace, "See them: styr apps"))
        await client.patch(RELEASE, name, namespace, {"metadata": {"annotations": {ROLLBACK_ANNOTATION: reason}}})
        try:
            taken = await asyncio.wait_for(_until_taken_back(client, app, name, namespace), PATIENCE)
        except TimeoutError:
            raise Hint(f"{name} was not taken back within {PATIENCE:.0f} s.", f"See: styr releases {app}") from None
        return taken, await client.get(APP, app, namespace)

    taken, after = run(folder, work)
    status = taken.get("status") or {}
    if output == "json":
        click.echo(
            json.dumps({"release": meta.name(taken), "status": status, "app": after.get("status") or {}}, indent=2)
        )
        return
    click.echo(f"{meta.name(taken)}: {status.get('verdict') or status.get('phase')}")
    click.echo(f"{app} is served by {(after.get('status') or {}).get('stable') or 'nothing'}.")
