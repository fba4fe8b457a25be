"""fieldValidation=Strict: what the server says of fields that nobody knows, or that stand twice."""

from __future__ import annotations

import json

from tests.conformance.kubernetes.client import APPLY, Kube, Object, refused
from tests.conformance.kubernetes.marker import behaviour
from tests.conformance.kubernetes.objects import define, definition, deployment, version

STRICT = "fieldManager=tester&fieldValidation=Strict"
KEEP = {"x-kubernetes-preserve-unknown-fields": True}
FIELDS: Object = {
    "foo": {"type": "string"},
    "schedule": {"type": "string", "pattern": r"^(\d+|\*)(/\d+)?(\s+(\d+|\*)(/\d+)?){4}$"},
    "ports": {
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["containerPort", "protocol"],
        "items": {
            "type": "object",
            "required": ["containerPort", "protocol"],
            "properties": {
                "containerPort": {"type": "integer", "format": "int32"},
                "protocol": {"type": "string"},
                "name": {"type": "string"},
            },
        },
    },
}
SPEC: Object = {"type": "object", "properties": {"spec": {"type": "object", "properties": FIELDS}}}
BODY = """
  foo: foo1
  schedule: "* * * * */5"
  ports:
  - name: x
    containerPort: 80
    protocol: TCP"""


async def apply(kube: Kube, crd: Object, text: str) -> Object:
    """The lines after the name, applied strictly to an object of the kind, in YAML."""
    spec = crd["spec"]
    api_version = f"{spec['group']}/{spec['versions'][0]['name']}"
    head = f"\napiVersion: {api_version}\nkind: {spec['names']['kind']}\nmetadata:\n  name: mytest\n"
    url = f"/apis/{api_version}/{spec['names']['plural']}/mytest?{STRICT}"
    made: Object = await kube.ask("PATCH", url, (head + text).encode(), type=APPLY)
    return made


async def kind(kube: Kube, schema: Object | None = None) -> Object:
    crd = definition(version(schema=schema), scope="Cluster")
    await define(kube, crd)
    return crd


@behaviour("Server side field validation, typed object")
async def test_fields_of_a_typed_object(kube: Kube, namespace: str) -> None:
    obj = deployment("strict", {"app": "nginx"})
    text = json.dumps(obj).replace('"spec": {', '"spec": {"unknownField": "foo", "replicas": 2, "replicas": 3, ', 1)
    text = text.replace('"replicas": 1, ', "", 1)
    url = f"/apis/apps/v1/namespaces/{namespace}/deployments?{STRICT}"
    said = 'strict decoding error: unknown field "spec.unknownField", duplicate field "spec.replicas"'
    with refused(400, "BadRequest", said):
        await kube.ask("POST", url, text.encode())


@behaviour("Server side field validation, typed unknown metadata")
async def test_metadata_of_a_typed_object(kube: Kube, namespace: str) -> None:
    obj = deployment("strict", {"app": "nginx"})
    obj["metadata"]["unknownMeta"] = "foo"
    url = f"/apis/apps/v1/namespaces/{namespace}/deployments?{STRICT}"
    with refused(400, "BadRequest", 'strict decoding error: unknown field "metadata.unknownMeta"'):
        await kube.ask("POST", url, obj)


@behaviour("Server side field validation, valid CR with validation schema")
async def test_a_good_custom_resource(kube: Kube) -> None:
    made = await apply(kube, await kind(kube, SPEC), f"spec:{BODY}")
    assert made["spec"]["ports"] == [{"name": "x", "containerPort": 80, "protocol": "TCP"}]


@behaviour("Server side field validation, unknown fields CR no validation schema")
async def test_anything_where_there_is_no_schema(kube: Kube) -> None:
    made = await apply(kube, await kind(kube), f"spec:\n  unknown: uk1{BODY}")
    assert made["spec"]["unknown"] == "uk1"


@behaviour("Server side field validation, unknown fields CR fails validation")
async def test_a_field_that_the_schema_has_not(kube: Kube) -> None:
    crd = await kind(kube, SPEC)
    with refused(400, message=".unknownField: field not declared in schema"):
        await apply(kube, crd, f"unknownField: unknown\nspec:{BODY}")


@behaviour("Server side field validation, unknown metadata")
async def test_metadata_of_the_root_and_of_an_embedded_object(kube: Kube) -> None:
    template = {
        "type": "object",
        "x-kubernetes-embedded-resource": True,
        "properties": {"metadata": {"type": "object"}, "spec": {"type": "object"}},
    }
    spec = {"type": "object", **KEEP, "properties": {**FIELDS, "template": template}}
    crd = await kind(kube, {"type": "object", "properties": {"spec": spec}})
    with refused(400, message=".metadata.unknownMeta: field not declared in schema"):
        await apply(kube, crd, f"  unknownMeta: unknown\nspec:{BODY}")
    meta = "\n    metadata:\n      unknownSubMeta: unknown\n      name: subobject"
    inner = f"\n  template:\n    apiVersion: foo/v1\n    kind: Sub{meta}"
    with refused(400, message=".spec.template.metadata.unknownSubMeta: field not declared in schema"):
        await apply(kube, crd, f"spec:{inner}{BODY}")


@behaviour("Server side field validation, CR duplicates")
async def test_what_stands_twice_where_unknown_fields_are_kept(kube: Kube) -> None:
    spec = {"type": "object", **KEEP, "properties": FIELDS}
    crd = await kind(kube, {"type": "object", "properties": {"spec": spec}})
    with refused(400, message='line 9: key "foo" already set in map'):
        await apply(kube, crd, f"spec:\n  unknown: uk1\n  foo: foo0{BODY}")
