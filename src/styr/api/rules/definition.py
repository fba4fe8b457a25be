"""The rules of a definition when it is written: they must compile, and not cost too much. Called by its strategy."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from styr.api.rules.declare import MAX_REQUEST, Declared, declare, escape
from styr.api.rules.rule import REASONS, Environments, Rule, RuleError, compile_rule, field_path
from styr.api.rules.tree import compile_rules
from styr.api.schema import has_rules
from styr.cel.estimate import estimate
from styr.kinds.errors import Cause

PER_RULE = 10_000_000
PER_SCHEMA = 100_000_000
_MOST = (1 << 64) - 1
_HINT = (
    "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are "
    "declared)"
)


@dataclass(slots=True)
class _Total:
    """What all rules of a schema cost at worst, and the ones that matter."""

    cost: int = 0
    rules: list[tuple[int, str]] = field(default_factory=list)

    def add(self, cost: int, path: str) -> None:
        self.cost = min(self.cost + cost, _MOST)
        if cost >= PER_SCHEMA // 100:
            self.rules.append((cost, path))


@dataclass(frozen=True, slots=True)
class _Place:
    """`times` is how often a value can stand here, None when nothing bounds it. `uncorrelated` is the first place above from
    which on the old value cannot be told."""

    path: str
    name: str
    declared: Declared | None
    times: int | None
    uncorrelated: str = ""


def faults(schema: Mapping[str, Any], path: str) -> Iterator[Cause]:
    """Of a structural schema; `path` is where it stands."""
    if not has_rules(schema):
        return
    if malformed := list(_malformed(schema, path)):
        yield from malformed
        return
    total = _Total()
    syntax = list(_syntax(schema, path))
    yield from syntax
    defaults = list(_defaults(schema, path, root=True))
    yield from defaults
    if defaults:
        return
    declared = declare(schema, "selfType", root=True)
    yield from _walk(schema, _Place(path, "selfType", declared, 1), total, [cause["field"] for cause in syntax])
    if total.cost > PER_SCHEMA:
        for _, where in sorted(total.rules, key=lambda entry: -entry[0])[:4]:
            text = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"
            yield _forbidden(where, text)
        name = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema"
        yield _forbidden(path, _exceeds(name, total.cost, PER_SCHEMA))


def _defaults(schema: Mapping[str, Any], path: str, *, root: bool = False) -> Iterator[Cause]:
    """A default must keep the rules, where it stays as it is and where it is new."""
    root = root or schema.get("x-kubernetes-embedded-resource") is True
    if schema.get("default") is not None and (rules := compile_rules(schema, root=root)) is not None:
        value, where = schema["default"], f"{path}.default"
        yield from rules.strictly(value, value, where) or rules.strictly(value, None, where)
    for key, child in (schema.get("properties") or {}).items():
        yield from _defaults(child, f"{path}.properties[{key}]")
    if isinstance(items := schema.get("items"), Mapping):
        yield from _defaults(items, f"{path}.items")


def _walk(schema: Mapping[str, Any], place: _Place, total: _Total, wrong: Sequence[str]) -> Iterator[Cause]:
    """`wrong` are the places of faults already found: what is around them is not compiled."""
    wrong = [path for path in wrong if path.startswith(f"{place.path}.")]
    yield from _below(schema, place, total, wrong)
    if not wrong:
        yield from _own(schema, place, total)


def _below(schema: Mapping[str, Any], place: _Place, total: _Total, wrong: Sequence[str]) -> Iterator[Cause]:
    declared, times = place.declared, place.times
    below = None if times is None or (factor := _factor(schema)) is None else min(times * factor, _MOST)
    for key, child in (schema.get("properties") or {}).items():
        escaped = escape(key)
        path, name = f"{place.path}.properties[{key}]", f"{place.name}.{escaped}"
        found = declared.fields.get(escaped or "") if declared else None
        yield from _child(child, _Place(path, name, found, below, place.uncorrelated), total, wrong)
    element = declared.element if declared else None
    if isinstance(extra := schema.get("additionalProperties"), Mapping):
        where = _Place(f"{place.path}.additionalProperties", f"{place.name}.@elem", element, below, place.uncorrelated)
        yield from _child(extra, where, total, wrong)
    if isinstance(items := schema.get("items"), Mapping):
        uncorrelated = place.uncorrelated
        if not uncorrelated and schema.get("x-kubernetes-list-type") != "map":
            uncorrelated = place.path
        where = _Place(f"{place.path}.items", f"{place.name}.@idx", element, below, uncorrelated)
        yield from _child(items, where, total, wrong)


def _child(schema: Mapping[str, Any], place: _Place, total: _Total, wrong: Sequence[str]) -> Iterator[Cause]:
    if not has_rules(schema):
        return
    if place.declared is None:
        made = declare(schema, place.name, root=schema.get("x-kubernetes-embedded-resource") is True)
        place = _Place(place.path, place.name, made, place.times, place.uncorrelated)
    yield from _walk(schema, place, total, wrong)


def _factor(schema: Mapping[str, Any]) -> int | None:
    """How many children a value can have; None without bounds."""
    if schema.get("type") == "array":
        return max(schema["maxItems"], 0) if "maxItems" in schema else None
    if schema.get("type") == "object" and "additionalProperties" in schema:
        return max(schema["maxProperties"], 0) if "maxProperties" in schema else None
    return 1


def _own(schema: Mapping[str, Any], place: _Place, total: _Total) -> Iterator[Cause]:
    rules = schema.get("x-kubernetes-validations") or ()
    if not rules:
        return
    base = f"{place.path}.x-kubernetes-validations"
    if place.declared is None:
        text = (
            "Internal error: internal error: failed to construct type information for x-kubernetes-validations rules: "
        )
        text += "unable to convert structural schema to CEL declarations"
        yield {"reason": "InternalError", "field": base, "message": text}
        return
    environments = Environments.of(place.declared, place.name)
    for index, entry in enumerate(rules):
        where = f"{base}[{index}]"
        try:
            rule = compile_rule(entry, schema, environments, str(schema.get("type") or ""))
        except RuleError as error:
            yield _invalid(f"{where}.rule", _shown(entry), str(error))
            yield from _comparison(error.compares, entry, place, where)
            continue
        yield from _costs(rule, place, where, total)
        if rule.wrong:
            yield _invalid(f"{where}.messageExpression", _shown(entry), rule.wrong)
        yield from _comparison(rule.compares, entry, place, where)


def _costs(rule: Rule, place: _Place, where: str, total: _Total) -> Iterator[Cause]:
    declared = place.declared
    assert declared is not None
    times = place.times if place.times is not None else MAX_REQUEST // (declared.least + 1)
    cost = min(estimate(rule.program, declared.at).high * times, _MOST)
    total.add(cost, f"{where}.rule")
    if cost > PER_RULE:
        yield _forbidden(f"{where}.rule", _exceeds("estimated rule cost", cost, PER_RULE))
    if rule.message is not None:
        cost = estimate(rule.message, declared.at).high
        total.add(cost, f"{where}.messageExpression")
        if cost > PER_RULE:
            yield _forbidden(f"{where}.messageExpression", _exceeds("estimated messageExpression cost", cost, PER_RULE))


def _comparison(compares: bool, entry: Mapping[str, Any], place: _Place, where: str) -> Iterator[Cause]:
    if compares and place.uncorrelated:
        text = f"oldSelf cannot be used on the uncorrelatable portion of the schema within {place.uncorrelated}"
        yield _invalid(f"{where}.rule", json.dumps(entry["rule"], ensure_ascii=False), text)
    elif not compares and entry.get("optionalOldSelf") is not None:
        shown = json.dumps(entry["optionalOldSelf"])
        yield _invalid(f"{where}.optionalOldSelf", shown, "may not be set if oldSelf is not used in rule")


def _exceeds(what: str, cost: int, limit: int) -> str:
    factor = cost / limit
    shown = "more than 100x" if factor > 100 else f"{factor:f}x" if factor < 1.5 else f"{factor:.1f}x"
    return f"{what} exceeds budget by factor of {shown} {_HINT}"


# --- what can be said of a rule without compiling it


def _places(schema: Any, path: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    if not isinstance(schema, Mapping):
        return
    yield schema, path
    for key, child in (schema.get("properties") or {}).items():
        yield from _places(child, f"{path}.properties[{key}]")
    for word in ("additionalProperties", "items"):
        yield from _places(schema.get(word), f"{path}.{word}")
    for index, part in enumerate(schema.get("allOf") or ()):
        yield from _places(part, f"{path}.allOf[{index}]")


def _malformed(schema: Mapping[str, Any], path: str) -> Iterator[Cause]:
    for place, where in _places(schema, path):
        rules = place.get("x-kubernetes-validations")
        if rules is not None and not isinstance(rules, list):
            yield _invalid(f"{where}.x-kubernetes-validations", json.dumps(str(rules)[:80]), "must be a list")
            continue
        for index, rule in enumerate(rules or ()):
            path = f"{where}.x-kubernetes-validations[{index}]"
            if not isinstance(rule, Mapping) or not all(isinstance(rule.get(key) or "", str) for key in _TEXTS):
                yield _invalid(path, json.dumps(str(rule)[:80]), "must be an object whose fields are strings")
            elif not isinstance(rule.get("optionalOldSelf") or False, bool):
                shown = json.dumps(str(rule["optionalOldSelf"])[:80])
                yield _invalid(f"{path}.optionalOldSelf", shown, "must be a boolean")


def _syntax(schema: Mapping[str, Any], path: str) -> Iterator[Cause]:
    for place, where in _places(schema, path):
        for index, rule in enumerate(place.get("x-kubernetes-validations") or ()):
            yield from _rule_syntax(rule, place, f"{where}.x-kubernetes-validations[{index}]")


_NEWLINE = re.compile("[\n\r]")
_TEXTS = ("rule", "message", "messageExpression", "reason", "fieldPath")


def _rule_syntax(rule: Mapping[str, Any], schema: Mapping[str, Any], where: str) -> Iterator[Cause]:
    text, message = (rule.get("rule") or "").strip(), rule.get("message") or ""
    if not text:
        yield _required(f"{where}.rule", "rule is not specified")
    elif message and not message.strip():
        yield _invalid(f"{where}.message", json.dumps(message, ensure_ascii=False), "must be non-empty if specified")
    elif _NEWLINE.search(message.strip()):
        yield _invalid(f"{where}.message", json.dumps(message, ensure_ascii=False), "must not contain line breaks")
    elif _NEWLINE.search(text) and not message.strip():
        yield _required(f"{where}.message", "message must be specified if rule contains line breaks")
    if rule.get("messageExpression") and not rule["messageExpression"].strip():
        yield _required(f"{where}.messageExpression", "messageExpression must be non-empty if specified")
    yield from _reason_and_path(rule, schema, where)


def _reason_and_path(rule: Mapping[str, Any], schema: Mapping[str, Any], where: str) -> Iterator[Cause]:
    reason, path = rule.get("reason"), rule.get("fieldPath") or ""
    if reason is not None and reason not in REASONS:
        shown = ", ".join(f'"{name}"' for name in REASONS)
        message = f"Unsupported value: {json.dumps(reason)}: supported values: {shown}"
        yield {"reason": "FieldValueNotSupported", "field": f"{where}.reason", "message": message}
    if path and not path.strip():
        yield _invalid(f"{where}.fieldPath", json.dumps(path, ensure_ascii=False), "must be non-empty if specified")
    if _NEWLINE.search(path):
        yield _invalid(f"{where}.fieldPath", json.dumps(path, ensure_ascii=False), "must not contain line breaks")
    if path and field_path(schema, path) is None:
        yield _invalid(f"{where}.fieldPath", json.dumps(path, ensure_ascii=False), "must be a valid path")


_GO = ("Rule", "Message", "MessageExpression", "Reason", "FieldPath", "OptionalOldSelf")


def _shown(entry: Mapping[str, Any]) -> str:
    """A rule as Go prints it."""
    absent = {"Reason": None, "OptionalOldSelf": None}
    values = {name: entry.get(name[0].lower() + name[1:]) for name in _GO}
    told = {name: absent.get(name, "") if value is None else value for name, value in values.items()}
    text = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _invalid(path: str, shown: str, text: str) -> Cause:
    return {"reason": "FieldValueInvalid", "field": path, "message": f"Invalid value: {shown}: {text}"}


def _required(path: str, text: str) -> Cause:
    return {"reason": "FieldValueRequired", "field": path, "message": f"Required value: {text}"}


def _forbidden(path: str, text: str) -> Cause:
    return {"reason": "FieldValueForbidden", "field": path, "message": f"Forbidden: {text}"}
