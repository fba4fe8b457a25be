"""Debian's kubectl, unmodified."""

from __future__ import annotations

import asyncio
import copy
import json

import pytest

from styr.kinds.errors import NotFound
from styr.kinds.resources import CONFIG_MAP, CRD, POD, Resource
from tests.api.kit import Api
from tests.api.table_objects import OBJECTS
from tests.conformance.conftest import STRICT, WIDGETS, Platform, config_map, kubectl_minor, pod, widget

pytestmark = [pytest.mark.needs("kubectl"), pytest.mark.timeout(120)]
PROTOBUF = 32
"""From this minor on, the commands that make an object themselves send it in protobuf, and do not try JSON after a 415."""
WIDGET = Resource("example.com", "v1", "Widget", "widgets")


def rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.strip().splitlines()]


async def test_get_prints_tables(platform: Platform) -> None:
    await platform.client.create(POD, pod("web"))
    header, row = rows(await platform.kubectl("get", "pods"))
    assert header == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert row[:4] == ["web", "0/1", "Pending", "0"]
    wide = rows(await platform.kubectl("get", "po", "web", "-o", "wide"))
    assert wide[0][5:7] == ["IP", "NODE"]
    found = rows(await platform.kubectl("get", "ns", "--no-headers"))
    assert [row[:2] for row in found if row[0] == "default"] == [["default", "Active"]]
    assert (await platform.kubectl("get", "pods", "-o", "name")).strip() == "pod/web"
    assert (
        json.loads(await platform.kubectl("get", "pod", "web", "-o", "json"))["spec"]["containers"][0]["name"] == "main"
    )
    assert "web" in await platform.kubectl("get", "pods", "-A", "-l", "app=web")
    assert "No resources found" in await platform.kubectl("get", "pods", "-l", "app=other")
    assert "web" in await platform.kubectl("get", "pods", "--field-selector=metadata.name=web")
    assert 'pods "gone" not found' in await platform.kubectl("get", "pod", "gone", ok=False)


async def test_get_watches(platform: Platform) -> None:
    await platform.client.create(POD, pod("first"))
    process = await platform.start_kubectl("get", "pods", "--watch")
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            assert b"NAME" in await process.stdout.readline()
            assert b"first" in await process.stdout.readline()
            await platform.client.create(POD, pod("second"))
            assert b"second" in await process.stdout.readline()
    finally:
        process.kill()
        await process.wait()


async def test_describe_logs_and_delete(platform: Platform) -> None:
    obj = pod("web")
    obj["spec"]["nodeName"] = "here"
    await platform.client.create(POD, obj)
    described = await platform.kubectl("describe", "pod", "web")
    assert "Name:" in described
    assert "styr.dev/host" in described
    assert rows(await platform.kubectl("logs", "web"))[2] == ["default/web", "line", "2"]
    assert 'pod "web"' in await platform.kubectl("delete", "pod", "web", "--grace-period=0", "--force")
    with pytest.raises(NotFound):
        await platform.client.get(POD, "web", "default")


async def test_delete_waits_and_selects(platform: Platform) -> None:
    for name in ("a", "b", "c"):
        obj = config_map(name)
        obj["metadata"]["labels"] = {"keep": str(name == "c")}
        await platform.client.create(CONFIG_MAP, obj)
    await platform.kubectl("delete", "configmap", "-l", "keep=False")
    assert [obj["metadata"]["name"] for obj in (await platform.client.list(CONFIG_MAP, "default")).items] == ["c"]


async def test_label_annotate_and_patch(platform: Platform) -> None:
    await platform.client.create(CONFIG_MAP, config_map("one", a="1"))
    await platform.kubectl("label", "configmap", "one", "tier=gold")
    await platform.kubectl("annotate", "cm", "one", "note=hello there")
    await platform.kubectl("patch", "cm", "one", "--type=merge", "-p", '{"data":{"b":"2"}}')
    await platform.kubectl("patch", "cm", "one", "--type=json", "-p", '[{"op":"remove","path":"/data/a"}]')
    await platform.kubectl("patch", "cm", "one", "-p", '{"data":{"c":"3"}}')
    found = await platform.client.get(CONFIG_MAP, "one", "default")
    assert found["metadata"]["labels"] == {"tier": "gold"}
    assert found["metadata"]["annotations"] == {"note": "hello there"}
    assert found["data"] == {"b": "2", "c": "3"}


