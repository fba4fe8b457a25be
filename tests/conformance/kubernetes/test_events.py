"""Events, in the core form and in that of events.k8s.io: the same objects."""

from __future__ import annotations

from typing import Any

from tests.conformance.kubernetes.client import STRATEGIC, Kube, Object
from tests.conformance.kubernetes.marker import behaviour
from tests.conformance.kubernetes.walk import includes

NOW = "2026-01-01T00:00:00.123456Z"


def core_event(name: str, namespace: str, **labels: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "labels": labels},
        "message": "This is a test event",
        "reason": "Test",
        "type": "Normal",
        "count": 1,
        "involvedObject": {"namespace": namespace, "kind": "Pod", "name": "a"},
    }


def event(name: str, namespace: str, **labels: str) -> Object:
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": name, "labels": labels},
        "regarding": {"kind": "Pod", "namespace": namespace, "name": "a"},
        "eventTime": NOW,
        "note": "This is a test event",
        "reason": "Test",
        "action": "Do",
        "type": "Normal",
        "reportingController": "test-controller",
        "reportingInstance": "test-node",
    }


SERIES = {"count": 2, "lastObservedTime": "2026-01-01T00:00:02.000000Z"}


async def life(kube: Kube, api_version: str, made: Object, patch: Object, namespace: str) -> None:
    """`patch` changes a field that may change."""
    events, label = kube.of(api_version, "events", namespace), f"life={namespace}"
    await events.create(made)
    assert await events.everywhere().names(label) == ["e"]
    assert await events.names() == ["e"]
    if api_version == "events.k8s.io/v1":
        assert await events.names(fields="reportingController=test-controller") == ["e"]
    includes(await events.get("e"), made)
    await events.patch("e", patch, type=STRATEGIC)
    includes(await events.get("e"), {**made, **patch})

    def series(obj: Object) -> None:
        obj["series"] = {"count": 100, "lastObservedTime": "2026-01-01T00:00:05.000000Z"}

    before = await events.get("e")
    await events.change("e", series)
    after = await events.get("e")
    assert after["series"] == {"count": 100, "lastObservedTime": "2026-01-01T00:00:05.000000Z"}
    assert without(after, "series", "metadata") == without(before, "series", "metadata")
    await events.delete("e")
    assert await events.everywhere().names(label) == []


def without(obj: Object, *fields: str) -> dict[str, Any]:
    return {key: value for key, value in obj.items() if key not in fields}


@behaviour("Event, manage lifecycle of an Event")
async def test_the_life_of_a_core_event(kube: Kube, namespace: str) -> None:
    await life(kube, "v1", core_event("e", namespace, life=namespace), {"message": "patched"}, namespace)


@behaviour("New Event resource lifecycle, testing a single event")
async def test_the_life_of_an_event(kube: Kube, namespace: str) -> None:
    await life(kube, "events.k8s.io/v1", event("e", namespace, life=namespace), {"series": SERIES}, namespace)


@behaviour("Event, delete a collection")
async def test_core_events_are_deleted_by_label(kube: Kube, namespace: str) -> None:
    events = kube.of("v1", "events", namespace)
    for name in ("one", "two", "three"):
        await events.create(core_event(name, namespace, set="mine"))
    await events.create(core_event("other", namespace))
    assert await events.names("set=mine") == ["one", "three", "two"]
    await events.delete_all("set=mine")
    assert await events.names() == ["other"]


@behaviour("New Event resource lifecycle, testing a list of events")
async def test_events_are_deleted_by_label(kube: Kube, namespace: str) -> None:
    events, core = kube.of("events.k8s.io/v1", "events", namespace), kube.of("v1", "events", namespace)
    for name in ("one", "two", "three"):
        await events.create(event(name, namespace, set="mine"))
    assert await core.names("set=mine") == ["one", "three", "two"]
    await events.delete_all("set=mine")
    assert await events.names("set=mine") == []
    assert await core.names("set=mine") == []
