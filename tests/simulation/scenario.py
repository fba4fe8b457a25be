"""A user who changes their mind, and what must be true when they have stopped.

`play` makes random but seeded requests for some virtual minutes while faults happen; `wrong` reads everything from the
server and lists what is not as the objects say."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from random import Random
from typing import Any

from styr.client.client import Client
from styr.controllers import revisions
from styr.controllers.deployment import find_new
from styr.kinds import conditions, meta, pods, selectors
from styr.kinds.errors import AlreadyExists, ApiError, Conflict, Forbidden, NotFound
from styr.kinds.resources import (
    CONTROLLER_REVISION,
    DAEMON_SET,
    DEPLOYMENT,
    ENDPOINT_SLICE,
    ENDPOINTS,
    NAMESPACE,
    POD,
    REPLICA_SET,
    REPLICATION_CONTROLLER,
    SERVICE,
    Object,
)
from tests.simulation.world import World

NAMESPACES = ("default", "team")
APPS = ("web", "api", "cron")
_OWNED = (REPLICA_SET, POD, ENDPOINT_SLICE, ENDPOINTS, CONTROLLER_REVISION)
"""Kinds that somebody must own here."""


def deployment(namespace: str, name: str, random: Random) -> Object:
    labels = {"app": name}
    strategy: Object = {"type": "RollingUpdate"}
    if random.random() < 0.2:
        strategy = {"type": "Recreate"}
    elif random.random() < 0.4:
        strategy["rollingUpdate"] = {
            "maxSurge": random.choice([0, 1, "50%"]),
            "maxUnavailable": random.choice([1, "30%"]),
        }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": random.randint(0, 6),
            "revisionHistoryLimit": 2,
            "strategy": strategy,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "containers": [
                        {
                            "name": "main",
                            "image": "styr.dev/host",
                            "command": ["serve", "1"],
                            "ports": [{"name": "http", "containerPort": 8080}],
                        }
                    ]
                },
            },
        },
    }


def service(namespace: str, name: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
    }


def replication_controller(namespace: str, name: str, random: Random) -> Object:
    made = deployment(namespace, name, random)
    spec = {"replicas": random.randint(0, 4), "selector": {"app": name}, "template": made["spec"]["template"]}
    return {"apiVersion": "v1", "kind": "ReplicationController", "metadata": made["metadata"], "spec": spec}


def daemon_set(namespace: str, name: str, random: Random) -> Object:
    made = deployment(namespace, name, random)
    rolling = random.choice([{"maxSurge": 0, "maxUnavailable": 1}, {"maxSurge": 1, "maxUnavailable": 0}])
    spec = {key: made["spec"][key] for key in ("selector", "template", "revisionHistoryLimit")}
    spec["updateStrategy"] = {"type": "RollingUpdate", "rollingUpdate": rolling}
    return {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": made["metadata"], "spec": spec}


async def play(world: World, *, actions: int = 80) -> None:
    """`actions` random changes, seconds apart, with crashes of the control plane among them."""
    random = Random(world.random.random())
    for _ in range(actions):
        await asyncio.sleep(random.expovariate(1 / 4.0))
        if random.random() < 0.08:
            world.crash_at_write(random.randint(1, 30))
        try:
            await _act(await world.user(), random)
        except (NotFound, AlreadyExists, Conflict, Forbidden):
            continue  # the user was late, or early
        except ApiError:
            await asyncio.sleep(1.0)  # the control plane went away in the middle
    await _unpause(await world.user())


async def _act(client: Client, random: Random) -> None:
    namespace, name = random.choice(NAMESPACES), random.choice(APPS)
    if namespace != "default":
        with suppress(AlreadyExists, Conflict):
            await client.create(NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    action = random.choices([action for action, _ in ACTIONS], weights=[weight for _, weight in ACTIONS])[0]
    await action(client, random, namespace, name)


async def _deploy(client: Client, random: Random, namespace: str, name: str) -> None:
    await client.create(DEPLOYMENT, deployment(namespace, name, random))


async def _expose(client: Client, _random: Random, namespace: str, name: str) -> None:
    await client.create(SERVICE, service(namespace, name))


async def _resize(client: Client, random: Random, namespace: str, name: str) -> None:
    await client.patch(DEPLOYMENT, name, namespace, {"spec": {"replicas": random.randint(0, 7)}})


async def _release(client: Client, random: Random, namespace: str, name: str) -> None:
    """Four templates only, so that old ones come back."""
    container = {**deployment(namespace, name, random)["spec"]["template"]["spec"]["containers"][0]}
    container["command"] = ["serve", str(random.randint(1, 4))]
    patch = {"spec": {"template": {"spec": {"containers": [container]}}}}
    await client.patch(DEPLOYMENT, name, namespace, patch)


async def _control(client: Client, random: Random, namespace: str, name: str) -> None:
    """A ReplicationController beside the others: made, or resized, or gone."""
    name = f"rc-{name}"
    choice = random.random()
    if choice < 0.5:
        await client.create(REPLICATION_CONTROLLER, replication_controller(namespace, name, random))
    elif choice < 0.9:
        await client.patch(REPLICATION_CONTROLLER, name, namespace, {"spec": {"replicas": random.randint(0, 5)}})
    else:
        await client.delete(REPLICATION_CONTROLLER, name, namespace, propagation="Background")


async def _daemon(client: Client, random: Random, namespace: str, name: str) -> None:
    """A DaemonSet: made, or given one of three templates, or gone."""
    name = f"ds-{name}"
    choice = random.random()
    if choice < 0.4:
        await client.create(DAEMON_SET, daemon_set(namespace, name, random))
    elif choice < 0.9:
        container = {**deployment(namespace, name, random)["spec"]["template"]["spec"]["containers"][0]}
        container["command"] = ["serve", str(random.randint(1, 3))]
        await client.patch(DAEMON_SET, name, namespace, {"spec": {"template": {"spec": {"containers": [container]}}}})
    else:
        await client.delete(DAEMON_SET, name, namespace, propagation=random.choice(["Background", "Foreground"]))


async def _pause(client: Client, random: Random, namespace: str, name: str) -> None:
    await client.patch(DEPLOYMENT, name, namespace, {"spec": {"paused": random.random() < 0.5}})


async def _kill(client: Client, random: Random, namespace: str, _name: str) -> None:
    found = (await client.list(POD, namespace)).items
    if found:
        await client.delete(POD, meta.name(random.choice(found)), namespace, grace=random.choice([None, 0, 3]))


async def _remove(client: Client, random: Random, namespace: str, name: str) -> None:
    await client.delete(DEPLOYMENT, name, namespace, propagation=random.choice(["Background", "Foreground"]))


async def _hide(client: Client, _random: Random, namespace: str, name: str) -> None:
    await client.delete(SERVICE, name, namespace)


async def _leave(client: Client, _random: Random, namespace: str, _name: str) -> None:
    if namespace != "default":
        await client.delete(NAMESPACE, namespace)


ACTIONS = (
    (_deploy, 8),
    (_expose, 5),
    (_resize, 6),
    (_release, 6),
    (_control, 3),
    (_daemon, 4),
    (_pause, 2),
    (_kill, 3),
    (_remove, 1),
    (_hide, 2),
    (_leave, 1),
)
"""Each with its weight."""


async def _unpause(client: Client) -> None:
    for found in (await client.list(DEPLOYMENT)).items:
        await client.patch(DEPLOYMENT, meta.name(found), meta.namespace(found), {"spec": {"paused": False}})


async def wrong(world: World) -> list[str]:
    """Everything that is not as it should be, in words; [] when all has settled."""
    client = await world.user()
    kinds = (NAMESPACE, *_OWNED, DEPLOYMENT, REPLICATION_CONTROLLER, DAEMON_SET, SERVICE)
    found = {kind: (await client.list(kind)).items for kind in kinds}
    problems = [
        f"{kind.kind} {meta.key(obj)} is still deleting" for kind in kinds for obj in found[kind] if meta.deleting(obj)
    ]
    problems += _strays(found)
    for obj in found[DEPLOYMENT]:
        problems += _deployment_problems(obj, found)
    for obj in found[REPLICATION_CONTROLLER]:
        problems += _controller_problems(obj, found)
    for obj in found[DAEMON_SET]:
        problems += _daemon_problems(obj, found)
    for obj in found[SERVICE]:
        problems += _service_problems(obj, found)
    problems += _process_problems(world, found[POD])
    return problems


def _strays(found: dict[Any, list[Object]]) -> list[str]:
    """Objects whose namespace or owner is not there."""
    namespaces = {meta.name(obj) for obj in found[NAMESPACE]}
    uids = {meta.uid(obj) for objects in found.values() for obj in objects}
    problems = []
    for kind in (*_OWNED, DEPLOYMENT, REPLICATION_CONTROLLER, DAEMON_SET, SERVICE):
        for obj in found[kind]:
            if meta.namespace(obj) not in namespaces:
                problems.append(f"{kind.kind} {meta.key(obj)} outlives its namespace")
            if any(owner["uid"] not in uids for owner in meta.owners(obj)):
                problems.append(f"{kind.kind} {meta.key(obj)} outlives its owner")
            if kind in _OWNED and not meta.owners(obj):
                problems.append(f"{kind.kind} {meta.key(obj)} belongs to nobody")
    return problems


def _deployment_problems(obj: Object, found: dict[Any, list[Object]]) -> list[str]:
    name, wanted = f"Deployment {meta.key(obj)}", int(obj["spec"]["replicas"])
    sets = [rs for rs in found[REPLICA_SET] if meta.is_controlled_by(rs, obj)]
    new = find_new(obj, sets)
    if new is None:
        return [f"{name} has no ReplicaSet for its template"]
    problems = []
    sizes = {meta.name(rs): int(rs["spec"]["replicas"]) for rs in sets}
    if sizes != {meta.name(rs): wanted if rs is new else 0 for rs in sets}:
        problems.append(f"{name} wants {wanted} in {meta.name(new)}, has {sizes}")
    if len(sets) > 1 + int(obj["spec"]["revisionHistoryLimit"]):
        problems.append(f"{name} keeps {len(sets)} ReplicaSets")
    own = [pod for pod in found[POD] if any(meta.is_controlled_by(pod, rs) for rs in sets)]
    good = [pod for pod in own if meta.is_controlled_by(pod, new) and pods.is_active(pod) and pods.is_ready(pod)]
    if not len(own) == len(good) == wanted:
        problems.append(f"{name} wants {wanted} pods, has {len(own)}, of which {len(good)} ready and new")
    for rs in sets:
        status, size = rs.get("status") or {}, int(rs["spec"]["replicas"])
        counts = [int(status.get(key) or 0) for key in ("replicas", "readyReplicas", "availableReplicas")]
        if counts != [size] * 3 or status.get("observedGeneration") != meta.metadata(rs)["generation"]:
            problems.append(f"ReplicaSet {meta.key(rs)} of size {size} says {status}")
    return problems + _deployment_status_problems(obj, name, wanted)


def _deployment_status_problems(obj: Object, name: str, wanted: int) -> list[str]:
    status = obj.get("status") or {}
    keys = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    problems = []
    if [int(status.get(key) or 0) for key in keys] != [wanted] * 4 or status.get("unavailableReplicas"):
        problems.append(f"{name} of size {wanted} says {status}")
    if status.get("observedGeneration") != meta.metadata(obj)["generation"]:
        problems.append(f"{name} has not observed its generation")
    progressing = conditions.find(status.get("conditions"), "Progressing") or {}
    if progressing.get("reason") != "NewReplicaSetAvailable" or not conditions.is_true(obj, "Available"):
        problems.append(f"{name} says {status.get('conditions')}")
    return problems


def _controller_problems(obj: Object, found: dict[Any, list[Object]]) -> list[str]:
    name, wanted, status = (
        f"ReplicationController {meta.key(obj)}",
        int(obj["spec"]["replicas"]),
        obj.get("status") or {},
    )
    own = [pod for pod in found[POD] if meta.is_controlled_by(pod, obj)]
    good = [pod for pod in own if pods.is_active(pod) and pods.is_ready(pod)]
    problems = [] if len(own) == len(good) == wanted else [f"{name} wants {wanted} pods, has {len(good)} of {len(own)}"]
    counts = [int(status.get(key) or 0) for key in ("replicas", "readyReplicas", "availableReplicas")]
    return problems if counts == [wanted] * 3 else [*problems, f"{name} of size {wanted} says {status}"]


def _daemon_problems(obj: Object, found: dict[Any, list[Object]]) -> list[str]:
    """On the one node there is one pod, of the newest revision."""
    name, status = f"DaemonSet {meta.key(obj)}", obj.get("status") or {}
    history = [each for each in found[CONTROLLER_REVISION] if meta.is_controlled_by(each, obj)]
    now = revisions.current(obj, history)
    if now is None or revisions.number(now) != revisions.highest(history):
        return [f"{name} has no newest revision of its template: {[meta.name(each) for each in history]}"]
    problems = []
    own = [pod for pod in found[POD] if meta.is_controlled_by(pod, obj)]
    good = [pod for pod in own if pods.is_active(pod) and pods.is_ready(pod)]
    if [revisions.hash_of(pod) for pod in good] != [revisions.hash_of(now)] or len(own) > 1:
        problems.append(f"{name} has {[(meta.name(pod), revisions.hash_of(pod)) for pod in own]}")
    if len(history) > 1 + int(obj["spec"]["revisionHistoryLimit"]):
        problems.append(f"{name} keeps {len(history)} revisions")
    keys = (
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "numberReady",
        "numberAvailable",
        "updatedNumberScheduled",
    )
    if [status.get(key) for key in keys] != [1] * 5 or status.get("observedGeneration") != meta.metadata(obj)[
        "generation"
    ]:
        problems.append(f"{name} says {status}")
    return problems


def _service_problems(obj: Object, found: dict[Any, list[Object]]) -> list[str]:
    selector = selectors.from_labels(obj["spec"]["selector"])
    matching = [
        pod
        for pod in found[POD]
        if meta.namespace(pod) == meta.namespace(obj) and selectors.matches(selector, meta.labels(pod))
    ]
    wanted = sorted((meta.name(pod), pods.resolve_port(pod, "http") or 0) for pod in matching if pods.is_ready(pod))
    have = sorted(
        (endpoint["targetRef"]["name"], int(port["port"]))
        for piece in found[ENDPOINT_SLICE]
        if meta.is_controlled_by(piece, obj)
        for endpoint in piece["endpoints"]
        if endpoint["conditions"]["ready"]
        for port in piece["ports"]
    )
    old = sorted(
        (address["targetRef"]["name"], int(port["port"]))
        for whole in found[ENDPOINTS]
        if meta.is_controlled_by(whole, obj)
        for subset in whole.get("subsets") or ()
        for address in subset.get("addresses") or ()
        for port in subset["ports"]
    )
    problems = [] if have == wanted else [f"Service {meta.key(obj)} should lead to {wanted}, leads to {have}"]
    return problems if old == wanted else [*problems, f"Endpoints {meta.key(obj)} should be {wanted}, are {old}"]


def _process_problems(world: World, found: list[Object]) -> list[str]:
    wanted = {meta.uid(pod) for pod in found if not pods.is_terminal(pod)}
    have = set(world.machine.processes)
    problems = [
        f"a process runs for the pod {world.machine.processes[uid].key}, which is gone" for uid in have - wanted
    ]
    return problems + [f"no process runs for a pod with uid {uid}" for uid in wanted - have]
