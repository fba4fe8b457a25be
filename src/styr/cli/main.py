"""`styr`: the list of verbs. Each is a file of this folder with a click command named `command`; it is imported when
called, so that `styr apps` does not pay for what `styr up` needs."""

from __future__ import annotations

import importlib
import sys

import click

from styr.kinds.errors import ApiError
from styr.version import __version__

VERBS: dict[str, str] = {
    "up": "Start the platform on this machine.",
    "down": "Stop it, and the apps with it.",
    "status": "Is it running, where, and what runs on it.",
    "link": "Connect this git repository: adds the remote `styr`.",
    "apps": "List the apps.",
    "logs": "Show what an app prints.",
    "releases": "List the releases of an app.",
    "why": "Why a release was promoted or rolled back, recomputed.",
    "rollback": "Go back to the release before.",
    "backup": "Write everything into one file, while it runs.",
    "restore": "Make it what it was when that file was written.",
    "keys": "What signs tokens and encrypts Secrets, and how to change it.",
    "api": "A Kubernetes API and its controllers alone, for tests of operators.",
    "metrics": "Ask the metrics engine: queries, charts, targets, rules, data.",
    "demo": "See it all in two minutes: pushes, canaries, rollbacks, a crash.",
}


class Verbs(click.Group):
    """Verbs in the order a newcomer meets them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command: click.Command = importlib.import_module(f"styr.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="styr")
def styr() -> None:
    """git push builds, tests and releases your code, sends it a few requests of the live traffic, and promotes it or takes
    it back by what they show.

    \b
    Start with:
      styr up --detach        start the platform (no root, no containers)
      cd my-app && styr link  add the git remote
      git push styr main      deploy
    """


def main() -> None:
    """Entry point of the console script. API errors become one line on stderr and exit status 1."""
    try:
        styr()
    except ApiError as error:
        click.echo(f"Error: {error.message}", err=True)
        sys.exit(1)
