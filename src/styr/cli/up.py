"""`styr up`: starts the platform, in this terminal or in the background."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import click

from styr.cli import options
from styr.cli.options import Hint
from styr.plane.folder import Folder, FolderError, ready_text

PATIENCE = 30.0
"""Seconds that a detached start may take before it is called failed."""


@click.command()
@click.option("--detach", is_flag=True, help="Go to the background when it is ready.")
@click.option(
    "--port",
    "gateway_port",
    type=click.IntRange(0, 65535),
    default=None,
    help="Where apps answer; 0 for a free one.  [default: the last one used, else 8080 or a free one]",
)
@click.option(
    "--api-port",
    type=click.IntRange(0, 65535),
    default=None,
    help="The Kubernetes API; 0 for a free one.  [default: the last one used, else a free one]",
)
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65535),
    default=None,
    help="Metrics (Prometheus' HTTP API); 0 for a free one.  [default: the last one used, else a free one]",
)
@click.option(
    "--without-metrics",
    is_flag=True,
    envvar="STYR_WITHOUT_METRICS",
    help="Do not run the metrics engine: less memory, no graphs, no alerts, no guards.  [env: STYR_WITHOUT_METRICS]",
)
@options.data_dir
def command(
    folder: Folder,
    detach: bool,
    gateway_port: int | None,
    api_port: int | None,
    metrics_port: int | None,
    without_metrics: bool,
) -> None:
    """Start the platform on this machine: no root, no containers, everything in one folder.

    Ctrl-C stops it and the apps with it. SIGTERM stops only the control plane: apps go on serving, and the next
    `styr up` takes them over.

    \b
    Example:
      styr up --detach
      styr up --data-dir /tmp/try --port 0
    """
    if detach:
        ports = {"--port": gateway_port, "--api-port": api_port, "--metrics-port": metrics_port}
        _detach(folder, arguments(folder, ports, without_metrics))
        return
    from styr.plane.control import StartError
    from styr.plane.up import Settings, serve

    settings = Settings(
        folder=folder,
        gateway_port=gateway_port,
        api_port=api_port,
        metrics_port=metrics_port,
        metrics=not without_metrics,
    )
    try:
        asyncio.run(serve(settings, _announce))
    except (FolderError, StartError) as error:
        raise Hint(str(error)) from None
    except OSError as error:
        raise Hint(
            f"Could not start on {folder.path}: {error.strerror or error}.",
            "Is there room on the disk, and may this user write there?",
        ) from None


def _announce(text: str) -> None:
    click.echo(text)
    sys.stdout.flush()


def arguments(folder: Folder, ports: Mapping[str, int | None], without_metrics: bool) -> list[str]:
    """The command line that starts the control plane in the foreground; `ports` by option, None for its default."""
    line = [sys.executable, "-m", "styr", "up", "--data-dir", str(folder.path)]
    for option, port in ports.items():
        line += [option, str(port)] if port is not None else []
    return [*line, "--without-metrics"] if without_metrics else line


def _detach(folder: Folder, line: list[str]) -> None:
    began = time.monotonic()
    if pid := folder.running_pid():
        raise Hint(f"{folder.path} is in use by another styr (pid {pid}).", "See it: styr status    Stop it: styr down")
    folder.log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with folder.log.open("ab") as log:
        offset = log.tell()
        process = subprocess.Popen(
            line,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    while time.monotonic() - began < PATIENCE:
        if process.poll() is not None:
            raise Hint(f"Styr did not start:\n{_since(folder.log, offset)}")
        if folder.state().pid == process.pid:
            click.echo(ready_text(folder, folder.state()))
            return
        time.sleep(0.02)
    process.terminate()
    raise Hint(f"Styr was not ready after {PATIENCE:.0f} s.", f"What it said: {folder.log}")


def _since(log: Path, offset: int) -> str:
    with log.open("rb") as file:
        file.seek(offset)
        return file.read(20_000).decode(errors="replace").strip()
