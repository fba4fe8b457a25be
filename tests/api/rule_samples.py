"""Definitions with rules, and objects for them: the same questions to ours and to the real kube-apiserver."""

from __future__ import annotations

from typing import Any

INT, TEXT = {"type": "integer"}, {"type": "string"}
Schema = dict[str, Any]


def ruled(schema: Schema, *rules: str | Schema) -> Schema:
    listed = [{"rule": rule} if isinstance(rule, str) else rule for rule in rules]
    return schema | {"x-kubernetes-validations": listed}


def record(**properties: Any) -> Schema:
    return {"type": "object", "properties": properties}


def definition(plural: str, spec: Schema) -> Schema:
    kind = plural.capitalize()
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.rules.example.com"},
        "spec": {
            "group": "rules.example.com",
            "scope": "Cluster",
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"},
            "versions": [
                {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": record(spec=spec)}},
            ],
        },
    }


TEXTS = {"type": "array", "items": TEXT}
SHORT = {"type": "array", "maxItems": 10, "items": TEXT | {"maxLength": 20}}
ROWS = {
    "type": "array",
    "maxItems": 20,
    "items": record(name=TEXT | {"maxLength": 20}, size=INT) | {"required": ["name"]},
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["name"],
}

REFUSED: dict[str, Schema] = {
    "empty": ruled(TEXT, " "),
    "blank-message": ruled(TEXT, {"rule": "true", "message": " "}),
    "two-lines": ruled(TEXT, {"rule": "true", "message": "a\nb"}),
    "long-rule": ruled(TEXT, "true\n&& true"),
    "blank-expression": ruled(TEXT, {"rule": "true", "messageExpression": " "}),
    "reason": ruled(TEXT, {"rule": "true", "reason": "Why"}),
    "path": ruled(record(a=TEXT), {"rule": "true", "fieldPath": ".b"}),
    "syntax": ruled(TEXT, "self ="),
    "overload": ruled(TEXT, "self + 1 == 2"),
    "undefined": ruled(record(a=TEXT), "self.b == ''"),
    "undeclared": ruled(record(a=TEXT), "other == ''"),
    "not-bool": ruled(TEXT | {"maxLength": 5}, "self"),
    "not-string": ruled(TEXT, {"rule": "true", "messageExpression": "1"}),
    "no-message": ruled(TEXT, {"rule": "true", "messageExpression": "x"}),
    "not-optional": ruled(TEXT | {"maxLength": 5}, {"rule": "self == ''", "optionalOldSelf": True}),
    "unbounded": record(l=ruled(TEXTS, "self.all(x, self.exists(y, x.contains(y)))")),
    "squared": record(l=ruled(TEXTS | {"maxItems": 1000}, "self.all(x, self.exists(y, x == y))")),
    "list": record(l={"type": "array", "maxItems": 3, "items": ruled(INT, "self == oldSelf")}),
    "null": record(a=ruled(record(b=INT | {"nullable": True}), "self.b == null")),
    "literal": ruled(TEXT, "duration(self) > duration('x')"),
    "matches": record(l={"type": "array", "items": ruled(TEXT, "self.matches('^a+$')")}),
    "mixed": ruled(record(a=INT, b=TEXT), "self.a == self.b"),
    "over-by-little": record(
        l=ruled({"type": "array", "maxItems": 1500, "items": INT}, "self.all(x, self.all(y, x == y))")
    ),
    "message-cost": ruled(record(n=INT), {"rule": "true", "messageExpression": "'n is ' + string(self.n)"}),
    "objects": ruled(record(a=record(x=INT), b=record(x=INT)), "self.a == self.b"),
    "default": record(n=ruled(INT | {"default": 3}, {"rule": "self > 5", "message": "more"}, "oldSelf == self")),
    "new-default": record(
        n=ruled(INT | {"default": 3}, {"rule": "oldSelf.hasValue() || self > 5", "optionalOldSelf": True})
    ),
    "broken-default": record(n=ruled(INT | {"default": 3}, "self > 'a'")),
    "constant": ruled(TEXT | {"maxLength": 5}, "int('a') > size(oldSelf)"),
    "constant-message": ruled(TEXT | {"maxLength": 5}, {"rule": "true", "messageExpression": "string(int('a'))"}),
    "has": ruled(record(a=TEXT), "has(self)"),
    "two": ruled(
        record(l={"type": "array", "items": TEXT}),
        {"rule": "self.l.all(x, self.l.exists(y, x == y))", "messageExpression": "1 +", "optionalOldSelf": True},
    ),
    "inner-syntax": ruled(record(a=ruled(TEXT, {"rule": "true", "message": " "}), b=ruled(INT, "self")), "self"),
    "times": record(l={"type": "array", "items": ruled({"type": "string", "format": "date-time"}, "self + 1 == self")}),
    "names": record(l={"type": "array", "items": ruled(record(**{"a.b": record(x=INT)}), "self.a__dot__b == self")}),
}
"""Definitions that are not taken."""

