"""Kinds whose behaviour is a life: created, read, patched, listed, updated, deleted, made again, deleted with others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.conformance.kubernetes.client import STRATEGIC, Collection, Kube, Object, refused, unique
from tests.conformance.kubernetes.marker import behaviour
from tests.conformance.kubernetes.objects import IMAGE, config_map, pod_spec, secret, template
from tests.conformance.kubernetes.walk import includes

STORAGE = "storage.k8s.io/v1"


@dataclass(frozen=True)
class Life:
    api_version: str
    kind: str
    plural: str
    body: Callable[[], Object]
    namespaced: bool = False

    def object(self, name: str, **labels: str) -> Object:
        metadata = {"name": name, **({"labels": labels} if labels else {})}
        return {"apiVersion": self.api_version, "kind": self.kind, "metadata": metadata, **self.body()}


def attachment() -> Object:
    return {"spec": {"attacher": "example.com", "nodeName": "no-such", "source": {"persistentVolumeName": "no-such"}}}


LIVES = [
    (
        behaviour("CSINode, lifecycle"),
        Life(STORAGE, "CSINode", "csinodes", lambda: {"spec": {"drivers": [{"name": "e2e", "nodeID": "n"}]}}),
    ),
    (
        behaviour("StorageClass, lifecycle"),
        Life(STORAGE, "StorageClass", "storageclasses", lambda: {"provisioner": "e2e-fake-provisioner"}),
    ),
    (
        behaviour("VolumeAttributesClass, lifecycle"),
        Life(
            STORAGE,
            "VolumeAttributesClass",
            "volumeattributesclasses",
            lambda: {"driverName": "e2e-fake-driver", "parameters": {"iops": "100"}},
        ),
    ),
    (behaviour("VolumeAttachment, lifecycle"), Life(STORAGE, "VolumeAttachment", "volumeattachments", attachment)),
    (
        behaviour("CSIDriver, lifecycle"),
        Life(STORAGE, "CSIDriver", "csidrivers", lambda: {"spec": {"attachRequired": False, "podInfoOnMount": True}}),
    ),
    (behaviour("Node, resource lifecycle"), Life("v1", "Node", "nodes", lambda: {"spec": {"unschedulable": True}})),
    (
        behaviour("CSIInlineVolumes should support Pods with inline volumes"),
        Life(
            "v1",
            "Pod",
            "pods",
            lambda: {
                "spec": pod_spec(
                    automountServiceAccountToken=False,
                    volumes=[{"name": "inline", "csi": {"driver": "e2e.example.com", "readOnly": True}}],
                )
            },
            True,
        ),
    ),
    (
        behaviour("PodTemplate lifecycle"),
        Life("v1", "PodTemplate", "podtemplates", lambda: {"template": template({"a": "b"})}, True),
    ),
    (
        behaviour("lease API should be available"),
        Life(
            "coordination.k8s.io/v1",
            "Lease",
            "leases",
            lambda: {
                "spec": {
                    "holderIdentity": "holder",
                    "leaseDurationSeconds": 30,
                    "acquireTime": "2026-01-01T00:00:00.123456Z",
                    "renewTime": "2026-01-01T00:00:05.000001Z",
                    "leaseTransitions": 0,
                }
            },
            True,
        ),
    ),
]


async def label(objects: Collection, name: str, **labels: str) -> None:
    """Patched in, and there afterwards."""
    patched = await objects.patch(name, {"metadata": {"labels": labels}}, type=STRATEGIC)
    assert patched["metadata"]["labels"].items() >= labels.items()
    assert (await objects.get(name))["metadata"]["labels"].items() >= labels.items()


async def relabel(objects: Collection, name: str, **labels: str) -> None:
    """Updated in, and there afterwards."""

    def change(obj: Object) -> None:
        obj["metadata"].setdefault("labels", {}).update(labels)

    await objects.change(name, change)
    assert (await objects.get(name))["metadata"]["labels"].items() >= labels.items()


@pytest.mark.parametrize("life", [pytest.param(life, marks=mark, id=life.plural) for mark, life in LIVES])
async def test_a_life(kube: Kube, namespace: str, life: Life) -> None:
    objects = kube.of(life.api_version, life.plural, namespace if life.namespaced else "")
    first, second = unique("life"), unique("life")
    sent = life.object(first)
    made = await objects.create(sent)
    includes(made, sent)
    found = await objects.get(first)
    assert found["metadata"]["uid"] == made["metadata"]["uid"]
    await label(objects, first, **{first: "patched"})
    assert await objects.names(f"{first}=patched") == [first]
    assert await objects.everywhere().names(f"{first}=patched") == [first]
    await objects.delete(first, gracePeriodSeconds=0)
    await objects.until_gone(first)
    again = await objects.create(life.object(first))
    assert again["metadata"]["uid"] != made["metadata"]["uid"]
    await relabel(objects, first, **{first: "updated"})
    await objects.create(life.object(second))
    await objects.delete_all(f"{first}=updated", gracePeriodSeconds=0)
    await objects.until_gone(first)
    assert (await objects.get(second))["metadata"]["name"] == second
    await objects.delete(second, gracePeriodSeconds=0)


@behaviour("VolumeAttachment, apply changes to a volumeattachment status")
async def test_whether_a_volume_is_attached_is_told_by_its_status(kube: Kube) -> None:
    attachments = kube.of(STORAGE, "volumeattachments")
    name = unique("attachment")
    await attachments.create(Life(STORAGE, "VolumeAttachment", "volumeattachments", attachment).object(name))
    await label(attachments, name, **{name: "patched"})
    assert (await attachments.get(name, "status"))["status"]["attached"] is False
    await attachments.patch(name, {"status": {"attached": True}}, "status")
    assert (await attachments.get(name))["status"]["attached"] is True

    def detached(obj: Object) -> None:
        obj["status"]["attached"] = False

    await attachments.change(name, detached, "status")
    assert (await attachments.get(name))["status"]["attached"] is False
    await attachments.delete(name)
    await attachments.until_gone(name)


def volume(name: str, **labels: str) -> Object:
    spec = {
        "capacity": {"storage": "1Mi"},
        "accessModes": ["ReadWriteOnce"],
        "hostPath": {"path": "/var/no-such"},
        "storageClassName": name,
        "volumeMode": "Filesystem",
    }
    metadata = {"name": name, "labels": labels}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": metadata, "spec": spec}


def claim(name: str, **labels: str) -> Object:
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Mi"}},
        "storageClassName": f"none-{name}",
        "volumeName": "no-such-volume",
    }
    metadata = {"name": name, "labels": labels}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


@behaviour("PersistentVolumes(Claims), lifecycle")
async def test_the_life_of_a_volume_and_of_a_claim(kube: Kube, namespace: str) -> None:
    volumes, claims = kube.of("v1", "persistentvolumes"), kube.of("v1", "persistentvolumeclaims", namespace)
    pv = unique("pv")
    for objects, make, name in ((volumes, volume, pv), (claims, claim, "pvc")):
        made = await objects.create(make(name, life=pv))
        assert await objects.names(f"life={pv}") == [name]
        await label(objects, name, patched=pv)
        assert (await objects.get(name))["metadata"]["uid"] == made["metadata"]["uid"]
        await objects.delete(name)
        await objects.until_gone(name)
        again = await objects.create(make(name, life=pv))
        assert again["metadata"]["uid"] != made["metadata"]["uid"]
        await relabel(objects, name, updated=pv)
        await objects.delete_all(f"updated={pv}")
        await objects.until_gone(name)


@behaviour("PersistentVolumes(Claims), apply changes to a pv/pvc status")
async def test_the_status_of_a_volume_and_of_a_claim(kube: Kube, namespace: str) -> None:
    volumes, claims = kube.of("v1", "persistentvolumes"), kube.of("v1", "persistentvolumeclaims", namespace)
    pv = unique("pv")
    await volumes.create(volume(pv, status=pv))
    await claims.create(claim("pvc"))
    assert await volumes.names(f"status={pv}") == [pv]
    assert await claims.names() == ["pvc"]
    assert (await volumes.get(pv, "status"))["status"].get("phase") in ("Available", "Bound", "Pending")
    assert (await claims.get("pvc", "status"))["status"]["phase"] in ("Bound", "Pending")
    told = {"type": "StatusPatched", "status": "True", "reason": "E2E patchedStatus", "message": "Set by a test"}
    patched = await claims.patch("pvc", {"status": {"conditions": [told]}}, "status")
    assert patched["status"]["conditions"][0]["reason"] == "E2E patchedStatus"
    patched = await volumes.patch(pv, {"status": {"reason": "patched", "message": "by a test"}}, "status")
    assert (patched["status"]["reason"], patched["status"]["message"]) == ("patched", "by a test")

    def more(obj: Object) -> None:
        obj["status"]["conditions"] = [{**told, "type": "StatusUpdated"}]

    def other(obj: Object) -> None:
        obj["status"].update(reason="updated", message="by a test again")

    await claims.change("pvc", more, "status")
    assert (await claims.get("pvc"))["status"]["conditions"][0]["type"] == "StatusUpdated"
    await volumes.change(pv, other, "status")
    assert (await volumes.get(pv))["status"]["reason"] == "updated"


@behaviour("PodTemplate, replace")
async def test_a_replaced_template_is_the_new_one(kube: Kube, namespace: str) -> None:
    templates = kube.of("v1", "podtemplates", namespace)
    await templates.create(
        {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "t"}, "template": template({"a": "b"})}
    )

    def annotate(obj: Object) -> None:
        obj["metadata"]["annotations"] = {"updated": "true"}

    assert (await templates.change("t", annotate))["metadata"]["annotations"] == {"updated": "true"}
    assert (await templates.get("t"))["template"]["spec"]["containers"][0]["image"] == IMAGE


@behaviour("PodTemplate, delete a collection")
async def test_templates_are_deleted_by_label(kube: Kube, namespace: str) -> None:
    templates = kube.of("v1", "podtemplates", namespace)
    for name in ("one", "two", "three"):
        metadata = {"name": name, "labels": {"set": "mine"}}
        await templates.create(
            {"apiVersion": "v1", "kind": "PodTemplate", "metadata": metadata, "template": template({"a": "b"})}
        )
    assert await templates.names("set=mine") == ["one", "three", "two"]
    await templates.delete_all("set=mine")
    assert await templates.names("set=mine") == []


@behaviour("ConfigMap lifecycle")
async def test_the_life_of_a_config_map(kube: Kube, namespace: str) -> None:
    maps = kube.of("v1", "configmaps", namespace)
    async with maps.watching(f"life={namespace}") as watch:
        await maps.create(config_map("m", {"valueName": "value"}, {"life": namespace}))
        assert (await watch.next()).type == "ADDED"
        await maps.patch(
            "m", {"metadata": {"labels": {"test": "patched"}}, "data": {"valueName": "value1"}}, type=STRATEGIC
        )
        assert (await watch.next()).type == "MODIFIED"
        found = await maps.get("m")
        assert found["data"] == {"valueName": "value1"}
        assert found["metadata"]["labels"]["test"] == "patched"
        (listed,) = await maps.everywhere().items(f"life={namespace}")
        assert listed["data"] == {"valueName": "value1"}
        await maps.delete_all(f"life={namespace}")
        assert (await watch.next()).type == "DELETED"
    assert await maps.names(f"life={namespace}") == []


@behaviour("ConfigMap Update")
async def test_an_updated_config_map_is_what_is_read(kube: Kube, namespace: str) -> None:
    maps = kube.of("v1", "configmaps", namespace)
    made = await maps.create(config_map("m"))
    made["data"] = {"data": "value"}
    await maps.update(made)
    assert (await maps.get("m"))["data"] == {"data": "value"}


@behaviour("Secret patching")
async def test_the_life_of_a_secret(kube: Kube, namespace: str) -> None:
    secrets = kube.of("v1", "secrets", namespace)
    labels = {"testsecret-constant": namespace}
    await secrets.create(secret("s", {"key": "dmFsdWU="}, labels, type="Opaque"))
    assert await secrets.everywhere().names(f"testsecret-constant={namespace}") == ["s"]
    patch = {"metadata": {"labels": {"testsecret": "true"}}, "data": {"key": "dmFsdWUx"}}
    await secrets.patch("s", patch, type=STRATEGIC)
    found = await secrets.get("s")
    assert found["data"]["key"] == "dmFsdWUx"
    assert found["metadata"]["labels"] == {**labels, "testsecret": "true"}
    await secrets.delete_all(f"testsecret-constant={namespace}")
    assert await secrets.everywhere().names(f"testsecret-constant={namespace}") == []


@behaviour("ConfigMap, with empty-key")
async def test_a_config_map_has_no_empty_key(kube: Kube, namespace: str) -> None:
    with refused(422, "Invalid") as told:
        await kube.of("v1", "configmaps", namespace).create(config_map("m", {"": "value"}))
    assert told[0].causes[0]["field"].startswith("data")


@behaviour("Secrets, with empty-key")
async def test_a_secret_has_no_empty_key(kube: Kube, namespace: str) -> None:
    with refused(422, "Invalid") as told:
        await kube.of("v1", "secrets", namespace).create(secret("s", {"": "dmFsdWU="}))
    assert told[0].causes[0]["field"].startswith("data")


async def immutable(objects: Collection, made: Object, value: str) -> None:
    """Until it is marked, anything may change; from then on nothing but metadata, and the mark stays."""
    name = made["metadata"]["name"]
    await objects.create(made)
    await objects.patch(name, {"data": {"data-4": value}})
    await objects.patch(name, {"immutable": True})
    for change in ({"immutable": None}, {"data": {"data-5": value}}, {"data": {"data-4": None}}):
        with refused(422, "Invalid"):
            await objects.patch(name, change)
    with refused(422, "Invalid"):
        await objects.change(name, lambda obj: obj.update(immutable=False))
    await label(objects, name, still="free")
    assert (await objects.get(name))["data"]["data-4"] == value
    await objects.delete(name)
    await objects.until_gone(name)


@behaviour("ConfigMap Volume, immutability")
async def test_an_immutable_config_map(kube: Kube, namespace: str) -> None:
    await immutable(kube.of("v1", "configmaps", namespace), config_map("m", {"data-1": "value-1"}), "value-4")


@behaviour("Secrets Volume, immutability")
async def test_an_immutable_secret(kube: Kube, namespace: str) -> None:
    await immutable(kube.of("v1", "secrets", namespace), secret("s", {"data-1": "dmFsdWU="}), "dmFsdWUtNA==")
