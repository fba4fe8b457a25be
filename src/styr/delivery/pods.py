"""One command as a Pod through the API, its output streamed to a pusher, its end told. Called by `build`.

The pod is what `kubectl get pods` shows: deleting it stops the step. It gets the machine's files (`styr.dev/host`), the
folders named in `mounts` to write to, network access, and no credential of the platform.
"""

from __future__ import annotations

import asyncio
import contextlib
import random as random_module
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styr.kinds import meta
from styr.kinds.errors import ApiError, BadRequest, Expired, NotFound
from styr.kinds.pods import HOST_IMAGE, is_terminal
from styr.kinds.resources import APP, POD, Object, Resource
from styr.kit.clock import Clock

if TYPE_CHECKING:
    from styr.client.client import Client

STEP_LABEL = "styr.dev/step"
APP_LABEL = "styr.dev/app"
_KEPT = 4
"""Finished pods of an app that stay for `kubectl logs`."""
_GRACE = 30.0
"""Seconds beyond its deadline after which we no longer wait for the node to stop a pod."""
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


@dataclass(frozen=True, slots=True)
class Step:
    """`what` is "build" or "test"; `seconds` its time limit; `command` an argv; `mounts` are folders to write to,
    `reads` further files and folders to read."""

    app: Object
    what: str
    command: tuple[str, ...]
    folder: Path
    seconds: int
    mounts: tuple[Path, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    reads: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Ended:
    """`code` is the exit code, None when it was stopped from outside; `reason` then says by what, in words."""

    pod: str
    code: int | None
    reason: str = ""


def manifest(step: Step, name: str) -> Object:
    paths = dict.fromkeys(step.mounts, False) | dict.fromkeys(step.reads, True)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": meta.namespace(step.app),
            "labels": {APP_LABEL: meta.name(step.app), STEP_LABEL: step.what},
            "ownerReferences": [meta.owner_reference(step.app, APP)],
        },
        "spec": {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": step.seconds,
            "terminationGracePeriodSeconds": 2,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "containers": [
                {
                    "name": step.what,
                    "image": HOST_IMAGE,
                    "command": list(step.command),
                    "workingDir": str(step.folder),
                    "env": [{"name": key, "value": value} for key, value in step.env.items()],
                    "volumeMounts": [
                        {"name": f"v{number}", "mountPath": str(path), "readOnly": read_only}
                        for number, (path, read_only) in enumerate(paths.items())
                    ],
                }
            ],
            "volumes": [
                {
                    "name": f"v{number}",
                    "hostPath": {"path": str(path), "type": "File" if path.is_file() else "Directory"},
                }
                for number, path in enumerate(paths)
            ],
        },
    }


async def run(
    client: Client,
    clock: Clock,
    random: random_module.Random,
    step: Step,
    feed: Callable[[bytes], Awaitable[None]],
) -> Ended:
    """Runs it to its end. When this is cancelled the pod is deleted. Raises `ApiError` when it cannot be made."""
    suffix = "".join(random.choices(_LETTERS, k=5))
    name, namespace = f"{meta.name(step.app)}-{step.what}-{suffix}", meta.namespace(step.app)
    await client.create(POD, manifest(step, name))
    try:
        async with asyncio.timeout(step.seconds + _GRACE):
            ended = await _follow(client, clock, name, namespace, step, feed)
    except TimeoutError:
        await delete(client, name, namespace)
        return Ended(name, None, f"it did not end within {step.seconds} s and was stopped")
    except BaseException:
        with contextlib.suppress(ApiError):
            await asyncio.shield(delete(client, name, namespace))
        raise
    with contextlib.suppress(ApiError):
        await _prune(client, step.app)
    return ended


async def delete(client: Client, name: str, namespace: str) -> None:
    with contextlib.suppress(NotFound):
        await client.delete(POD, name, namespace, grace=0)


async def _follow(
    client: Client, clock: Clock, name: str, namespace: str, step: Step, feed: Callable[[bytes], Awaitable[None]]
) -> Ended:
    read = False
    async with aclosing(observe(client, clock, POD, name, namespace)) as states:
        async for pod in states:
            if pod is None:
                return Ended(name, None, f"its pod {name} was deleted")
            phase = (pod.get("status") or {}).get("phase", "Pending")
            if phase != "Pending" and not read:
                read = await _logs(client, clock, name, namespace, feed)
            if is_terminal(pod):
                return _ended(pod, step)
    raise AssertionError("observe ends only after a deletion")


async def _logs(
    client: Client, clock: Clock, name: str, namespace: str, feed: Callable[[bytes], Awaitable[None]]
) -> bool:
    """Copies the log until the container has ended. False when there is no log to read yet."""
    for _ in range(50):
        try:
            async with aclosing(client.logs(name, namespace, follow=True)) as chunks:
                async for chunk in chunks:
                    await feed(chunk)
            return True
        except BadRequest:
            await clock.sleep(0.05)
        except NotFound:
            return True
    return False


def _ended(pod: Object, step: Step) -> Ended:
    status: dict[str, Any] = pod.get("status") or {}
    name = meta.name(pod)
    if status.get("reason") == "DeadlineExceeded":
        return Ended(name, None, f"it did not end within {step.seconds} s and was stopped")
    for container in status.get("containerStatuses") or ():
        terminated = (container.get("state") or {}).get("terminated")
        if terminated:
            return Ended(name, int(terminated.get("exitCode", 1)), str(terminated.get("message") or ""))
    if status.get("phase") == "Succeeded":
        return Ended(name, 0)
    return Ended(name, None, str(status.get("message") or status.get("reason") or "the pod failed without saying why"))


async def _prune(client: Client, app: Object) -> None:
    """Only the newest finished pods of the app's builds stay."""
    found = (await client.list(POD, meta.namespace(app), labels=f"{APP_LABEL}={meta.name(app)},{STEP_LABEL}")).items
    over = sorted(
        (pod for pod in found if is_terminal(pod)), key=lambda pod: meta.metadata(pod).get("creationTimestamp", "")
    )
    for pod in over[:-_KEPT]:
        await delete(client, meta.name(pod), meta.namespace(pod))


async def observe(
    client: Client, clock: Clock, resource: Resource, name: str, namespace: str
) -> AsyncGenerator[Object | None, None]:
    """The object now, then each of its changes; None, and the end, once it is gone. Survives broken watches."""
    while True:
        try:
            current = await client.get(resource, name, namespace)
        except NotFound:
            yield None
            return
        yield current
        version = meta.resource_version(current)
        with contextlib.suppress(Expired):
            events = client.watch(resource, namespace, fields=f"metadata.name={name}", resource_version=version)
            async with aclosing(events) as stream:
                async for event in stream:
                    if event.type == "DELETED":
                        yield None
                        return
                    if event.type in ("ADDED", "MODIFIED"):
                        yield event.object
        await clock.sleep(0.1)
