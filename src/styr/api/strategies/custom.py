"""Custom resources, and the CustomResourceDefinitions that make them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from styr.api.builtin import tables
from styr.api.rules.ratchet import unchanged
from styr.api.schema import Schema, compile_schema, has_rules
from styr.api.store.commit import Txn
from styr.api.store.records import ObjectKey
from styr.api.strategies.base import BuiltinStrategy, Strategy, forbidden, immutable, invalid, required
from styr.api.strategies.shapes import (
    BAG,
    FLAG,
    TEXT,
    default,
    fields,
    many,
    one_of,
    root,
    struct,
)
from styr.api.strategies.webhooks import CLIENT_CONFIG, client_faults
from styr.api.validations import SchemaError
from styr.kinds import conditions, meta
from styr.kinds.errors import Cause
from styr.kinds.resources import CRD, Object

if TYPE_CHECKING:
    from styr.api.rules.tree import Rules

_DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_KIND = re.compile(r"[A-Za-z]([A-Za-z0-9]{0,61}[A-Za-z0-9])?")
_GROUP = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)+")


_OUTDATED = "styr.dev/RulesNotEvaluated"
"""A condition that definitions had before their rules were evaluated."""
_BLOCKING = frozenset(
    {"FieldValueNotSupported", "FieldValueRequired", "FieldValueTooLong", "FieldValueTooMany", "FieldValueTypeInvalid"}
)
_NOT_CHECKED: Cause = {
    "reason": "FieldValueInvalid",
    "field": "<nil>",
    "message": "Invalid value: null: some validation rules were not checked because the object was invalid; correct the "
    "existing errors to complete validation",
}


class CustomStrategy(Strategy):
    """One served version of a CRD."""

    counts_generation = True
    allows_blind_update = False

    def __init__(self, schema: Mapping[str, Any], selectable: tuple[str, ...] = ()) -> None:
        """Raises SchemaError."""
        self.compiled = compile_schema(schema)
        self.selectable = selectable
        self._source = schema

    @property
    def schema(self) -> Schema | None:
        return self.compiled

    @cached_property
    def rules(self) -> Rules | None:
        """Compiled at the first write, and CEL is loaded then."""
        if not has_rules(self._source):
            return None
        from styr.api.rules.tree import compile_rules

        return compile_rules(self._source)

    def shape_faults(self, obj: Object, old: Object | None = None) -> list[Cause]:
        self.compiled.default(obj)
        causes = self.compiled.validate(obj, None if old is None else self._changed(obj, old))
        if causes and self.rules is not None:
            blocked = any(cause["reason"] in _BLOCKING for cause in causes)
            causes += [_NOT_CHECKED] if blocked else self.rule_faults(obj, old, [])
        return causes

    def _changed(self, new: Object, old: Object) -> Callable[[Cause], bool]:
        """Is a fault in something that the update changes? What was wrong before may stay so."""

        def holds(cause: Cause) -> bool:
            if cause["reason"] == "FieldValueDuplicate":
                return not any(fault["reason"] == "FieldValueDuplicate" for fault in self.compiled.validate(old))
            return not unchanged(cause["field"], new, old, self._source)

        return holds

    def rule_faults(self, new: Object, old: Object | None, warnings: list[str]) -> list[Cause]:
        if self.rules is None:
            return []
        causes, forgiven = self.rules.check(new, old)
        warnings += forgiven
        return causes


_CONDITIONS = many(BAG | {"properties": {"type": TEXT}, "required": ["type"]}) | {
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["type"],
}


class CrdStrategy(BuiltinStrategy):
    shape = root(
        spec=struct(
            ("group", "names", "scope", "versions"),
            group=TEXT,
            scope=one_of("Namespaced", "Cluster"),
            names=struct(
                ("plural", "kind"),
                plural=TEXT,
                singular=TEXT,
                kind=TEXT,
                listKind=TEXT,
                shortNames=many(TEXT),
                categories=many(TEXT),
            ),
            versions=many(
                struct(
                    ("name", "served", "storage"),
                    name=TEXT,
                    served=FLAG,
                    storage=FLAG,
                    deprecated=FLAG,
                    deprecationWarning=TEXT,
                    schema=struct(openAPIV3Schema=BAG),
                    subresources=struct(
                        status=BAG,
                        scale=struct(
                            (),
                            specReplicasPath=TEXT,
                            statusReplicasPath=TEXT,
                            labelSelectorPath=TEXT,
                        ),
                    ),
                    additionalPrinterColumns=many(BAG),
                    selectableFields=many(struct(("jsonPath",), jsonPath=TEXT)),
                ),
                least=1,
            ),
            conversion=default(
                struct(
                    strategy=one_of("None", "Webhook", default="None"),
                    webhook=struct(clientConfig=CLIENT_CONFIG, conversionReviewVersions=many(TEXT)),
                ),
                {},
            ),
            preserveUnknownFields=FLAG,
            **fields("validation"),
        ),
        status=BAG | {"properties": {"conditions": _CONDITIONS, "acceptedNames": BAG, "storedVersions": many(TEXT)}},
    )
    counts_generation = True

    def prepare_create(self, obj: Object) -> None:
        obj["status"] = {}

    def default(self, obj: Object) -> None:
        names = obj["spec"]["names"]
        names.setdefault("singular", names["kind"].lower())
        names.setdefault("listKind", f"{names['kind']}List")

    def validate(self, obj: Object) -> list[Cause]:
        return list(_crd_faults(obj)) if "spec" in obj else [required("spec")]

    def validate_update(self, new: Object, old: Object) -> list[Cause]:
        before, after = old["spec"], new["spec"]
        faults = [immutable(f"spec.{field}") for field in ("group", "scope") if after[field] != before[field]]
        faults += [
            immutable(f"spec.names.{field}")
            for field in ("plural", "kind")
            if after["names"][field] != before["names"][field]
        ]
        versions = [version["name"] for version in after["versions"]]
        faults += [
            invalid("status.storedVersions", f'Invalid value: "{gone}": must appear in spec.versions')
            for gone in old.get("status", {}).get("storedVersions", [])
            if gone not in versions
        ]
        return faults

    def rule_faults(self, new: Object, old: Object | None, warnings: list[str]) -> list[Cause]:
        """The rules in schemas that are new must compile, and not cost too much."""
        known = [version["schema"] for version in old["spec"]["versions"]] if old else []
        faults: list[Cause] = []
        for index, version in enumerate(new["spec"]["versions"]):
            if version["schema"] in known or not has_rules(version["schema"]["openAPIV3Schema"]):
                continue
            from styr.api.rules import definition

            if where := _place(new["spec"]["versions"], index, "schema", "validation"):
                faults += definition.faults(version["schema"]["openAPIV3Schema"], f"{where}.openAPIV3Schema")
        return faults

    def admit(self, new: Object, old: Object | None, txn: Txn) -> None:
        """Accepts the names, unless another definition of the group has them; then it is established at once."""
        spec, status = new["spec"], new.setdefault("status", {})
        taken = _conflict(new, txn)
        now = meta.metadata(new).get("creationTimestamp", "")
        accepted = "no conflicts found" if not taken else f"{taken} is already in use"
        known = conditions.put(
            status.get("conditions"),
            "NamesAccepted",
            not taken,
            now=now,
            reason="NameConflict" if taken else "NoConflicts",
            message=accepted,
        )
        established = not taken or conditions.is_true(new, "Established")
        status["conditions"] = conditions.put(
            known,
            "Established",
            established,
            now=now,
            reason="InitialNamesAccepted" if established else "NotAccepted",
            message="the initial names have been accepted" if established else "not all names are accepted",
        )
        status["conditions"] = [c for c in status["conditions"] if c.get("type") != _OUTDATED]
        if not taken:
            status["acceptedNames"] = dict(spec["names"])
        status.setdefault("acceptedNames", {"plural": "", "kind": ""})
        storage = next(version["name"] for version in spec["versions"] if version["storage"])
        stored = status.setdefault("storedVersions", [])
        if storage not in stored:
            stored.append(storage)

    def deleted(self, obj: Object, txn: Txn) -> None:
        """The kind is gone, and its objects with it, in the same transaction."""
        if not conditions.is_true(obj, "Established"):
            return
        resource = f"{obj['spec']['names']['plural']}.{obj['spec']['group']}"
        for key, _ in list(txn.list(resource)):
            txn.delete(key)


def _conflict(crd: Object, txn: Txn) -> str:
    """The first name that another definition of the same group already has, "" when there is none."""
    own = _names(crd)
    group = crd["spec"]["group"]
    for key, record in txn.list(CRD.group_resource):
        if key == ObjectKey(CRD.group_resource, "", meta.name(crd)):
            continue
        other = record.decode()
        if other["spec"]["group"] == group:
            for name in sorted(own & _names(other)):
                return f'"{name}"'
    return ""


def _names(crd: Object) -> set[str]:
    names = crd["spec"]["names"]
    return {names["plural"], names["singular"], names["kind"], names["listKind"], *names.get("shortNames", ())}


def _crd_faults(obj: Object) -> Iterator[Cause]:
    spec = obj["spec"]
    names = spec["names"]
    wanted = f"{names['plural']}.{spec['group']}"
    if obj["metadata"]["name"] != wanted:
        message = f'Invalid value: "{obj["metadata"]["name"]}": must be spec.names.plural+"."+spec.group: {wanted}'
        yield invalid("metadata.name", message)
    if not _GROUP.fullmatch(spec["group"]) or spec["group"] in {kind.resource.group for kind in tables.kinds()}:
        yield invalid(
            "spec.group", f'Invalid value: "{spec["group"]}": must be a domain of your own, as apps.example.com'
        )
    for field in ("plural", "singular"):
        if not _DNS_LABEL.fullmatch(names[field]):
            yield invalid(f"spec.names.{field}", f'Invalid value: "{names[field]}": must be a lowercase RFC 1035 label')
    for field in ("kind", "listKind"):
        if not _KIND.fullmatch(names[field]):
            yield invalid(f"spec.names.{field}", f'Invalid value: "{names[field]}": must be a CamelCase word')
    yield from _conversion_faults(spec["conversion"], "spec.conversion")
    versions = spec["versions"]
    if sum(version["storage"] for version in versions) != 1:
        yield invalid("spec.versions", "Invalid value: must have exactly one version marked as storage version")
    for index in range(len(versions)):
        yield from _version_faults(versions, index)


def _version_faults(versions: list[Object], index: int) -> Iterator[Cause]:
    listed, version, path = [version["name"] for version in versions], versions[index], f"spec.versions[{index}]"
    if listed.index(version["name"]) != index:
        yield invalid(f"{path}.name", f'Duplicate value: "{version["name"]}"', "FieldValueDuplicate")
    if not _DNS_LABEL.fullmatch(version["name"]):
        yield invalid(f"{path}.name", f'Invalid value: "{version["name"]}": must be a lowercase RFC 1035 label')
    if where := _place(versions, index, "schema", "validation"):
        yield from _schema_faults(version, where)
    where = _place(versions, index, "subresources", "subresources")
    if where and (scale := (version.get("subresources") or {}).get("scale")):
        yield from _scale_faults(scale, f"{where}.scale")


def _place(versions: list[Object], index: int, word: str, common: str) -> str:
    """Where a part of a version stands in messages: what all versions have alike is told once, as part of the definition.
    "" when it has been told."""
    shared = versions[0].get(word)
    if shared is None or any(version.get(word) != shared for version in versions[1:]):
        return f"spec.versions[{index}].{word}"
    return "" if index else f"spec.{common}"


_SCALE_PATHS = (
    ("specReplicasPath", (".spec.",), "should be a json path under .spec"),
    ("statusReplicasPath", (".status.",), "should be a json path under .status"),
    ("labelSelectorPath", (".spec.", ".status."), "should be a json path under either .spec or .status"),
)
_FIELDS = re.compile(r"(\.[^.\[\]'\"]+)+")


def _scale_faults(scale: Object, path: str) -> Iterator[Cause]:
    for field, roots, text in _SCALE_PATHS:
        where = scale.get(field, "")
        if not where and field != "labelSelectorPath":
            yield required(f"{path}.{field}")
        elif where and not (_FIELDS.fullmatch(where) and where.startswith(roots)):
            yield invalid(f"{path}.{field}", f'Invalid value: "{where}": {text}')


def _conversion_faults(conversion: dict[str, Any], path: str) -> Iterator[Cause]:
    webhook = conversion.get("webhook")
    if conversion["strategy"] == "None":
        text = "should not be set when strategy is not set to Webhook"
        if webhook and "clientConfig" in webhook:
            yield forbidden(f"{path}.webhookClientConfig", text)
        if webhook and webhook.get("conversionReviewVersions"):
            yield forbidden(f"{path}.conversionReviewVersions", text)
        return
    config = (webhook or {}).get("clientConfig")
    if config is None:
        yield required(f"{path}.webhookClientConfig", "required when strategy is set to Webhook")
    else:
        yield from client_faults(config, f"{path}.webhookClientConfig")
    versions = (webhook or {}).get("conversionReviewVersions") or []
    if not versions:
        yield required(f"{path}.conversionReviewVersions")
    elif not {"v1", "v1beta1"} & set(versions):
        shown = ",".join(f'"{version}"' for version in versions)
        message = f"Invalid value: [{shown}]: must include at least one of v1, v1beta1"
        yield invalid(f"{path}.conversionReviewVersions", message)


def _schema_faults(version: dict[str, Any], path: str) -> Iterator[Cause]:
    where = f"{path}.openAPIV3Schema"
    schema = version.get("schema", {}).get("openAPIV3Schema")
    if schema is None:
        yield required(where, "schemas are required")
        return
    try:
        compile_schema(schema)
    except SchemaError as error:
        yield invalid(f"{where}.{error.path}".rstrip("."), f"Invalid value: {error.message}")
