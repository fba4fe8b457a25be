"""One request as expressions see it, and `matchConditions`. Called by the plugins of policies and of webhooks.

Reads no more than the transaction of the write. What an expression does not name is not looked up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from styr.api.admission.attributes import Attributes
from styr.api.admission.request import request as review
from styr.api.expressions.compiler import VARIABLES, Compiler, Expression, ExpressionError, OutOfBudget
from styr.api.registry import ServedResource
from styr.api.store.commit import Txn
from styr.api.store.records import ObjectKey
from styr.cel.errors import EvaluationError
from styr.cel.library.authorizer import Authorizer, Check, Decision, ResourceCheck
from styr.cel.types import BOOL
from styr.cel.values import Fields
from styr.kinds.errors import ApiError, Forbidden
from styr.kinds.resources import NAMESPACE, Object
from styr.kinds.transport import User

OUT_OF_BUDGET = "validation failed due to running out of cost budget, no further validation rules will be run"
CONDITIONS_BUDGET = 2_500_000
"""Units for the match conditions of one webhook or policy."""
_KEPT = (
    *("name", "generateName", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp"),
    *("deletionTimestamp", "deletionGracePeriodSeconds", "labels", "annotations", "finalizers"),
)
"""Of the metadata of a namespace."""

Allows = Callable[[User, str, str, str, str, str, str, str], None]
"""user, verb, group, resource, subresource, namespace, name, path. Raises Forbidden."""


class Session:
    """One request as the expressions of one policy see it, in the version of `served`, and what they have left to spend."""

    def __init__(
        self,
        attributes: Attributes,
        served: ServedResource,
        txn: Txn,
        allows: Allows,
        *,
        budget: int,
        params: Object | None = None,
        variables: Mapping[str, Expression] | None = None,
    ) -> None:
        self._attributes, self._served, self._txn, self._allows = attributes, served, txn, allows
        self._params, self._variables = params, variables or {}
        self._known: dict[str, Any] = {}
        self.budget = budget

    def pay(self, cost: int) -> None:
        self.budget -= cost
        if self.budget < 0:
            raise OutOfBudget(OUT_OF_BUDGET)

    def value(self, name: str) -> Any:
        if name not in self._known:
            self._known[name] = _VALUES[name](self)
        return self._known[name]

    def _shown(self, obj: Object | None) -> Object | None:
        version = self._served.resource.api_version
        if obj is None or self._served is self._attributes.served or self._attributes.subresource not in ("", "status"):
            return obj
        return obj | {"apiVersion": version}

    def _object(self) -> Any:
        return self._shown(self._attributes.object)

    def _old(self) -> Any:
        return self._shown(self._attributes.old)

    def _given(self) -> Any:
        return self._params

    def _request(self) -> Object:
        found = review(self._attributes, self._served, None, None)
        del found["object"], found["oldObject"]
        return found

    def _namespace(self) -> Object | None:
        attributes = self._attributes
        if not attributes.namespace or attributes.key == NAMESPACE.group_resource:
            return None
        record = self._txn.get(ObjectKey(NAMESPACE.group_resource, "", attributes.namespace))
        if record is None:
            return None
        obj = record.decode()
        metadata = {key: obj["metadata"][key] for key in _KEPT if key in obj["metadata"]}
        return {"metadata": metadata, "spec": obj.get("spec", {}), "status": obj.get("status", {})}

    def _authorizer(self) -> Authorizer:
        return Authorizer(self._attributes.user, self._decide)

    def _decide(self, user: User, check: Check) -> Decision:
        asked = (check.verb, check.group, check.resource, check.subresource, check.namespace, check.name, check.path)
        try:
            self._allows(user, *asked)
        except Forbidden:
            return Decision(False)
        except ApiError as error:
            return Decision(False, error=error.message)
        return Decision(True)

    def _resource(self) -> ResourceCheck:
        attributes, resource = self._attributes, self._attributes.served.resource
        check = Check(
            group=resource.group,
            resource=resource.plural,
            subresource=attributes.subresource,
            namespace=attributes.namespace,
            name=attributes.name,
        )
        return ResourceCheck(self.value("authorizer"), check)

    def _composed(self) -> _Variables:
        return _Variables(self._variables, self)


_VALUES: dict[str, Callable[[Session], Any]] = {
    "object": Session._object,
    "oldObject": Session._old,
    "params": Session._given,
    "request": Session._request,
    "namespaceObject": Session._namespace,
    "authorizer": Session._authorizer,
    "authorizer.requestResource": Session._resource,
    "variables": Session._composed,
}


class _Variables(Fields):
    """Each is evaluated when it is first asked for."""

    __slots__ = ("_expressions", "_known", "_session")
    type_name = VARIABLES

    def __init__(self, expressions: Mapping[str, Expression], session: Session) -> None:
        self._expressions, self._session = expressions, session
        self._known: dict[str, Any] = {}

    def has(self, name: str) -> bool:
        return name in self._expressions

    def field(self, name: str) -> Any:
        if name not in self._known:
            self._known[name] = self._evaluate(name)
        found = self._known[name]
        if isinstance(found, ExpressionError):
            raise EvaluationError(str(found))
        return found

    def _evaluate(self, name: str) -> Any:
        expression = self._expressions[name]
        if expression.program is None:
            return ExpressionError(f'composited variable "{name}" fails to compile: {expression.fault}')
        try:
            return expression.value(self._session)
        except ExpressionError as error:
            reason = str(error).partition(" resulted in error: ")[2]
            return ExpressionError(f'composited variable "{name}" fails to evaluate: {reason}')


class Conditions:
    def __init__(self, conditions: Sequence[Object], compiler: Compiler, *, fails_open: bool) -> None:
        self._all = [compiler.compile(entry["expression"], BOOL, variables=False) for entry in conditions]
        self._fails_open = fails_open

    def hold(
        self, attributes: Attributes, served: ServedResource, txn: Txn, allows: Allows, params: Object | None = None
    ) -> bool:
        """One that is false decides. Without one, errors count as the failure policy says: raises ExpressionError, or they
        do not hold."""
        if not self._all:
            return True
        session = Session(attributes, served, txn, allows, budget=CONDITIONS_BUDGET, params=params)
        errors: list[str] = []
        for expression in self._all:
            try:
                if expression.value(session) is False:
                    return False
            except ExpressionError as error:
                errors.append(str(error))
            except OutOfBudget as error:
                errors = [str(error)]
                break
        if not errors:
            return True
        if self._fails_open:
            return False
        raise ExpressionError(errors[0] if len(errors) == 1 else f"[{', '.join(dict.fromkeys(errors))}]")


def for_webhook(spec: Object) -> Conditions:
    return Conditions(spec["matchConditions"], Compiler(params=False), fails_open=spec.get("failurePolicy") == "Ignore")
