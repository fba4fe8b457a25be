"""Definitions that try every rule of publication. Read by test_openapi.py, and by generate_openapi.py, which writes what the
real server publishes for them."""

from __future__ import annotations

from typing import Any

TEXT = {"type": "string"}


def crd(group: str, plural: str, kind: str, *versions: dict[str, Any], scope: str = "Namespaced", **names: Any) -> Any:
    annotations = {"api-approved.kubernetes.io": "unapproved, testing-only"} if group.endswith(".k8s.io") else {}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}", "annotations": annotations},
        "spec": {
            "group": group,
            "scope": scope,
            "names": {"plural": plural, "kind": kind, "singular": kind.lower(), "listKind": f"{kind}List", **names},
            "versions": list(versions),
        },
    }


def version(name: str, schema: Any, *, served: bool = True, storage: bool = True, **more: Any) -> dict[str, Any]:
    return {"name": name, "served": served, "storage": storage, "schema": {"openAPIV3Schema": schema}, **more}


def struct(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


KEEP = {"x-kubernetes-preserve-unknown-fields": True}
EMBEDDED = {"type": "object", "x-kubernetes-embedded-resource": True}
EITHER = {"x-kubernetes-int-or-string": True}
_EITHER = [{"type": "integer"}, {"type": "string"}]

EVERYTHING = {
    "type": "object",
    "description": "CronTab tries every rule.",
    "title": "a title",
    "required": ["spec"],
    "properties": {
        "apiVersion": {"type": "string", "description": "replaced"},
        "kind": TEXT,
        "metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 10}}},
        "spec": {
            "type": "object",
            "required": ["nullable", "plain"],
            "properties": {
                "plain": {"type": "string", "format": "date-time", "example": "none", "externalDocs": {"url": "x"}},
                "counts": {"type": "integer", "minimum": 0, "maximum": 10.5, "exclusiveMaximum": True, "multipleOf": 2},
                "bounds": {
                    "type": "array",
                    "minItems": 0,
                    "maxItems": 3,
                    "items": {**TEXT, "minLength": 0, "pattern": "a"},
                },
                "falsy": {"type": "boolean", "nullable": False, "uniqueItems": False, "default": False},
                "words": {"type": "string", "enum": ["a", "b", ""], "default": ""},
                "nullable": {"type": "object", "nullable": True, "properties": {"x": TEXT}, "required": ["x"]},
                "nulls": {"type": "array", "nullable": True, "items": TEXT},
                "nullItems": {"type": "array", "items": {"type": "string", "nullable": True}},
                "nullValues": {
                    "type": "object",
                    "required": ["z"],
                    "additionalProperties": {"type": "string", "nullable": True},
                },
                "map": {"type": "object", "additionalProperties": struct(a=TEXT), "minProperties": 1},
                "anything": {"type": "object", "additionalProperties": True},
                "either": EITHER,
                "eitherAny": {**EITHER, "anyOf": _EITHER, "pattern": "x"},
                "eitherAll": {**EITHER, "allOf": [{"anyOf": _EITHER}, {"pattern": "y"}]},
                "eitherMore": {**EITHER, "anyOf": [{"pattern": "z"}], "allOf": [{"maxLength": 3}]},
                "kept": {**KEEP, "type": "object", "properties": {"y": EITHER}, "required": ["y"]},
                "keptList": {**KEEP, "type": "array", "items": {"type": "object", **KEEP}},
                "keptAny": KEEP,
                "embedded": {**EMBEDDED, **struct(data=TEXT), "required": ["kind"]},
                "embeddedKept": {**EMBEDDED, **KEEP},
                "embeddedNull": {**EMBEDDED, **KEEP, "nullable": True},
                "embeddedList": {"type": "array", "items": {**EMBEDDED, **struct(data=TEXT)}},
                "keys": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                    "items": {**struct(name=TEXT), "required": ["name"]},
                },
                "atomic": {**struct(a=TEXT), "x-kubernetes-map-type": "atomic"},
                "choice": {
                    **struct(
                        a=TEXT,
                        b={"type": "integer"},
                        c={"type": "array", "items": TEXT},
                        d={"type": "object", "additionalProperties": TEXT},
                    ),
                    "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
                    "anyOf": [{"properties": {"a": {"minLength": 1}, "c": {"items": {"maxLength": 2}}}}],
                    "not": {"properties": {"a": {"pattern": "no"}}},
                },
                "rules": {
                    "type": "string",
                    "maxLength": 5,
                    "x-kubernetes-validations": [{"rule": "self != 'x'", "message": "not x"}],
                },
                "default": {"type": "string", "default": "a property of that name"},
                "allOf": {"type": "string", "description": ""},
                "properties": struct(items=TEXT, **{"$ref": TEXT}),
            },
        },
        "status": struct(replicas={"type": "integer", "format": "int32"}),
    },
}
SCALE = {"specReplicasPath": ".spec.counts", "statusReplicasPath": ".status.replicas"}

CRDS: tuple[Any, ...] = (
    crd(
        "stable.example.com",
        "crontabs",
        "CronTab",
        version("v1", EVERYTHING, subresources={"status": {}, "scale": SCALE}),
        version("v1beta1", {"type": "object", **KEEP}, storage=False, selectableFields=[]),
        version("v1alpha1", {"type": "object"}, served=False, storage=False),
        shortNames=["ct"],
    ),
    crd(
        "stable.example.com",
        "addresses",
        "Address",
        version("v1", struct(spec=struct(street=TEXT)), selectableFields=[{"jsonPath": ".spec.street"}]),
        scope="Cluster",
        listKind="Addresses",
    ),
    crd("tests.k8s.io", "eggs", "Eggs", version("v1alpha1", struct(spec={"type": "object", **KEEP}))),
)
