"""`styr backup FILE`: everything of this Styr in one file, while it runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from styr.cli import options
from styr.cli.options import Hint
from styr.kit.clock import SystemClock
from styr.plane.folder import Folder

MIB = 1 << 20


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@options.output
@options.data_dir
def command(file: Path, folder: Folder, output: str) -> None:
    """Write everything that makes up this Styr into FILE, while it runs or not: the API's objects at one revision, the apps'
    git repositories, the images built from them, certificates, tokens and keys, and your prometheus.yml and
    alertmanager.yml. An older FILE is replaced once the new one is complete.

    Not in it: the history of metrics (`DIR/metrics/data`), logs, what running pods wrote into their own folders, caches.
    FILE holds secrets: it is readable by you alone, and whoever has it can act as this Styr.

    \b
    Example:
      styr backup /mnt/backups/styr.tar
      tar tf /mnt/backups/styr.tar
    """
    from styr.plane.archive import BackupError
    from styr.plane.backup import backup

    try:
        done = backup(folder, file, SystemClock(), Meter("backed up"))
    except BackupError as error:
        raise Hint(str(error)) from None
    finally:
        Meter.end()
    if output == "json":
        facts = {"file": str(done.file), "bytes": done.bytes, "members": done.members, "revision": done.revision,
                 "objects": done.objects, "made": done.made}  # fmt: skip
        click.echo(json.dumps(facts, indent=2))
        return
    click.echo(
        f"Backed up {folder.path} to {done.file}: {done.objects} objects at revision {done.revision}, "
        f"{done.members} files and folders, {done.bytes / MIB:.1f} MiB.\n"
        f"Bring it back: styr restore {done.file} && styr up"
    )


class Meter:
    """How far it is, on one line of a terminal's stderr; silent elsewhere. Called with the bytes done so far."""

    def __init__(self, what: str) -> None:
        self._what, self._shown = what, -1

    def __call__(self, done: int) -> None:
        if done // MIB != self._shown and sys.stderr.isatty():
            self._shown = done // MIB
            click.echo(f"\r{self._what} {self._shown} MiB ", err=True, nl=False)

    @staticmethod
    def end() -> None:
        if sys.stderr.isatty():
            click.echo("\r\033[K", err=True, nl=False)
