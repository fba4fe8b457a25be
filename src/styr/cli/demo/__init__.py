"""`styr demo`: the whole thread before your eyes, on real parts: git, the platform, Envoy, steady traffic.

Files: `steps` (what is done and what each step promises), `platform` (starts, kills and asks a Styr of its own), `load`
(the traffic), `timeline` (what a person sees), `sample/` (the app that is pushed).
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end (the timeline goes to stderr).")
@click.option("--keep", is_flag=True, help="Leave the platform running and print its addresses.")
@click.option("--rate", type=click.FloatRange(10, 500), default=100.0, show_default=True, help="Requests per second.")
def command(as_json: bool, keep: bool, rate: float) -> None:
    """Start a platform in a temporary folder, push an app to it under traffic, and watch it judge five pushes: a good one,
    one whose tests fail, one with a 5 % bug, one twice as slow; then kill the control plane. Takes about three minutes.

    Exits with 0 only if every step did what it promises.

    \b
    Example:
      styr demo
      styr demo --json | jq .ok
      styr demo --keep
    """
    from styr.cli.demo.steps import run_demo
    from styr.cli.demo.timeline import Timeline

    report = asyncio.run(run_demo(Timeline(sys.stderr if as_json else sys.stdout), keep=keep, rate=rate))
    if as_json:
        click.echo(json.dumps(asdict(report), indent=2))
    sys.exit(0 if report.ok else 1)
