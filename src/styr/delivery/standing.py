"""`App.status`, told from everything else, and the end of releases that nobody needs. Called by `rollout` in each pass."""

from __future__ import annotations

from styr.delivery import cast as casting
from styr.delivery import objects
from styr.delivery.cast import name_of
from styr.delivery.kinds import OPEN, ROLLBACK_ANNOTATION, phase
from styr.delivery.scene import Scene
from styr.kinds import conditions, meta
from styr.kinds.meta import Key
from styr.kinds.resources import APP, GATEWAY, RELEASE

HISTORY = 20
"""Releases kept per app."""


async def tell(scene: Scene, weight: int) -> None:
    """`App.status` from everything else. `running` is what the release controller goes by."""
    cast, status = scene.cast, scene.status
    stable, candidate = name_of(cast.stable), name_of(cast.candidate)
    returning = ""
    if cast.stable and cast.previous and not candidate and ROLLBACK_ANNOTATION in meta.annotations(cast.stable):
        returning = meta.name(cast.previous)
    warm = casting.warm(cast, status, scene.settings.keep_warm_seconds, scene.context.clock.time())
    playing = [stable, candidate if phase(cast.candidate or {}) else "", returning, *(one["release"] for one in warm)]
    listed = status.get("conditions") or []
    now = scene.context.now()
    if returning:
        message = f"Starting {returning}, which then gets all traffic."
        listed = conditions.put(listed, "RollingBack", True, now=now, reason="Starting", message=message)
    elif (found := conditions.find(listed, "RollingBack")) and found["status"] == "True":
        listed = conditions.put(listed, "RollingBack", False, now=now, reason="Done", message="")
    verdict = (cast.releases[-1].get("status") or {}).get("verdict") if cast.releases and not weight else None
    told = {
        **status,
        "url": _url(scene),
        "stable": stable,
        "candidate": candidate,
        "weight": weight,
        "verdict": verdict or (f"{candidate} has {weight} % of requests." if weight else ""),
        "nextNumber": max(
            [int(status.get("nextNumber", 1)), *(casting.number(one) + 1 for one in cast.releases)], default=1
        ),
        "remembered": casting.remembered(cast, status),
        "running": list(dict.fromkeys(name for name in playing if name)),
        "warm": warm,
        "conditions": listed,
        "observedGeneration": int(meta.metadata(scene.app).get("generation", 0)),
    }
    await scene.context.set_status(APP, scene.app, told)


async def prune(scene: Scene) -> None:
    """Releases beyond the history, but never one that plays a part."""
    playing = set(scene.status.get("running") or ()) | {name_of(scene.cast.stable), name_of(scene.cast.previous)}
    for old in scene.cast.releases[:-HISTORY]:
        if meta.name(old) not in playing and phase(old) not in OPEN:
            await scene.context.delete(RELEASE, old)


def _url(scene: Scene) -> str:
    gateway = scene.context.get(GATEWAY, Key(*objects.GATEWAY))
    listeners = ((gateway or {}).get("spec") or {}).get("listeners") or ()
    port = next((int(one["port"]) for one in listeners if one.get("protocol") == "HTTP"), 80)
    return f"http://{objects.host(scene.key.name)}" + ("" if port == 80 else f":{port}")
