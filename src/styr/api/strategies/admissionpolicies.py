"""ValidatingAdmissionPolicy, MutatingAdmissionPolicy, and their bindings. What their expressions do: `admission.policies`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from styr.api.faults import names
from styr.api.faults.causes import Faults, duplicate, each, forbidden, invalid, one_of, required, unsupported
from styr.api.faults.selectors import selector
from styr.api.store.commit import Txn
from styr.api.strategies.base import TypedStrategy
from styr.api.strategies.webhooks import condition_faults, rule_faults
from styr.cel.lexer import RESERVED
from styr.kinds.errors import Cause
from styr.kinds.resources import Object

if TYPE_CHECKING:
    from styr.api.expressions.compiler import Compiler, Expression

MAX_AUDIT_ANNOTATIONS = 20
MAX_VALUE_EXPRESSION = 5 * 1024
_IDENTIFIER = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*", re.ASCII)
_NO_IDENTIFIERS = RESERVED | {"in", "true", "false", "null"}
_FAILURES = ("Fail", "Ignore")
_MATCHES = ("Equivalent", "Exact")
_REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge")
_ACTIONS = ("Audit", "Deny", "Warn")
_MUTATING = ("*", "CONNECT", "CREATE", "UPDATE")
_PATCHES = ("ApplyConfiguration", "JSONPatch")


class _Policy(TypedStrategy):
    """The hooks that both kinds of policies share."""

    def rules(self, obj: Object) -> Faults:
        return self.faults(obj, obj.get("spec") or {})

    def update_rules(self, new: Object, old: Object) -> Faults:
        return self.rules(new)

    def faults(self, obj: Object, spec: Object) -> Faults:
        yield from one_of("spec.failurePolicy", spec.get("failurePolicy"), _FAILURES)
        if (kind := spec.get("paramKind")) is not None:
            yield from _param_kind(kind, "spec.paramKind")
        if (match := spec.get("matchConstraints")) is None:
            yield required("spec.matchConstraints")
        else:
            yield from _match(match, "spec.matchConstraints")
            if not match.get("resourceRules"):
                yield required("spec.matchConstraints.resourceRules")
        yield from condition_faults(spec.get("matchConditions") or (), "spec.matchConditions")
        for index, variable in enumerate(spec.get("variables") or ()):
            yield from _variable(variable, f"spec.variables[{index}]")

    def rule_faults(self, new: Object, old: Object | None, warnings: list[str]) -> list[Cause]:
        """The expressions must compile. Those that are there already do."""
        if old is not None and old.get("spec") == new.get("spec"):
            return []
        from styr.api.expressions.compiler import Compiler

        spec = new["spec"]
        compiler = Compiler(params="paramKind" in spec)
        return list(self.compile(spec, compiler))

    def compile(self, spec: Object, compiler: Compiler) -> Faults:
        from styr.cel.types import BOOL

        for index, condition in enumerate(spec.get("matchConditions") or ()):
            found = compiler.compile(condition["expression"].strip(), BOOL, variables=False)
            yield from _uncompiled(found, f"spec.matchConditions[{index}].expression")
        for index, variable in enumerate(spec.get("variables") or ()):
            found = compiler.variable(variable["name"], variable["expression"])
            yield from _uncompiled(found, f"spec.variables[{index}].expression")


class ValidatingPolicyStrategy(_Policy):
    def faults(self, obj: Object, spec: Object) -> Faults:
        yield from super().faults(obj, spec)
        validations, audits = spec.get("validations") or (), spec.get("auditAnnotations") or ()
        if not validations and not audits:
            for field in ("validations", "auditAnnotations"):
                yield required(f"spec.{field}", "validations or auditAnnotations must contain at least one item")
        for index, validation in enumerate(validations):
            yield from _validation(validation, f"spec.validations[{index}]")
        yield from _audits(obj["metadata"].get("name", ""), audits, "spec.auditAnnotations")

    def compile(self, spec: Object, compiler: Compiler) -> Faults:
        from styr.cel.types import BOOL, NULL, STRING

        yield from super().compile(spec, compiler)
        for index, validation in enumerate(spec.get("validations") or ()):
            where = f"spec.validations[{index}]"
            yield from _uncompiled(compiler.compile(validation["expression"], BOOL), f"{where}.expression")
            if made := validation.get("messageExpression"):
                found = compiler.compile(made, STRING, authorizer=False)
                yield from _uncompiled(found, f"{where}.messageExpression")
        for index, audit in enumerate(spec.get("auditAnnotations") or ()):
            found = compiler.compile(audit["valueExpression"].strip(), STRING, NULL)
            yield from _uncompiled(found, f"spec.auditAnnotations[{index}].valueExpression")

    def admit(self, new: Object, old: Object | None, txn: Txn) -> None:
        """Checks the types of what expressions say of the kinds that the policy names, once for each spec."""
        if old is not None and old["spec"] == new["spec"]:
            return
        from styr.api.expressions.typechecking import warnings

        generation = new["metadata"].get("generation", 0) + (old is not None)
        found = warnings(new["spec"], txn)
        checked = {"expressionWarnings": found} if found else {}
        new["status"] = (new.get("status") or {}) | {"observedGeneration": generation, "typeChecking": checked}


class MutatingPolicyStrategy(_Policy):
    def faults(self, obj: Object, spec: Object) -> Faults:
        yield from super().faults(obj, spec)
        yield from _operations(spec.get("matchConstraints") or {}, "spec.matchConstraints")
        mutations = spec.get("mutations") or ()
        if not mutations:
            yield required("spec.mutations", "mutations must contain at least one item")
        for index, mutation in enumerate(mutations):
            yield from _mutation(mutation, f"spec.mutations[{index}]")
        yield from one_of("spec.reinvocationPolicy", spec.get("reinvocationPolicy"), ("IfNeeded", "Never"))

    def compile(self, spec: Object, compiler: Compiler) -> Faults:
        from styr.api.expressions.compiler import OBJECT, PATCH
        from styr.cel.types import list_of

        yield from super().compile(spec, compiler)
        for index, mutation in enumerate(spec["mutations"]):
            field = "jsonPatch" if mutation["patchType"] == "JSONPatch" else "applyConfiguration"
            wanted = list_of(PATCH) if field == "jsonPatch" else OBJECT
            found = compiler.compile(mutation[field]["expression"].strip(), wanted, patches=True)
            yield from _uncompiled(found, f"spec.mutations[{index}].{field}.expression")


class ValidatingBindingStrategy(TypedStrategy):
    def rules(self, obj: Object) -> Faults:
        spec = obj.get("spec") or {}
        yield from _binding(spec)
        yield from _actions(spec.get("validationActions") or [], "spec.validationActions")

    def update_rules(self, new: Object, old: Object) -> Faults:
        return self.rules(new)


class MutatingBindingStrategy(TypedStrategy):
    def rules(self, obj: Object) -> Faults:
        spec = obj.get("spec") or {}
        yield from _binding(spec)
        yield from _operations(spec.get("matchResources") or {}, "spec.matchResources")

    def update_rules(self, new: Object, old: Object) -> Faults:
        return self.rules(new)


# --- the parts


def _uncompiled(found: Expression, path: str) -> Faults:
    if found.program is None:
        yield invalid(path, found.text, str(found.fault))


def _param_kind(kind: Mapping[str, Any], path: str) -> Faults:
    version, name = kind.get("apiVersion", ""), kind.get("kind", "")
    group, _, short = version.rpartition("/")
    if not version:
        yield required(f"{path}.apiVersion")
    elif version.count("/") > 1:
        yield invalid(f"{path}.apiVersion", version, f"unexpected GroupVersion string: {version}")
    else:
        if group and (wrong := names.dns_subdomain(group)):
            yield invalid(f"{path}.apiVersion", group, ",".join(wrong))
        if not short:
            yield invalid(f"{path}.apiVersion", version, "version must be specified")
        elif wrong := names.dns_label_1035(short):
            yield invalid(f"{path}.apiVersion", short, ",".join(wrong))
    if not name:
        yield required(f"{path}.kind")
    elif wrong := names.dns_label_1035(name.lower()):
        text = "may have mixed case, but should otherwise match: "
        yield invalid(f"{path}.kind", name, text + ",".join(wrong))


def _match(match: Mapping[str, Any], path: str) -> Faults:
    yield from one_of(f"{path}.matchPolicy", match.get("matchPolicy"), _MATCHES)
    for field in ("namespaceSelector", "objectSelector"):
        if field not in match:
            yield required(f"{path}.{field}")
        yield from selector(match.get(field), f"{path}.{field}")
    for field in ("resourceRules", "excludeResourceRules"):
        for index, rule in enumerate(match.get(field) or ()):
            where = f"{path}.{field}[{index}]"
            found = rule.get("resourceNames") or []
            for number, name in enumerate(found):
                yield from each(f"{where}.resourceNames[{number}]", name, names.path_segment(name))
                if name in found[:number]:
                    yield duplicate(f"{where}.resourceNames[{number}]", name)
            yield from rule_faults(rule, where)


def _operations(match: Mapping[str, Any], path: str) -> Faults:
    """A mutation changes what is stored."""
    for rule in match.get("resourceRules") or ():
        for operation in rule.get("operations") or ():
            if operation not in _MUTATING:
                yield unsupported(f"{path}.resourceRules.operations", operation, _MUTATING)


def _variable(variable: Mapping[str, Any], path: str) -> Faults:
    name = variable.get("name", "")
    if not name.strip():
        yield required(f"{path}.name", "name is not specified")
    elif not _IDENTIFIER.fullmatch(name) or name in _NO_IDENTIFIERS:
        yield invalid(f"{path}.name", name, "must be a valid CEL identifier")
    if not variable.get("expression", "").strip():
        yield required(f"{path}.expression", "expression is not specified")


def _validation(validation: Mapping[str, Any], path: str) -> Faults:
    if not validation.get("expression", "").strip():
        yield required(f"{path}.expression", "expression is not specified")
    message, made = validation.get("message", ""), validation.get("messageExpression", "")
    if made and not made.strip():
        yield invalid(f"{path}.messageExpression", made, "must be non-empty if specified")
    if message and not message.strip():
        yield invalid(f"{path}.message", message, "must be non-empty if specified")
    elif "\n" in message.strip() or "\r" in message.strip():
        yield invalid(f"{path}.message", message, "must not contain line breaks")
    if "reason" in validation and validation["reason"] not in _REASONS:
        yield unsupported(f"{path}.reason", validation["reason"], _REASONS)


def _audits(policy: str, audits: Sequence[Mapping[str, Any]], path: str) -> Faults:
    if len(audits) > MAX_AUDIT_ANNOTATIONS:
        yield invalid(path, audits, f"must not have more than {MAX_AUDIT_ANNOTATIONS} auditAnnotations")
    seen: set[str] = set()
    for index, audit in enumerate(audits):
        key, expression = audit.get("key", ""), audit.get("valueExpression", "").strip()
        whole = f"{policy}/{key}"
        if policy:
            yield from each(f"{path}[{index}].key", whole, names.qualified(whole))
        else:
            yield invalid(f"{path}[{index}].key", key, "requires metadata.name be non-empty")
        if not expression:
            yield required(f"{path}[{index}].valueExpression", "valueExpression is not specified")
        elif len(expression.encode()) > MAX_VALUE_EXPRESSION:
            text = f"must not exceed {MAX_VALUE_EXPRESSION} bytes in length"
            yield required(f"{path}[{index}].valueExpression", text)
        if key in seen:
            yield duplicate(f"{path}[{index}].key", key)
        seen.add(key)


def _mutation(mutation: Mapping[str, Any], path: str) -> Faults:
    kind = mutation.get("patchType")
    yield from one_of(f"{path}.patchType", kind, _PATCHES)
    if kind not in _PATCHES:
        return
    field, other = ("jsonPatch", "applyConfiguration")[:: 1 if kind == "JSONPatch" else -1]
    if field not in mutation:
        yield required(f"{path}.{field}", f"must be specified when patchType is {kind}")
    elif not mutation[field].get("expression", "").strip():
        yield required(f"{path}.{field}.expression", "expression is not specified")
    if other in mutation:
        yield invalid(f"{path}.{other}", f"{{{other}}}", f"must not be specified when patchType is {kind}")


def _binding(spec: Mapping[str, Any]) -> Faults:
    if name := spec.get("policyName", ""):
        yield from each("spec.policyName", name, names.dns_subdomain(name))
    else:
        yield required("spec.policyName")
    if (ref := spec.get("paramRef")) is not None:
        yield from _param_ref(ref, "spec.paramRef")
    if (match := spec.get("matchResources")) is not None:
        yield from _match(match, "spec.matchResources")


def _param_ref(ref: Mapping[str, Any], path: str) -> Faults:
    name, selected = ref.get("name", ""), "selector" in ref
    if name:
        yield from each(f"{path}.name", name, names.path_segment(name))
    if selected:
        yield from selector(ref["selector"], f"{path}.selector")
    if name and selected:
        for field in ("name", "selector"):
            yield forbidden(f"{path}.{field}", "name and selector are mutually exclusive")
    if not name and not selected:
        yield required(path, "one of name or selector must be specified")
    yield from one_of(f"{path}.parameterNotFoundAction", ref.get("parameterNotFoundAction"), ("Deny", "Allow"))


def _actions(actions: Sequence[str], path: str) -> Faults:
    for index, action in enumerate(actions):
        if action not in _ACTIONS:
            yield unsupported(f"{path}[{index}]", action, _ACTIONS)
        if action in actions[:index]:
            yield duplicate(f"{path}[{index}]", action)
    if "Deny" in actions and "Warn" in actions:
        why = "(repeating the same validation failure information in the API response and headers serves no purpose)"
        yield invalid(path, actions, f"must not contain both Deny and Warn {why}")
    if not actions:
        yield required(path, "at least one validation action is required")
