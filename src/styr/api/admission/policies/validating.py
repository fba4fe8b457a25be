"""ValidatingAdmissionPolicy: the plugin. Every policy that means a request is asked; the first denial is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from styr.api.admission.attributes import Attributes, Operation
from styr.api.admission.chain import Base
from styr.api.admission.policies.book import Binding, Book, Policy
from styr.api.admission.policies.params import ConfigurationError, collect, kind_of
from styr.api.registry import ServedResource
from styr.api.store.commit import Txn
from styr.kinds.errors import ApiError, Forbidden, Invalid, TooLarge, Unauthorized
from styr.kinds.resources import Object

if TYPE_CHECKING:
    from styr.api.admission.policies.compiled import Validation
    from styr.api.admission.session import Allows, Session

MAX_MESSAGE = 5 * 1024
MAX_ANNOTATION = 10 * 1024
_FAILURE = "validation.policy.admission.k8s.io/validation_failure"
_ERRORS: dict[str, type[ApiError]] = {
    error.default_reason: error for error in (Forbidden, Invalid, TooLarge, Unauthorized)
}


@dataclass(frozen=True, slots=True)
class Denial:
    """`index` is that of the validation; `enforced` one that no validationAction softens."""

    policy: Policy
    binding: Binding | None
    message: str
    reason: str = "Invalid"
    index: int = 0
    enforced: bool = False


class ValidatingPolicies(Base):
    name = "ValidatingAdmissionPolicy"

    def __init__(self, book: Book, allows: Allows) -> None:
        self._book = book
        self._allows = allows

    def handles(self, operation: Operation, served: ServedResource, subresource: str, /) -> bool:
        return self._book.may_match(operation, served, subresource)

    def validate(self, attributes: Attributes, txn: Txn, /) -> None:
        denials: list[Denial] = []
        for policy, served, bindings in self._book.meaning(attributes, txn):
            annotations: dict[str, list[str]] = {}
            try:
                kind = kind_of(policy, self._book.registry)
            except ConfigurationError as error:
                denials += [] if policy.fails_open else [Denial(policy, None, str(error), enforced=True)]
                continue
            for binding in bindings:
                found = self._ask(policy, served, binding, kind, attributes, txn, annotations)
                denials += [denial for denial in found if denial.enforced or _act(denial, attributes)]
            for key, values in annotations.items():
                attributes.annotations[f"{policy.name}/{key}"] = ", ".join(values)
        if denials:
            raise _refusal(denials[0], attributes)

    def _ask(
        self,
        policy: Policy,
        served: ServedResource,
        binding: Binding,
        kind: ServedResource | None,
        attributes: Attributes,
        txn: Txn,
        annotations: dict[str, list[str]],
    ) -> Iterator[Denial]:
        try:
            found = collect(kind, binding, attributes, txn)
        except ConfigurationError as error:
            if not policy.fails_open:
                yield Denial(policy, binding, str(error), enforced=True)
            return
        for params in found:
            yield from self._evaluate(policy, served, binding, attributes, txn, params, annotations)

    def _evaluate(
        self,
        policy: Policy,
        served: ServedResource,
        binding: Binding,
        attributes: Attributes,
        txn: Txn,
        params: Object | None,
        annotations: dict[str, list[str]],
    ) -> Iterator[Denial]:
        from styr.api.admission.session import Session
        from styr.api.expressions.compiler import ExpressionError, OutOfBudget
        from styr.cel.environment import TOTAL

        compiled = policy.compiled
        try:
            if not compiled.conditions.hold(attributes, served, txn, self._allows, params):
                return
            session = Session(
                attributes, served, txn, self._allows, budget=TOTAL, params=params, variables=compiled.variables
            )
            found = [
                denial
                for index, validation in enumerate(compiled.validations)
                if (denial := _validate(policy, binding, validation, index, session)) is not None
            ]
            session.budget = TOTAL
            for key, expression in compiled.audits:
                try:
                    value = expression.value(session)
                except ExpressionError as error:
                    if not policy.fails_open:
                        found.append(Denial(policy, binding, str(error), enforced=True))
                    continue
                _annotate(annotations, key, value)
        except (ExpressionError, OutOfBudget) as error:
            if not policy.fails_open:
                yield Denial(policy, binding, str(error))
            return
        yield from found


def _validate(policy: Policy, binding: Binding, validation: Validation, index: int, session: Session) -> Denial | None:
    """None when it holds. Raises OutOfBudget."""
    from styr.api.expressions.compiler import ExpressionError

    try:
        if validation.expression.value(session) is True:
            return None
    except ExpressionError as error:
        return None if policy.fails_open else Denial(policy, binding, str(error), index=index)
    return Denial(policy, binding, _message(validation, session), validation.reason or "Invalid", index)


def _message(validation: Validation, session: Session) -> str:
    from styr.api.expressions.compiler import ExpressionError

    if validation.made is not None:
        try:
            found = validation.made.value(session)
        except ExpressionError:
            found = ""
        text = found.strip() if isinstance(found, str) else ""
        if text and "\n" not in text and len(text.encode()) <= MAX_MESSAGE:
            return text
    return validation.message.strip() or f"failed expression: {validation.expression.text.strip()}"


def _annotate(annotations: dict[str, list[str]], key: str, value: object) -> None:
    text = value.strip() if isinstance(value, str) else ""
    known = annotations.setdefault(key, []) if text else []
    if text and text[:MAX_ANNOTATION] not in known:
        known.append(text[:MAX_ANNOTATION])


def _act(denial: Denial, attributes: Attributes) -> bool:
    """Does what the binding wants done about it. True when it is to be refused."""
    policy, binding = denial.policy.name, denial.binding
    assert binding is not None
    actions = binding.spec.get("validationActions") or []
    if "Warn" in actions:
        attributes.warnings.append(
            f"Validation failed for ValidatingAdmissionPolicy '{policy}' with binding '{binding.name}': {denial.message}"
        )
    if "Audit" in actions:
        failure = {
            "message": denial.message,
            "policy": policy,
            "binding": binding.name,
            "expressionIndex": denial.index,
            "validationActions": actions,
        }
        attributes.annotations[_FAILURE] = json.dumps([failure], separators=(",", ":"))
    return "Deny" in actions


def _refusal(denial: Denial, attributes: Attributes) -> ApiError:
    where = f"ValidatingAdmissionPolicy '{denial.policy.name}'"
    if denial.binding is not None:
        where += f" with binding '{denial.binding.name}'"
    message = f"{where} denied request: {denial.message}"
    refused = attributes.forbidden(message)
    details = (refused.details or {}) | {"causes": [{"message": message}]}
    return _ERRORS.get(denial.reason, Invalid)(refused.message, details=details)
