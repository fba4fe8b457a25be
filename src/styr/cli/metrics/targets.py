"""`styr metrics targets`: what is scraped, how it goes, and why not."""

from __future__ import annotations

import time

import click

from styr.cli import options
from styr.cli.metrics.server import Server, server
from styr.cli.tables import age, show


@click.command()
@click.option("--pool", default="", metavar="NAME", help="Only of this scrape pool.")
@click.option("--down", is_flag=True, help="Only those that do not answer.")
@options.output
@server
def targets(server: Server, pool: str, down: bool, output: str) -> None:
    """List what is scraped: where, when, how long it took, and the last error.

    \b
    Example:
      styr metrics targets --down
      styr metrics targets -o json | jq '.[].labels'
    """
    data = server.get("targets", [("state", "active"), *([("scrapePool", pool)] if pool else [])])
    found = [each for each in data["activeTargets"] if not down or each["health"] != "up"]
    rows = [
        (
            each["scrapePool"],
            each["scrapeUrl"],
            each["health"],
            age(each["lastScrape"], time.time()) if not each["lastScrape"].startswith("0001") else "-",
            f"{each['lastScrapeDuration'] * 1000:.1f}ms",
            each["lastError"],
        )
        for each in found
    ]
    header = ["POOL", "URL", "HEALTH", "SCRAPED", "TOOK", "ERROR"]
    show(output, found, header, rows, empty="No targets." if not down else "Every target answers.")
