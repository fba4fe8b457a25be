"""A policy ready to be asked. Made by `book` at the first request that it means."""

from __future__ import annotations

from dataclasses import dataclass

from styr.api.admission.session import Conditions
from styr.api.expressions.compiler import OBJECT, PATCH, Compiler, Expression
from styr.cel.types import BOOL, NULL, STRING, list_of
from styr.kinds.resources import Object


@dataclass(frozen=True, slots=True)
class Validation:
    expression: Expression
    message: str
    made: Expression | None
    """messageExpression."""
    reason: str


@dataclass(frozen=True, slots=True)
class Mutation:
    """`patches`: a JSON patch, else an apply configuration."""

    expression: Expression
    patches: bool


class Compiled:
    def __init__(self, spec: Object) -> None:
        compiler = Compiler(params="paramKind" in spec)
        self.variables = {
            variable["name"]: compiler.variable(variable["name"], variable["expression"])
            for variable in spec.get("variables") or ()
        }
        self.conditions = Conditions(
            spec.get("matchConditions") or (), compiler, fails_open=spec.get("failurePolicy") == "Ignore"
        )
        self.validations = [_validation(entry, compiler) for entry in spec.get("validations") or ()]
        self.audits = [
            (entry["key"], compiler.compile(entry["valueExpression"].strip(), STRING, NULL))
            for entry in spec.get("auditAnnotations") or ()
        ]
        self.mutations = [_mutation(entry, compiler) for entry in spec.get("mutations") or ()]


def _validation(entry: Object, compiler: Compiler) -> Validation:
    made = entry.get("messageExpression")
    return Validation(
        compiler.compile(entry["expression"], BOOL),
        entry.get("message", ""),
        compiler.compile(made, STRING, authorizer=False) if made else None,
        entry.get("reason", ""),
    )


def _mutation(entry: Object, compiler: Compiler) -> Mutation:
    if entry["patchType"] == "JSONPatch":
        return Mutation(compiler.compile(entry["jsonPatch"]["expression"].strip(), list_of(PATCH), patches=True), True)
    text = entry["applyConfiguration"]["expression"].strip()
    return Mutation(compiler.compile(text, OBJECT, patches=True), False)
