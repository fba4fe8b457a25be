"""`kubernetes.aio`, the asyncio half of the official client, and `kubernetes_asyncio`, its origin: one API, two packages."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.conformance.clients.objects import config_map, widget
from tests.conformance.clients.python.cases import GROUP, IDLE, MAPS, RUNS, WIDGETS, plays
from tests.conformance.clients.scene import Scene

BROKEN = {"kubernetes.aio": "version 37.0.2 refuses an argument of its own (`pretty`) before it sends anything"}
"""Why one of them elects no leader."""


def of(package: str) -> None:  # noqa: C901 - a list of cases
    """Marks all cases of one of the two packages."""

    def module(name: str) -> Any:
        return importlib.import_module(f"{package}.{name}")

    @asynccontextmanager
    async def connected(
        scene: Scene, client: str = "client", kind: str = "ApiClient", **how: Any
    ) -> AsyncIterator[Any]:
        configuration = module("client").Configuration()
        await module("config").load_kube_config(str(scene.kubeconfig), client_configuration=configuration)
        async with getattr(module(client), kind)(configuration, **how) as api:
            yield api

    @asynccontextmanager
    async def core(scene: Scene) -> AsyncIterator[Any]:
        async with connected(scene) as api:
            yield module("client").CoreV1Api(api)

    @plays(package, "create, read, delete")
    async def create(scene: Scene) -> None:
        async with core(scene) as api:
            assert (await api.create_namespaced_config_map(scene.namespace, config_map("one", a="1"))).metadata.uid
            assert (await api.read_namespaced_config_map("one", scene.namespace)).data == {"a": "1"}
            await api.delete_namespaced_config_map("one", scene.namespace)
            with pytest.raises(module("client").ApiException) as gone:
                await api.read_namespaced_config_map("one", scene.namespace)
            assert gone.value.status == 404

    @plays(package, "lists, selectors, pages", *MAPS)
    async def lists(scene: Scene) -> None:
        async with core(scene) as api:
            found = await api.list_namespaced_config_map(scene.namespace, label_selector="tier", limit=1)
            assert [item.metadata.name for item in found.items] == ["one"]
            rest = await api.list_namespaced_config_map(
                scene.namespace, label_selector="tier", limit=1, _continue=found.metadata._continue
            )
            assert [item.metadata.name for item in rest.items] == ["two"]

    @plays(package, "patches", *MAPS)
    async def patches(scene: Scene) -> None:
        async with core(scene) as api:
            patched = await api.patch_namespaced_config_map("one", scene.namespace, {"data": {"b": "2"}})
            assert patched.data == {"a": "1", "b": "2"}
            removed = await api.patch_namespaced_config_map(
                "one",
                scene.namespace,
                [{"op": "remove", "path": "/data/a"}],
                _content_type="application/json-patch+json",
            )
            assert removed.data == {"b": "2"}

    @plays(package, "conflict", *MAPS)
    async def conflict(scene: Scene) -> None:
        async with core(scene) as api:
            stale = await api.read_namespaced_config_map("one", scene.namespace)
            await api.patch_namespaced_config_map("one", scene.namespace, {"data": {"c": "3"}})
            with pytest.raises(module("client").ApiException) as conflict:
                await api.replace_namespaced_config_map("one", scene.namespace, stale)
            assert conflict.value.status == 409

    @plays(package, "server-side apply")
    async def apply(scene: Scene) -> None:
        async with core(scene) as api:
            applied = await api.patch_namespaced_config_map(
                "one",
                scene.namespace,
                config_map("one", a="1"),
                field_manager="ours",
                _content_type="application/apply-patch+yaml",
            )
            assert applied.metadata.managed_fields[0].operation == "Apply"

    @plays(package, "status and scale", *IDLE)
    async def status(scene: Scene) -> None:
        async with connected(scene) as api:
            apps = module("client").AppsV1Api(api)
            scaled = await apps.patch_namespaced_deployment_scale("web", scene.namespace, {"spec": {"replicas": 0}})
            assert scaled.spec.replicas == 0
            found = await apps.patch_namespaced_deployment_status(
                "web", scene.namespace, {"status": {"collisionCount": 1}}
            )
            assert found.spec.replicas == 0

    @plays(package, "watch", *MAPS)
    async def watch(scene: Scene) -> None:
        async with core(scene) as api, asyncio.timeout(30):
            seen = []
            async with module("watch").Watch() as watch:
                async for event in watch.stream(
                    api.list_namespaced_config_map, scene.namespace, label_selector="tier=gold", timeout_seconds=30
                ):
                    seen.append((event["type"], event["object"].metadata.name))
                    if len(seen) == 1:
                        await api.delete_namespaced_config_map("one", scene.namespace)
                    else:
                        break
            assert seen == [("ADDED", "one"), ("DELETED", "one")]

    @plays(package, "custom resources", *WIDGETS)
    async def custom(scene: Scene) -> None:
        async with connected(scene) as api:
            custom = module("client").CustomObjectsApi(api)
            place = (scene.fill(GROUP), "v1", scene.namespace, "widgets")
            made = await custom.create_namespaced_custom_object(*place, scene.fill(widget(GROUP, "w", size=2)))
            assert made["spec"] == {"size": 2, "colour": "red"}
            found = await custom.patch_namespaced_custom_object_status(
                *place, "w", {"status": {"ok": True}}, _content_type="application/merge-patch+json"
            )
            assert found["status"] == {"ok": True}
            await custom.delete_namespaced_custom_object(*place, "w")

    @plays(package, "discovery", *WIDGETS)
    async def dynamic(scene: Scene) -> None:
        async with connected(scene) as api:
            dynamic = await module("dynamic").DynamicClient(api)
            maps = await dynamic.resources.get(api_version="v1", kind="ConfigMap")
            await maps.create(body=config_map("one", a="1"), namespace=scene.namespace)
            assert (await maps.get(name="one", namespace=scene.namespace)).data.to_dict() == {"a": "1"}
            widgets = await dynamic.resources.get(api_version=f"{scene.fill(GROUP)}/v1", kind="Widget")
            made = await widgets.create(body=scene.fill(widget(GROUP, "w", size=2)), namespace=scene.namespace)
            assert made.spec.colour == "red"

    @plays(package, "leader election", why_not=BROKEN.get(package, ""))
    async def election(scene: Scene) -> None:
        async with connected(scene) as api:
            leads = asyncio.Event()

            async def started() -> None:
                leads.set()
                await asyncio.sleep(3600)

            async def stopped() -> None:
                return None

            lock = module("leaderelection.resourcelock.leaselock").LeaseLock("leader", scene.namespace, "me", api)
            config = module("leaderelection.electionconfig").Config(
                lock,
                lease_duration=17,
                renew_deadline=15,
                retry_period=5,
                onstarted_leading=started,
                onstopped_leading=stopped,
            )
            task = asyncio.create_task(module("leaderelection.leaderelection").LeaderElection(config).run())
            await asyncio.wait_for(leads.wait(), 20)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            lease = await module("client").CoordinationV1Api(api).read_namespaced_lease("leader", scene.namespace)
            assert lease.spec.holder_identity == "me"

    @plays(package, "logs", *RUNS)
    async def logs(scene: Scene) -> None:
        async with core(scene) as api:
            assert await api.read_namespaced_pod_log("web", scene.namespace) == "one\ntwo\n"
            assert await api.read_namespaced_pod_log("web", scene.namespace, tail_lines=1) == "two\n"

    @plays(package, "exec", *RUNS)
    async def execute(scene: Scene) -> None:
        async with connected(scene, "stream", "WsApiClient") as api:
            said = (
                await module("client")
                .CoreV1Api(api)
                .connect_get_namespaced_pod_exec(
                    "web",
                    scene.namespace,
                    command=["echo", "out"],
                    stderr=True,
                    stdin=False,
                    stdout=True,
                    tty=False,
                )
            )
            assert said == "out\n"

    @plays(package, "tokens and reviews")
    async def reviews(scene: Scene) -> None:
        async with connected(scene) as api:
            core = module("client").CoreV1Api(api)
            await core.create_namespaced_service_account(scene.namespace, {"metadata": {"name": "robot"}})
            request = {"spec": {"audiences": [], "expirationSeconds": 3600}}
            token = await core.create_namespaced_service_account_token("robot", scene.namespace, request)
            review = (
                await module("client")
                .AuthenticationV1Api(api)
                .create_token_review({"spec": {"token": token.status.token}})
            )
            assert review.status.user.username == f"system:serviceaccount:{scene.namespace}:robot"

    @plays(package, "refusals", *MAPS)
    async def refusals(scene: Scene) -> None:
        async with core(scene) as api:
            with pytest.raises(module("client").ApiException) as exists:
                await api.create_namespaced_config_map(scene.namespace, config_map("one"))
            assert exists.value.status == 409
            with pytest.raises(module("client").ApiException) as invalid:
                await api.create_namespaced_config_map(scene.namespace, {"metadata": {"name": "Not A Name"}})
            assert invalid.value.status == 422


of("kubernetes.aio")
of("kubernetes_asyncio")
