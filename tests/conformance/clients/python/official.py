"""`kubernetes`, the official client: typed, dynamic, watch, stream, informer, leader election."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.conformance.clients.objects import config_map, widget
from tests.conformance.clients.python.cases import GROUP, IDLE, MAPS, RUNS, SERVES, WIDGETS, plays
from tests.conformance.clients.scene import Scene

ME = "kubernetes"


@contextmanager
def connected(scene: Scene) -> Iterator[Any]:
    import kubernetes

    with kubernetes.config.new_client_from_config(str(scene.kubeconfig)) as api:
        yield api


@contextmanager
def core(scene: Scene) -> Iterator[Any]:
    import kubernetes

    with connected(scene) as api:
        yield kubernetes.client.CoreV1Api(api)


@plays(ME, "create, read, delete")
def create(scene: Scene) -> None:
    from kubernetes.client import V1ConfigMap, V1ObjectMeta
    from kubernetes.client.rest import ApiException

    with core(scene) as api:
        made = api.create_namespaced_config_map(
            scene.namespace, V1ConfigMap(metadata=V1ObjectMeta(name="one"), data={"a": "1"})
        )
        assert made.metadata.uid
        assert api.read_namespaced_config_map("one", scene.namespace).data == {"a": "1"}
        api.delete_namespaced_config_map("one", scene.namespace)
        with pytest.raises(ApiException) as gone:
            api.read_namespaced_config_map("one", scene.namespace)
        assert gone.value.status == 404


@plays(ME, "lists, selectors, pages", *MAPS)
def lists(scene: Scene) -> None:
    with core(scene) as api:
        found = api.list_namespaced_config_map(scene.namespace, label_selector="tier in (gold, iron)", limit=1)
        assert [item.metadata.name for item in found.items] == ["one"]
        rest = api.list_namespaced_config_map(
            scene.namespace, label_selector="tier in (gold, iron)", limit=1, _continue=found.metadata._continue
        )
        assert [item.metadata.name for item in rest.items] == ["two"]
        by_field = api.list_config_map_for_all_namespaces(field_selector=f"metadata.namespace={scene.namespace}")
        assert {"one", "two"} <= {item.metadata.name for item in by_field.items}


@plays(ME, "patches", *MAPS)
def patches(scene: Scene) -> None:
    from kubernetes.client.rest import ApiException

    with core(scene) as api:
        patched = api.patch_namespaced_config_map("one", scene.namespace, {"data": {"b": "2"}})
        assert patched.data == {"a": "1", "b": "2"}
        operations = [{"op": "test", "path": "/data/a", "value": "9"}, {"op": "remove", "path": "/data/a"}]
        with pytest.raises(ApiException) as refused:
            api.patch_namespaced_config_map("one", scene.namespace, operations)
        assert refused.value.status == 422
        operations[0]["value"] = "1"
        assert api.patch_namespaced_config_map("one", scene.namespace, operations).data == {"b": "2"}


@plays(ME, "conflict", *MAPS)
def conflict(scene: Scene) -> None:
    from kubernetes.client.rest import ApiException

    with core(scene) as api:
        stale = api.read_namespaced_config_map("one", scene.namespace)
        api.patch_namespaced_config_map("one", scene.namespace, {"data": {"c": "3"}})
        with pytest.raises(ApiException) as conflict:
            api.replace_namespaced_config_map("one", scene.namespace, stale)
        assert conflict.value.status == 409
        fresh = api.read_namespaced_config_map("one", scene.namespace)
        fresh.data["c"] = "4"
        assert api.replace_namespaced_config_map("one", scene.namespace, fresh).data["c"] == "4"


@plays(ME, "server-side apply")
def apply(scene: Scene) -> None:
    from kubernetes.client.rest import ApiException

    with core(scene) as api:
        how = {"_content_type": "application/apply-patch+yaml"}
        api.patch_namespaced_config_map("one", scene.namespace, config_map("one", a="1"), field_manager="ours", **how)
        with pytest.raises(ApiException) as conflict:
            api.patch_namespaced_config_map(
                "one", scene.namespace, config_map("one", a="2"), field_manager="theirs", **how
            )
        assert conflict.value.status == 409
        taken = api.patch_namespaced_config_map(
            "one", scene.namespace, config_map("one", a="2"), field_manager="theirs", force=True, **how
        )
        assert taken.data == {"a": "2"}


@plays(ME, "status and scale", *IDLE)
def status(scene: Scene) -> None:
    import kubernetes

    with connected(scene) as api:
        apps = kubernetes.client.AppsV1Api(api)
        scaled = apps.patch_namespaced_deployment_scale("web", scene.namespace, {"spec": {"replicas": 0}})
        assert scaled.spec.replicas == 0
        assert apps.read_namespaced_deployment_scale("web", scene.namespace).status.selector == "app=web"
        found = apps.patch_namespaced_deployment_status("web", scene.namespace, {"status": {"collisionCount": 1}})
        assert found.spec.replicas == 0
        assert apps.read_namespaced_deployment_status("web", scene.namespace).status.observed_generation >= 1


@plays(ME, "watch", *MAPS)
def watch(scene: Scene) -> None:
    """What is there, a change, its end; each made when the one before has arrived."""
    import kubernetes

    with core(scene) as api:
        watch, seen = kubernetes.watch.Watch(), []
        stream = watch.stream(
            api.list_namespaced_config_map, scene.namespace, label_selector="tier=gold", timeout_seconds=30
        )
        for event in stream:
            seen.append((event["type"], event["object"].metadata.name))
            if len(seen) == 1:
                api.patch_namespaced_config_map("one", scene.namespace, {"data": {"d": "4"}})
            elif len(seen) == 2:
                api.delete_namespaced_config_map("one", scene.namespace)
            else:
                watch.stop()
        assert seen == [("ADDED", "one"), ("MODIFIED", "one"), ("DELETED", "one")]


@plays(ME, "custom resources", *WIDGETS)
def custom(scene: Scene) -> None:
    import kubernetes

    with connected(scene) as api:
        custom = kubernetes.client.CustomObjectsApi(api)
        place = (scene.fill(GROUP), "v1", scene.namespace, "widgets")
        made = custom.create_namespaced_custom_object(*place, scene.fill(widget(GROUP, "w", size=2)))
        assert made["spec"] == {"size": 2, "colour": "red"}
        changed = custom.patch_namespaced_custom_object(*place, "w", {"spec": {"size": 5}})
        assert (changed["spec"]["size"], changed["metadata"]["generation"]) == (5, 2)
        found = custom.patch_namespaced_custom_object_status(*place, "w", {"status": {"ok": True}, "spec": {"size": 9}})
        assert (found["status"], found["spec"]["size"]) == ({"ok": True}, 5)
        scaled = custom.patch_namespaced_custom_object_scale(*place, "w", {"spec": {"replicas": 7}})
        assert scaled["spec"]["replicas"] == 7
        custom.delete_namespaced_custom_object(*place, "w")


@plays(ME, "discovery", *WIDGETS)
def dynamic(scene: Scene) -> None:
    import kubernetes

    with connected(scene) as api:
        dynamic = kubernetes.dynamic.DynamicClient(api)
        maps = dynamic.resources.get(api_version="v1", kind="ConfigMap")
        maps.create(body=config_map("one", a="1"), namespace=scene.namespace)
        maps.server_side_apply(body=config_map("one", b="2"), namespace=scene.namespace, field_manager="ours")
        assert maps.get(name="one", namespace=scene.namespace).data.to_dict() == {"a": "1", "b": "2"}
        widgets = dynamic.resources.get(api_version=f"{scene.fill(GROUP)}/v1", kind="Widget")
        made = widgets.create(body=scene.fill(widget(GROUP, "w", size=2)), namespace=scene.namespace)
        assert made.spec.colour == "red"
        assert [item.metadata.name for item in widgets.get(namespace=scene.namespace).items] == ["w"]


@plays(ME, "informer", *MAPS)
def informer(scene: Scene) -> None:
    from kubernetes.informer import ADDED, DELETED, SharedInformer

    with core(scene) as api:
        seen: dict[str, threading.Event] = {
            "one": threading.Event(),
            "new": threading.Event(),
            "gone": threading.Event(),
        }
        informer = SharedInformer(api.list_namespaced_config_map, namespace=scene.namespace)
        informer.add_event_handler(ADDED, lambda obj: seen.get(obj.metadata.name, threading.Event()).set())
        informer.add_event_handler(DELETED, lambda obj: obj.metadata.name == "two" and seen["gone"].set())
        informer.start()
        try:
            assert seen["one"].wait(20)
            api.create_namespaced_config_map(scene.namespace, config_map("new"))
            assert seen["new"].wait(20)
            api.delete_namespaced_config_map("two", scene.namespace)
            assert seen["gone"].wait(20)
            assert {"one", "new"} <= {obj.metadata.name for obj in informer.cache.list()}
        finally:
            # Its stop() waits for the end of a watch that nothing ends: one more event does.
            threading.Thread(target=informer.stop, daemon=True).start()
            api.create_namespaced_config_map(scene.namespace, config_map("last"))


@plays(ME, "leader election")
def election(scene: Scene) -> None:
    import kubernetes
    from kubernetes.leaderelection import electionconfig, leaderelection
    from kubernetes.leaderelection.resourcelock.leaselock import LeaseLock

    leads = threading.Event()
    kubernetes.config.load_kube_config(str(scene.kubeconfig))
    config = electionconfig.Config(
        LeaseLock("leader", scene.namespace, "me"),
        lease_duration=17,
        renew_deadline=15,
        retry_period=5,
        onstarted_leading=leads.set,
        onstopped_leading=lambda: None,
    )
    threading.Thread(target=leaderelection.LeaderElection(config).run, daemon=True).start()
    assert leads.wait(20)
    with connected(scene) as api:
        lease = kubernetes.client.CoordinationV1Api(api).read_namespaced_lease("leader", scene.namespace)
        assert lease.spec.holder_identity == "me"
        kubernetes.client.CoordinationV1Api(api).delete_namespaced_lease("leader", scene.namespace)


@plays(ME, "logs", *RUNS)
def logs(scene: Scene) -> None:
    import kubernetes

    with core(scene) as api:
        assert api.read_namespaced_pod_log("web", scene.namespace) == "one\ntwo\n"
        assert api.read_namespaced_pod_log("web", scene.namespace, tail_lines=1) == "two\n"
        lines = kubernetes.watch.Watch().stream(api.read_namespaced_pod_log, "web", scene.namespace, follow=True)
        assert next(lines) == "one"


@plays(ME, "exec", *RUNS)
def execute(scene: Scene) -> None:
    from kubernetes.stream import stream

    with core(scene) as api:
        how = {"stderr": True, "stdin": False, "stdout": True, "tty": False}
        said = stream(api.connect_get_namespaced_pod_exec, "web", scene.namespace, command=["echo", "out"], **how)
        assert said == "out\n"
        shell = stream(
            api.connect_get_namespaced_pod_exec,
            "web",
            scene.namespace,
            command=["sh", "-c", "read x; echo got $x; read y; exit 7"],
            **{**how, "stdin": True},
            _preload_content=False,
        )
        shell.write_stdin("word\n")
        assert shell.readline_stdout(timeout=20) == "got word"
        shell.write_stdin("end\n")
        shell.run_forever(timeout=20)
        assert shell.returncode == 7


@plays(ME, "port-forward", *SERVES)
def forward(scene: Scene) -> None:
    from kubernetes.stream import portforward

    with core(scene) as api:
        forwarded = portforward(api.connect_get_namespaced_pod_portforward, "web", scene.namespace, ports="8080")
        socket = forwarded.socket(8080)
        socket.setblocking(True)
        socket.settimeout(20)
        socket.sendall(b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n")
        answer = b""
        until = time.monotonic() + 20
        while not answer.endswith(b"hello\n") and time.monotonic() < until:
            answer += socket.recv(4096)
        assert answer.startswith(b"HTTP/1.0 200")
        socket.close()
        assert forwarded.error(8080) is None


@plays(ME, "tokens and reviews")
def reviews(scene: Scene) -> None:
    import kubernetes

    with connected(scene) as api:
        core = kubernetes.client.CoreV1Api(api)
        core.create_namespaced_service_account(scene.namespace, {"metadata": {"name": "robot"}})
        request = kubernetes.client.AuthenticationV1TokenRequest(
            spec=kubernetes.client.V1TokenRequestSpec(audiences=[], expiration_seconds=3600)
        )
        token = core.create_namespaced_service_account_token("robot", scene.namespace, request).status.token
        review = kubernetes.client.AuthenticationV1Api(api).create_token_review({"spec": {"token": token}})
        assert review.status.authenticated
        assert review.status.user.username == f"system:serviceaccount:{scene.namespace}:robot"
        asked = {"spec": {"resourceAttributes": {"namespace": scene.namespace, "verb": "get", "resource": "pods"}}}
        access = kubernetes.client.AuthorizationV1Api(api).create_self_subject_access_review(asked)
        assert access.status.allowed


@plays(ME, "refusals", *MAPS)
def refusals(scene: Scene) -> None:
    from kubernetes.client.rest import ApiException

    with core(scene) as api:
        with pytest.raises(ApiException) as exists:
            api.create_namespaced_config_map(scene.namespace, config_map("one"))
        assert (exists.value.status, exists.value.reason) == (409, "Conflict")
        with pytest.raises(ApiException) as invalid:
            api.create_namespaced_config_map(scene.namespace, {"metadata": {"name": "Not A Name"}})
        assert invalid.value.status == 422
        assert "a lowercase RFC 1123 subdomain must consist of" in invalid.value.body
