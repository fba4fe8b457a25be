"""Role, ClusterRole and their bindings. Whether somebody may hand out what they hold is `authz`'s."""

from __future__ import annotations

from typing import Any

from styr.api.faults import names
from styr.api.faults.causes import Faults, each, invalid, required, unsupported
from styr.api.faults.selectors import selector
from styr.api.strategies.base import TypedStrategy
from styr.kinds.resources import Object

GROUP = "rbac.authorization.k8s.io"


class RoleStrategy(TypedStrategy):
    name_is_path_segment = True
    name_check = staticmethod(names.path_segment)

    def rules(self, obj: Object) -> Faults:
        for index, rule in enumerate(obj.get("rules") or ()):
            yield from _rule(rule, f"rules[{index}]", namespaced=self.kind.resource.namespaced)
        if "aggregationRule" in obj:
            found = obj["aggregationRule"].get("clusterRoleSelectors") or []
            path = "aggregationRule.clusterRoleSelectors"
            if not found:
                yield required(path, "at least one clusterRoleSelector required if aggregationRule is non-nil")
            for index, entry in enumerate(found):
                bad = list(selector(entry, f"{path}[{index}]"))
                yield from bad
                if bad:
                    yield invalid(f"{path}[{index}]", {}, "invalid label selector.")


def _rule(rule: dict[str, Any], path: str, *, namespaced: bool) -> Faults:
    if not rule.get("verbs"):
        yield required(f"{path}.verbs", "verbs must contain at least one value")
    if urls := rule.get("nonResourceURLs"):
        place = f"{path}.nonResourceURLs"
        if namespaced:
            yield invalid(place, urls, "namespaced rules cannot apply to non-resource URLs")
        if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
            yield invalid(place, urls, "rules cannot apply to both regular resources and non-resource URLs")
        return
    if not rule.get("apiGroups"):
        yield required(f"{path}.apiGroups", "resource rules must supply at least one api group")
    if not rule.get("resources"):
        yield required(f"{path}.resources", "resource rules must supply at least one resource")


class BindingStrategy(TypedStrategy):
    name_is_path_segment = True
    name_check = staticmethod(names.path_segment)

    def rules(self, obj: Object) -> Faults:
        namespaced, role = self.kind.resource.namespaced, obj["roleRef"]
        if role.get("apiGroup") != GROUP:
            yield unsupported("roleRef.apiGroup", role.get("apiGroup", ""), (GROUP,))
        kinds = ("Role", "ClusterRole") if namespaced else ("ClusterRole",)
        if role.get("kind", "") not in kinds:
            yield unsupported("roleRef.kind", role.get("kind", ""), kinds)
        if not role.get("name"):
            yield required("roleRef.name")
        else:
            yield from each("roleRef.name", role["name"], names.path_segment(role["name"]))
        for index, subject in enumerate(obj.get("subjects") or ()):
            yield from _subject(subject, f"subjects[{index}]", namespaced=namespaced)

    def update_rules(self, new: Object, old: Object) -> Faults:
        yield from self.rules(new)
        if new["roleRef"] != old["roleRef"]:
            yield invalid("roleRef", new["roleRef"], "cannot change roleRef")


def _subject(subject: dict[str, Any], path: str, *, namespaced: bool) -> Faults:
    kind, name, group = subject.get("kind", ""), subject.get("name", ""), subject.get("apiGroup", "")
    if not name:
        yield required(f"{path}.name")
    if kind == "ServiceAccount":
        if name:
            yield from each(f"{path}.name", name, names.dns_subdomain(name))
        if group:
            yield unsupported(f"{path}.apiGroup", group, ("",))
        if not namespaced and not subject.get("namespace"):
            yield required(f"{path}.namespace")
    elif kind in ("User", "Group"):
        if group != GROUP:
            yield unsupported(f"{path}.apiGroup", group, (GROUP,))
    else:
        yield unsupported(f"{path}.kind", kind, ("ServiceAccount", "User", "Group"))
