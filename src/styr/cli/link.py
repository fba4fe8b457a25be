"""`styr link [APP]`: makes the App and gives this git repository a remote that `git push styr main` can use.

The credential stays in the data folder: git asks a one-line helper that reads it when needed, so nothing secret is
copied into the repository. The certificate authority is named for this one address only.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import click

from styr.cli import options
from styr.cli.connect import run
from styr.cli.options import Hint
from styr.kinds import meta
from styr.kinds.errors import AlreadyExists
from styr.kinds.resources import APP, Object
from styr.plane.folder import Folder

if TYPE_CHECKING:
    from styr.client.client import Client

_NAME = re.compile(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?")


def app_name(text: str) -> str:
    """A DNS label from a folder's name: `My_App.py` -> `my-app-py`; "" when nothing is left."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-0123456789")[:40].strip("-")


def git_settings(base: str, folder: Folder) -> list[tuple[str, str]]:
    """(key, value) pairs of the repository's own configuration. `base` is `https://127.0.0.1:PORT`. The empty helper drops
    those of the user's configuration: they would store the token; the empty proxy keeps loopback off any proxy."""
    helper = (
        f'!f() {{ test "$1" = get && echo username=styr && echo password=$(cat {shlex.quote(str(folder.token))}); }}; f'
    )
    return [
        (f"http.{base}/.sslCAInfo", str(folder.ca)),
        (f"http.{base}/.proxy", ""),
        (f"credential.{base}.helper", ""),
        (f"credential.{base}.helper", helper),
    ]


def git(*arguments: str) -> str:
    """Runs git here. Raises `Hint` with git's own words."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
    except FileNotFoundError:
        raise Hint("git is not installed.", "Install it, for example: apt install git") from None
    except subprocess.CalledProcessError as error:
        raise Hint(f"git {arguments[0]} failed: {error.stderr.strip()}") from None
    return done.stdout.strip()


def _repository() -> Path:
    try:
        return Path(git("rev-parse", "--show-toplevel"))
    except Hint as error:
        raise Hint(
            f"{Path.cwd()} is not inside a git repository ({error.message.splitlines()[0]}).",
            "Make it one: git init -b main && git add . && git commit -m start",
        ) from None


@click.command()
@click.argument("app", required=False)
@click.option("--branch", default="main", show_default=True, help="The branch whose pushes deploy.")
@options.namespace
@options.data_dir
def command(app: str | None, branch: str, folder: Folder, namespace: str) -> None:
    """Connect this git repository to APP (default: the folder's name), making the app if it is new.

    \b
    Example:
      cd hello && styr link && git push styr main
    """
    top = _repository()
    name = app or app_name(top.name)
    if not _NAME.fullmatch(name):
        raise Hint(
            f"{name!r} cannot be an app's name: lower-case letters, digits and dashes, starting with a letter, at most 40.",
            "Name it yourself: styr link hello",
        )

    async def work(client: Client) -> Object:
        wanted = {
            "apiVersion": APP.api_version,
            "kind": APP.kind,
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"branch": branch},
        }
        try:
            return await client.create(APP, wanted)
        except AlreadyExists:
            return await client.get(APP, name, namespace)

    linked = run(folder, work)
    base = f"https://127.0.0.1:{folder.state().api_port}"
    for key in {key for key, _ in git_settings(base, folder)}:
        subprocess.run(["git", "config", "--unset-all", key], check=False, capture_output=True)
    for key, value in git_settings(base, folder):
        git("config", "--add", key, value)
    path = name if namespace == "default" else f"{namespace}/{name}"
    url = f"{base}/git/{path}.git"
    verb = "set-url" if "styr" in git("remote").split() else "add"
    git("remote", verb, "styr", url)
    if os.environ.get("GIT_SSL_CAINFO"):
        click.echo(
            "Warning: GIT_SSL_CAINFO is set and overrides Styr's own certificate authority. Push with it unset:",
            err=True,
        )
        click.echo(f"  env -u GIT_SSL_CAINFO git push styr {branch}", err=True)
    deploys = (linked.get("spec") or {}).get("branch", branch)
    click.echo(f"Linked {top} to the app {meta.name(linked)}.")
    click.echo(f"Deploy it:   git push styr {deploys}")
    click.echo(f"It answers:  http://{meta.name(linked)}.localhost:{folder.state().gateway_port}")
