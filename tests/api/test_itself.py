"""What the server tells of itself: said once, said again without a write, and never at another Service's cost."""

from __future__ import annotations

from styr.api.itself import ADDRESS, publish
from tests.api.kit import Api, running

SERVICES = "/api/v1/namespaces/default/services"
NOW = "2026-01-01T00:00:00Z"


async def said(api: Api) -> tuple[str, str, int]:
    service = await api("GET", f"{SERVICES}/kubernetes")
    endpoints = await api("GET", "/api/v1/namespaces/default/endpoints/kubernetes")
    piece = await api("GET", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes")
    (subset,) = endpoints["subsets"]
    assert piece["endpoints"][0]["addresses"] == [subset["addresses"][0]["ip"]]
    assert piece["ports"][0]["port"] == subset["ports"][0]["port"] == service["spec"]["ports"][0]["targetPort"]
    return service["spec"]["clusterIP"], subset["addresses"][0]["ip"], subset["ports"][0]["port"]


async def test_where_it_answers_and_where_it_has_moved_to() -> None:
    async with running() as api:
        await publish(api.server, "127.0.0.1", 6443, NOW)
        assert await said(api) == (ADDRESS, "127.0.0.1", 6443)
        (told,) = (await api("GET", "/apis/networking.k8s.io/v1/servicecidrs/kubernetes"))["status"]["conditions"]
        assert (told["type"], told["status"], told["lastTransitionTime"]) == ("Ready", "True", NOW)
        before = api.server.store.revision
        await publish(api.server, "127.0.0.1", 6443, "2026-02-02T00:00:00Z")
        assert api.server.store.revision == before
        await publish(api.server, "127.0.0.1", 7443, NOW)
        assert await said(api) == (ADDRESS, "127.0.0.1", 7443)


async def test_an_address_that_is_taken_is_left_to_its_service() -> None:
    async with running() as api:
        spec = {"clusterIP": ADDRESS, "ports": [{"port": 80}]}
        await api("POST", SERVICES, {"metadata": {"name": "first"}, "spec": spec})
        await publish(api.server, "127.0.0.1", 6443, NOW)
        address, host, port = await said(api)
        assert address.startswith("10.96.")
        assert address != ADDRESS
        assert (host, port) == ("127.0.0.1", 6443)
        await publish(api.server, "127.0.0.1", 6443, NOW)
        assert (await said(api))[0] == address
