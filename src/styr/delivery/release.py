"""Keeps a promise: a release that plays a part (`App.status.running`) has its Deployment and Service; one that plays none
has no pods; the last three keep their Deployment at 0 replicas, to be looked at and to go back to.

Called by the manager for each Release. Never gives or takes traffic: that is `rollout`.
"""

from __future__ import annotations

from collections.abc import Iterable

from styr.client.controller import Context, Controller, Done, Key, Outcome, Watch, nothing
from styr.delivery import objects
from styr.delivery.cast import number
from styr.delivery.kinds import APP_LABEL, settings
from styr.kinds import meta, selectors
from styr.kinds.resources import APP, DEPLOYMENT, HTTP_ROUTE, RELEASE, SERVICE, Object

KEPT = 3


def plan(app: Object, release: Object, newer: int, weight: int, exists: bool) -> int | None:
    """Replicas, or None for no Deployment. `newer` counts the app's releases after this one; `weight` is what the route
    still gives it; `exists` whether a Deployment is there."""
    running = meta.name(release) in ((app.get("status") or {}).get("running") or ())
    if running or weight > 0:
        replicas = release["spec"].get("replicas")
        return settings(app).replicas if replicas is None else int(replicas)
    return 0 if exists and newer < KEPT else None


async def reconcile(context: Context, key: Key) -> Outcome:
    release = context.get(RELEASE, key)
    if release is None or meta.deleting(release):
        return Done()
    app = context.get(APP, Key(key.namespace, str(release["spec"]["app"])))
    if app is None:
        return Done()
    siblings = context.list(RELEASE, key.namespace, selectors.from_labels({APP_LABEL: meta.name(app)}))
    newer = sum(number(other) > number(release) for other in siblings)
    weight = objects.weights(context.get(HTTP_ROUTE, Key(key.namespace, meta.name(app)))).get(key.name, 0)
    deployments, services = context.children(DEPLOYMENT, release), context.children(SERVICE, release)
    replicas = plan(app, release, newer, weight, bool(deployments))
    want = [] if replicas is None else [objects.deployment(release, replicas)]
    # The Service goes last and comes first: a route must never name one that is not there.
    await context.apply_children(SERVICE, release, [objects.service(release)] if want else [], services)
    await context.apply_children(DEPLOYMENT, release, want, deployments)
    return Done()


def _releases_of(obj: Object, context: Context) -> Iterable[Key]:
    """An App or its HTTPRoute, which have the same name."""
    selector = selectors.from_labels({APP_LABEL: meta.name(obj)})
    return [meta.key(release) for release in context.list(RELEASE, meta.namespace(obj), selector)]


CONTROLLER = Controller(
    name="release",
    resource=RELEASE,
    reconcile=reconcile,
    owns=(DEPLOYMENT, SERVICE),
    watches=(Watch(APP, _releases_of), Watch(HTTP_ROUTE, nothing)),
)
