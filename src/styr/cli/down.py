"""`styr down`: stops the control plane, the apps and Envoy. Works too when the control plane is already dead."""

from __future__ import annotations

import click

from styr.cli import options
from styr.cli.options import Hint
from styr.plane.folder import Folder, FolderError


@click.command()
@click.option(
    "--keep-apps", is_flag=True, help="Stop only the control plane: apps go on serving until the next `styr up`."
)
@options.data_dir
def command(folder: Folder, keep_apps: bool) -> None:
    """Stop the platform, and the apps with it.

    \b
    Example:
      styr down
      styr down --keep-apps && pip install -U styr && styr up --detach
    """
    from styr.plane.down import StopError, stop

    try:
        stopped = stop(folder, keep_apps=keep_apps)
    except (StopError, FolderError) as error:
        raise Hint(str(error)) from None
    click.echo(f"Stopped: {', '.join(stopped)}." if stopped else f"Nothing was running on {folder.path}.")
