"""Custom kinds in OpenAPI: published as they are defined, forgotten when they go, and what kubectl makes of them."""

from __future__ import annotations

import asyncio
import json
import os
import re
from typing import Any

import pytest

from tests.conformance.kubernetes.client import JSON_PATCH, Kube, Object, eventually, unique
from tests.conformance.kubernetes.conftest import Cluster
from tests.conformance.kubernetes.marker import behaviour
from tests.conformance.kubernetes.objects import custom, define, definition, version

KEEP = {"x-kubernetes-preserve-unknown-fields": True}
CRDS = ("apiextensions.k8s.io/v1", "customresourcedefinitions")
BOAT: Object = {
    "type": "object",
    "description": "A boat, for tests.",
    "properties": {
        "spec": {
            "type": "object",
            "description": "What the boat is to be.",
            "properties": {
                "sails": {
                    "type": "array",
                    "description": "All its sails.",
                    "items": {
                        "type": "object",
                        "required": ["name"],
                        "properties": {
                            "name": {"type": "string", "description": "How the sail is called."},
                            "area": {"type": "string", "pattern": "^[0-9]+$"},
                            "cloth": {"type": "string", "enum": ["linen", "cotton"]},
                            "reefs": {"type": "array", "description": "Its reefs.", "items": {"type": "string"}},
                        },
                    },
                }
            },
        },
        "status": {"type": "object", "properties": {"afloat": {"type": "boolean"}}},
    },
}
CREW: Object = {"type": "object", "description": "A crew.", "properties": {"captain": {"type": "string"}}}


