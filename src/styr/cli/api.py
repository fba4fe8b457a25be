"""`styr api`: a Kubernetes API and its controllers alone, for tests of operators and the like."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import click

from styr.cli.options import Hint
from styr.plane.folder import Folder, FolderError


@click.command(context_settings={"ignore_unknown_options": True})
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where it keeps everything.  [default: a folder that is gone afterwards]",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=None,
    help="Where it listens; 0 for a free port.  [default: the last one used, else a free one]",
)
@click.argument("run", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND...]")
def command(data_dir: Path | None, port: int | None, run: tuple[str, ...]) -> None:
    """A Kubernetes API server with Kubernetes' own controllers, and nothing else: no node runs pods, no gateway, no git.

    With a COMMAND it lives as long as that: the command finds it by KUBECONFIG, and its exit status is ours.

    \b
    Example:
      styr api -- pytest tests/operator
      styr api -- env USE_EXISTING_CLUSTER=true go test ./...
      styr api --data-dir /tmp/cluster --port 6443
    """
    from styr.plane.alone import serve
    from styr.plane.control import StartError

    with ExitStack() as stack:
        path = data_dir or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="styr-api-")))
        try:
            status = asyncio.run(serve(Folder(path), port, _announce, run))
        except (FolderError, StartError) as error:
            raise Hint(str(error)) from None
        except OSError as error:
            raise Hint(f"Could not start: {error}.") from None
    sys.exit(status)


def _announce(text: str) -> None:
    click.echo(text)
    sys.stdout.flush()
