"""Monitors against a real API server in memory: jobs follow objects and Secrets, and objects say what became of them."""

from __future__ import annotations

from collections.abc import Sequence

from styr.kinds.resources import EVENT, POD_MONITOR, SECRET, SERVICE_MONITOR, Object, Resource
from styr.metrics.scrape.config import ScrapeConfig
from styr.metrics.scrape.kubernetes import watcher
from styr.metrics.scrape.kubernetes.annotations import PODS, SERVICES
from styr.metrics.scrape.kubernetes.watcher import Monitors
from tests.metrics.api import Quick, accepted, managed, served, until


class Taken:
    def __init__(self) -> None:
        self.jobs: dict[str, ScrapeConfig] = {}
        self.calls = 0

    def __call__(self, jobs: Sequence[ScrapeConfig]) -> None:
        self.jobs = {job.job: job for job in jobs}
        self.calls += 1


def made(resource: Resource, name: str, **endpoint: object) -> Object:
    field = "endpoints" if resource == SERVICE_MONITOR else "podMetricsEndpoints"
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"selector": {}, field: [{"port": "http", **endpoint}]},
    }


async def test_jobs_follow_the_objects():
    taken = Taken()
    monitors = Monitors(taken, Quick())
    async with served() as client, managed(client, monitors.controllers(), monitors.run()):
        await until(lambda: taken.jobs)
        assert set(taken.jobs) == {PODS, SERVICES}, "annotations need no monitor"
        await client.create(SERVICE_MONITOR, made(SERVICE_MONITOR, "web"))
        await client.create(POD_MONITOR, made(POD_MONITOR, "web"))
        await until(lambda: len(taken.jobs) == 4)
        assert (await accepted(client, SERVICE_MONITOR, "web", "Accepted"))["status"] == "True"
        await client.delete(POD_MONITOR, "web", "default")
        await until(lambda: set(taken.jobs) == {PODS, SERVICES, "serviceMonitor/default/web/0"})


async def test_what_is_not_honoured_is_told_and_the_rest_is_in_force():
    taken = Taken()
    monitors = Monitors(taken, Quick())
    async with served() as client, managed(client, monitors.controllers(), monitors.run()):
        await client.create(
            SERVICE_MONITOR, made(SERVICE_MONITOR, "web", enableHttp2=True, bearerTokenFile="/etc/shadow")
        )
        found = await accepted(client, SERVICE_MONITOR, "web", "FieldsIgnored")
        assert found["status"] == "True"
        assert "spec.endpoints[0].enableHttp2" in found["message"]
        assert "spec.endpoints[0].bearerTokenFile" in found["message"]
        await until(lambda: "serviceMonitor/default/web/0" in taken.jobs)
        assert not taken.jobs["serviceMonitor/default/web/0"].http.credentials
        events = await client.list(EVENT, "default")
        assert [event["reason"] for event in events.items] == ["FieldsIgnored"]


async def test_a_wrong_one_is_told_by_field_and_comes_back_when_its_secret_does(monkeypatch):
    monkeypatch.setattr(watcher, "RECHECK", 0.05)
    taken = Taken()
    monitors = Monitors(taken, Quick())
    auth = {"credentials": {"name": "auth", "key": "token"}}
    async with served() as client, managed(client, monitors.controllers(), monitors.run()):
        await client.create(SERVICE_MONITOR, made(SERVICE_MONITOR, "web", authorization=auth))
        found = await accepted(client, SERVICE_MONITOR, "web", "Invalid")
        assert found["status"] == "False"
        assert found["message"] == "spec.endpoints[0].authorization.credentials: Secret default/auth does not exist"
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "auth", "namespace": "default"}}
        await client.create(SECRET, {**secret, "stringData": {"token": "t1"}})
        await accepted(client, SERVICE_MONITOR, "web", "Accepted")
        await until(lambda: "serviceMonitor/default/web/0" in taken.jobs)
        assert taken.jobs["serviceMonitor/default/web/0"].http.credentials.value == "t1"
        await client.patch(SECRET, "auth", "default", {"stringData": {"token": "t2"}})
        await until(lambda: taken.jobs["serviceMonitor/default/web/0"].http.credentials.value == "t2")


async def test_a_wrong_expression_in_a_relabelling_is_told_by_its_place():
    monitors = Monitors(Taken(), Quick())
    bad = [{"sourceLabels": ["a"], "regex": "(", "targetLabel": "b"}]
    async with served() as client, managed(client, monitors.controllers(), monitors.run()):
        await client.create(SERVICE_MONITOR, made(SERVICE_MONITOR, "web", metricRelabelings=bad))
        found = await accepted(client, SERVICE_MONITOR, "web", "Invalid")
        assert "metric_relabel_configs[0]" in found["message"]
        assert "serviceMonitor/default/web/0" not in {job.job for job in monitors.jobs()}


async def test_only_the_secrets_that_are_named_are_read():
    monitors = Monitors(Taken(), Quick())
    basic = {word: {"name": f"auth-{word}", "key": "x"} for word in ("username", "password")}
    async with served() as client:
        for name in ("auth-username", "auth-password", "other"):
            secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "default"}}
            await client.create(SECRET, {**secret, "stringData": {"x": name}})
        read: list[str] = []
        get = client.get

        async def watched(resource: Resource, name: str, namespace: str = "") -> Object:
            read.append(f"{resource.plural}/{name}")
            return await get(resource, name, namespace)

        client.get = watched  # type: ignore[method-assign]
        async with managed(client, monitors.controllers(), monitors.run()):
            await client.create(SERVICE_MONITOR, made(SERVICE_MONITOR, "web", basicAuth=basic))
            await accepted(client, SERVICE_MONITOR, "web", "Accepted")
        assert {name for name in read if name.startswith("secrets/")} == {
            "secrets/auth-username",
            "secrets/auth-password",
        }
        (job,) = [job for job in monitors.jobs() if job.job.startswith("serviceMonitor/")]
        assert (job.http.username.value, job.http.password.value) == ("auth-username", "auth-password")
