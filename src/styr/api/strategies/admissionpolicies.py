"""ValidatingAdmissionPolicy, MutatingAdmissionPolicy, and their bindings. What their expressions do: `admission.policies`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from styr.api.store.commit import Txn
from styr.api.strategies.base import BuiltinStrategy, forbidden, invalid, required
from styr.api.strategies.shapes import BAG, LABEL_SELECTOR, TEXT, Shape, default, many, one_of, root, struct
from styr.api.strategies.webhooks import MATCH_CONDITIONS, RULE, condition_faults, rule_faults
from styr.cel.lexer import RESERVED
from styr.kinds.errors import Cause
from styr.kinds.resources import Object

if TYPE_CHECKING:
    from styr.api.expressions.compiler import Compiler, Expression

MAX_AUDIT_ANNOTATIONS = 20
MAX_VALUE_EXPRESSION = 5 * 1024
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", re.ASCII)
_LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)
_IDENTIFIER = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*", re.ASCII)
_NO_IDENTIFIERS = RESERVED | {"in", "true", "false", "null"}
_SELECTORS = {"namespaceSelector": default(LABEL_SELECTOR, {}), "objectSelector": default(LABEL_SELECTOR, {})}
_NAMED_RULE = RULE | {"properties": RULE["properties"] | {"resourceNames": many(TEXT)}}
_MATCH = struct(
    resourceRules=many(_NAMED_RULE),
    excludeResourceRules=many(_NAMED_RULE),
    matchPolicy=one_of("Equivalent", "Exact", default="Equivalent"),
    **_SELECTORS,
)
_PARAM_REF = struct(name=TEXT, namespace=TEXT, selector=LABEL_SELECTOR, parameterNotFoundAction=one_of("Allow", "Deny"))


def _spec(**more: Shape) -> Shape:
    return struct(
        failurePolicy=one_of("Fail", "Ignore", default="Fail"),
        paramKind=struct(apiVersion=TEXT, kind=TEXT),
        matchConstraints=_MATCH,
        matchConditions=MATCH_CONDITIONS,
        variables=many(struct(name=TEXT, expression=TEXT)),
        **more,
    )


class _Policy(BuiltinStrategy):
    """The hooks that both kinds of policies share."""

    def validate(self, obj: Object) -> list[Cause]:
        return list(self.faults(obj, obj.get("spec") or {}))

    def faults(self, obj: Object, spec: Object) -> Iterator[Cause]:
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

    def compile(self, spec: Object, compiler: Compiler) -> Iterator[Cause]:
        from styr.cel.types import BOOL

        for index, condition in enumerate(spec.get("matchConditions") or ()):
            found = compiler.compile(condition["expression"].strip(), BOOL, variables=False)
            yield from _uncompiled(found, f"spec.matchConditions[{index}].expression")
        for index, variable in enumerate(spec.get("variables") or ()):
            found = compiler.variable(variable["name"], variable["expression"])
            yield from _uncompiled(found, f"spec.variables[{index}].expression")


class ValidatingPolicyStrategy(_Policy):
    shape = root(
        spec=_spec(
            validations=many(
                struct(
                    expression=TEXT,
                    message=TEXT,
                    messageExpression=TEXT,
                    reason=one_of("Forbidden", "Invalid", "RequestEntityTooLarge"),
                )
            ),
            auditAnnotations=many(struct(key=TEXT, valueExpression=TEXT)),
        ),
        status=BAG,
    )

    def faults(self, obj: Object, spec: Object) -> Iterator[Cause]:
        yield from super().faults(obj, spec)
        validations, audits = spec.get("validations") or (), spec.get("auditAnnotations") or ()
        if not validations and not audits:
            for field in ("validations", "auditAnnotations"):
                yield required(f"spec.{field}", "validations or auditAnnotations must contain at least one item")
        for index, validation in enumerate(validations):
            yield from _validation(validation, f"spec.validations[{index}]")
        yield from _audits(obj["metadata"].get("name", ""), audits, "spec.auditAnnotations")

    def compile(self, spec: Object, compiler: Compiler) -> Iterator[Cause]:
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
    shape = root(
        spec=_spec(
            mutations=many(
                struct(
                    patchType=one_of("ApplyConfiguration", "JSONPatch"),
                    applyConfiguration=struct(expression=TEXT),
                    jsonPatch=struct(expression=TEXT),
                )
            ),
            reinvocationPolicy=one_of("IfNeeded", "Never"),
        )
    )

    def faults(self, obj: Object, spec: Object) -> Iterator[Cause]:
        yield from super().faults(obj, spec)
        yield from _operations(spec.get("matchConstraints") or {}, "spec.matchConstraints")
        mutations = spec.get("mutations") or ()
        if not mutations:
            yield required("spec.mutations", "mutations must contain at least one item")
        for index, mutation in enumerate(mutations):
            yield from _mutation(mutation, f"spec.mutations[{index}]")
        if "reinvocationPolicy" not in spec:
            yield required("spec.reinvocationPolicy")

    def compile(self, spec: Object, compiler: Compiler) -> Iterator[Cause]:
        from styr.api.expressions.compiler import OBJECT, PATCH
        from styr.cel.types import list_of

        yield from super().compile(spec, compiler)
        for index, mutation in enumerate(spec["mutations"]):
            field = "jsonPatch" if mutation["patchType"] == "JSONPatch" else "applyConfiguration"
            wanted = list_of(PATCH) if field == "jsonPatch" else OBJECT
            found = compiler.compile(mutation[field]["expression"].strip(), wanted, patches=True)
            yield from _uncompiled(found, f"spec.mutations[{index}].{field}.expression")


class ValidatingBindingStrategy(BuiltinStrategy):
    shape = root(
        spec=struct(
            policyName=TEXT,
            paramRef=_PARAM_REF,
            matchResources=_MATCH,
            validationActions=many(one_of("Audit", "Deny", "Warn")),
        )
    )

    def validate(self, obj: Object) -> list[Cause]:
        spec = obj.get("spec") or {}
        return [*_binding(spec), *_actions(spec.get("validationActions") or [], "spec.validationActions")]


class MutatingBindingStrategy(BuiltinStrategy):
    shape = root(spec=struct(policyName=TEXT, paramRef=_PARAM_REF, matchResources=_MATCH))

    def validate(self, obj: Object) -> list[Cause]:
        spec = obj.get("spec") or {}
        return [*_binding(spec), *_operations(spec.get("matchResources") or {}, "spec.matchResources")]


# --- the parts


def _uncompiled(found: Expression, path: str) -> Iterator[Cause]:
    if found.program is None:
        yield invalid(path, f"Invalid value: {json.dumps(found.text, ensure_ascii=False)}: {found.fault}")


def _param_kind(kind: Mapping[str, Any], path: str) -> Iterator[Cause]:
    version = kind.get("apiVersion", "")
    group, _, name = version.rpartition("/")
    if not version:
        yield required(f"{path}.apiVersion")
    elif version.count("/") > 1 or (group and not _SUBDOMAIN.fullmatch(group)) or not _LABEL.fullmatch(name):
        yield invalid(f"{path}.apiVersion", f"Invalid value: {json.dumps(version)}: must be GROUP/VERSION or VERSION")
    if not kind.get("kind"):
        yield required(f"{path}.kind")
    elif not _LABEL.fullmatch(kind["kind"].lower()):
        text = "may have mixed case, but should otherwise match: a DNS-1035 label"
        yield invalid(f"{path}.kind", f"Invalid value: {json.dumps(kind['kind'])}: {text}")


def _match(match: Mapping[str, Any], path: str) -> Iterator[Cause]:
    for field in ("resourceRules", "excludeResourceRules"):
        for index, rule in enumerate(match.get(field) or ()):
            where = f"{path}.{field}[{index}]"
            names = rule.get("resourceNames") or []
            for number, name in enumerate(names):
                if name in names[:number]:
                    yield invalid(
                        f"{where}.resourceNames[{number}]",
                        f"Duplicate value: {json.dumps(name)}",
                        "FieldValueDuplicate",
                    )
                elif name in (".", "..") or "/" in name or "%" in name:
                    text = f"Invalid value: {json.dumps(name)}: may not be '.' or '..', nor contain '/' or '%'"
                    yield invalid(f"{where}.resourceNames[{number}]", text)
            yield from rule_faults(rule, where)


def _operations(match: Mapping[str, Any], path: str) -> Iterator[Cause]:
    """A mutation changes what is stored."""
    for rule in match.get("resourceRules") or ():
        for operation in rule.get("operations") or ():
            if operation == "DELETE":
                message = 'Unsupported value: "DELETE": supported values: "*", "CONNECT", "CREATE", "UPDATE"'
                yield invalid(f"{path}.resourceRules.operations", message, "FieldValueNotSupported")


def _variable(variable: Mapping[str, Any], path: str) -> Iterator[Cause]:
    name = variable.get("name", "")
    if not name.strip():
        yield required(f"{path}.name", "name is not specified")
    elif not _IDENTIFIER.fullmatch(name) or name in _NO_IDENTIFIERS:
        yield invalid(f"{path}.name", f"Invalid value: {json.dumps(name)}: must be a valid CEL identifier")
    if not variable.get("expression", "").strip():
        yield required(f"{path}.expression", "expression is not specified")


def _validation(validation: Mapping[str, Any], path: str) -> Iterator[Cause]:
    if not validation.get("expression", "").strip():
        yield required(f"{path}.expression", "expression is not specified")
    message, made = validation.get("message", ""), validation.get("messageExpression", "")
    if made and not made.strip():
        yield invalid(f"{path}.messageExpression", f"Invalid value: {json.dumps(made)}: must be non-empty if specified")
    if message and not message.strip():
        yield invalid(f"{path}.message", f"Invalid value: {json.dumps(message)}: must be non-empty if specified")
    elif "\n" in message.strip():
        yield invalid(f"{path}.message", f"Invalid value: {json.dumps(message)}: must not contain line breaks")


def _audits(policy: str, audits: Sequence[Mapping[str, Any]], path: str) -> Iterator[Cause]:
    if len(audits) > MAX_AUDIT_ANNOTATIONS:
        yield invalid(path, f"Invalid value: must not have more than {MAX_AUDIT_ANNOTATIONS} auditAnnotations")
    seen: set[str] = set()
    for index, audit in enumerate(audits):
        key, expression = audit.get("key", ""), audit.get("valueExpression", "").strip()
        for fault in _qualified(f"{policy}/{key}"):
            yield invalid(f"{path}[{index}].key", f"Invalid value: {json.dumps(f'{policy}/{key}')}: {fault}")
        if key in seen:
            yield invalid(f"{path}[{index}].key", f"Duplicate value: {json.dumps(key)}", "FieldValueDuplicate")
        seen.add(key)
        if not expression:
            yield required(f"{path}[{index}].valueExpression", "valueExpression is not specified")
        elif len(expression.encode()) > MAX_VALUE_EXPRESSION:
            text = f"must not exceed {MAX_VALUE_EXPRESSION} bytes in length"
            yield required(f"{path}[{index}].valueExpression", text)


def _qualified(name: str) -> list[str]:
    from styr.cel.library.formats import FORMATS

    return FORMATS["qualifiedName"].validate(name)


def _mutation(mutation: Mapping[str, Any], path: str) -> Iterator[Cause]:
    kind = mutation.get("patchType")
    if kind is None:
        yield required(f"{path}.patchType")
        return
    field, other = ("jsonPatch", "applyConfiguration")[:: 1 if kind == "JSONPatch" else -1]
    if field not in mutation:
        yield required(f"{path}.{field}", f"must be specified when patchType is {kind}")
    elif not mutation[field].get("expression", "").strip():
        yield required(f"{path}.{field}.expression")
    if other in mutation:
        yield invalid(
            f"{path}.{other}", f'Invalid value: "{{{other}}}": must not be specified when patchType is {kind}'
        )


def _binding(spec: Mapping[str, Any]) -> Iterator[Cause]:
    name = spec.get("policyName", "")
    if not name:
        yield required("spec.policyName")
    elif len(name) > 253 or not _SUBDOMAIN.fullmatch(name):
        yield invalid("spec.policyName", f"Invalid value: {json.dumps(name)}: a lowercase RFC 1123 subdomain is wanted")
    if (ref := spec.get("paramRef")) is not None:
        yield from _param_ref(ref, "spec.paramRef")
    if (match := spec.get("matchResources")) is not None:
        yield from _match(match, "spec.matchResources")


def _param_ref(ref: Mapping[str, Any], path: str) -> Iterator[Cause]:
    name, selected = ref.get("name", ""), "selector" in ref
    if name in (".", "..") or "/" in name or "%" in name:
        text = f"Invalid value: {json.dumps(name)}: may not be '.' or '..', nor contain '/' or '%'"
        yield invalid(f"{path}.name", text)
    if name and selected:
        for field in ("name", "selector"):
            yield forbidden(f"{path}.{field}", "name and selector are mutually exclusive")
    if not name and not selected:
        yield required(path, "one of name or selector must be specified")
    if not ref.get("parameterNotFoundAction"):
        yield required(f"{path}.parameterNotFoundAction")


def _actions(actions: Sequence[str], path: str) -> Iterator[Cause]:
    if not actions:
        yield required(path, "at least one validation action is required")
    for index, action in enumerate(actions):
        if action in actions[:index]:
            yield invalid(f"{path}[{index}]", f'Duplicate value: "{action}"', "FieldValueDuplicate")
    if "Deny" in actions and "Warn" in actions:
        shown = ",".join(f'"{action}"' for action in actions)
        why = "(repeating the same validation failure information in the API response and headers serves no purpose)"
        yield invalid(path, f"Invalid value: [{shown}]: must not contain both Deny and Warn {why}")