async def kubectl(cluster: Cluster, *words: str, stdin: Any = None, ok: bool = True) -> str:
    """What it says, when it ends as `ok` says."""
    home = cluster.kubeconfig.parent / unique("home")
    process = await asyncio.create_subprocess_exec(
        "kubectl",
        *words,
        env={**os.environ, "KUBECONFIG": str(cluster.kubeconfig), "HOME": str(home)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await asyncio.wait_for(process.communicate(json.dumps(stdin).encode() if stdin else b""), 60)
    assert (process.returncode == 0) is ok, out.decode()
    return out.decode()


def name_of(crd: Object, number: str) -> str:
    group = ".".join(reversed(crd["spec"]["group"].split(".")))
    return f"{group}.{number}.{crd['spec']['names']['kind']}"


async def published(kube: Kube, crd: Object, number: str) -> tuple[Object | None, Object | None]:
    """The definition of one version, in v2 and in v3."""
    name = name_of(crd, number)
    old = (await kube.read("/openapi/v2"))["definitions"].get(name)
    index = (await kube.read("/openapi/v3"))["paths"].get(f"apis/{crd['spec']['group']}/{number}")
    if index is None:
        return old, None
    return old, (await kube.read(index["serverRelativeURL"]))["components"]["schemas"].get(name)


async def shows(kube: Kube, crd: Object, number: str, schema: Object) -> None:
    """Waits until both documents have the properties of the schema, with what every object has."""

    async def there() -> bool:
        found = await published(kube, crd, number)
        return all(
            each is not None and each.get("properties", {}).keys() >= schema["properties"].keys() for each in found
        )

    await eventually(there, f"{name_of(crd, number)} is published")
    for each in await published(kube, crd, number):
        assert each is not None
        assert each["description"] == schema["description"]
        assert each["properties"].keys() == {*schema["properties"], "apiVersion", "kind", "metadata"}
        kind = {"group": crd["spec"]["group"], "version": number, "kind": crd["spec"]["names"]["kind"]}
        assert each["x-kubernetes-group-version-kind"] == [kind]


async def hides(kube: Kube, crd: Object, number: str) -> None:
    async def gone() -> bool:
        return await published(kube, crd, number) == (None, None)

    await eventually(gone, f"{name_of(crd, number)} is not published")


async def create_and_apply(cluster: Cluster, namespace: str, obj: Object, plural: str) -> None:
    """Both are taken by a kubectl that checks fields."""
    for verb in ("create", "apply"):
        await kubectl(cluster, "-n", namespace, verb, "-f", "-", stdin=obj)
        await kubectl(cluster, "-n", namespace, "delete", plural, obj["metadata"]["name"])


async def refuses(cluster: Cluster, namespace: str, obj: Object, *texts: str) -> None:
    for verb in ("create", "apply"):
        said = await kubectl(cluster, "-n", namespace, verb, "-f", "-", stdin=obj, ok=False)
        assert any(text in said for text in texts), said


async def explains(cluster: Cluster, path: str, pattern: str) -> None:
    said = await kubectl(cluster, "explain", path)
    assert re.search(pattern, said, re.S), said


def full(crd: Object) -> str:
    return f"{crd['spec']['names']['plural']}.{crd['spec']['group']}"


@pytest.mark.needs("kubectl")
@behaviour("Custom Resource OpenAPI Publish, with validation schema")
async def test_kubectl_checks_and_explains_by_the_schema(cluster: Cluster, kube: Kube, namespace: str) -> None:
    crd = definition(version(schema=BOAT))
    await define(kube, crd)
    plural = crd["spec"]["names"]["plural"]
    await create_and_apply(cluster, namespace, custom(crd, "good", spec={"sails": [{"name": "jib"}]}), plural)
    odd = custom(crd, "odd", spec={"sails": [{"name": "jib", "cloth": "paper"}]})
    said = await kubectl(cluster, "-n", namespace, "create", "-f", "-", stdin=odd, ok=False)
    assert 'Unsupported value: "paper"' in said
    unknown = custom(crd, "odd", spec={"keel": True})
    await refuses(cluster, namespace, unknown, 'unknown field "keel"', 'unknown field "spec.keel"')
    nameless = custom(crd, "odd", spec={"sails": [{"area": "10"}]})
    await refuses(cluster, namespace, nameless, 'missing required field "name"', "spec.sails[0].name: Required value")
    await explains(
        cluster, plural, r"DESCRIPTION:.*A boat, for tests.*FIELDS:.*apiVersion.*<string>.*spec.*<Object>.*is to be"
    )
    await explains(
        cluster, f"{plural}.metadata", r"DESCRIPTION:.*FIELDS:.*creationTimestamp.*<string>.*CreationTimestamp is"
    )
    await explains(cluster, f"{plural}.spec", r"DESCRIPTION:.*is to be.*FIELDS:.*sails.*<\[\]Object>.*All its sails")
    await explains(
        cluster,
        f"{plural}.spec.sails",
        r"sails.*<\[\]Object>.*All its sails.*name.*<string>.*-required-.*reefs.*<\[\]string>",
    )
    said = await kubectl(cluster, "explain", f"{plural}.spec.masts", ok=False)
    assert 'field "masts" does not exist' in said


@pytest.mark.needs("kubectl")
@behaviour("Custom Resource OpenAPI Publish, with x-kubernetes-preserve-unknown-fields in object")
async def test_kubectl_takes_anything_where_there_is_no_schema(cluster: Cluster, kube: Kube, namespace: str) -> None:
    crd = definition(version(schema={"type": "object", **KEEP}))
    await define(kube, crd)
    plural = crd["spec"]["names"]["plural"]
    await create_and_apply(cluster, namespace, custom(crd, "any", a={"b": [{"c": "d"}]}), plural)
    await explains(cluster, plural, r"DESCRIPTION:.*<empty>")


@pytest.mark.needs("kubectl")
@behaviour("Custom Resource OpenAPI Publish, with x-kubernetes-preserve-unknown-fields at root")
async def test_kubectl_takes_anything_where_the_root_keeps_it(cluster: Cluster, kube: Kube, namespace: str) -> None:
    crd = definition(version(schema={**CREW, **KEEP}))
    await define(kube, crd)
    plural = crd["spec"]["names"]["plural"]
    await create_and_apply(cluster, namespace, custom(crd, "any", a={"b": [{"c": "d"}]}), plural)
    await explains(cluster, plural, rf"KIND:.*{crd['spec']['names']['kind']}")
    old, new = await published(kube, crd, "v1")
    assert old is not None
    assert new is not None
    assert old.keys() == {"type", "x-kubernetes-group-version-kind"}
    assert new["x-kubernetes-preserve-unknown-fields"] is True


@pytest.mark.needs("kubectl")
@behaviour("Custom Resource OpenAPI Publish, with x-kubernetes-preserve-unknown-fields in embedded object")
async def test_kubectl_takes_anything_where_a_field_keeps_it(cluster: Cluster, kube: Kube, namespace: str) -> None:
    hold = {"type": "object", "description": "Whatever is loaded.", **KEEP}
    embedded = {**hold, "x-kubernetes-embedded-resource": True}
    schema = {"type": "object", "description": "A hold.", "properties": {"spec": hold, "status": embedded}}
    crd = definition(version(schema=schema))
    await define(kube, crd)
    plural = crd["spec"]["names"]["plural"]
    await create_and_apply(cluster, namespace, custom(crd, "any", spec={"a": None, "b": [{"c": "d"}]}), plural)
    await explains(cluster, plural, r"DESCRIPTION:.*A hold")


@behaviour("Custom Resource OpenAPI Publish, varying groups")
async def test_definitions_of_two_groups(kube: Kube) -> None:
    boats, crews = definition(version(schema=BOAT)), definition(version("v1beta1", CREW))
    assert boats["spec"]["group"] != crews["spec"]["group"]
    for crd in (boats, crews):
        await define(kube, crd)
    await shows(kube, crews, "v1beta1", CREW)
    await shows(kube, boats, "v1", BOAT)


@behaviour("Custom Resource OpenAPI Publish, varying versions")
async def test_definitions_of_several_versions(kube: Kube) -> None:
    several = definition(version("v2", BOAT), version("v3", BOAT, storage=False))
    await define(kube, several)
    for number in ("v2", "v3"):
        await shows(kube, several, number, BOAT)
    boats = definition(version("v4", BOAT))
    crews = definition(version("v5", CREW), group=boats["spec"]["group"])
    for crd in (boats, crews):
        await define(kube, crd)
    await shows(kube, crews, "v5", CREW)
    await shows(kube, boats, "v4", BOAT)


@behaviour("Custom Resource OpenAPI Publish, varying kinds")
async def test_definitions_of_two_kinds_in_one_version(kube: Kube) -> None:
    boats = definition(version("v6", BOAT))
    crews = definition(version("v6", CREW), group=boats["spec"]["group"])
    for crd in (boats, crews):
        await define(kube, crd)
    await shows(kube, crews, "v6", CREW)
    await shows(kube, boats, "v6", BOAT)


@behaviour("Custom Resource OpenAPI Publish, version rename")
async def test_a_version_is_renamed(kube: Kube) -> None:
    crd = definition(version("v2", BOAT), version("v3", BOAT, storage=False))
    await define(kube, crd)
    for number in ("v2", "v3"):
        await shows(kube, crd, number, BOAT)
    rename = [
        {"op": "test", "path": "/spec/versions/1/name", "value": "v3"},
        {"op": "replace", "path": "/spec/versions/1/name", "value": "v4"},
    ]
    await kube.of(*CRDS).patch(full(crd), rename, kind=JSON_PATCH)
    await shows(kube, crd, "v4", BOAT)
    await hides(kube, crd, "v3")
    await shows(kube, crd, "v2", BOAT)


@behaviour("Custom Resource OpenAPI Publish, stop serving version")
async def test_a_version_is_no_longer_served(kube: Kube) -> None:
    crd = definition(version("v5", BOAT), version("v6alpha1", BOAT, storage=False))
    await define(kube, crd)
    for number in ("v5", "v6alpha1"):
        await shows(kube, crd, number, BOAT)
    stop = [{"op": "replace", "path": "/spec/versions/1/served", "value": False}]
    await kube.of(*CRDS).patch(full(crd), stop, kind=JSON_PATCH)
    await hides(kube, crd, "v6alpha1")
    await shows(kube, crd, "v5", BOAT)
