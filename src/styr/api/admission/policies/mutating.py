"""MutatingAdmissionPolicy: the plugin. Policies change an object one after the other, each what those before it made of it;
once something changed, those with `reinvocationPolicy: IfNeeded` are asked once more."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from styr.api.admission.attributes import Attributes, Operation
from styr.api.admission.chain import Base
from styr.api.admission.policies.book import Binding, Book, Policy
from styr.api.admission.policies.params import ConfigurationError, collect, kind_of
from styr.api.registry import ServedResource
from styr.api.store.commit import Txn
from styr.kinds.errors import ApiError, Forbidden
from styr.kinds.resources import Object

if TYPE_CHECKING:
    from styr.api.admission.session import Allows

_Key = tuple[str, str, str, str]
"""Policy, binding, namespace and name of the parameter."""


@dataclass(slots=True)
class _Memory:
    """Of one run of a write."""

    asked: set[_Key] = field(default_factory=set)
    again: set[_Key] = field(default_factory=set)
    output: Object | None = None

    def changed(self) -> None:
        self.again |= self.asked
        self.asked.clear()


@dataclass(frozen=True, slots=True)
class _Invocation:
    policy: Policy
    binding: Binding
    served: ServedResource
    params: Object | None

    @property
    def key(self) -> _Key:
        meta = (self.params or {}).get("metadata") or {}
        return self.policy.name, self.binding.name, meta.get("namespace", ""), meta.get("name", "")


class MutatingPolicies(Base):
    name = "MutatingAdmissionPolicy"

    def __init__(self, book: Book, allows: Allows) -> None:
        self._book = book
        self._allows = allows

    def handles(self, operation: Operation, served: ServedResource, subresource: str, /) -> bool:
        return operation in ("CREATE", "UPDATE") and self._book.may_match(operation, served, subresource)

    def mutate(self, attributes: Attributes, txn: Txn, /) -> None:
        if attributes.object is None:
            return
        memory = attributes.memory.setdefault(self.name, _Memory())
        if attributes.second and attributes.object != memory.output:
            memory.changed()
        errors: list[tuple[str, str]] = []
        for invocation in self._invocations(attributes, txn, errors):
            self._invoke(invocation, attributes, txn, memory, errors)
        memory.output = copy.deepcopy(attributes.object)
        if errors:
            raise _refusal(errors, attributes)

    def _invocations(self, attributes: Attributes, txn: Txn, errors: list[tuple[str, str]]) -> list[_Invocation]:
        """What is to be asked, found before anything changes."""
        found: list[_Invocation] = []
        for policy, served, bindings in self._book.meaning(attributes, txn):
            try:
                kind = kind_of(policy, self._book.registry)
            except ConfigurationError as error:
                _note(errors, policy, None, str(error), "")
                continue
            for binding in bindings:
                try:
                    params = collect(kind, binding, attributes, txn)
                except ConfigurationError as error:
                    _note(errors, policy, binding, str(error), "")
                    continue
                found += [_Invocation(policy, binding, served, param) for param in params]
        return found

    def _invoke(
        self,
        invocation: _Invocation,
        attributes: Attributes,
        txn: Txn,
        memory: _Memory,
        errors: list[tuple[str, str]],
    ) -> None:
        from styr.api.admission.policies.patching import PatchError, patched
        from styr.api.admission.session import Session
        from styr.api.expressions.compiler import ExpressionError, OutOfBudget
        from styr.cel.environment import TOTAL

        policy, binding, served = invocation.policy, invocation.binding, invocation.served
        compiled = policy.compiled
        try:
            if not compiled.conditions.hold(attributes, served, txn, self._allows, invocation.params):
                return
        except ExpressionError as error:
            _note(errors, policy, binding, str(error), "Invalid")
            return
        if attributes.second and invocation.key not in memory.again:
            return
        before = copy.deepcopy(attributes.object)
        for mutation in compiled.mutations:
            session = Session(
                attributes,
                served,
                txn,
                self._allows,
                budget=TOTAL,
                params=invocation.params,
                variables=compiled.variables,
            )
            try:
                made = patched(mutation, session, served)
            except (ExpressionError, OutOfBudget, PatchError) as error:
                _note(errors, policy, binding, str(error), "Invalid")
                continue
            if made != attributes.object:
                attributes.replace(made | {"apiVersion": attributes.served.resource.api_version})
        if attributes.object != before:
            memory.changed()
            attributes.reinvoke = True
        if policy.spec.get("reinvocationPolicy") == "IfNeeded":
            memory.asked.add(invocation.key)


def _note(errors: list[tuple[str, str]], policy: Policy, binding: Binding | None, message: str, reason: str) -> None:
    """Unless the policy lets failures pass."""
    if policy.fails_open:
        return
    where = f'policy "{policy.name}"' if binding is None else f"policy '{policy.name}' with binding '{binding.name}'"
    errors.append((f"{where} denied request: {message}", reason))


def _refusal(errors: list[tuple[str, str]], attributes: Attributes) -> ApiError:
    message, reason = errors[0]
    details = (attributes.forbidden("").details or {}) | {"causes": [{"message": text} for text, _ in errors]}
    return Forbidden(message, reason=reason, details=details)
