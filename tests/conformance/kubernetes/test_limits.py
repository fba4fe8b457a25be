"""LimitRanges and priority classes: what they give to pods and what they refuse."""

from __future__ import annotations

from typing import Any

from tests.conformance.kubernetes.client import STRATEGIC, Kube, Object, refused, unique
from tests.conformance.kubernetes.marker import behaviour
from tests.conformance.kubernetes.objects import IMAGE, namespace_object, pod


def amounts(cpu: str = "", memory: str = "", storage: str = "") -> dict[str, str]:
    found = {"cpu": cpu, "memory": memory, "ephemeral-storage": storage}
    return {name: amount for name, amount in found.items() if amount}


def limit_range(name: str, labels: dict[str, str], **limits: Any) -> Object:
    spec = {"limits": [{"type": "Container", **limits}]}
    return {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": name, "labels": labels}, "spec": spec}


def asking(name: str, requests: dict[str, str], limits: dict[str, str]) -> Object:
    resources = {key: value for key, value in (("requests", requests), ("limits", limits)) if value}
    return pod(name, spec={"containers": [{"name": "main", "image": IMAGE, "resources": resources}]})


@behaviour("LimitRange, resources")
async def test_a_limit_range_fills_in_and_refuses(kube: Kube, namespace: str) -> None:
    ranges, pods = kube.of("v1", "limitranges", namespace), kube.of("v1", "pods", namespace)
    limit, request = amounts("500m", "500Mi", "500Gi"), amounts("100m", "200Mi", "200Gi")
    least = amounts("50m", "100Mi", "100Gi")
    async with ranges.watching("e2e=range") as watch:
        body = limit_range("r", {"e2e": "range"}, min=least, max=limit, default=limit, defaultRequest=request)
        await ranges.create(body)
        assert (await watch.next()).type == "ADDED"
    (found,) = (await ranges.get("r"))["spec"]["limits"]
    assert (found["default"], found["defaultRequest"]) == (limit, request)

    async def given(name: str) -> Object:
        return (await pods.get(name))["spec"]["containers"][0]["resources"]

    await pods.create(asking("none", {}, {}))
    assert await given("none") == {"limits": limit, "requests": request}
    await pods.create(asking("partial", amounts("", "150Mi", "150Gi"), amounts("300m")))
    assert await given("partial") == {
        "limits": amounts("300m", "500Mi", "500Gi"),
        "requests": amounts("300m", "150Mi", "150Gi"),
    }
    little, much = amounts("10m", "50Mi", "50Gi"), amounts("600m", "600Mi", "600Gi")
    for wanted in (little, much):
        with refused(403, "Forbidden"):
            await pods.create(asking("refused", wanted, wanted))

    def lower(obj: Object) -> None:
        obj["spec"]["limits"][0]["min"] = amounts("9m", "49Mi", "49Gi")

    await ranges.change("r", lower)
    await pods.create(asking("little", little, {}))
    with refused(403, "Forbidden"):
        await pods.create(asking("refused", much, much))
    await ranges.delete("r", gracePeriodSeconds=30)
    await ranges.until_gone("r")
    await pods.create(asking("much", much, {}))


@behaviour("LimitRange, list, patch and delete a LimitRange by collection")
async def test_limit_ranges_are_listed_patched_and_deleted_by_label(kube: Kube, namespace: str) -> None:
    other = unique("ns")
    await kube.of("v1", "namespaces").create(namespace_object(other))
    ranges, elsewhere = kube.of("v1", "limitranges", namespace), kube.of("v1", "limitranges", other)
    body = limit_range("r", {"e2e": namespace}, min=amounts("50m", "100Mi"), max=amounts("500m", "500Mi"))
    for objects in (ranges, elsewhere):
        await objects.create(body)
    found = await ranges.everywhere().items(f"e2e={namespace}")
    assert sorted(each["metadata"]["namespace"] for each in found) == sorted([namespace, other])
    patch = {
        "metadata": {"labels": {"r": "patched"}},
        "spec": {"limits": [{"type": "Container", "min": {"cpu": "40m"}}]},
    }
    patched = await ranges.patch("r", patch, type=STRATEGIC)
    assert patched["metadata"]["labels"]["r"] == "patched"
    assert patched["spec"]["limits"][0]["min"]["cpu"] == "40m"
    await ranges.delete_all("r=patched")
    await ranges.until_names([])
    assert await elsewhere.names() == ["r"]


@behaviour("Scheduler, Verify PriorityClass endpoints")
async def test_a_priority_class_keeps_its_value(kube: Kube) -> None:
    classes, label = kube.of("scheduling.k8s.io/v1", "priorityclasses"), unique("priority")
    names = [f"{label}-{number}" for number in (1, 2)]
    for number, name in enumerate(names, 1):
        body = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "value": number, "description": "first"}
        await classes.create({**body, "metadata": {"name": name, "labels": {"e2e": label}}})
    assert await classes.names(f"e2e={label}") == names

    def change(**fields: Any) -> Any:
        return lambda obj: obj.update(fields)

    for name in names:
        await classes.patch(name, {"description": "patched"})
        await classes.change(name, change(description="updated"))
        with refused(422, "Invalid", "value"):
            await classes.patch(name, {"value": 1000})
        with refused(422, "Invalid", "value"):
            await classes.change(name, change(value=1000))
        found = await classes.get(name)
        assert (found["description"], found["value"]) == ("updated", names.index(name) + 1)
    await classes.delete(names[0])
    await classes.delete_all(f"e2e={label}")
    assert await classes.names(f"e2e={label}") == []
