"""A webhook of ours on a real TLS socket, and the objects that name it."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from styr.api import pki
from styr.kinds.transport import Request, Response
from styr.kit.clock import SystemClock
from styr.serving.authn import Authenticator
from styr.serving.http import serve
from tests.api.kit import Api

Answer = Callable[[dict[str, Any]], Any]


class Webhook:
    """Answers reviews by path. `asked` are the requests that came, as (path, request)."""

    def __init__(self, port: int, ca: bytes) -> None:
        self.port = port
        self.ca = base64.b64encode(ca).decode()
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, Callable[[dict[str, Any]], Any | Awaitable[Any]]] = {}
        self.raw: dict[str, Callable[[bytes], Response]] = {}
        self.gate = asyncio.Event()

    def on(self, path: str, answer: Answer) -> None:
        """`answer(request)` returns the response but for its uid."""
        self.answers[path] = answer

    async def __call__(self, request: Request) -> Response:
        assert isinstance(request.body, bytes)
        if request.path in self.raw:
            return self.raw[request.path](request.body)
        review = json.loads(request.body)
        asked = review["request"]
        self.asked.append((request.path, asked))
        if request.path not in self.answers:
            return Response(404, b"nothing there")
        answer = self.answers[request.path](asked)
        if asyncio.iscoroutine(answer):
            answer = await answer
        review = {
            "apiVersion": review["apiVersion"],
            "kind": review["kind"],
            "response": {"uid": asked["uid"], **answer},
        }
        return Response(200, json.dumps(review).encode(), {"content-type": "application/json"})

    def client(self, path: str, *, service: bool = True, ca: str | None = None) -> dict[str, Any]:
        bundle = self.ca if ca is None else ca
        if service:
            return {"service": {"name": "hook", "namespace": "default", "path": path}, "caBundle": bundle}
        return {"url": f"https://localhost:{self.port}{path}", "caBundle": bundle}


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Webhook]:
    """Its certificate is for `hook.default.svc` and localhost."""
    keys = pki.ensure(folder / "hook", SystemClock(), ("hook.default.svc", "localhost"))
    hook = Webhook(0, keys.ca.read_bytes())
    server = await serve(hook, port=0, tls=keys.context(), authenticate=Authenticator())
    hook.port = server.port
    try:
        yield hook
    finally:
        hook.gate.set()
        await server.close(grace=0)


async def expose(api: Api, hook: Webhook) -> None:
    """A Service `hook` in `default` whose port 443 is the webhook."""
    spec = {"ports": [{"port": 443, "name": "https"}]}
    await api("POST", "/api/v1/namespaces/default/services", {"metadata": {"name": "hook"}, "spec": spec})
    labels = {"kubernetes.io/service-name": "hook"}
    await api(
        "POST",
        "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
        {
            "metadata": {"name": "hook-1", "labels": labels},
            "addressType": "IPv4",
            "ports": [{"name": "https", "port": hook.port}],
            "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}],
        },
    )


def rule(resource: str = "configmaps", group: str = "", version: str = "v1", *operations: str) -> dict[str, Any]:
    return {
        "apiGroups": [group],
        "apiVersions": [version],
        "resources": [resource],
        "operations": list(operations) or ["CREATE", "UPDATE"],
    }


def webhook(name: str, client: dict[str, Any], *rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "name": f"{name}.styr.test.dev",
        "clientConfig": client,
        "rules": list(rules) or [rule()],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        **more,
    }


ROOT = "/apis/admissionregistration.k8s.io/v1"
MUTATING = f"{ROOT}/mutatingwebhookconfigurations"
VALIDATING = f"{ROOT}/validatingwebhookconfigurations"


def configuration(name: str, *hooks: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": name}, "webhooks": list(hooks)}


def patch(*operations: dict[str, Any]) -> dict[str, Any]:
    coded = base64.b64encode(json.dumps(list(operations)).encode()).decode()
    return {"allowed": True, "patchType": "JSONPatch", "patch": coded}


def deny(message: str = "", **status: Any) -> dict[str, Any]:
    return {"allowed": False, "status": {**({"message": message} if message else {}), **status}}
