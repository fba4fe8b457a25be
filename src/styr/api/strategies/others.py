"""EndpointSlice, Lease and the four kinds of RBAC."""

from __future__ import annotations

import json

from styr.api.strategies.base import BuiltinStrategy, immutable, invalid, required
from styr.api.strategies.shapes import (
    BAG,
    FLAG,
    LABEL_SELECTOR,
    TEXT,
    default,
    fields,
    many,
    one_of,
    root,
    struct,
    table,
    whole,
)
from styr.kinds.errors import Cause
from styr.kinds.resources import Object

_RBAC = "rbac.authorization.k8s.io"


class EndpointSliceStrategy(BuiltinStrategy):
    shape = root(
        addressType=one_of("IPv4", "IPv6", "FQDN"),
        endpoints=many(
            struct(
                ("addresses",),
                addresses=many(TEXT),
                conditions=struct(ready=FLAG, serving=FLAG, terminating=FLAG),
                hostname=TEXT,
                nodeName=TEXT,
                zone=TEXT,
                targetRef=BAG,
                deprecatedTopology=table(TEXT),
                **fields("hints"),
            )
        ),
        ports=many(
            struct(
                name=default(TEXT, ""),
                port=whole(1, 65535),
                protocol=one_of("TCP", "UDP", "SCTP", default="TCP"),
                appProtocol=TEXT,
            )
        ),
    )

    def validate(self, obj: Object) -> list[Cause]:
        return [] if "addressType" in obj else [required("addressType")]

    def validate_update(self, new: Object, old: Object) -> list[Cause]:
        return [immutable("addressType")] if new["addressType"] != old["addressType"] else []


class LeaseStrategy(BuiltinStrategy):
    shape = root(
        spec=default(
            struct(
                holderIdentity=TEXT,
                leaseDurationSeconds=whole(1),
                acquireTime=TEXT,
                renewTime=TEXT,
                leaseTransitions=whole(0),
                strategy=TEXT,
                preferredHolder=TEXT,
            ),
            {},
        )
    )


class RoleStrategy(BuiltinStrategy):
    shape = root(
        rules=many(
            struct(
                verbs=many(TEXT),
                apiGroups=many(TEXT),
                resources=many(TEXT),
                resourceNames=many(TEXT),
                nonResourceURLs=many(TEXT),
            )
        ),
        aggregationRule=struct(clusterRoleSelectors=many(LABEL_SELECTOR)),
    )
    name_is_path_segment = True

    def validate(self, obj: Object) -> list[Cause]:
        faults: list[Cause] = []
        for index, rule in enumerate(obj.get("rules") or ()):
            faults += _rule_faults(rule, f"rules[{index}]", namespaced=obj["kind"] == "Role")
        found = obj.get("aggregationRule")
        if found is not None and not found.get("clusterRoleSelectors"):
            needed = "at least one clusterRoleSelector required if aggregationRule is non-nil"
            faults.append(required("aggregationRule.clusterRoleSelectors", needed))
        return faults


def _rule_faults(rule: Object, path: str, *, namespaced: bool) -> list[Cause]:
    faults: list[Cause] = []
    if not rule.get("verbs"):
        faults.append(required(f"{path}.verbs", "verbs must contain at least one value"))
    if urls := rule.get("nonResourceURLs"):
        shown = json.dumps(urls, separators=(",", ":"))
        if namespaced:
            message = f"Invalid value: {shown}: namespaced rules cannot apply to non-resource URLs"
            faults.append(invalid(f"{path}.nonResourceURLs", message))
        if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
            message = f"Invalid value: {shown}: rules cannot apply to both regular resources and non-resource URLs"
            faults.append(invalid(f"{path}.nonResourceURLs", message))
        return faults
    if not rule.get("apiGroups"):
        faults.append(required(f"{path}.apiGroups", "resource rules must supply at least one api group"))
    if not rule.get("resources"):
        faults.append(required(f"{path}.resources", "resource rules must supply at least one resource"))
    return faults


class BindingStrategy(BuiltinStrategy):
    shape = root(
        subjects=many(
            struct(
                kind=default(TEXT, ""),
                name=default(TEXT, ""),
                namespace=TEXT,
                apiGroup=TEXT,
            )
        ),
        roleRef=default(struct(apiGroup=TEXT, kind=default(TEXT, ""), name=default(TEXT, "")), {}),
    )
    name_is_path_segment = True

    def default(self, obj: Object) -> None:
        for part in (*obj.get("subjects", ()), obj["roleRef"]):
            if not part.get("apiGroup"):  # Go writes "" for one that is not given
                part["apiGroup"] = "" if part["kind"] == "ServiceAccount" else _RBAC

    def validate(self, obj: Object) -> list[Cause]:
        cluster, ref = obj["kind"] == "ClusterRoleBinding", obj["roleRef"]
        faults: list[Cause] = []
        if ref["apiGroup"] != _RBAC:
            faults.append(_unsupported("roleRef.apiGroup", ref["apiGroup"], _RBAC))
        kinds = ("ClusterRole",) if cluster else ("Role", "ClusterRole")
        if ref["kind"] not in kinds:
            faults.append(_unsupported("roleRef.kind", ref["kind"], *kinds))
        if not ref["name"]:
            faults.append(required("roleRef.name"))
        elif ref["name"] in (".", "..") or "/" in ref["name"] or "%" in ref["name"]:
            faults.append(
                invalid(
                    "roleRef.name",
                    f"Invalid value: {json.dumps(ref['name'])}: may not be '.', '..', or contain '/' or '%'",
                )
            )
        for index, subject in enumerate(obj.get("subjects", ())):
            faults += _subject_faults(subject, f"subjects[{index}]", cluster=cluster)
        return faults

    def validate_update(self, new: Object, old: Object) -> list[Cause]:
        if new["roleRef"] == old["roleRef"]:
            return []
        ref = new["roleRef"]
        shown = json.dumps(
            {"APIGroup": ref["apiGroup"], "Kind": ref["kind"], "Name": ref["name"]}, separators=(",", ":")
        )
        return [invalid("roleRef", f"Invalid value: {shown}: cannot change roleRef")]


def _subject_faults(subject: Object, path: str, *, cluster: bool) -> list[Cause]:
    faults = [] if subject["name"] else [required(f"{path}.name")]
    if subject["kind"] == "ServiceAccount":
        if subject["apiGroup"]:
            faults.append(_unsupported(f"{path}.apiGroup", subject["apiGroup"], ""))
        if cluster and not subject.get("namespace"):
            faults.append(required(f"{path}.namespace"))
    elif subject["kind"] not in ("User", "Group"):
        faults.append(_unsupported(f"{path}.kind", subject["kind"], "ServiceAccount", "User", "Group"))
    elif subject["apiGroup"] != _RBAC:
        faults.append(_unsupported(f"{path}.apiGroup", subject["apiGroup"], _RBAC))
    return faults


def _unsupported(field: str, value: str, *known: str) -> Cause:
    shown = ", ".join(json.dumps(word) for word in known)
    return invalid(
        field, f"Unsupported value: {json.dumps(value)}: supported values: {shown}", "FieldValueNotSupported"
    )
