"""Options that several verbs share, and the errors that people read. Called by every verb; calls `plane.folder` for the
default data folder only."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import click

from styr.plane.folder import Folder, default_path

F = TypeVar("F")


class Hint(click.ClickException):
    """An error for people: what failed, on what, and the command that helps."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(f"{message}\n  {hint}" if hint else message)


def _folder(_ctx: click.Context, _param: click.Parameter, value: Path | None) -> Folder:
    return Folder(value or default_path())


def data_dir(command: F) -> F:
    """`--data-dir DIR`, or STYR_DATA_DIR; the verb receives it as `folder`."""
    option: Any = click.option(
        "--data-dir",
        "folder",
        type=click.Path(path_type=Path, file_okay=False),
        callback=_folder,
        help="Where this Styr keeps everything.  [env: STYR_DATA_DIR; default: ~/.local/share/styr]",
    )
    decorated: F = option(command)
    return decorated


def output(command: F) -> F:
    """`-o text|json`; the verb receives it as `output`."""
    option: Any = click.option(
        "-o", "--output", type=click.Choice(["text", "json"]), default="text", help="For people, or for programs."
    )
    decorated: F = option(command)
    return decorated


def namespace(command: F) -> F:
    """`-n NAMESPACE`; the verb receives it as `namespace`."""
    option: Any = click.option("-n", "--namespace", default="default", show_default=True, help="Namespace of the app.")
    decorated: F = option(command)
    return decorated
