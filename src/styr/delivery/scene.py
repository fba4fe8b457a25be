"""What one pass of the rollout sees, and the few ways in which it writes. Called by `rollout` and `standing`.

Every write is a difference; the HTTPRoute is written before the statuses that tell of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from styr.client.controller import After, Context, Key, Outcome
from styr.delivery import cast as casting
from styr.delivery import objects, smoke
from styr.delivery.cast import Cast
from styr.delivery.kinds import APP_LABEL, RELEASE_LABEL, ROLLBACK_ANNOTATION, Settings, settings
from styr.kinds import conditions, meta, selectors
from styr.kinds.errors import ApiError
from styr.kinds.pods import is_ready, resolve_port
from styr.kinds.resources import APP, DEPLOYMENT, ENDPOINT_SLICE, HTTP_ROUTE, POD, RELEASE, Object
from styr.kit.clock import parse_rfc3339
from styr.kit.log import Log

log = Log("styr.delivery.rollout")

SOON = 0.25
"""Seconds until a pass that changed something is followed by the next."""
_LOG_SECONDS = 3.0


@dataclass
class Scene:
    """All that one pass knows."""

    context: Context
    app: Object
    settings: Settings
    cast: Cast
    route: Object | None
    ended: Callable[[str], None] = lambda phase: None
    """Told the phase of each release that comes to an end."""

    @property
    def key(self) -> Key:
        return meta.key(self.app)

    @property
    def status(self) -> dict[str, Any]:
        return self.app.get("status") or {}

    @property
    def now(self) -> float:
        return self.context.clock.monotonic()

    def serves(self, release: Object) -> bool:
        """All its pods are available, and its Service leads to them."""
        deployment = self.context.get(DEPLOYMENT, meta.key(release))
        selector = selectors.from_labels({objects.SERVICE_LABEL: meta.name(release)})
        slices = self.context.list(ENDPOINT_SLICE, self.key.namespace, selector)
        return objects.available(deployment, replicas(self, release)) and objects.reachable(slices)

    def pods(self, name: str) -> list[Object]:
        return self.context.list(POD, self.key.namespace, selectors.from_labels({RELEASE_LABEL: name}))


def look(context: Context, key: Key) -> Scene | None:
    app = context.get(APP, key)
    if app is None or meta.deleting(app):
        return None
    found = context.list(RELEASE, key.namespace, selectors.from_labels({APP_LABEL: key.name}))
    return Scene(context, app, settings(app), casting.cast(found), context.get(HTTP_ROUTE, key))


# writing


async def give(scene: Scene, weight: int) -> None:
    """The route as the cast and the candidate's weight want it."""
    kept = [*(scene.status.get("running") or ()), *(meta.name(one) for one in scene.cast.superseded)]
    await write(scene, casting.weights(scene.cast, weight, objects.weights(scene.route), kept))


async def write(scene: Scene, weights: list[tuple[str, int]]) -> None:
    if not weights:
        return
    assert sum(weight for _, weight in weights) == 100
    context = scene.context
    have = context.children(HTTP_ROUTE, scene.app)
    await context.apply_children(HTTP_ROUTE, scene.app, [objects.route(scene.app, weights)], have)
    scene.route = context.get(HTTP_ROUTE, scene.key)


async def update(scene: Scene, release: Object, fields: Mapping[str, Any]) -> None:
    """Merges into the status; None removes a field."""
    live = scene.context.get(RELEASE, meta.key(release)) or release
    status = {**(live.get("status") or {}), **fields}
    await scene.context.set_status(RELEASE, live, {key: value for key, value in status.items() if value is not None})


async def finish(
    scene: Scene, release: Object, phase: str, verdict: str, fields: Mapping[str, Any] | None = None
) -> None:
    outcome = phase if phase in ("Promoted", "RolledBack") else ""
    times = {**times_of(release), "decided": scene.context.now()}
    told = {**(fields or {}), "phase": phase, "outcome": outcome, "verdict": verdict, "times": times}
    await update(scene, release, told)
    scene.ended(phase)
    await scene.context.event(release, "Normal" if phase in ("Promoted", "Superseded") else "Warning", phase, verdict)


async def promote(scene: Scene, candidate: Object, verdict: str, fields: Mapping[str, Any]) -> Outcome:
    stable = scene.cast.stable
    await write(scene, [(meta.name(candidate), 100), *([(meta.name(stable), 0)] if stable else [])])
    await finish(scene, candidate, "Promoted", verdict, {**fields, "weight": 100})
    if stable is not None:
        await update(scene, stable, {"weight": 0})
    return After(SOON)


async def refuse(scene: Scene, stable: Object, reason: str, message: str) -> Outcome:
    """Tell why a rollback by hand cannot be, and forget the wish: it must not come true later by surprise."""
    said = f"Rollback of {meta.name(stable)} refused: {message}"
    await scene.context.event(stable, "Warning", reason, said)
    await condition(scene, False, reason, said)
    listed = (stable.get("status") or {}).get("conditions")
    now = scene.context.now()
    told = conditions.put(listed, "TakenBack", False, now=now, reason="RollbackRefused", message=said)
    await update(scene, stable, {"conditions": told})
    await scene.context.patch(RELEASE, stable, {"metadata": {"annotations": {ROLLBACK_ANNOTATION: None}}})
    return After(SOON)


async def condition(scene: Scene, status: bool, reason: str, message: str) -> None:
    app = scene.context.get(APP, scene.key) or scene.app
    found = (app.get("status") or {}).get("conditions")
    new = conditions.put(found, "RollingBack", status, now=scene.context.now(), reason=reason, message=message)
    await scene.context.set_status(APP, app, {**(app.get("status") or {}), "conditions": new})


# reading


def by_hand(what: str, reason: str) -> str:
    return f"{what}: {reason}." if reason.strip() and reason != "true" else f"{what}."


def times_of(release: Object) -> dict[str, str]:
    return (release.get("status") or {}).get("times") or {}


def time_of(release: Object, name: str, scene: Scene) -> float:
    text = times_of(release).get(name)
    return parse_rfc3339(text) if text else scene.context.clock.time()


def replicas(scene: Scene, release: Object) -> int:
    own = release["spec"].get("replicas")
    return scene.settings.replicas if own is None else int(own)


def addresses(scene: Scene, candidate: Object) -> list[tuple[str, smoke.Address]]:
    host = objects.host(scene.key.name)
    found = []
    for pod in scene.pods(meta.name(candidate)):
        ip, port = (pod.get("status") or {}).get("podIP"), resolve_port(pod, "http")
        if is_ready(pod) and not meta.deleting(pod) and ip and port:
            found.append((meta.name(pod), smoke.Address(str(ip), port, host)))
    return found


async def last_words(scene: Scene, pod: str) -> str:
    """ " Its last words: ..." or "". Best effort: a verdict does not wait for a log."""
    if not pod:
        return ""
    try:
        async with asyncio.timeout(_LOG_SECONDS):
            logs = scene.context.client.logs(pod, scene.key.namespace, tail=5, limit_bytes=2_000)
            data = b"".join([part async for part in logs])
    except (ApiError, TimeoutError, OSError) as error:
        log.info("no log", pod=pod, error=error)
        return ""
    text = " | ".join(line.strip() for line in data.decode("utf-8", "replace").splitlines() if line.strip())
    return f" Its last words: {text[-600:]}" if text else ""
