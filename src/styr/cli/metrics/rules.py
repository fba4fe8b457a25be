"""`styr metrics rules` and `styr metrics alerts`."""

from __future__ import annotations

import time

import click

from styr.cli import options
from styr.cli.metrics.query import name
from styr.cli.metrics.server import Server, server
from styr.cli.tables import age, show


@click.command()
@click.option("--type", "kind", type=click.Choice(["alert", "record"]), help="Only alerting, or only recording rules.")
@options.output
@server
def rules(server: Server, kind: str | None, output: str) -> None:
    """List the rules: their group, state or health, and the last error.

    \b
    Example:
      styr metrics rules
      styr metrics rules --type alert
    """
    groups = server.get("rules", [("type", kind)] if kind else [])["groups"]
    rows = [
        (
            group["name"],
            rule["name"],
            rule["type"],
            rule.get("state", ""),
            rule["health"],
            f"{rule['evaluationTime'] * 1000:.1f}ms",
            rule.get("lastError", ""),
        )
        for group in groups
        for rule in group["rules"]
    ]
    header = ["GROUP", "RULE", "TYPE", "STATE", "HEALTH", "TOOK", "ERROR"]
    show(output, groups, header, rows, empty="No rules.")


@click.command()
@options.output
@server
def alerts(server: Server, output: str) -> None:
    """List the alerts that are pending or firing.

    \b
    Example:
      styr metrics alerts
      styr metrics alerts -o json | jq '.[] | select(.state == "firing")'
    """
    found = server.get("alerts")["alerts"]
    rows = [
        (
            each["labels"].get("alertname", ""),
            each["state"],
            age(each["activeAt"], time.time()),
            each["value"],
            name({key: value for key, value in each["labels"].items() if key != "alertname"}),
            each["annotations"].get("summary") or each["annotations"].get("description", ""),
        )
        for each in found
    ]
    show(output, found, ["ALERT", "STATE", "SINCE", "VALUE", "LABELS", "SUMMARY"], rows, empty="No alerts.")
