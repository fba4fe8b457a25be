"""Sites: a kind of its own, kept by kopf. README.md tells what a Site gives."""

from __future__ import annotations

from typing import Any

import kopf
from lightkube import ApiError, AsyncClient, codecs
from lightkube.generic_resource import create_namespaced_resource
from lightkube.resources.core_v1 import ConfigMap
from lightkube.types import PatchType

SITE = create_namespaced_resource("examples.styr.dev", "v1", "Site", "sites")
LABEL = "examples.styr.dev/site"
LEDGER = "sites"
FORBIDDEN = "secret"

SERVER = """\
import os
from http.server import BaseHTTPRequestHandler, HTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = os.environ["WORD"].encode() + b"\\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


def children(name: str, namespace: str, word: str, replicas: int) -> list[dict[str, Any]]:
    """What a Site consists of."""
    labels = {LABEL: name}

    def named(api_version: str, kind: str, **rest: Any) -> dict[str, Any]:
        metadata = {"name": f"site-{name}", "namespace": namespace, "labels": labels}
        return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **rest}

    container = {
        "name": "site",
        "image": "styr.dev/host",
        "command": ["python3", "-c", SERVER],
        "env": [{"name": "WORD", "valueFrom": {"configMapKeyRef": {"name": f"site-{name}", "key": "word"}}}],
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1},
    }
    # A new word makes new pods: variables are read once.
    template = {"metadata": {"labels": labels, "annotations": {"word": word}}, "spec": {"containers": [container]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return [
        named("v1", "ConfigMap", data={"word": word}),
        named("apps/v1", "Deployment", spec=spec),
        named("v1", "Service", spec={"selector": labels, "ports": [{"port": 80, "targetPort": "http"}]}),
    ]


@kopf.on.startup()
async def start(settings: kopf.OperatorSettings, memo: kopf.Memo, **_: Any) -> None:
    settings.persistence.finalizer = "examples.styr.dev/ledger"
    settings.posting.loggers = True
    settings.networking.error_backoffs = [0.2, 0.5, 1, 1, 2, 2, 5]
    memo.client = AsyncClient(field_manager="site-operator")


@kopf.on.create("sites", backoff=2)
@kopf.on.update("sites", field="spec", backoff=2)
@kopf.on.resume("sites", backoff=2)
async def build(
    name: str, namespace: str, spec: kopf.Spec, meta: kopf.Meta, patch: kopf.Patch, memo: kopf.Memo, **_: Any
) -> None:
    """Everything as the spec wants it: made where it is not there, changed where it is otherwise."""
    if FORBIDDEN in spec["word"]:
        raise kopf.PermanentError(f"a site does not say {spec['word']!r}")
    for child in children(name, namespace, spec["word"], spec["replicas"]):
        kopf.adopt(child)
        await memo.client.apply(codecs.from_dict(child), force=True)
    await memo.client.apply(ledger(namespace, name, spec["word"]), field_manager=f"site-{name}", force=True)
    patch.status["observedGeneration"] = meta["generation"]


@kopf.on.event("apps", "v1", "deployments", labels={LABEL: kopf.PRESENT})
async def count(labels: kopf.Labels, namespace: str, status: kopf.Status, memo: kopf.Memo, **_: Any) -> None:
    """The Site's status follows that of its Deployment."""
    ready = {"status": {"ready": status.get("readyReplicas", 0)}}
    try:
        await memo.client.patch(SITE.Status, labels[LABEL], ready, namespace=namespace, patch_type=PatchType.MERGE)
    except ApiError as error:
        if error.status.code != 404:  # the Site may be gone already, and its Deployment on the way
            raise


@kopf.on.delete("sites", backoff=2)
async def strike(name: str, namespace: str, memo: kopf.Memo, **_: Any) -> None:
    """An applier that names no key any more gives up its own."""
    await memo.client.apply(ledger(namespace), field_manager=f"site-{name}", force=True)


def ledger(namespace: str, name: str = "", word: str = "") -> Any:
    data = {name: word} if name else None
    metadata = {"name": LEDGER, "namespace": namespace}
    found = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **({"data": data} if data else {})}
    return ConfigMap.from_dict(found)
