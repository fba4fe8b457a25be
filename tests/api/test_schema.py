"""Structural schemas: what they accept, refuse, prune and fill in; and what a hostile one cannot do."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from styr.api.schema import MAX_CAUSES, SchemaError, compile_schema

TEXT = {"type": "string"}


def spec(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}}


def faults(schema: dict[str, Any], value: dict[str, Any]) -> list[tuple[str, str]]:
    return [(cause["reason"], cause["field"]) for cause in compile_schema(schema).validate({"spec": value})]


def test_prunes_what_is_not_named_and_keeps_what_is_to_be_kept() -> None:
    schema = compile_schema(
        spec(
            known=TEXT,
            bag={"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": {"in": spec(a=TEXT)}},
            table={"type": "object", "additionalProperties": {"type": "object", "properties": {"x": TEXT}}},
            rows={"type": "array", "items": {"type": "object", "properties": {"x": TEXT}}},
            whole={"type": "object", "x-kubernetes-embedded-resource": True, "properties": {"data": TEXT}},
        )
    )
    obj = {
        "apiVersion": "v1",
        "kind": "K",
        "metadata": {"name": "n", "anything": 1},
        "stray": 1,
        "spec": {
            "known": "a",
            "stray": 1,
            "bag": {"kept": 1, "in": {"spec": {"a": "b", "stray": 1}}},
            "table": {"k": {"x": "1", "stray": 1}},
            "rows": [{"x": "1"}, {"stray": 1}],
            "whole": {"apiVersion": "v1", "kind": "Y", "metadata": {"name": "z"}, "data": "d", "stray": 1},
        },
    }
    assert schema.unknown_fields(obj) == [
        "stray",
        "spec.stray",
        "spec.bag.in.spec.stray",
        "spec.table.k.stray",
        "spec.rows[1].stray",
        "spec.whole.stray",
    ]
    schema.prune(obj)
    assert schema.unknown_fields(obj) == []
    assert obj["metadata"] == {"name": "n", "anything": 1}
    assert obj["spec"] == {
        "known": "a",
        "bag": {"kept": 1, "in": {"spec": {"a": "b"}}},
        "table": {"k": {"x": "1"}},
        "rows": [{"x": "1"}, {}],
        "whole": {"apiVersion": "v1", "kind": "Y", "metadata": {"name": "z"}, "data": "d"},
    }


def test_defaults_are_deep_fresh_and_follow_kubernetes_on_null() -> None:
    schema = compile_schema(
        spec(
            port={"type": "integer", "default": 80},
            tags={"type": "array", "items": TEXT, "default": ["a"]},
            inner={"type": "object", "default": {}, "properties": {"deep": {"type": "string", "default": "x"}}},
            maybe={"type": "string", "nullable": True, "default": "d"},
            plain=TEXT,
        )
    )
    first = schema.default({"spec": {"port": None, "maybe": None, "plain": None}})
    assert first == {"spec": {"port": 80, "tags": ["a"], "inner": {"deep": "x"}, "maybe": None}}
    first["spec"]["tags"].append("b")
    assert schema.default({"spec": {}})["spec"]["tags"] == ["a"]
    assert schema.default({}) == {}


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        (TEXT, 1, "FieldValueTypeInvalid"),
        ({"type": "integer"}, True, "FieldValueTypeInvalid"),
        ({"type": "integer"}, 1.5, "FieldValueTypeInvalid"),
        ({"type": "number"}, "1", "FieldValueTypeInvalid"),
        ({"type": "boolean"}, "true", "FieldValueTypeInvalid"),
        ({"type": "array", "items": TEXT}, {}, "FieldValueTypeInvalid"),
        ({"x-kubernetes-int-or-string": True}, 1.5, "FieldValueTypeInvalid"),
        ({"type": "integer", "minimum": 1}, 0, "FieldValueInvalid"),
        ({"type": "integer", "maximum": 1, "exclusiveMaximum": True}, 1, "FieldValueInvalid"),
        ({"type": "integer", "multipleOf": 5}, 7, "FieldValueInvalid"),
        ({"type": "integer", "format": "int32"}, 1 << 31, "FieldValueTypeInvalid"),
        ({"type": "string", "enum": ["a", "b"]}, "c", "FieldValueNotSupported"),
        ({"type": "string", "minLength": 2}, "a", "FieldValueInvalid"),
        ({"type": "string", "maxLength": 2}, "abc", "FieldValueTooLong"),
        ({"type": "string", "pattern": "^[a-z]+$"}, "A", "FieldValueInvalid"),
        ({"type": "string", "format": "date-time"}, "yesterday", "FieldValueTypeInvalid"),
        ({"type": "string", "format": "ipv4"}, "::1", "FieldValueTypeInvalid"),
        ({"type": "array", "items": TEXT, "maxItems": 1}, ["a", "b"], "FieldValueTooMany"),
        ({"type": "array", "items": TEXT, "x-kubernetes-list-type": "set"}, ["a", "a"], "FieldValueDuplicate"),
        ({"type": "object", "required": ["a"], "properties": {"a": TEXT}}, {}, "FieldValueRequired"),
        ({"type": "object", "additionalProperties": TEXT, "maxProperties": 1}, {"a": "", "b": ""}, "FieldValueTooMany"),
        ({"type": "string", "not": {"enum": ["x"]}}, "x", "FieldValueInvalid"),
        ({"type": "string", "anyOf": [{"pattern": "^a"}, {"pattern": "^b"}]}, "c", "FieldValueInvalid"),
        ({"type": "string", "oneOf": [{"pattern": "a"}, {"pattern": "b"}]}, "ab", "FieldValueInvalid"),
        ({"type": "string", "allOf": [{"pattern": "a"}, {"pattern": "b"}]}, "a", "FieldValueInvalid"),
    ],
)
def test_refuses(field: dict[str, Any], value: Any, reason: str) -> None:
    assert faults(spec(f=field), {"f": value})[0][0] == reason


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ({"type": "integer"}, 3.0),
        ({"type": "number"}, 3),
        ({"type": "string", "nullable": True}, None),
        ({"x-kubernetes-int-or-string": True}, "50%"),
        ({"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}, 5),
        ({"type": "string", "format": "date-time"}, "2026-11-23T10:00:00.123456789Z"),
        ({"type": "string", "format": "no-such-format"}, "x"),
        ({"type": "string", "pattern": "b"}, "abc"),
        ({"x-kubernetes-preserve-unknown-fields": True}, [1, {"a": None}]),
    ],
)
def test_accepts(field: dict[str, Any], value: Any) -> None:
    assert faults(spec(f=field), {"f": value}) == []


def test_lists_that_are_maps_are_keyed_with_the_default_of_the_key() -> None:
    item = {
        "type": "object",
        "properties": {"port": {"type": "integer"}, "protocol": {"type": "string", "default": "TCP"}},
    }
    rows = {
        "type": "array",
        "items": item,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["port", "protocol"],
    }
    same = [{"port": 1, "protocol": "TCP"}, {"port": 1}]
    assert faults(spec(ports=rows), {"ports": same}) == [("FieldValueDuplicate", "spec.ports[1]")]
    assert faults(spec(ports=rows), {"ports": [{"port": 1}, {"port": 1, "protocol": "UDP"}]}) == []


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ({"type": "string"}, "type"),
        ({"type": "object", "properties": {"a": {}}}, "properties[a].type"),
        ({"type": "object", "properties": {"a": {"type": "file"}}}, "properties[a].type"),
        ({"type": "object", "properties": {"a": {"$ref": "#/x", "type": "object"}}}, "properties[a].$ref"),
        ({"type": "object", "properties": {"a": {"type": "array"}}}, "properties[a].items"),
        ({"type": "object", "additionalProperties": False}, "additionalProperties"),
        ({"type": "object", "properties": {"a": TEXT}, "additionalProperties": TEXT}, "additionalProperties"),
        ({"type": "object", "properties": {"a": {"type": "string", "pattern": "("}}}, "properties[a].pattern"),
        ({"type": "object", "properties": {"a": {"type": "string", "default": 1}}}, "properties[a].default"),
        ({"type": "object", "allOf": [{"properties": {"zz": {"minimum": 1}}}]}, "allOf[0].properties[zz]"),
        ({"type": "object", "anyOf": [{"nullable": True}]}, "anyOf[0].nullable"),
        (
            {"type": "object", "properties": {"metadata": {"type": "object", "properties": {"labels": TEXT}}}},
            "properties[metadata]",
        ),
        ({"type": "object", "properties": 3}, "properties"),
        ({"type": "object", "required": "a"}, "required"),
    ],
)
def test_not_structural_names_the_path(schema: dict[str, Any], path: str) -> None:
    with pytest.raises(SchemaError) as caught:
        compile_schema(schema)
    assert caught.value.path == path


def test_a_schema_nested_too_deep_is_refused() -> None:
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(500):
        schema = {"type": "object", "properties": {"a": schema}}
    with pytest.raises(SchemaError, match="nested deeper"):
        compile_schema(schema)


def test_a_million_faults_get_a_bounded_answer() -> None:
    schema = compile_schema(spec(rows={"type": "array", "items": {"type": "integer"}}))
    assert len(schema.validate({"spec": {"rows": ["x"] * 1_000_000}})) == MAX_CAUSES


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abcspec"), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=100, deadline=None)
@given(JSON)
def test_any_object_is_handled_and_pruning_and_defaulting_are_idempotent(value: Any) -> None:
    schema = compile_schema(
        spec(
            a={"type": "object", "properties": {"a": {"type": "integer", "default": 1}, "b": TEXT}},
            b={
                "type": "array",
                "items": {"type": "object", "properties": {"c": TEXT}},
                "x-kubernetes-list-type": "set",
            },
            c={"type": "object", "additionalProperties": {"type": "object", "properties": {"s": {"type": "string"}}}},
        )
    )
    obj = {"kind": "K", "spec": value}
    schema.validate(obj)
    schema.default(schema.prune(obj))
    once = json.dumps(obj)
    assert json.dumps(schema.default(schema.prune(obj))) == once


WORDS = [
    *("type", "properties", "items", "additionalProperties", "required", "enum", "minimum", "maximum", "multipleOf"),
    *("minLength", "maxItems", "pattern", "format", "default", "nullable", "allOf", "anyOf", "oneOf", "not"),
    *("x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-int-or-string"),
    *("x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource", "x-kubernetes-validations"),
]
SCHEMAS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from(["object", "array", "string", "map", "a", "(", "date"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*WORDS, "a", "b"]), inner, max_size=5),
    max_leaves=25,
)


@settings(max_examples=200, deadline=None)
@given(SCHEMAS, JSON)
def test_any_schema_is_refused_in_words_or_works(found: Any, value: Any) -> None:
    wrapped = {"type": "object", "properties": {"a": found}}
    for schema in (found, wrapped, {"type": "object", "allOf": found}, {"type": "object", "properties": found}):
        try:
            compiled = compile_schema(schema)
        except SchemaError:
            continue
        obj = {"a": value, "b": value}
        compiled.unknown_fields(obj)
        compiled.default(compiled.prune(obj))
        compiled.validate(obj)
