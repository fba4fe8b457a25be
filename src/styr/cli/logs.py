"""`styr logs APP [-f]`: the output of the app's pods, each line with its release when there are several."""

from __future__ import annotations

import sys
from contextlib import aclosing
from typing import TYPE_CHECKING

import click

from styr.cli import options
from styr.cli.connect import require, run
from styr.cli.options import Hint
from styr.client.transport import TransportError
from styr.kinds import meta
from styr.kinds.errors import BadRequest, NotFound
from styr.kinds.resources import APP, POD, Object
from styr.kit.tasks import Tasks
from styr.plane.folder import Folder

if TYPE_CHECKING:
    from styr.client.client import Client

RELEASE_LABEL = "styr.dev/release"


async def _copy(client: Client, pod: Object, prefix: bytes, follow: bool, tail: int | None) -> None:
    rest = b""
    try:
        async for chunk in client.logs(meta.name(pod), meta.namespace(pod), follow=follow, tail=tail):
            *lines, rest = (rest + chunk).split(b"\n")
            sys.stdout.buffer.write(b"".join(prefix + line + b"\n" for line in lines))
            sys.stdout.buffer.flush()
    except (NotFound, BadRequest, TransportError):
        return  # Gone or not yet started: the watch of pods decides what that means.
    finally:
        if rest:
            sys.stdout.buffer.write(prefix + rest + b"\n")
            sys.stdout.buffer.flush()


async def _follow(client: Client, namespace: str, labels: str, tail: int | None) -> None:
    """Pods come and go with releases: every pod that appears is followed until it ends. Raises TransportError when the
    platform goes away; a watch that merely ends is begun again."""
    seen: set[str] = set()
    async with Tasks("logs") as tasks:
        while True:
            async with aclosing(client.watch(POD, namespace, labels=labels)) as events:
                async for event in events:
                    pod = event.object
                    phase = (pod.get("status") or {}).get("phase") or "Pending"
                    fresh = event.type in ("ADDED", "MODIFIED") and meta.uid(pod) not in seen
                    if fresh and phase != "Pending":
                        seen.add(meta.uid(pod))
                        tasks.spawn(_copy(client, pod, _prefix(pod), True, tail), name=meta.name(pod))


def _prefix(pod: Object) -> bytes:
    return f"[{meta.labels(pod).get(RELEASE_LABEL) or meta.name(pod)}] ".encode()


@click.command()
@click.argument("app")
@click.option("-f", "--follow", is_flag=True, help="Go on as new lines come, over releases, until Ctrl-C.")
@click.option("--tail", type=click.IntRange(0), default=None, help="Only the last N lines of each pod.")
@click.option("--release", default=None, help="Only this release, for example hello-r3.")
@options.namespace
@options.data_dir
def command(app: str, follow: bool, tail: int | None, release: str | None, folder: Folder, namespace: str) -> None:
    """Show what APP prints.

    \b
    Example:
      styr logs hello -f
      styr logs hello --release hello-r3 --tail 50
    """
    labels = f"styr.dev/app={app}," + (f"{RELEASE_LABEL}={release}" if release else RELEASE_LABEL)

    async def work(client: Client) -> None:
        await require(client, APP, app, namespace, "See them: styr apps")
        if follow:
            await _follow(client, namespace, labels, tail)
            return
        pods = sorted((await client.list(POD, namespace, labels=labels)).items, key=meta.name)
        if not pods:
            raise Hint(f"{app} has no running pods.", f"See its releases: styr releases {app}")
        for pod in pods:
            await _copy(client, pod, _prefix(pod) if len(pods) > 1 else b"", False, tail)

    try:
        run(folder, work)
    except KeyboardInterrupt:
        sys.exit(130)
