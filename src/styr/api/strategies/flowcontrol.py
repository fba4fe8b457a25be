"""FlowSchema and PriorityLevelConfiguration: their defaults, and what they must be. Pure. What they mean is the business of
`filters.flows`; the spec of the two mandatory objects of each kind is fixed (`default_flows`)."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from styr.api import default_flows
from styr.api.default_flows import EXEMPT
from styr.api.strategies.base import TypedStrategy, forbidden, invalid, required
from styr.kinds.errors import Cause
from styr.kinds.resources import Object

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch")
MAX_PRECEDENCE, MAX_QUEUES, HASH_BITS = 10_000, 10_000_000, 60
_SUBJECTS = {"Group": "group", "ServiceAccount": "serviceAccount", "User": "user"}
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL_WORDS = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an "
    "alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_NAME_WORDS = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)


@cache
def _mandatory() -> dict[tuple[str, str], Object]:
    found = (obj for obj in default_flows.objects() if obj["metadata"]["name"] in default_flows.MANDATORY)
    return {(obj["kind"], obj["metadata"]["name"]): obj["spec"] for obj in found}


class FlowSchemaStrategy(TypedStrategy):
    def default(self, obj: Object) -> None:
        super().default(obj)
        spec = obj.setdefault("spec", {})
        if not spec.get("matchingPrecedence"):
            spec["matchingPrecedence"] = 1000

    def rules(self, obj: Object) -> Iterator[Cause]:
        name, spec = obj["metadata"].get("name", ""), obj["spec"]
        yield from _schema_faults(name, spec)
        wanted = _mandatory().get((obj["kind"], name))
        if wanted is not None and wanted != spec:
            yield _wrong("spec", spec, f"spec of '{name}' must equal the fixed value")


class PriorityLevelStrategy(TypedStrategy):
    def default(self, obj: Object) -> None:
        super().default(obj)
        spec = obj.setdefault("spec", {})
        exempt, limited = spec.get("exempt"), spec.get("limited")
        if exempt is None and spec.get("type") == "Exempt":
            exempt = spec["exempt"] = {}
        for found, shares in ((exempt, 0), (limited, 30)):
            if found is not None:
                for key, value in (("nominalConcurrencyShares", shares), ("lendablePercent", 0)):
                    if found.get(key) is None:
                        found[key] = value
        queuing = ((limited or {}).get("limitResponse") or {}).get("queuing")
        if queuing is not None:
            for key, value in (("queues", 64), ("handSize", 8), ("queueLengthLimit", 50)):
                if not queuing.get(key):
                    queuing[key] = value

    def rules(self, obj: Object) -> Iterator[Cause]:
        name, spec = obj["metadata"].get("name", ""), obj["spec"]
        yield from _level_faults(name, spec)
        wanted = _mandatory().get((obj["kind"], name))
        if wanted is None:
            return
        if name == EXEMPT:
            if {**spec, "exempt": wanted["exempt"]} != wanted:
                message = f"spec of '{name}' except the 'spec.exempt' field must equal the fixed value"
                yield _wrong("spec", spec, message)
        elif wanted != spec:
            yield _wrong("spec", spec, f"spec of '{name}' must equal the fixed value")


def _schema_faults(name: str, spec: Object) -> Iterator[Cause]:
    precedence = spec.get("matchingPrecedence", 0)
    if precedence <= 0:
        yield _wrong("spec.matchingPrecedence", precedence, "must be a positive value")
    if precedence > MAX_PRECEDENCE:
        yield _wrong("spec.matchingPrecedence", precedence, f"must not be greater than {MAX_PRECEDENCE}")
    if precedence == 1 and name != EXEMPT:
        message = "only the schema named 'exempt' may have matchingPrecedence 1"
        yield _wrong("spec.matchingPrecedence", precedence, message)
    method = spec.get("distinguisherMethod")
    if method is not None and method.get("type") not in ("ByNamespace", "ByUser"):
        shown = {"Type": method.get("type") or ""}
        yield _unsupported("spec.distinguisherMethod.type", shown, ("ByNamespace", "ByUser"))
    level = (spec.get("priorityLevelConfiguration") or {}).get("name") or ""
    if not level:
        yield required("spec.priorityLevelConfiguration.name", "must reference a priority level")
    elif not _NAME.fullmatch(level):
        yield _wrong("spec.priorityLevelConfiguration.name", level, _NAME_WORDS)
    for index, rule in enumerate(spec.get("rules") or ()):
        yield from _rule_faults(rule, f"spec.rules[{index}]")


def _rule_faults(rule: Object, path: str) -> Iterator[Cause]:
    subjects = rule.get("subjects") or ()
    if not subjects:
        yield required(f"{path}.subjects", "subjects must contain at least one value")
    for index, subject in enumerate(subjects):
        yield from _subject_faults(subject, f"{path}.subjects[{index}]")
    if not rule.get("resourceRules") and not rule.get("nonResourceRules"):
        yield required(path, "at least one of resourceRules and nonResourceRules has to be non-empty")
    for index, each in enumerate(rule.get("resourceRules") or ()):
        yield from _resource_faults(each, f"{path}.resourceRules[{index}]")
    for index, each in enumerate(rule.get("nonResourceRules") or ()):
        where = f"{path}.nonResourceRules[{index}]"
        yield from _verb_faults(each, where)
        yield from _list_faults(
            each.get("nonResourceURLs") or [], f"{where}.nonResourceURLs", "non-resource URLs",
            "nonResourceURLs must contain at least one value",
        )  # fmt: skip
        for number, url in enumerate(each.get("nonResourceURLs") or ()):
            if url != "*" and (fault := _url_fault(url)):
                yield _wrong(f"{where}.nonResourceURLs[{number}]", url, fault)


def _subject_faults(subject: Object, path: str) -> Iterator[Cause]:
    kind = subject.get("kind") or ""
    if kind not in _SUBJECTS:
        yield _unsupported(f"{path}.kind", kind, sorted(_SUBJECTS))
        return
    field = _SUBJECTS[kind]
    found = subject.get(field)
    if found is None:
        yield required(f"{path}.{field}", f"{field} is required when subject kind is '{kind}'")
    else:
        if not found.get("name"):
            yield required(f"{path}.{field}.name")
        if kind == "ServiceAccount":
            namespace, name = found.get("namespace") or "", found.get("name") or ""
            if name and name != "*" and not _NAME.fullmatch(name):
                yield _wrong(f"{path}.{field}.name", name, _NAME_WORDS)
            if not namespace:
                yield required(f"{path}.{field}.namespace", "must specify namespace for service account")
            elif not _LABEL.fullmatch(namespace):
                yield _wrong(f"{path}.{field}.namespace", namespace, _LABEL_WORDS)
    for other, word in (("ServiceAccount", "serviceAccount"), ("User", "user"), ("Group", "group")):
        if word != field and subject.get(word) is not None:
            yield forbidden(f"{path}.{word}", f"{word} is forbidden when subject kind is not '{other}'")


def _resource_faults(rule: Object, path: str) -> Iterator[Cause]:
    yield from _verb_faults(rule, path)
    groups, resources = rule.get("apiGroups") or [], rule.get("resources") or []
    yield from _list_faults(
        groups, f"{path}.apiGroups", "api groups", "resource rules must supply at least one api group"
    )
    yield from _list_faults(
        resources, f"{path}.resources", "resources", "resource rules must supply at least one resource"
    )
    namespaces = rule.get("namespaces") or []
    if not namespaces and not rule.get("clusterScope"):
        needed = "resource rules that are not cluster scoped must supply at least one namespace"
        yield required(f"{path}.namespaces", needed)
    elif "*" in namespaces:
        yield from _list_faults(namespaces, f"{path}.namespaces", "namespaces", "")
    else:
        for index, name in enumerate(namespaces):
            if not _LABEL.fullmatch(name):
                message = f"each member of this list must be '*' or a DNS-1123 label; {_LABEL_WORDS}"
                yield _wrong(f"{path}.namespaces[{index}]", name, message)


def _verb_faults(rule: Object, path: str) -> Iterator[Cause]:
    verbs = rule.get("verbs") or []
    yield from _list_faults(verbs, f"{path}.verbs", "verbs", "verbs must contain at least one value")
    if "*" not in verbs and not set(verbs) <= set(VERBS):
        yield _unsupported(f"{path}.verbs", verbs, VERBS)


def _list_faults(words: Sequence[str], path: str, what: str, needed: str) -> Iterator[Cause]:
    """A list that must not be empty, and in which `*` stands alone."""
    if not words:
        yield required(path, needed)
    elif "*" in words and len(words) > 1:
        yield _wrong(path, words, f"if '*' is present, must not specify other {what}")


def _url_fault(url: str) -> str:
    if not url:
        return "must not be empty"
    if not url.startswith("/"):
        return "must start with slash"
    if " " in url:
        return "must not contain white-space"
    if "//" in url:
        return "must not contain double slash"
    if url.count("*") > 1 or ("*" in url and not url.endswith("/*")):
        return "wildcard can only do suffix matching"
    return ""


def _level_faults(name: str, spec: Object) -> Iterator[Cause]:
    kind = spec.get("type") or ""
    if (name == EXEMPT) != (kind == "Exempt"):
        yield _wrong("spec.type", kind, "must be 'Exempt' if and only if `name` is 'exempt'")
    exempt, limited = spec.get("exempt"), spec.get("limited")
    if kind == "Exempt":
        if limited is not None:
            yield forbidden("spec.limited", "must be nil if the type is not Limited")
        yield from _share_faults(exempt or {}, "spec.exempt")
    elif kind == "Limited":
        if exempt is not None:
            yield forbidden("spec.exempt", "must be nil if the type is Limited")
        if limited is None:
            yield required("spec.limited", "must not be empty when type is Limited")
        else:
            yield from _limited_faults(limited)
    else:
        yield _unsupported("spec.type", kind, ("Exempt", "Limited"))


def _share_faults(found: Object, path: str) -> Iterator[Cause]:
    shares, lendable = found.get("nominalConcurrencyShares", 0), found.get("lendablePercent", 0)
    if shares < 0:
        yield _wrong(f"{path}.nominalConcurrencyShares", shares, "must be a non-negative integer")
    if not 0 <= lendable <= 100:
        yield _wrong(f"{path}.lendablePercent", lendable, "must be between 0 and 100, inclusive")


def _limited_faults(limited: Object) -> Iterator[Cause]:
    yield from _share_faults({**limited, "lendablePercent": 0}, "spec.limited")
    response = limited.get("limitResponse") or {}
    kind, queuing, path = response.get("type") or "", response.get("queuing"), "spec.limited.limitResponse"
    if kind == "Reject":
        if queuing is not None:
            yield forbidden(f"{path}.queuing", "must be nil if limited.limitResponse.type is not Limited")
    elif kind != "Queue":
        yield _unsupported(f"{path}.type", kind, ("Queue", "Reject"))
    elif queuing is None:
        yield required(f"{path}.queuing", "must not be empty if limited.limitResponse.type is Limited")
    else:
        yield from _queuing_faults(queuing, f"{path}.queuing")
    yield from _share_faults({**limited, "nominalConcurrencyShares": 0}, "spec.limited")
    borrowing = limited.get("borrowingLimitPercent")
    if borrowing is not None and borrowing < 0:
        message = "if specified, must be a non-negative integer"
        yield _wrong("spec.limited.borrowingLimitPercent", borrowing, message)


def _queuing_faults(queuing: Object, path: str) -> Iterator[Cause]:
    length, queues, hand = (queuing.get(key, 0) for key in ("queueLengthLimit", "queues", "handSize"))
    if length <= 0:
        yield _wrong(f"{path}.queueLengthLimit", length, "must be positive")
    if queues <= 0:
        yield _wrong(f"{path}.queues", queues, "must be positive")
    elif queues > MAX_QUEUES:
        yield _wrong(f"{path}.queues", queues, f"must not be greater than {MAX_QUEUES}")
    if hand <= 0:
        yield _wrong(f"{path}.handSize", hand, "must be positive")
    elif hand > queues:
        yield _wrong(f"{path}.handSize", hand, f"should not be greater than queues ({queues})")
    elif math.ceil(math.log2(queues) * hand) > HASH_BITS:
        message = (
            f"required entropy bits of deckSize {queues} and handSize {hand} should not be greater than {HASH_BITS}"
        )
        yield _wrong(f"{path}.handSize", hand, message)


def _wrong(field: str, value: Any, message: str) -> Cause:
    return invalid(field, f"Invalid value: {json.dumps(value, separators=(',', ':'))}: {message}")


def _unsupported(field: str, value: Any, known: Sequence[str]) -> Cause:
    shown = ", ".join(json.dumps(word) for word in known)
    text = f"Unsupported value: {json.dumps(value, separators=(',', ':'))}: supported values: {shown}"
    return invalid(field, text, "FieldValueNotSupported")
