"""A namespace of its own on a running Styr, in which one case is played. Called by the tests, the recorder and the replay.

What the scene does itself (`make`, `has`, `gone`) is told to `record`, so that a replay can do the same.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from styr.client.client import Client
from styr.client.transport import HttpsTransport
from styr.kinds.errors import ApiError, Expired
from styr.kinds.resources import NAMESPACE, NODE, Resource
from styr.plane.folder import Folder

Obj = dict[str, Any]
PATIENCE = 30.0
"""Seconds that a state may take to come true; more than anything here takes on a busy machine."""
CLUSTER = {
    "apiservices",
    "certificatesigningrequests",
    "clusterrolebindings",
    "clusterroles",
    "customresourcedefinitions",
    "ingressclasses",
    "namespaces",
    "nodes",
    "persistentvolumes",
    "priorityclasses",
    "runtimeclasses",
    "storageclasses",
}
"""Of the kinds that cases name, those without a namespace."""
IRREGULAR = {
    "Endpoints": "endpoints",
    "Ingress": "ingresses",
    "NetworkPolicy": "networkpolicies",
    "IngressClass": "ingressclasses",
}


class Unlike(AssertionError):
    """A state did not come true in time."""


class Scene:
    """`folder` is where a client may put files; `kubeconfig` is the administrator's, in the scene's namespace."""

    def __init__(self, client: Client, namespace: str, node: str, kubeconfig: Path, folder: Path) -> None:
        self.client = client
        self.namespace = namespace
        self.node = node
        self.kubeconfig = kubeconfig
        self.folder = folder
        self.record: Callable[[list[Any]], None] = lambda entry: None

    def fill(self, value: Any) -> Any:
        """`{ns}` and `{node}` in every text of it."""
        if isinstance(value, str):
            return value.replace("{ns}", self.namespace).replace("{node}", self.node)
        if isinstance(value, Mapping):
            return {self.fill(key): self.fill(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.fill(item) for item in value]
        return value

    async def make(self, obj: Obj) -> Obj:
        self.record(["make", obj])
        filled = self.fill(obj)
        found = resource(filled)
        metadata = {**filled["metadata"], **({"namespace": self.namespace} if found.namespaced else {})}
        return await self.client.create(found, {**filled, "metadata": metadata})

    async def has(self, ref: str, like: Mapping[str, Any]) -> None:
        """Waits until it is so. Raises Unlike with what is instead."""
        self.record(["has", ref, _plain(like)])
        wanted = self.fill(like)
        last: Obj | None = None

        async def wait() -> None:
            nonlocal last
            async with aclosing(self._states(ref)) as states:
                async for last in states:
                    if last is not None and not unlike(last, wanted):
                        return

        try:
            await asyncio.wait_for(wait(), PATIENCE)
        except TimeoutError:
            told = "there is none" if last is None else unlike(last, wanted)
            raise Unlike(f"{self.fill(ref)}: {told}") from None

    async def gone(self, ref: str) -> None:
        self.record(["gone", ref])

        async def wait() -> None:
            async with aclosing(self._states(ref)) as states:
                async for state in states:
                    if state is None:
                        return

        try:
            await asyncio.wait_for(wait(), PATIENCE)
        except TimeoutError:
            raise Unlike(f"{self.fill(ref)} is still there") from None

    async def _states(self, ref: str) -> AsyncIterator[Obj | None]:
        """What the object is now and each time it changes; None while it is not there."""
        *parts, name = self.fill(ref).split("/")
        group, version, plural = ("", *parts) if len(parts) == 2 else parts
        kind = Resource(group, version, "", plural, namespaced=plural not in CLUSTER)
        namespace = self.namespace if kind.namespaced else ""
        while True:
            found = await self.client.list(kind, namespace, fields=f"metadata.name={name}")
            yield found.items[0] if found.items else None
            watch = self.client.watch(
                kind, namespace, fields=f"metadata.name={name}", resource_version=found.resource_version
            )
            try:
                async with aclosing(watch) as events:
                    async for event in events:
                        if event.type != "BOOKMARK":
                            yield None if event.type == "DELETED" else event.object
            except Expired:
                continue


def resource(obj: Obj) -> Resource:
    """Of an object's apiVersion and kind; the plural by English, as Kubernetes' own are."""
    group, _, version = obj["apiVersion"].rpartition("/")
    kind = obj["kind"]
    plural = IRREGULAR.get(kind) or kind.lower() + ("es" if kind.endswith("s") else "s")
    return Resource(group, version, kind, plural, namespaced=plural not in CLUSTER)


def unlike(found: Obj, wanted: Mapping[str, Any]) -> str:
    """In which way it is not as wanted; "" when it is."""
    for path, value in wanted.items():
        at = look(found, path)
        if not same(at, value):
            return f"{path} is {at!r}, not {value!r}"
    return ""


def look(found: Any, path: str) -> Any:
    for part in path.split("."):
        if isinstance(found, list) and part.lstrip("-").isdigit():
            found = found[int(part)] if -len(found) <= int(part) < len(found) else None
        elif isinstance(found, Mapping):
            found = found.get(part)
        else:
            return None
    return found


def same(found: Any, wanted: Any) -> bool:
    if wanted is ... or wanted == "...":
        return found is not None
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        return all(same(found.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list | tuple) and isinstance(found, list):
        return len(found) == len(wanted) and all(map(same, found, wanted))
    return bool(found == wanted)


def _plain(value: Any) -> Any:
    """As JSON can hold it."""
    if value is ...:
        return "..."
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


@asynccontextmanager
async def scene(folder: Folder, work: Path, kubeconfig: Path | None = None) -> AsyncIterator[Scene]:
    """A new namespace, its name as long as every other's; deleted at the end, without waiting."""
    client = Client(HttpsTransport.from_kubeconfig(folder.kubeconfig), user_agent="scene")
    try:
        namespace = f"t-{secrets.token_hex(4)}"
        await client.create(NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        node = (await client.list(NODE)).items[0]["metadata"]["name"]
        own = work / "kubeconfig"
        text = (kubeconfig or folder.kubeconfig).read_text()
        own.write_text(in_namespace(text, namespace))
        own.chmod(0o600)
        try:
            yield Scene(client, namespace, node, own, work)
        except BaseException:
            await client.patch(NODE, node, "", {"spec": {"unschedulable": None, "taints": None}})
            raise
        with suppress(ApiError):
            await client.delete(NAMESPACE, namespace, propagation="Background")
    finally:
        await client.close()


def in_namespace(kubeconfig: str, namespace: str) -> str:
    """The same access, with another default namespace. Styr's kubeconfigs are JSON."""
    document = json.loads(kubeconfig)
    for context in document["contexts"]:
        context["context"]["namespace"] = namespace
    return json.dumps(document)