TAKEN: dict[str, tuple[Schema, list[tuple[Any, Any]]]] = {
    "plain": (
        ruled(record(least=INT, most=INT), {"rule": "self.least <= self.most", "message": " too large "}),
        [({"least": 1, "most": 2}, None), ({"least": 3, "most": 2}, None), ({"least": 3}, None)],
    ),
    "scalar": (record(n=ruled(INT, "self > 3"), s=ruled(TEXT, "self.startsWith('a')")), [({"n": 1, "s": "b"}, None)]),
    "paths": (
        record(
            items={"type": "array", "maxItems": 9, "items": ruled(TEXT | {"maxLength": 9}, "self != ''")},
            map={"type": "object", "maxProperties": 9, "additionalProperties": ruled(INT, "self > 0")},
        ),
        [({"items": ["a", ""], "map": {"a.b/c": 0}}, None)],
    ),
    "frozen": (
        record(a=ruled(TEXT | {"maxLength": 9}, {"rule": "self == oldSelf", "message": "stays"})),
        [({"a": "x"}, {"a": "x"}), ({"a": "y"}, {"a": "x"}), ({"a": "y"}, {})],
    ),
    "rows": (
        record(rows=ROWS | {"items": ruled(ROWS["items"], "self.size >= oldSelf.size")}),
        [
            (
                {"rows": [{"name": "b", "size": 0}, {"name": "a", "size": 5}, {"name": "c", "size": 0}]},
                {"rows": [{"name": "a", "size": 5}, {"name": "b", "size": 1}]},
            )
        ],
    ),
    "optional": (
        record(
            a=ruled(
                TEXT | {"maxLength": 9},
                {
                    "rule": "oldSelf.hasValue() || self.size() > 2",
                    "optionalOldSelf": True,
                    "message": "new ones are long",
                },
            )
        ),
        [({"a": "x"}, None), ({"a": "x"}, {"a": "yyyy"})],
    ),
    "message": (
        ruled(
            record(n=INT, s=TEXT | {"maxLength": 9}),
            {"rule": "self.n > 3", "messageExpression": "self.n < 2 ? 'tiny' : 'small'", "message": "small"},
            {"rule": "self.n > 4", "messageExpression": "self.s", "message": "smaller"},
        ),
        [({"n": 1}, None), ({"n": 1, "s": "said"}, None), ({"n": 1, "s": " "}, None)],
    ),
    "reasons": (
        ruled(
            record(a=record(b=TEXT)),
            {"rule": "has(self.a.b)", "message": "1", "reason": "FieldValueRequired", "fieldPath": ".a.b"},
            {"rule": "has(self.a.b)", "message": "2", "reason": "FieldValueForbidden", "fieldPath": ".a['b']"},
            {"rule": "has(self.a.b)", "message": "3", "reason": "FieldValueDuplicate"},
            {"rule": "has(self.a.b)", "message": "4", "reason": "FieldValueInvalid"},
        ),
        [({"a": {}}, None)],
    ),
    "formats": (
        ruled(
            record(
                **{
                    "my-field": TEXT | {"maxLength": 5},
                    "namespace": TEXT | {"maxLength": 5},
                    "when": {"type": "string", "format": "date-time"},
                    "every": {"type": "string", "format": "duration"},
                    "data": {"type": "string", "format": "byte", "maxLength": 9},
                    "ratio": {"type": "number"},
                    "set": SHORT | {"x-kubernetes-list-type": "set"},
                }
            ),
            "self.my__dash__field == 'a' && self.__namespace__ == 'n'",
            "self.when.getFullYear() == 2020 && self.every == duration('90m') && self.data == b'hi'",
            "self.ratio / 2.0 == 0.5 && self.set == ['b', 'a']",
        ),
        [
            (
                {
                    "my-field": "a",
                    "namespace": "n",
                    "when": "2020-01-01T00:00:00Z",
                    "every": "1h30m",
                    "data": "aGk=",
                    "ratio": 1,
                    "set": ["a", "b"],
                },
                None,
            ),
            ({"my-field": "a", "namespace": "m", "when": "2021-01-01T00:00:00Z", "ratio": 2, "set": ["a"]}, None),
        ],
    ),
    "errors": (
        record(
            l=ruled({"type": "array", "maxItems": 9, "items": INT}, "self[3] == 1"),
            e=ruled({"x-kubernetes-int-or-string": True, "maxLength": 9}, "self > 'a'"),
            m=ruled({"type": "object", "maxProperties": 9, "additionalProperties": INT}, "self['k'] == 1"),
            n=ruled(INT, "10 / self > 1"),
        ),
        [({"l": [], "e": 1, "m": {}, "n": 0}, None)],
    ),
    "blocked": (
        ruled(record(a=TEXT | {"maxLength": 3}) | {"required": ["a"]}, "self.a != ''"),
        [({}, None), ({"a": "xxxx"}, None), ({"a": ""}, None)],
    ),
    "ratchet": (
        record(
            a=ruled(TEXT | {"maxLength": 3}, "self.size() > 1"),
            b=TEXT,
            n=INT | {"maximum": 9},
            c={"type": "array", "maxItems": 5, "items": ruled(TEXT | {"maxLength": 9}, "self != ''")},
        ),
        [({"a": "x", "c": [""], "n": 10}, None)],
    ),
    "keyword": (
        ruled(
            record(namespace=TEXT | {"maxLength": 9}, n=TEXT | {"nullable": True}),
            "has(self.namespace) && self.namespace == 'a' && self.__namespace__ == 'a' && !has(self.n)",
        ),
        [({"namespace": "a", "n": None}, None), ({"namespace": "b"}, None), ({}, None)],
    ),
    "map-path": (
        record(
            m=ruled({"type": "object", "additionalProperties": INT}, {"rule": "'k' in self", "fieldPath": "['k']"}),
            s=ruled(TEXT | {"maxLength": 5}, "self.split(',')[0].matches('[a-z]+')"),
        ),
        [({"m": {}, "s": "1"}, None)],
    ),
    "values": (
        record(
            e=TEXT | {"enum": ["a", "b"], "nullable": True},
            b={"type": "string", "format": "byte"},
            f=ruled({"type": "number"}, {"rule": "self < 5.0", "message": "é"}),
            t=ruled(TEXT | {"maxLength": 99}, "cidr('10.0.0.0/8').containsIP(self)", "ip(self).family() == 4"),
        ),
        [
            ({"f": 1e10}, None),
            ({"f": 123456.75}, None),
            ({"e": None}, None),
            ({"b": ""}, None),
            ({"t": "10.0.0"}, None),
            ({"t": "1::2::3"}, None),
        ],
    ),
    "just-in": (
        record(l=ruled({"type": "array", "maxItems": 1400, "items": INT}, "self.all(x, self.all(y, x == y))")),
        [],
    ),
}
"""Definitions that are taken, and (new spec, old spec or None)."""
