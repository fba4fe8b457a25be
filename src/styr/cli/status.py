"""`styr status`: is it running, at which addresses, and is every part well."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any

import click

from styr.cli import options
from styr.cli.connect import run
from styr.kinds import conditions, meta, pods
from styr.kinds.resources import APP, GATEWAY, NODE, POD
from styr.plane.folder import Folder
from styr.version import __version__

if TYPE_CHECKING:
    from styr.client.client import Client


async def collect(client: Client) -> dict[str, Any]:
    """What the API knows: nodes, gateways, apps, pods."""
    nodes, gateways, apps, running = [(await client.list(resource)).items for resource in (NODE, GATEWAY, APP, POD)]
    return {
        "nodes": [{"name": meta.name(node), "ready": conditions.is_true(node, "Ready")} for node in nodes],
        "gateways": [
            {"name": meta.name(gateway), "programmed": conditions.is_true(gateway, "Programmed")}
            for gateway in gateways
        ],
        "apps": [
            {
                "name": meta.name(app),
                "url": (app.get("status") or {}).get("url"),
                "stable": (app.get("status") or {}).get("stable"),
            }
            for app in apps
        ],
        "pods": {"total": len(running), "ready": sum(pods.is_ready(pod) for pod in running)},
    }


async def metrics(folder: Folder) -> dict[str, Any]:
    """The metrics engine: where it answers, and whether it does. Empty when it does not run."""
    from styr.metrics.ask import Ask
    from styr.metrics.launch import recorded

    found, port = recorded(folder.path), folder.state().metrics_port
    if found is None or not port:
        return {}
    ask = Ask(port, folder.token.read_text().strip() if folder.token.exists() else "")
    try:
        return {"metrics": f"http://127.0.0.1:{port}", "metricsPid": found.pid, "metricsReady": await ask.ready()}
    finally:
        await ask.close()


def _metrics_sentence(report: dict[str, Any], folder: Folder) -> str:
    if "metrics" not in report:
        return f"{'metrics':<13}not running   (log: {folder.log.with_name('metrics.log')})"
    state = "ready" if report["metricsReady"] else f"starting   (log: {folder.log.with_name('metrics.log')})"
    return f"{'metrics':<13}{report['metrics']}   {state}"


def _sentence(name: str, parts: list[dict[str, Any]], good: str) -> str:
    bad = [part["name"] for part in parts if not part[good]]
    return f"{name:<13}{'not ' + good + ': ' + ', '.join(bad) if bad else good if parts else 'none'}"


@click.command()
@options.output
@options.data_dir
def command(folder: Folder, output: str) -> None:
    """Show whether Styr runs, where it answers, and how its parts are. Exits with 1 when it does not run.

    \b
    Example:
      styr status
      styr status -o json | jq .api
    """
    pid, state = folder.running_pid(), folder.state()
    report: dict[str, Any] = {"running": pid is not None, "version": __version__, "dataDir": str(folder.path)}
    if pid is not None:
        report |= {
            "pid": pid,
            "api": f"https://127.0.0.1:{state.api_port}",
            "gateway": f"http://APP.localhost:{state.gateway_port}",
            "kubeconfig": str(folder.kubeconfig),
            **run(folder, collect),
            **asyncio.run(metrics(folder)),
        }
    if output == "json":
        click.echo(json.dumps(report, indent=2))
    elif pid is None:
        click.echo(f"Not running on {folder.path}. Start it: styr up --detach")
    else:
        ready = report["pods"]
        lines = [
            f"{'styr':<13}running, version {__version__}, pid {pid}",
            f"{'data folder':<13}{folder.path}",
            f"{'API':<13}{report['api']}   (kubectl --kubeconfig {folder.kubeconfig} get pods)",
            f"{'apps':<13}{report['gateway']}",
            _sentence("node", report["nodes"], "ready"),
            _sentence("gateway", report["gateways"], "programmed"),
            _metrics_sentence(report, folder),
            f"{'pods':<13}{ready['ready']} of {ready['total']} ready",
            *[
                f"  {app['name']:<11}{app['url'] or 'not released yet'}   {app['stable'] or ''}".rstrip()
                for app in report["apps"]
            ],
        ]
        click.echo("\n".join(lines))
    sys.exit(0 if pid is not None else 1)
