"""APIService of apiregistration.k8s.io: who serves a group and version."""

from __future__ import annotations

from styr.api.builtin.tables import Kind, Subresource
from styr.api.faults import names
from styr.api.faults.causes import Faults, each, invalid, required
from styr.api.strategies.base import TypedStrategy
from styr.api.strategies.webhooks import service_faults
from styr.kinds.resources import API_SERVICE, Object

KIND = Kind(API_SERVICE, subresources={"status": Subresource("status")})
"""It is in no discovery document of kube-apiserver's own, which hands the group to its aggregator."""


class ApiServiceStrategy(TypedStrategy):
    name_check = staticmethod(names.path_segment)

    def default(self, obj: Object) -> None:
        super().default(obj)
        if service := (obj.get("spec") or {}).get("service"):
            service.setdefault("port", 443)

    def rules(self, obj: Object) -> Faults:
        yield from _faults(obj)


def _faults(obj: Object) -> Faults:
    spec, name = obj.get("spec") or {}, obj["metadata"]["name"]
    group, version = spec.get("group", ""), spec.get("version", "")
    if name != f"{version}.{group}":
        yield invalid("metadata.name", name, f'must be `spec.version+"."+spec.group`: "{version}.{group}"')
    if not group and version != "v1":
        yield required("spec.group", "only v1 may have an empty group and it better be legacy kube")
    if group:
        yield from each("spec.group", group, names.dns_subdomain(group))
    yield from each("spec.version", version, names.dns_label_1035(version))
    for field, most in (("groupPriorityMinimum", 20000), ("versionPriority", 1000)):
        number = spec.get(field, 0)
        if not 0 < number <= most:
            yield invalid(f"spec.{field}", number, f"must be positive and less than {most}")
    yield from _trust_faults(spec)


def _trust_faults(spec: Object) -> Faults:
    bundle, unchecked = spec.get("caBundle"), spec.get("insecureSkipTLSVerify")
    if spec.get("service") is None:
        if bundle:
            yield invalid("spec.caBundle", f"{len(bundle)} bytes", "local APIServices may not have a caBundle")
        if unchecked:
            yield invalid("spec.insecureSkipTLSVerify", True, "local APIServices may not have insecureSkipTLSVerify")
        return
    yield from service_faults(spec["service"], "spec.service")
    if unchecked and bundle:
        yield invalid("spec.insecureSkipTLSVerify", True, "may not be true if caBundle is present")
