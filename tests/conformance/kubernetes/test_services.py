"""Services, their Endpoints and EndpointSlices, and the Service of the API itself. No traffic flows here."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tests.conformance.kubernetes.client import STRATEGIC, Collection, Kube, Object, eventually, refused
from tests.conformance.kubernetes.marker import behaviour
from tests.conformance.kubernetes.objects import IMAGE, pod, pod_spec, running, service

OF_SERVICE = "kubernetes.io/service-name"


def all_of(kube: Kube, namespace: str) -> tuple[Collection, Collection, Collection]:
    """Services, Endpoints, EndpointSlices."""
    return (
        kube.of("v1", "services", namespace),
        kube.of("v1", "endpoints", namespace),
        kube.of("discovery.k8s.io/v1", "endpointslices", namespace),
    )


async def until_slices(
    slices: Collection, name: str, condition: Callable[[list[Object]], Any], what: str
) -> list[Object]:
    found: list[Object] = []

    async def holds() -> bool:
        nonlocal found
        found = await slices.items(f"{OF_SERVICE}={name}")
        return bool(condition(found))

    await eventually(holds, what)
    return found


@behaviour("Find Kubernetes Service in default Namespace")
async def test_the_api_is_found_among_all_services(kube: Kube) -> None:
    async def names() -> bool:
        found = await kube.of("v1", "services").items()
        return ("default", "kubernetes") in [
            (each["metadata"]["namespace"], each["metadata"]["name"]) for each in found
        ]

    await eventually(names, "published")


@behaviour("Kubernetes Service")
async def test_the_api_has_a_service(kube: Kube) -> None:
    services = kube.of("v1", "services", "default")
    await eventually(lambda: services.names(fields="metadata.name=kubernetes"), "published")
    found = await services.get("kubernetes")
    assert [(port["name"], port["port"]) for port in found["spec"]["ports"]] == [("https", 443)]
    assert found["spec"]["clusterIP"]


@behaviour("kubernetes.default Endpoints and EndpointSlices")
async def test_endpoints_and_slices_of_the_api_say_the_same(kube: Kube) -> None:
    _, endpoints, slices = all_of(kube, "default")

    async def there() -> bool:
        return bool(await endpoints.items(fields="metadata.name=kubernetes")) and bool(
            await slices.items(f"{OF_SERVICE}=kubernetes")
        )

    await eventually(there, "published")
    subsets = (await endpoints.get("kubernetes"))["subsets"]
    found = [each for each in await slices.items(f"{OF_SERVICE}=kubernetes") if each["addressType"] == "IPv4"]
    addresses = {each["ip"] for subset in subsets for each in subset["addresses"]}
    assert addresses == {address for each in found for point in each["endpoints"] for address in point["addresses"]}
    ports = {each["port"] for subset in subsets for each in subset["ports"]}
    assert ports == {each["port"] for piece in found for each in piece["ports"]}
    assert addresses
    assert ports


@behaviour("ServiceCIDR API")
async def test_the_range_of_service_addresses_is_told(kube: Kube) -> None:
    ranges = kube.of("networking.k8s.io/v1", "servicecidrs")
    found = await ranges.get("kubernetes")
    status = await ranges.get("kubernetes", "status")
    assert (status["kind"], status["metadata"]["uid"]) == ("ServiceCIDR", found["metadata"]["uid"])
    assert "kubernetes" in await ranges.names()
    async with ranges.watching() as watch:
        assert (await watch.wait("ADDED", lambda obj: obj["metadata"]["name"] == "kubernetes")).object["spec"]["cidrs"]


@behaviour("Service, complete ServiceStatus lifecycle")
async def test_the_status_of_a_service(kube: Kube, namespace: str) -> None:
    services, _, _ = all_of(kube, namespace)
    async with services.watching(f"status={namespace}") as watch:
        await services.create(service("s", labels={"status": namespace}, type="LoadBalancer"))
        assert (await watch.next()).type == "ADDED"
        assert (await services.get("s", "status"))["status"]["loadBalancer"] == {}
        balanced = {"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}]}}
        patch = {"metadata": {"annotations": {"patchedstatus": "true"}}, "status": balanced}
        patched = await services.patch("s", patch, "status")
        assert patched["metadata"]["annotations"]["patchedstatus"] == "true"
        await watch.wait("MODIFIED", lambda obj: obj["status"]["loadBalancer"].get("ingress"))
        told = {
            "type": "StatusUpdate",
            "status": "True",
            "reason": "E2E",
            "message": "m",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        await services.change("s", lambda obj: obj["status"].update(conditions=[told]), "status")
        await watch.wait(
            "MODIFIED", lambda obj: [each["type"] for each in obj["status"].get("conditions", ())] == ["StatusUpdate"]
        )
        await services.patch("s", {"metadata": {"labels": {"test-service": "patched"}}}, type=STRATEGIC)
        await watch.wait("MODIFIED", lambda obj: obj["metadata"]["labels"].get("test-service") == "patched")
        await services.delete("s")
        await watch.wait("DELETED")


@behaviour("Service, deletes a collection of services")
async def test_services_are_deleted_by_label(kube: Kube, namespace: str) -> None:
    services, _, _ = all_of(kube, namespace)
    for name, kind in (("one", "ClusterIP"), ("two", "ClusterIP"), ("three", "NodePort")):
        await services.create(service(name, labels={"e2e": "no" if name == "three" else "yes"}, type=kind))
    assert len(await services.names()) == 3
    await services.delete_all("e2e=yes")
    await services.until_names(["three"])


@behaviour("Endpoint resource lifecycle")
async def test_the_life_of_endpoints(kube: Kube, namespace: str) -> None:
    _, endpoints, _ = all_of(kube, namespace)
    labels = {"life": namespace}
    port = {"name": "http", "port": 80, "protocol": "TCP"}
    body = {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "e", "labels": labels}}
    async with endpoints.watching(f"life={namespace}") as watch:
        await endpoints.create({**body, "subsets": [{"addresses": [{"ip": "10.0.0.24"}], "ports": [port]}]})
        assert (await watch.next()).type == "ADDED"
        assert await endpoints.everywhere().names(f"life={namespace}") == ["e"]
        await endpoints.change("e", lambda obj: obj["metadata"]["labels"].update(updated="yes"))
        await watch.wait("MODIFIED", lambda obj: obj["metadata"]["labels"].get("updated") == "yes")
        subsets = [{"addresses": [{"ip": "10.0.0.25"}], "ports": [{**port, "name": "http-test", "port": 8080}]}]
        await endpoints.patch("e", {"metadata": {"labels": {"patched": "yes"}}, "subsets": subsets}, type=STRATEGIC)
        found = await endpoints.get("e")
        assert found["subsets"] == subsets
        assert found["metadata"]["labels"]["patched"] == "yes"
        await endpoints.delete_all(f"life={namespace}")
        await watch.wait("DELETED")
    with refused(404, "NotFound"):
        await endpoints.get("e")


async def empty_service(kube: Kube, namespace: str) -> tuple[Collection, Collection, Collection]:
    services, endpoints, slices = all_of(kube, namespace)
    await services.create(
        service("empty", {"does-not-match-anything": "endpoints-and-endpoint-slices-should-still-be-created"})
    )
    return services, endpoints, slices


@behaviour('Endpoints, "empty" Service')
async def test_a_service_of_nobody_has_endpoints(kube: Kube, namespace: str) -> None:
    services, endpoints, _ = await empty_service(kube, namespace)
    await endpoints.until_names(["empty"])
    assert not (await endpoints.get("empty")).get("subsets")
    await services.delete("empty")
    await endpoints.until_names([])


@behaviour('EndpointSlice, "empty" Service')
async def test_a_service_of_nobody_has_a_slice(kube: Kube, namespace: str) -> None:
    services, _, slices = await empty_service(kube, namespace)
    (found,) = await until_slices(slices, "empty", len, "a slice")
    assert not found.get("endpoints")
    await services.delete("empty")
    await until_slices(slices, "empty", lambda found: not found, "no slice")


async def two_pods(kube: Kube, namespace: str) -> dict[str, str]:
    """Two pods and two services: one of the first pod by number, one of both by the name of a port. Names and addresses."""
    pods, services = kube.of("v1", "pods", namespace), kube.of("v1", "services", namespace)
    ports = {"pod1": [("example-name", 3000)], "pod2": [("example-name", 3001), ("other-port", 3002)]}
    for name, declared in ports.items():
        told = [{"name": port, "containerPort": number} for port, number in declared]
        container = {"name": "main", "image": IMAGE, "ports": told}
        await pods.create(pod(name, {name: "on", "shared": "on"}, pod_spec(containers=[container])))
    one = [{"name": "example", "port": 80, "targetPort": 3000, "protocol": "TCP"}]
    named = [{"name": "http", "port": 80, "targetPort": "example-name", "protocol": "TCP"}]
    await services.create(service("int-port", {"pod1": "on"}, publishNotReadyAddresses=True, ports=one))
    await services.create(service("named-port", {"shared": "on"}, publishNotReadyAddresses=True, ports=named))
    return {name: (await pods.until(name, running, "running"))["status"]["podIP"] for name in ports}


def points(slices: list[Object]) -> set[tuple[str, int]]:
    """Every address with every port of its slice."""
    return {
        (address, port["port"])
        for each in slices
        for point in each.get("endpoints") or ()
        for address in point["addresses"]
        for port in each.get("ports") or ()
    }


@behaviour("EndpointSlice, creation/deletion")
async def test_slices_point_to_the_pods_of_a_service(kube: Kube, namespace: str) -> None:
    _, _, slices = all_of(kube, namespace)
    ips = await two_pods(kube, namespace)
    both = {(ips["pod1"], 3000), (ips["pod2"], 3001)}
    found = await until_slices(
        slices, "int-port", lambda it: points(it) == {(ips["pod1"], 3000)}, "points to the first pod"
    )
    (point,) = [point for each in found for point in each["endpoints"]]
    assert point["conditions"]["ready"] is True
    assert (point["targetRef"]["kind"], point["targetRef"]["name"]) == ("Pod", "pod1")
    assert {each["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] for each in found} == {
        "endpointslice-controller.k8s.io"
    }
    await until_slices(slices, "named-port", lambda it: points(it) == both, "points to both")
    before = {each["metadata"]["uid"] for each in await slices.items(f"{OF_SERVICE}=named-port")}
    await slices.delete_all(f"{OF_SERVICE}=named-port")
    found = await until_slices(slices, "named-port", lambda it: points(it) == both, "made again")
    assert not before & {each["metadata"]["uid"] for each in found}


@behaviour("Endpoints, creation/deletion")
async def test_endpoints_point_to_the_pods_of_a_service(kube: Kube, namespace: str) -> None:
    _, endpoints, _ = all_of(kube, namespace)
    ips = await two_pods(kube, namespace)

    def said(obj: Object) -> set[tuple[str, int]]:
        return {
            (address["ip"], port["port"])
            for subset in obj.get("subsets") or ()
            for address in subset.get("addresses") or ()
            for port in subset.get("ports") or ()
        }

    both = {(ips["pod1"], 3000), (ips["pod2"], 3001)}
    await endpoints.until_names(["int-port", "named-port"])
    await endpoints.until("int-port", lambda obj: said(obj) == {(ips["pod1"], 3000)}, "points to the first pod")
    made = await endpoints.until("named-port", lambda obj: said(obj) == both, "points to both")
    await endpoints.delete("named-port")

    async def again() -> bool:
        found = await endpoints.items(fields="metadata.name=named-port")
        return any(said(each) == both and each["metadata"]["uid"] != made["metadata"]["uid"] for each in found)

    await eventually(again, "made again")


@behaviour("EndpointSlice Mirroring")
async def test_what_people_write_as_endpoints_is_mirrored(kube: Kube, namespace: str) -> None:
    services, endpoints, slices = all_of(kube, namespace)
    await services.create(service("s"))
    body = {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "s"}}
    await endpoints.create({**body, "subsets": [{"ports": [{"port": 80}], "addresses": [{"ip": "10.1.2.3"}]}]})
    await until_slices(slices, "s", lambda it: points(it) == {("10.1.2.3", 80)}, "mirrored")

    def elsewhere(obj: Object) -> None:
        obj["subsets"][0]["addresses"] = [{"ip": "10.2.3.4"}]

    await endpoints.change("s", elsewhere)
    await until_slices(slices, "s", lambda it: len(it) == 1 and points(it) == {("10.2.3.4", 80)}, "follows")
    await endpoints.delete("s")
    await until_slices(slices, "s", lambda it: not it, "gone with them")


@behaviour("Service endpoint latency, thresholds")
async def test_endpoints_follow_a_service_soon(kube: Kube, namespace: str) -> None:
    """Kubernetes allows 20 s to half of a hundred and more services, 50 s to 99 %."""
    services, endpoints, _ = all_of(kube, namespace)
    pods = kube.of("v1", "pods", namespace)
    await pods.create(pod("svc-latency", {"name": "svc-latency"}))
    await pods.until("svc-latency", running, "running")
    taken = []
    async with endpoints.watching() as watch:
        for number in range(100):
            name, began = f"latency-svc-{number}", time.monotonic()
            await services.create(service(name, {"name": "svc-latency"}))

            def answers(obj: Object, name: str = name) -> bool:
                return obj["metadata"]["name"] == name and bool(obj.get("subsets"))

            while not answers((await watch.next()).object):
                pass
            taken.append(time.monotonic() - began)
    taken.sort()
    assert taken[50] < 20
    assert taken[98] < 50