async def test_create_apply_and_replace(platform: Platform) -> None:
    manifest = json.dumps(config_map("one", a="1"))
    assert "created" in await platform.kubectl("create", "-f", "-", stdin=manifest)
    assert "AlreadyExists" in await platform.kubectl("create", "-f", "-", stdin=manifest, ok=False)
    manifest = json.dumps(config_map("two", a="1"))
    assert "created" in await platform.kubectl("apply", "-f", "-", stdin=manifest)
    changed = json.dumps(config_map("two", b="2"))
    assert "configured" in await platform.kubectl("apply", "-f", "-", stdin=changed)
    assert "unchanged" in await platform.kubectl("apply", "-f", "-", stdin=changed)
    assert (await platform.client.get(CONFIG_MAP, "two", "default"))["data"] == {"b": "2"}
    await platform.kubectl("replace", "-f", "-", stdin=json.dumps(config_map("two", c="3")))
    assert (await platform.client.get(CONFIG_MAP, "two", "default"))["data"] == {"c": "3"}


async def test_apply_server_side(platform: Platform) -> None:
    ours = ("apply", "--server-side", "--field-manager=ours", "-f", "-")
    manifest = json.dumps(config_map("one", a="1"))
    assert "serverside-applied" in await platform.kubectl(*ours, stdin=manifest)
    theirs = ("apply", "--server-side", "--field-manager=theirs", "-f", "-")
    other = json.dumps(config_map("one", a="2", b="2"))
    said = await platform.kubectl(*theirs, stdin=other, ok=False)
    assert 'conflict with "ours": .data.a' in said
    await platform.kubectl(*theirs, "--force-conflicts", stdin=other)
    await platform.kubectl(*ours, stdin=json.dumps(config_map("one", c="3")))
    assert (await platform.client.get(CONFIG_MAP, "one", "default"))["data"] == {"a": "2", "b": "2", "c": "3"}
    # What was applied from the client's side before is taken over.
    await platform.kubectl("apply", "-f", "-", stdin=json.dumps(config_map("two", a="1")))
    await platform.kubectl(*ours, "--force-conflicts", stdin=json.dumps(config_map("two", a="2")))
    assert (await platform.client.get(CONFIG_MAP, "two", "default"))["data"] == {"a": "2"}


async def test_unknown_fields_and_wrong_types_are_named(platform: Platform) -> None:
    odd = pod("odd")
    odd["spec"]["containers"][0]["imagee"] = "x"
    check = "--validate=strict" if kubectl_minor() >= STRICT else "--validate=true"
    text = await platform.kubectl("create", "-f", "-", check, stdin=json.dumps(odd), ok=False)
    assert "imagee" in text
    if kubectl_minor() >= STRICT:
        odd["metadata"]["name"] = "warned"
        text = await platform.kubectl("apply", "-f", "-", "--validate=warn", stdin=json.dumps(odd))
        assert 'unknown field "spec.containers[0].imagee"' in text
        odd["metadata"]["name"] = "silent"
        text = await platform.kubectl("create", "-f", "-", "--validate=ignore", stdin=json.dumps(odd))
        assert "imagee" not in text
        made = (await platform.client.get(POD, "silent", "default"))["spec"]["containers"][0]
        assert "imagee" not in made
    wrong = pod("wrong")
    wrong["spec"]["containers"][0]["command"] = "not a list"
    text = await platform.kubectl("create", "--validate=false", "-f", "-", stdin=json.dumps(wrong), ok=False)
    assert "command" in text
    with pytest.raises(NotFound):
        await platform.client.get(POD, "wrong", "default")


async def test_custom_resources(platform: Platform) -> None:
    await platform.kubectl("create", "-f", "-", stdin=json.dumps(WIDGETS))
    await platform.kubectl("wait", "--for=condition=Established", "crd/widgets.example.com", "--timeout=20s")
    await platform.kubectl("apply", "-f", "-", stdin=json.dumps(widget("w", size=3)))
    header, row = rows(await platform.kubectl("get", "wd"))
    assert header == ["NAME", "SIZE", "AGE"]
    assert row[:2] == ["w", "3"]
    assert "w" in await platform.kubectl("get", "toys")
    assert "Colour:" in await platform.kubectl("describe", "widget", "w")
    assert (await platform.client.get(WIDGET, "w", "default"))["spec"] == {"size": 3, "colour": "red"}
    text = await platform.kubectl("create", "-f", "-", stdin=json.dumps(widget("bad", size=0)), ok=False)
    assert "spec.size" in text
    text = await platform.kubectl("create", "-f", "-", stdin=json.dumps(widget("odd", size=1, sise=2)), ok=False)
    assert "sise" in text
    assert "SIZE" in (await platform.kubectl("explain", "widget.spec")).upper()
    await platform.kubectl("delete", "crd", "widgets.example.com")
    with pytest.raises(NotFound):
        await platform.client.get(CRD, "widgets.example.com")


async def test_explain_api_resources_and_version(platform: Platform) -> None:
    listed = await platform.kubectl("api-resources", "--no-headers")
    assert "deployments" in listed
    assert "po" in listed.split()
    assert "v1" in (await platform.kubectl("api-versions")).split()
    assert "Server Version" in await platform.kubectl("version")
    assert "Number of desired pods" in await platform.kubectl("explain", "deployment.spec.replicas")
    assert "containerPort" in await platform.kubectl("explain", "pods", "--recursive")


