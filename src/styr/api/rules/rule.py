"""One rule: its compiled expressions, and what it says of a value. Called by `tree` and `definition`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from styr.api.rules.declare import Declared
from styr.cel import types
from styr.cel.environment import PER_CALL, Environment, Program
from styr.cel.errors import CelError, CostExceeded, EvaluationError, PlanError
from styr.cel.values import NONE, Optional
from styr.kinds.errors import Cause
from styr.kit.floats import show_double

MAX_MESSAGE = 5120
"""Bytes of what a messageExpression makes."""
REASONS = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")
_STEP = re.compile(r"\.([^.\[\]]+)|\['((?:[^'\\]|\\.)*)'\]")
_OUT_OF_BUDGET = "validation failed due to running out of cost budget, no further validation rules will be run"


class RuleError(ValueError):
    """A rule that does not compile. `compares` as far as that could be told."""

    compares = False


class Exhausted(Exception):
    """A signal: no more rules are run for this object. The cause says why."""

    def __init__(self, cause: Cause) -> None:
        super().__init__(cause["message"])
        self.cause = cause


@dataclass(slots=True)
class Budget:
    """Units left for one object."""

    left: int


@dataclass(frozen=True, slots=True)
class Environments:
    """For the rules of one place in a schema: with `oldSelf` as it is, and as an optional. `name` is what types that have no
    name are called there."""

    plain: Environment
    optional: Environment
    name: str

    @classmethod
    def of(cls, declared: Declared, name: str) -> Environments:
        kind = declared.type
        return cls(
            Environment({"self": kind, "oldSelf": kind}),
            Environment({"self": kind, "oldSelf": types.optional_of(kind)}),
            name,
        )

    def compile(self, text: str, *, optional: bool, what: str = "") -> Program:
        """Raises `RuleError`."""
        try:
            return (self.optional if optional else self.plain).compile(text)
        except PlanError as error:
            wrong = RuleError(f"{what or 'program '}instantiation failed: {error}")
            wrong.compares = "oldSelf" in error.names
            raise wrong from None
        except CelError as error:
            raise RuleError(f"{what}compilation failed: {str(error).replace(self.name, 'selfType')}") from None


@dataclass(frozen=True, slots=True)
class Rule:
    """`kind` is the type in the schema. `path` is appended to the field that the rule stands at."""

    program: Program
    message: Program | None
    wrong: str
    """What is wrong with the messageExpression, "" for nothing."""
    optional: bool
    kind: str
    text: str
    """What an error calls it: its message, else its expression."""
    default: str
    reason: str
    path: str

    @property
    def compares(self) -> bool:
        """Does it look at the old value?"""
        return "oldSelf" in self.program.names

    def check(self, value: Any, old: Any, raw: Any, path: str, budget: Budget) -> Cause | None:
        """What is wrong, None when it holds. `value` and `old` as rules see them, `raw` as it is in JSON; `old` None when there
        is none. Raises Exhausted."""
        if self.optional:
            old = NONE if old is None else Optional(old)
        try:
            found, cost = self.program.run(PER_CALL, value, old)
        except CostExceeded as error:
            text = f"'{error}': no further validation rules will be run due to call cost exceeds limit for rule: {self.text}"
            raise Exhausted(self._fault(path, text)) from None
        except EvaluationError as error:
            self._pay(budget, error.cost, path)
            return self._fault(path, self._told(error))
        self._pay(budget, cost, path)
        if found is True:
            return None
        where = f"{path}.{self.path}" if path and self.path else f"{path}{self.path}"
        return self._refusal(self._text(value, old, where, budget), where, raw)

    def _told(self, error: EvaluationError) -> str:
        if str(error).startswith("no such overload"):
            return (
                f"'{error}': call arguments did not match a supported operator, function or macro signature for rule: "
                f"{self.text}"
            )
        return f"{error} evaluating rule: {self.text}"

    def _pay(self, budget: Budget, cost: int, path: str) -> None:
        if cost > budget.left:
            raise Exhausted(self._fault(path, _OUT_OF_BUDGET))
        budget.left -= cost

    def _fault(self, path: str, text: str) -> Cause:
        return {
            "reason": "FieldValueInvalid",
            "field": path or "<nil>",
            "message": f'Invalid value: "{self.kind}": {text}',
        }

    def _text(self, value: Any, old: Any, path: str, budget: Budget) -> str:
        """What the rule says when it does not hold."""
        if self.message is None:
            return self.default
        try:
            found, cost = self.message.run(PER_CALL, value, old)
        except CostExceeded:
            quoted = json.dumps(self.message.text)
            text = f"no further validation rules will be run due to call cost exceeds limit for messageExpression: {quoted}"
            raise Exhausted(self._fault(path, text)) from None
        except EvaluationError as error:
            budget.left -= error.cost
            return self.default
        if cost > budget.left:
            text = "messageExpression evaluation failed due to running out of cost budget"
            raise Exhausted(self._fault(path, f"{text}, no further validation rules will be run"))
        budget.left -= cost
        text = found.strip() if isinstance(found, str) else ""
        return text if text and "\n" not in text and len(text.encode()) <= MAX_MESSAGE else self.default

    def _refusal(self, text: str, path: str, raw: Any) -> Cause:
        shown = "" if isinstance(raw, (dict, list)) else f" {_show(raw)}"
        message = {
            "FieldValueForbidden": f"Forbidden: {text}",
            "FieldValueRequired": f"Required value: {text}",
            "FieldValueDuplicate": f"Duplicate value{':' + shown if shown else ''}",
        }.get(self.reason, f"Invalid value:{shown + ':' if shown else ''} {text}")
        return {"reason": self.reason, "field": path or "<nil>", "message": message}


def _show(value: Any) -> str:
    text = show_double(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 128 else text[:125] + '..."'


def compile_rule(rule: Mapping[str, Any], schema: Mapping[str, Any], environments: Environments, kind: str) -> Rule:
    """Raises `RuleError`."""
    text = str(rule.get("rule") or "")
    optional = rule.get("optionalOldSelf") is True
    program = environments.compile(text, optional=optional)
    if program.type != types.BOOL:
        raise RuleError("cel expression must evaluate to a bool")
    message, wrong = None, ""
    if expression := str(rule.get("messageExpression") or ""):
        try:
            message = environments.compile(expression, optional=optional, what="messageExpression ")
        except RuleError as error:
            wrong = str(error)
        if message is not None and message.type != types.STRING:
            message, wrong = None, "messageExpression must evaluate to a string"
    said = str(rule.get("message") or "").strip()
    path = ""
    if rule.get("fieldPath"):
        path = field_path(schema, str(rule["fieldPath"])) or ""
    return Rule(
        program,
        message,
        wrong,
        optional,
        kind,
        said or text.strip(),
        said or f"failed rule: {text.strip()}",
        str(rule.get("reason") or "FieldValueInvalid"),
        path,
    )


def field_path(schema: Mapping[str, Any], text: str) -> str | None:
    """`.spec['a']` as the path that a cause has, `spec.a`; None when it names no field of the schema."""
    found: Mapping[str, Any] = schema
    path, at = "", 0
    while at < len(text):
        match = _STEP.match(text, at)
        if match is None:
            return None
        at = match.end()
        name = match[1] if match[1] is not None else re.sub(r"\\(.)", r"\1", match[2])
        properties, extra = found.get("properties"), found.get("additionalProperties")
        if properties:
            if name not in properties:
                return None
            found = properties[name]
            path = f"{path}.{name}" if path else name
        elif isinstance(extra, Mapping):
            found, path = extra, f"{path}[{name}]"
        else:
            return None
    return path or None
