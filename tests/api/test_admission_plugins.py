"""The plugins that fill in: ServiceAccount, Priority, default classes, runtime classes, tolerations."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.kit import MERGE_PATCH, Api, pod, running

ROOT = "/api/v1/namespaces/default"
PODS = f"{ROOT}/pods"
CLASSES = "/apis/scheduling.k8s.io/v1/priorityclasses"
MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


async def account(api: Api, name: str, **fields: Any) -> None:
    await api("POST", f"{ROOT}/serviceaccounts", {"metadata": {"name": name, **fields.pop("metadata", {})}, **fields})


# ServiceAccount


async def test_every_pod_has_an_account_and_its_token() -> None:
    async with running() as api:
        spec = (await api("POST", PODS, pod("p")))["spec"]
        assert (spec["serviceAccountName"], spec["serviceAccount"]) == ("default", "default")
        (volume,) = spec["volumes"]
        assert volume["name"].startswith("kube-api-access-")
        assert volume["projected"] == {
            "sources": [
                {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                {"configMap": {"items": [{"key": "ca.crt", "path": "ca.crt"}], "name": "kube-root-ca.crt"}},
                {
                    "downwardAPI": {
                        "items": [
                            {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}, "path": "namespace"}
                        ]
                    }
                },
            ],
            "defaultMode": 420,
        }
        assert spec["containers"][0]["volumeMounts"] == [{"name": volume["name"], "readOnly": True, "mountPath": MOUNT}]


@pytest.mark.parametrize(
    ("of_account", "of_pod", "mounted"),
    [(None, None, True), (None, False, False), (False, None, False), (False, True, True), (True, False, False)],
)
async def test_who_wants_no_token_gets_none(of_account: bool | None, of_pod: bool | None, mounted: bool) -> None:
    async with running() as api:
        await account(api, "me", **({} if of_account is None else {"automountServiceAccountToken": of_account}))
        more = {} if of_pod is None else {"automountServiceAccountToken": of_pod}
        spec = (await api("POST", PODS, pod("p", serviceAccountName="me", **more)))["spec"]
        assert bool(spec.get("volumes")) is mounted
        assert bool(spec["containers"][0].get("volumeMounts")) is mounted


async def test_an_account_must_be_there_but_the_default_one() -> None:
    async with running() as api:
        refused = await api("POST", PODS, pod("p", serviceAccountName="nobody"), want=403)
        assert refused["message"] == (
            'pods "p" is forbidden: error looking up service account default/nobody: serviceaccount "nobody" not found'
        )


async def test_what_is_mounted_at_the_tokens_place_stays() -> None:
    async with running() as api:
        obj = pod("p", volumes=[{"name": "mine", "emptyDir": {}}])
        obj["spec"]["containers"][0]["volumeMounts"] = [{"name": "mine", "mountPath": MOUNT}]
        spec = (await api("POST", PODS, obj))["spec"]
        assert [volume["name"] for volume in spec["volumes"]] == ["mine"]


async def test_pull_secrets_and_limits_of_an_account() -> None:
    async with running() as api:
        await account(
            api,
            "me",
            metadata={"annotations": {"kubernetes.io/enforce-mountable-secrets": "true"}},
            secrets=[{"name": "known"}],
            imagePullSecrets=[{"name": "pull"}],
        )
        spec = (await api("POST", PODS, pod("p", serviceAccountName="me")))["spec"]
        assert spec["imagePullSecrets"] == [{"name": "pull"}]

        def using(secret: str) -> Any:
            obj = pod("q", serviceAccountName="me")
            reference = {"secretKeyRef": {"name": secret, "key": "k"}}
            obj["spec"]["containers"][0]["env"] = [{"name": "X", "valueFrom": reference}]
            return obj

        await api("POST", PODS, using("known"))
        obj = using("other")
        obj["metadata"]["name"] = "r"
        refused = await api("POST", PODS, obj, want=403)
        assert 'container main with envVar X referencing secret.secretName="other" is not allowed' in refused["message"]


# Priority


async def test_priorities() -> None:
    async with running() as api:
        assert (await api("GET", f"{CLASSES}/system-node-critical"))["value"] == 2000001000
        spec = (await api("POST", PODS, pod("plain")))["spec"]
        assert (spec["priority"], spec["preemptionPolicy"]) == (0, "PreemptLowerPriority")
        await api("POST", CLASSES, {"metadata": {"name": "high"}, "value": 7, "preemptionPolicy": "Never"})
        spec = (await api("POST", PODS, pod("high", priorityClassName="high")))["spec"]
        assert (spec["priority"], spec["preemptionPolicy"]) == (7, "Never")
        refused = await api("POST", PODS, pod("none", priorityClassName="none"), want=403)
        assert "no PriorityClass with name none was found" in refused["message"]
        refused = await api("POST", PODS, pod("lies", priorityClassName="high", priority=8), want=403)
        assert "the integer value of priority (8) must not be provided in pod spec" in refused["message"]


async def test_the_default_priority_class() -> None:
    async with running() as api:
        await api("POST", CLASSES, {"metadata": {"name": "usual"}, "value": 3, "globalDefault": True})
        spec = (await api("POST", PODS, pod("p")))["spec"]
        assert (spec["priorityClassName"], spec["priority"]) == ("usual", 3)
        second = {"metadata": {"name": "more"}, "value": 4, "globalDefault": True}
        refused = await api("POST", CLASSES, second, want=403)
        assert "PriorityClass usual is already marked as default. Only one default can exist" in refused["message"]


# Tolerations, classes


async def test_tolerations_of_a_lost_node() -> None:
    async with running() as api:
        spec = (await api("POST", PODS, pod("p")))["spec"]
        assert [(t["key"], t["effect"], t["tolerationSeconds"]) for t in spec["tolerations"]] == [
            ("node.kubernetes.io/not-ready", "NoExecute", 300),
            ("node.kubernetes.io/unreachable", "NoExecute", 300),
        ]
        own = [
            {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 1}
        ]
        spec = (await api("POST", PODS, pod("q", tolerations=own)))["spec"]
        assert [t["tolerationSeconds"] for t in spec["tolerations"]] == [1, 300]
        spec = (await api("POST", PODS, pod("r", tolerations=[{"operator": "Exists"}])))["spec"]
        assert spec["tolerations"] == [{"operator": "Exists"}]


async def test_the_default_storage_class() -> None:
    async with running() as api:
        classes, claims = "/apis/storage.k8s.io/v1/storageclasses", f"{ROOT}/persistentvolumeclaims"
        mark = {"storageclass.kubernetes.io/is-default-class": "true"}
        for name, notes in (("plain", {}), ("usual", mark)):
            await api("POST", classes, {"metadata": {"name": name, "annotations": notes}, "provisioner": "x/y"})
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        made = await api("POST", claims, {"metadata": {"name": "a"}, "spec": spec})
        assert made["spec"]["storageClassName"] == "usual"
        made = await api("POST", claims, {"metadata": {"name": "b"}, "spec": {**spec, "storageClassName": "plain"}})
        assert made["spec"]["storageClassName"] == "plain"
        made = await api("POST", claims, {"metadata": {"name": "c"}, "spec": {**spec, "storageClassName": ""}})
        assert made["spec"]["storageClassName"] == ""


async def test_a_claim_grows_only_where_its_class_lets_it() -> None:
    async with running() as api:
        classes, claims = "/apis/storage.k8s.io/v1/storageclasses", f"{ROOT}/persistentvolumeclaims"
        for name, grows in (("stiff", False), ("soft", True)):
            await api(
                "POST", classes, {"metadata": {"name": name}, "provisioner": "x/y", "allowVolumeExpansion": grows}
            )
            wanted = {"requests": {"storage": "1Gi"}}
            spec = {"accessModes": ["ReadWriteOnce"], "resources": wanted, "storageClassName": name, "volumeName": "v"}
            await api("POST", claims, {"metadata": {"name": name}, "spec": spec})
            await api("PATCH", f"{claims}/{name}/status", {"status": {"phase": "Bound"}}, type=MERGE_PATCH)
        more = {"spec": {"resources": {"requests": {"storage": "2Gi"}}}}
        refused = await api("PATCH", f"{claims}/stiff", more, type=MERGE_PATCH, want=403)
        assert "the storageclass that provisions the pvc must support resize" in refused["message"]
        await api("PATCH", f"{claims}/soft", more, type=MERGE_PATCH)


async def test_the_default_ingress_class() -> None:
    async with running() as api:
        networking = "/apis/networking.k8s.io/v1"
        notes = {"ingressclass.kubernetes.io/is-default-class": "true"}
        body = {"metadata": {"name": "usual", "annotations": notes}, "spec": {"controller": "a.b/c"}}
        await api("POST", f"{networking}/ingressclasses", body)
        backend = {"service": {"name": "s", "port": {"number": 80}}}
        body = {"metadata": {"name": "i"}, "spec": {"defaultBackend": backend}}
        made = await api("POST", f"{networking}/namespaces/default/ingresses", body)
        assert made["spec"]["ingressClassName"] == "usual"


async def test_runtime_classes() -> None:
    async with running() as api:
        refused = await api("POST", PODS, pod("p", runtimeClassName="none"), want=403)
        assert 'pod rejected: RuntimeClass "none" not found' in refused["message"]
        body = {
            "metadata": {"name": "slow"},
            "handler": "slow",
            "overhead": {"podFixed": {"cpu": "10m"}},
            "scheduling": {"nodeSelector": {"kind": "slow"}, "tolerations": [{"key": "slow", "operator": "Exists"}]},
        }
        await api("POST", "/apis/node.k8s.io/v1/runtimeclasses", body)
        spec = (await api("POST", PODS, pod("p", runtimeClassName="slow")))["spec"]
        assert spec["overhead"] == {"cpu": "10m"}
        assert spec["nodeSelector"] == {"kind": "slow"}
        assert {"key": "slow", "operator": "Exists"} in spec["tolerations"]
        refused = await api("POST", PODS, pod("q", runtimeClassName="slow", nodeSelector={"kind": "fast"}), want=403)
        assert "conflict: runtimeClass.scheduling.nodeSelector[kind] = slow" in refused["message"]
        refused = await api("POST", PODS, pod("q", overhead={"cpu": "1"}), want=403)
        assert "Pod Overhead set without corresponding RuntimeClass" in refused["message"]