async def test_describe_every_kind(platform: Platform) -> None:
    """One of each kind that is served, described by kubectl's own code for it."""
    described = {"events", "componentstatuses"}
    for path, obj, status in OBJECTS:
        plural = path.rpartition("/")[2]
        answer = await Api(platform.api).raw("POST", path, obj)
        if answer.status != 201 or obj["metadata"].get("finalizers"):
            continue
        if status is not None:
            await Api(platform.api).raw("PUT", f"{path}/{obj['metadata']['name']}/status", obj | {"status": status})
        described.add(plural)
    listed = (await platform.kubectl("api-resources", "--verbs=list", "-o", "name")).split()
    kinds = [name for name in listed if name.partition(".")[0] in described and not _is_gone(name)]
    assert len(kinds) > 40
    text = await platform.kubectl("describe", ",".join(kinds), "--all-namespaces")
    assert text.count("Name:") > len(kinds)


def _is_gone(name: str) -> bool:
    """Kinds that kubectl 1.20 describes by versions of its time, which no server of today has."""
    gone = ("horizontalpodautoscalers", "cronjobs", "endpointslices", "poddisruptionbudgets")
    return kubectl_minor() < STRICT and name.startswith(gone)


async def test_auth(platform: Platform) -> None:
    assert (await platform.kubectl("auth", "can-i", "create", "pods")).startswith("yes")
    ann = platform.kubeconfig_ann
    assert (await platform.kubectl("auth", "can-i", "create", "pods", who=ann, ok=False)).startswith("no")
    if kubectl_minor() >= 28:
        assert "ann" in await platform.kubectl("auth", "whoami", who=ann)
    text = await platform.kubectl("get", "pods", who=ann, ok=False)
    assert (
        'pods is forbidden: User "ann" cannot list resource "pods" in API group "" in the namespace "default"' in text
    )
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "ann", "namespace": "default"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "ann"}],
    }
    await platform.kubectl("create", "-f", "-", stdin=json.dumps(binding))
    assert "No resources found" in await platform.kubectl("get", "pods", who=ann)
    assert "yes" in await platform.kubectl("auth", "can-i", "list", "pods", who=ann)


async def test_ten_megabytes_are_refused_in_words(platform: Platform) -> None:
    text = await platform.kubectl(
        "create", "-f", "-", stdin=json.dumps(config_map("big", a="x" * 10_000_000)), ok=False
    )
    assert "Request entity too large" in text or "RequestEntityTooLarge" in text


async def test_rules_are_evaluated_and_named(platform: Platform) -> None:
    definition = copy.deepcopy(WIDGETS)
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    schema["properties"]["spec"]["x-kubernetes-validations"] = [{"rule": "self.size < 100", "message": "too large"}]
    await platform.client.create(CRD, definition)
    refused = await platform.kubectl("create", "-f", "-", stdin=json.dumps(widget("big", size=100)), ok=False)
    assert 'The Widget "big" is invalid: spec: Invalid value: ' in refused
    assert refused.rstrip().endswith("too large")
    await platform.kubectl("create", "-f", "-", stdin=json.dumps(widget("small", size=99)))


async def test_generators_send_protobuf(platform: Platform) -> None:
    if kubectl_minor() < PROTOBUF:
        pytest.skip("this kubectl sends JSON")
    await platform.kubectl("create", "deployment", "web", "--image=styr.dev/host", "--port=8080", "--replicas=0")
    spec = json.loads(await platform.kubectl("get", "deployment", "web", "-o", "json"))["spec"]
    assert spec["replicas"] == 0
    assert spec["template"]["spec"]["containers"][0]["ports"] == [{"containerPort": 8080, "protocol": "TCP"}]
    await platform.kubectl("create", "secret", "generic", "keys", "--from-literal=word=text")
    assert (await platform.kubectl("get", "secret", "keys", "-o", "jsonpath={.data.word}")) == "dGV4dA=="
    await platform.kubectl("create", "configmap", "map", "--from-literal=k=v")
    await platform.kubectl("create", "namespace", "team")
    await platform.kubectl("create", "serviceaccount", "robot", "-n", "team")
    await platform.kubectl("create", "service", "clusterip", "web", "--tcp=80:http")
    await platform.kubectl("create", "role", "reader", "--verb=get,list", "--resource=pods,configmaps")
    await platform.kubectl("create", "rolebinding", "reads", "--role=reader", "--serviceaccount=team:robot")
    await platform.kubectl("create", "clusterrole", "scaler", "--verb=update", "--resource=deployments/scale")
    await platform.kubectl("scale", "deployment", "web", "--replicas=2")
    await platform.kubectl("delete", "deployment", "web", "--cascade=background", "--wait=false")
