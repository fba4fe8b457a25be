"""Rules of custom resources: what they see, what they say, and what an update may leave as it was."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from styr.api.rules import definition
from styr.api.rules.tree import Rules, compile_rules
from styr.api.strategies.custom import CustomStrategy
from styr.cel.environment import TOTAL

PATH = "spec.validation.openAPIV3Schema"


def ruled(schema: dict[str, Any], *rules: str | dict[str, Any]) -> dict[str, Any]:
    listed = [{"rule": rule} if isinstance(rule, str) else rule for rule in rules]
    return schema | {"x-kubernetes-validations": listed}


def record(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def root(spec: dict[str, Any]) -> dict[str, Any]:
    return record(spec=spec)


INT, TEXT = {"type": "integer"}, {"type": "string"}


def check(schema: dict[str, Any], new: Any, old: Any = None) -> list[str]:
    rules = compile_rules(root(schema))
    assert rules is not None
    causes, _ = rules.check({"spec": new}, None if old is None else {"spec": old})
    return [f"{cause['field']}: {cause['message']}" for cause in causes]


def test_a_rule_that_holds_says_nothing_and_one_that_does_not_says_its_message() -> None:
    rule = {"rule": "self.least <= self.most", "message": " least must not exceed most "}
    schema = ruled(record(least=INT, most=INT), rule)
    assert check(schema, {"least": 1, "most": 2}) == []
    assert check(schema, {"least": 3, "most": 2}) == ["spec: Invalid value: least must not exceed most"]
    schema = ruled(record(least=INT, most=INT), "self.least <= self.most")
    assert check(schema, {"least": 3, "most": 2}) == ["spec: Invalid value: failed rule: self.least <= self.most"]


def test_a_scalar_is_shown() -> None:
    assert check(record(n=ruled(INT, "self > 3")), {"n": 2}) == ["spec.n: Invalid value: 2: failed rule: self > 3"]


def test_paths_of_lists_and_maps() -> None:
    schema = record(
        items={"type": "array", "items": ruled(TEXT, "self != ''")},
        map={"type": "object", "additionalProperties": ruled(INT, "self > 0")},
    )
    assert check(schema, {"items": ["a", ""], "map": {"a.b/c": 0, "d": 1}}) == [
        "spec.items[1]: Invalid value: \"\": failed rule: self != ''",
        "spec.map[a.b/c]: Invalid value: 0: failed rule: self > 0",
    ]


def test_the_root_sees_kind_and_name() -> None:
    rules = compile_rules(ruled(record(spec=record(n=INT)), "self.metadata.name.startsWith(self.kind.lowerAscii())"))
    assert rules is not None
    obj = {"apiVersion": "a/v1", "kind": "Thing", "metadata": {"name": "other"}}
    (cause,) = rules.check(obj)[0]
    assert cause["field"] == "<nil>"
    obj["metadata"] = {"name": "thing-1"}
    assert rules.check(obj) == ([], [])


def test_transition_rules_are_asked_only_where_there_is_an_old_value() -> None:
    schema = record(a=ruled(TEXT, {"rule": "self == oldSelf", "message": "stays"}))
    assert check(schema, {"a": "x"}) == []
    assert check(schema, {"a": "x"}, {}) == []
    assert check(schema, {"a": "x"}, {"a": "x"}) == []
    assert check(schema, {"a": "y"}, {"a": "x"}) == ['spec.a: Invalid value: "y": stays']


def test_items_of_a_list_of_the_type_map_are_told_apart_by_their_keys() -> None:
    item = ruled(record(name=TEXT, size=INT), "self.size >= oldSelf.size")
    schema = record(
        rows={
            "type": "array",
            "items": item,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
        }
    )
    old = {"rows": [{"name": "a", "size": 5}, {"name": "b", "size": 1}]}
    assert (
        check(schema, {"rows": [{"name": "b", "size": 1}, {"name": "a", "size": 5}, {"name": "c", "size": 0}]}, old)
        == []
    )
    assert check(schema, {"rows": [{"name": "b", "size": 0}]}, old) == [
        "spec.rows[0]: Invalid value: failed rule: self.size >= oldSelf.size"
    ]


def test_an_optional_old_value() -> None:
    rule = {"rule": "oldSelf.hasValue() || self.size() > 2", "optionalOldSelf": True, "message": "new ones are long"}
    schema = record(a=ruled(TEXT, rule))
    assert check(schema, {"a": "x"}) == ['spec.a: Invalid value: "x": new ones are long']
    assert check(schema, {"a": "x"}, {"a": "y"}) == []


def test_a_message_is_made_by_an_expression_and_falls_back_to_the_other_one() -> None:
    rule = {"rule": "self.n > 3", "messageExpression": "'n is ' + string(self.n)", "message": "too small"}
    assert check(ruled(record(n=INT), rule), {"n": 1}) == ["spec: Invalid value: n is 1"]
    for expression in ("self.m", "'a\\nb'", "''", "'x'.substring(5)"):
        schema = ruled(record(n=INT, m=TEXT), rule | {"messageExpression": expression})
        assert check(schema, {"n": 1}) == ["spec: Invalid value: too small"]


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("FieldValueForbidden", "spec.a.b: Forbidden: no"),
        ("FieldValueRequired", "spec.a.b: Required value: no"),
        ("FieldValueDuplicate", "spec.a.b: Duplicate value"),
        ("FieldValueInvalid", "spec.a.b: Invalid value: no"),
    ],
)
def test_reason_and_field_path(reason: str, message: str) -> None:
    rule = {"rule": "has(self.a.b)", "message": "no", "reason": reason, "fieldPath": ".a['b']"}
    assert check(ruled(record(a=record(b=TEXT)), rule), {"a": {}}) == [message]


def test_what_rules_see_of_formats_names_and_numbers() -> None:
    schema = record(
        **{
            "my-field": TEXT,
            "namespace": TEXT,
            "a.b": INT,
            "when": {"type": "string", "format": "date-time"},
            "day": {"type": "string", "format": "date"},
            "every": {"type": "string", "format": "duration"},
            "data": {"type": "string", "format": "byte"},
            "ratio": {"type": "number"},
            "either": {"x-kubernetes-int-or-string": True},
            "set": {"type": "array", "items": INT, "x-kubernetes-list-type": "set"},
        }
    )
    value = {
        "my-field": "a",
        "namespace": "n",
        "a.b": 1,
        "when": "2020-01-01T00:00:00Z",
        "day": "2020-01-02",
        "every": "1h30m",
        "data": "aGk=",
        "ratio": 1,
        "either": "50%",
        "set": [1, 2],
    }
    holds = [
        "self.my__dash__field == 'a' && self.__namespace__ == 'n' && self.a__dot__b == 1",
        "has(self.my__dash__field)",
        "self.when < self.day && self.when.getFullYear() == 2020",
        "self.every == duration('90m') && self.data == b'hi'",
        "self.ratio / 2.0 == 0.5 && type(self.ratio) == double",
        "type(self.either) == string ? self.either.endsWith('%') : self.either > 0",
        "self.set == [2, 1] && self.set + [3] == [1, 2, 3]",
    ]
    assert check(ruled(schema, *holds), value) == []
    assert list(definition.faults(root(ruled(schema, *holds)), PATH)) == []


def test_an_embedded_resource_has_a_kind() -> None:
    embedded = {"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True}
    schema = record(inner=ruled(embedded, "self.kind == 'Pod' && self.metadata.name == 'x'"))
    assert check(schema, {"inner": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}}}) == []
    assert len(check(schema, {"inner": {"apiVersion": "v1", "kind": "Job", "metadata": {"name": "x"}}})) == 1


def test_rules_in_all_of() -> None:
    schema = record(n=INT) | {"allOf": [ruled({"properties": {"n": ruled({}, "self > 1")}}, "self.n < 9")]}
    assert check(schema, {"n": 5}) == []
    assert check(schema, {"n": 0}) == ["spec.n: Invalid value: 0: failed rule: self > 1"]
    assert check(schema, {"n": 9}) == ["spec: Invalid value: failed rule: self.n < 9"]


def test_null_is_not_asked_about() -> None:
    assert check(record(a=ruled(TEXT | {"nullable": True}, "self != ''")), {"a": None}) == []


def test_what_an_update_leaves_as_it_was_is_forgiven_with_a_warning() -> None:
    schema = record(a=ruled(TEXT, "self.size() > 3"), b=TEXT, c={"type": "array", "items": ruled(TEXT, "self != ''")})
    rules = compile_rules(root(schema))
    assert isinstance(rules, Rules)
    old = {"a": "x", "b": "1", "c": [""]}
    causes, warnings = rules.check({"spec": old | {"b": "2"}}, {"spec": old})
    assert causes == []
    assert warnings == [
        'spec.a: Invalid value: "x": failed rule: self.size() > 3',
        "spec.c[0]: Invalid value: \"\": failed rule: self != ''",
    ]
    causes, _ = rules.check({"spec": old | {"a": "y", "c": ["", "z"]}}, {"spec": old})
    assert [cause["field"] for cause in causes] == ["spec.a", "spec.c[0]"]


def test_the_budget_is_for_the_whole_object() -> None:
    rule = "self.all(x, self.all(y, x + y >= 0))"
    schema = record(**{f"l{index}": ruled({"type": "array", "items": INT}, rule) for index in range(40)})
    faults = check(schema, {f"l{index}": list(range(250)) for index in range(40)})
    assert faults[-1].endswith(
        'Invalid value: "array": validation failed due to running out of cost budget, no further validation rules will be run'
    )
    assert len(faults) == 1
    assert TOTAL == 10_000_000
    (fault,) = check(record(a=ruled({"type": "array", "items": INT}, rule)), {"a": list(range(2000))})
    assert "'operation cancelled: actual cost limit exceeded': no further validation rules will be run" in fault


def test_errors_of_a_rule_name_it() -> None:
    schema = record(l=ruled({"type": "array", "items": INT}, "self[3] == 1"))
    assert check(schema, {"l": []}) == [
        'spec.l: Invalid value: "array": index out of bounds: 3 evaluating rule: self[3] == 1'
    ]
    (fault,) = check(record(e=ruled({"x-kubernetes-int-or-string": True}, "self > 'a'")), {"e": 1})
    assert (
        "call arguments did not match a supported operator, function or macro signature for rule: self > 'a'" in fault
    )


# --- definitions


def faults(schema: dict[str, Any]) -> list[str]:
    found = definition.faults(root(schema), PATH)
    return [f"{cause['field'].removeprefix(PATH)}: {cause['message']}" for cause in found]


@pytest.mark.parametrize(
    ("schema", "where", "message"),
    [
        (ruled(TEXT, ""), ".rule", "Required value: rule is not specified"),
        (ruled(TEXT, {"rule": "true", "message": " "}), ".message", "must be non-empty if specified"),
        (ruled(TEXT, {"rule": "true", "message": "a\nb"}), ".message", "must not contain line breaks"),
        (ruled(TEXT, "true\n&& true"), ".message", "message must be specified if rule contains line breaks"),
        (
            ruled(TEXT, {"rule": "true", "messageExpression": " "}),
            ".messageExpression",
            "must be non-empty if specified",
        ),
        (
            ruled(TEXT, {"rule": "true", "reason": "Why"}),
            ".reason",
            'Unsupported value: "Why": supported values: "FieldValueD',
        ),
        (ruled(record(a=TEXT), {"rule": "true", "fieldPath": ".b"}), ".fieldPath", "must be a valid path"),
        (ruled(record(a=TEXT), {"rule": "true", "fieldPath": "a"}), ".fieldPath", "must be a valid path"),
        (
            ruled(TEXT, "self + 1 == 2"),
            ".rule",
            "compilation failed: ERROR: <input>:1:6: found no matching overload for '_+_'",
        ),
        (ruled(record(a=TEXT), "self.b == ''"), ".rule", "compilation failed: ERROR: <input>:1:5: undefined field 'b'"),
        (ruled(TEXT, "self"), ".rule", "cel expression must evaluate to a bool"),
        (ruled(TEXT, {"rule": "true", "messageExpression": "1"}), ".messageExpression", "must evaluate to a string"),
        (
            ruled(TEXT, {"rule": "true", "messageExpression": "x"}),
            ".messageExpression",
            "messageExpression compilation failed",
        ),
        (
            ruled(TEXT, {"rule": "self == ''", "optionalOldSelf": True}),
            ".optionalOldSelf",
            "may not be set if oldSelf",
        ),
        (ruled(TEXT, {"rule": 1}), "", "must be an object whose fields are strings"),
    ],
)
def test_a_definition_with_a_wrong_rule_is_refused(schema: dict[str, Any], where: str, message: str) -> None:
    (fault,) = faults(schema)
    assert fault.startswith(f".properties[spec].x-kubernetes-validations[0]{where}: ")
    assert message in fault


def test_old_values_in_a_list_without_keys_cannot_be_compared() -> None:
    (fault,) = faults(record(l={"type": "array", "maxItems": 3, "items": ruled(INT, "self == oldSelf")}))
    assert (
        f"oldSelf cannot be used on the uncorrelatable portion of the schema within {PATH}.properties[spec].properties[l]"
        in fault
    )


def test_rules_that_cost_too_much_are_refused() -> None:
    nested = ruled({"type": "array", "items": TEXT}, "self.all(x, self.exists(y, x.contains(y)))")
    messages = faults(record(l=nested))
    assert any(
        "Forbidden: estimated rule cost exceeds budget by factor of more than 100x (try simplifying" in m
        for m in messages
    )
    assert any(
        "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema" in m
        for m in messages
    )
    assert any(
        "estimated rule cost total for entire OpenAPIv3 schema exceeds budget by factor of" in m for m in messages
    )
    bounded = nested | {"maxItems": 10, "items": TEXT | {"maxLength": 20}}
    assert faults(record(l=bounded)) == []


# --- ratcheting of the schema's own validations


def validate(schema: dict[str, Any], new: Any, old: Any = None) -> list[str]:
    strategy = CustomStrategy(root(schema))
    found = strategy.shape_faults(copy.deepcopy({"spec": new}), None if old is None else {"spec": old})
    return [cause["field"] for cause in found]


ROWS = {
    "type": "array",
    "items": {"type": "object", "properties": {"name": TEXT, "port": {"type": "integer", "maximum": 9}}},
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["name"],
}


@pytest.mark.parametrize(
    ("schema", "old", "new", "wrong"),
    [
        (record(a=TEXT | {"maxLength": 1}, b=TEXT), {"a": "xx"}, {"a": "xx", "b": ""}, []),
        (record(a=TEXT | {"maxLength": 1}, b=TEXT), {"a": "xx"}, {"a": "yy"}, ["spec.a"]),
        (record(a=TEXT) | {"required": ["a"]}, {}, {}, []),
        (record(a=TEXT, b=TEXT) | {"required": ["a"]}, {}, {"b": ""}, ["spec.a"]),
        (record(l=ROWS), {"l": [{"name": "a", "port": 10}]}, {"l": [{"name": "b"}, {"name": "a", "port": 10}]}, []),
        (record(l=ROWS), {"l": [{"name": "a", "port": 10}]}, {"l": [{"name": "a", "port": 11}]}, ["spec.l[0].port"]),
        (
            record(l={"type": "array", "items": {"type": "integer", "maximum": 9}}, b=TEXT),
            {"l": [10]},
            {"l": [10, 1]},
            ["spec.l[0]"],
        ),
        (
            record(l={"type": "array", "items": {"type": "integer", "maximum": 9}}, b=TEXT),
            {"l": [10]},
            {"l": [10], "b": ""},
            [],
        ),
        (
            record(m={"type": "object", "additionalProperties": {"type": "integer", "maximum": 9}}),
            {"m": {"a.b": 10, "a": 1}},
            {"m": {"a.b": 10, "a": 2}},
            [],
        ),
        (
            record(l=ROWS),
            {"l": [{"name": "a"}, {"name": "a"}]},
            {"l": [{"name": "a"}, {"name": "a"}, {"name": "b"}]},
            [],
        ),
        (record(l=ROWS), {"l": [{"name": "a"}]}, {"l": [{"name": "a"}, {"name": "a"}]}, ["spec.l[1]"]),
    ],
)
def test_an_update_may_leave_what_was_wrong(schema: dict[str, Any], old: Any, new: Any, wrong: list[str]) -> None:
    assert validate(schema, new, old) == wrong
    assert validate(schema, new) != []


def test_rules_that_were_not_asked_are_told() -> None:
    schema = ruled(record(a=TEXT) | {"required": ["a"]}, "self.a != ''")
    assert validate(schema, {}) == ["spec.a", "<nil>"]
