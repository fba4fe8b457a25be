"""The rows of the table, and which function plays each with which client.

A client's module marks its functions with `plays`; a function gets the scene, is run in a thread unless it is a coroutine, and
asserts what the client answers.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.conformance.clients.case import Gone, Has, Make
from tests.conformance.clients.objects import config_map, container, definition, deployment, pod
from tests.conformance.clients.scene import Scene

ROWS = (
    "create, read, delete",
    "lists, selectors, pages",
    "patches",
    "conflict",
    "server-side apply",
    "status and scale",
    "watch",
    "custom resources",
    "discovery",
    "informer",
    "leader election",
    "logs",
    "exec",
    "port-forward",
    "tokens and reviews",
    "refusals",
)
GROUP = "{ns}.example.com"
MAPS = (Make(config_map("one", {"tier": "gold"}, a="1")), Make(config_map("two", {"tier": "iron"}, b="2")))
IDLE = (Make(deployment("web", 0)), Has("apps/v1/deployments/web", {"status.observedGeneration": 1}))
WIDGETS = (
    Make(definition(GROUP)),
    Has(
        f"apiextensions.k8s.io/v1/customresourcedefinitions/widgets.{GROUP}",
        {"status.conditions.0.status": "True", "status.conditions.1.status": "True"},
    ),
)
SPEAKS = ["sh", "-c", "echo one; echo two; touch said; trap 'exit 0' TERM; while :; do sleep 0.2; done"]
SAID = {"exec": {"command": ["test", "-e", "said"]}, "periodSeconds": 1}
"""Ready is what has said its words."""
RUNS = (
    Make(pod("web", container(command=SPEAKS, readinessProbe=SAID))),
    Has("v1/pods/web", {"status.containerStatuses.0.ready": True}),
)
SERVER = """
import os
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"hello\\n")
HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
SERVES = (
    Make(
        pod(
            "web",
            container(
                command=["python3", "-c", SERVER],
                ports=[{"containerPort": 8080}],
                readinessProbe={"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
            ),
        )
    ),
    Has("v1/pods/web", {"status.containerStatuses.0.ready": True}),
)


@dataclass(frozen=True, slots=True)
class Played:
    client: str
    case: str
    given: tuple[Make | Has | Gone, ...]
    function: Callable[[Scene], Any]
    why_not: str = ""
    """Why this client cannot, if it cannot: told on the page, not played."""

    async def play(self, scene: Scene) -> None:
        for step in self.given:
            match step:
                case Make(obj):
                    await scene.make(obj)
                case Has(ref, like):
                    await scene.has(ref, like)
        if inspect.iscoroutinefunction(self.function):
            await self.function(scene)
        else:
            await asyncio.to_thread(self.function, scene)


TABLE: list[Played] = []


def plays(client: str, case: str, *given: Make | Has | Gone, why_not: str = "") -> Callable[[Any], Any]:
    """Marks a function as what plays the case with the client, after the given steps."""
    assert case in ROWS, case

    def mark(function: Any) -> Any:
        TABLE.append(Played(client, case, given, function, why_not))
        return function

    return mark
