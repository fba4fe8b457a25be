"""`styr restore FILE`: a data folder from a backup, on this machine or another."""

from __future__ import annotations

import json
from pathlib import Path

import click

from styr.cli import options
from styr.cli.backup import Meter
from styr.cli.options import Hint
from styr.kit.clock import SystemClock
from styr.plane.folder import Folder


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--force", is_flag=True, help="Replace a folder that has data; it is kept beside, under another name.")
@options.output
@options.data_dir
def command(file: Path, folder: Folder, force: bool, output: str) -> None:
    """Make the data folder what it was when FILE was written by `styr backup`. All of FILE is checked before anything is
    touched. Styr must not be running on the folder.

    Revisions go on far above any that were ever given out, so that clients which saw the old server list again instead of
    going on from what no longer is. Pods start anew; apps answer where they did if their ports are free. Python
    apps run in the folder that they were built in, with the same Python installed; in another they wait for a push.

    \b
    Example:
      styr restore /mnt/backups/styr.tar && styr up --detach
      styr restore --force /mnt/backups/styr.tar
    """
    from styr.plane.archive import BackupError
    from styr.plane.restore import restore

    try:
        done = restore(folder, file, SystemClock(), force=force, progress=Meter("restored"))
    except BackupError as error:
        raise Hint(str(error)) from None
    finally:
        Meter.end()
    if output == "json":
        facts = {"folder": str(done.folder), "made": done.made, "objects": done.objects, "revision": done.revision,
                 "backupRevision": done.backup_revision, "aside": str(done.aside) if done.aside else None,
                 "movedFrom": done.moved or None}  # fmt: skip
        click.echo(json.dumps(facts, indent=2))
        return
    click.echo(
        f"Restored {done.folder} as of {done.made}: {done.objects} objects of revision {done.backup_revision}; revisions go "
        f"on from {done.revision}."
    )
    if done.aside:
        click.echo(f"What was there before: {done.aside}")
    if done.moved:
        click.echo(
            f"It was made of {done.moved}, and what was built there cannot be moved: Python apps wait for a push. To run "
            f"them at once restore to that folder: styr restore {file} --data-dir {done.moved}"
        )
    click.echo("Start it: styr up --detach")
