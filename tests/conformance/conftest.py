"""A real server on a real TLS port, with its own store on disk, for real clients."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from styr.api import pki
from styr.api.server import ApiServer
from styr.api.store.commit import Store
from styr.client.client import Client
from styr.client.transport import InProcessTransport
from styr.kinds.errors import NotFound
from styr.kinds.seams import LogOptions, NodeUsage, Usage
from styr.kinds.transport import User
from styr.kit.clock import SystemClock
from styr.serving.authn import ADMIN, Authenticator
from styr.serving.http import Server, serve

STRICT = 25
"""From this minor on, kubectl knows `--validate=strict`; older ones check fields themselves, against OpenAPI v2."""
ANN = User("ann", ("dev",))


async def fake_logs(namespace: str, name: str, uid: str, options: LogOptions, /) -> AsyncIterator[bytes]:
    if options.previous:
        raise NotFound("no previous container")
    for line in range(3):
        yield f"{namespace}/{name} line {line}\n".encode()


async def fake_usage() -> NodeUsage:
    return NodeUsage(
        "here", 1_800_000_000.0, 10.0, Usage(1.5, 1 << 30), {("default", "web"): {"main": Usage(0.25, 64 << 20)}}
    )


@cache
def kubectl_minor() -> int:
    """Of the kubectl in PATH: 20 for Debian's 1.20.2."""
    found = subprocess.run(
        ["kubectl", "version", "--client", "-o", "json"], capture_output=True, check=True, timeout=60
    )
    return int(json.loads(found.stdout)["clientVersion"]["minor"].rstrip("+"))


@dataclass
class Platform:
    """A running API server. `kubeconfig` is the administrator's, `kubeconfig_ann` that of a user without rights."""

    api: ApiServer
    server: Server
    client: Client
    kubeconfig: Path
    kubeconfig_ann: Path

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.server.port}"

    async def kubectl(self, *words: str, stdin: str = "", ok: bool = True, who: Path | None = None) -> str:
        """Output of one kubectl, stdout then stderr. Fails unless it exits as `ok` says."""
        process = await self.start_kubectl(*words, who=who)
        out, err = await asyncio.wait_for(process.communicate(stdin.encode()), 60)
        text = out.decode() + err.decode()
        assert (process.returncode == 0) is ok, text
        return text

    async def start_kubectl(self, *words: str, who: Path | None = None) -> asyncio.subprocess.Process:
        home = self.kubeconfig.parent
        return await asyncio.create_subprocess_exec(
            "kubectl",
            f"--cache-dir={home / 'cache'}",
            *words,
            env={**os.environ, "KUBECONFIG": str(who or self.kubeconfig), "HOME": str(home)},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    clock = SystemClock()
    store = Store.open(tmp_path / "store.db", clock)
    api = ApiServer(store, clock=clock, random=random.Random(1), logs=fake_logs, use=fake_usage)
    await api.start()
    made = pki.ensure(tmp_path / "pki", clock)
    authenticate = Authenticator({"root-token": ADMIN, "ann-token": ANN})
    server = await serve(api, tls=made.context(), authenticate=authenticate)
    url = f"https://127.0.0.1:{server.port}"
    pki.kubeconfig(tmp_path / "kubeconfig", server=url, ca=made.ca, token="root-token")
    pki.kubeconfig(tmp_path / "kubeconfig-ann", server=url, ca=made.ca, token="ann-token")
    client = Client(InProcessTransport(api, ADMIN))
    try:
        yield Platform(api, server, client, tmp_path / "kubeconfig", tmp_path / "kubeconfig-ann")
    finally:
        await server.close()
        await store.close()


def pod(name: str, **extra: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": {"app": name}},
        "spec": {"containers": [{"name": "main", "image": "styr.dev/host", "command": ["true"]}]},
        **extra,
    }


def config_map(name: str, **data: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


WIDGETS: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"], "categories": ["toys"]},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "additionalPrinterColumns": [
                    {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
                    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
                ],
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "required": ["size"],
                                "properties": {
                                    "size": {"type": "integer", "minimum": 1},
                                    "colour": {"type": "string", "default": "red"},
                                },
                            },
                            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                        },
                    }
                },
            }
        ],
    },
}


def widget(name: str, **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": metadata, "spec": spec}
