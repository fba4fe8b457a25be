"""`styr keys`: what signs tokens and encrypts Secrets, and how to change it."""

from __future__ import annotations

import json

import click

from styr.cli import options
from styr.cli.options import Hint
from styr.kit.clock import SystemClock
from styr.plane.folder import Folder

_PURPOSE = click.argument("purpose", type=click.Choice(["tokens", "encryption"]))


@click.group()
def command() -> None:
    """Keys of this Styr: those that sign ServiceAccount tokens (`DIR/pki/service-account/`), and those that encrypt
    Secrets in its store (`DIR/encryption.yaml`). Works while Styr runs, which follows, or not.

    \b
    Example:
      styr keys list
      styr keys rotate encryption
    """


@command.command("list")
@options.output
@options.data_dir
def list_(folder: Folder, output: str) -> None:
    """Which keys there are, the newest first, and what each is used for.

    \b
    Example:
      styr keys list
    """
    from styr.plane import keys

    try:
        found = keys.known(folder, SystemClock())
    except keys.KeysError as error:
        raise Hint(str(error)) from None
    if output == "json":
        rows = [{"purpose": k.purpose, "name": k.name, "uses": k.uses, "rows": k.rows} for k in found]
        click.echo(json.dumps(rows, indent=2))
        return
    if not found:
        click.echo("No keys yet: one is made when the first token is asked for, or the first Secret written.")
    for key in found:
        rows_text = "" if key.rows is None else f"   {key.rows} rows"
        click.echo(f"{key.purpose:<11} {key.name:<34} {key.uses}{rows_text}")


@command.command()
@_PURPOSE
@options.data_dir
def rotate(purpose: str, folder: Folder) -> None:
    """Make another key, which is used from now on. Older ones stay: what they signed or encrypted is still good.
    A running Styr encrypts everything anew with it, within seconds; a stopped one when it starts.

    \b
    Example:
      styr keys rotate encryption
    """
    from styr.plane import keys

    if not folder.path.exists():
        raise Hint(f"No Styr has been started on {folder.path}.", "Name the right folder: --data-dir DIR")
    try:
        make = keys.rotate_tokens if purpose == "tokens" else keys.rotate_encryption
        name = make(folder, SystemClock())
    except keys.KeysError as error:
        raise Hint(str(error)) from None
    click.echo(f"New key of {purpose}: {name}. See what uses the old ones: styr keys list")


@command.command()
@_PURPOSE
@options.data_dir
def drop(purpose: str, folder: Folder) -> None:
    """Take all keys away but the newest. Tokens that they signed are refused from then on; keys of encryption go only
    when nothing is encrypted with them any more. Backups that were made before hold their own.

    \b
    Example:
      styr keys drop tokens
    """
    from styr.plane import keys

    try:
        gone = keys.drop_tokens(folder) if purpose == "tokens" else keys.drop_encryption(folder)
    except keys.KeysError as error:
        raise Hint(str(error)) from None
    click.echo(f"Taken away: {', '.join(gone)}." if gone else "There is none but the newest.")
