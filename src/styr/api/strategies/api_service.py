"""APIService of apiregistration.k8s.io: who serves a group and version."""

from __future__ import annotations

import re
from collections.abc import Iterator

from styr.api.builtin.tables import Kind, Subresource
from styr.api.strategies.base import TypedStrategy, invalid, required
from styr.api.strategies.webhooks import service_faults
from styr.kinds.errors import Cause
from styr.kinds.resources import API_SERVICE, Object

KIND = Kind(API_SERVICE, subresources={"status": Subresource("status")})
"""It is in no discovery document of kube-apiserver's own, which hands the group to its aggregator."""
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_VERSION = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")


class ApiServiceStrategy(TypedStrategy):
    name_is_path_segment = True

    def default(self, obj: Object) -> None:
        if service := (obj.get("spec") or {}).get("service"):
            service.setdefault("port", 443)

    def validate(self, obj: Object) -> list[Cause]:
        return list(_faults(obj))


def _faults(obj: Object) -> Iterator[Cause]:
    spec, name = obj.get("spec") or {}, obj["metadata"]["name"]
    group, version = spec.get("group", ""), spec.get("version", "")
    if name != f"{version}.{group}":
        wanted = f'must be `spec.version+"."+spec.group`: "{version}.{group}"'
        yield invalid("metadata.name", f'Invalid value: "{name}": {wanted}')
    if not group and version != "v1":
        yield required("spec.group", "only v1 may have an empty group and it better be legacy kube")
    if group and not (len(group) <= 253 and _SUBDOMAIN.fullmatch(group)):
        yield invalid("spec.group", f'Invalid value: "{group[:300]}": a lowercase RFC 1123 subdomain is wanted')
    if not _VERSION.fullmatch(version):
        yield invalid("spec.version", f'Invalid value: "{version[:100]}": a DNS-1035 label is wanted')
    for field, most in (("groupPriorityMinimum", 20000), ("versionPriority", 1000)):
        number = spec.get(field, 0)
        if not 0 < number <= most:
            yield invalid(f"spec.{field}", f"Invalid value: {number}: must be positive and less than {most}")
    yield from _trust_faults(spec)


def _trust_faults(spec: Object) -> Iterator[Cause]:
    bundle, unchecked = spec.get("caBundle"), spec.get("insecureSkipTLSVerify")
    if spec.get("service") is None:
        if bundle:
            yield invalid(
                "spec.caBundle", f'Invalid value: "{len(bundle)} bytes": local APIServices may not have a caBundle'
            )
        if unchecked:
            message = "Invalid value: true: local APIServices may not have insecureSkipTLSVerify"
            yield invalid("spec.insecureSkipTLSVerify", message)
        return
    yield from service_faults(spec["service"], "spec.service")
    if unchecked and bundle:
        yield invalid("spec.insecureSkipTLSVerify", "Invalid value: true: may not be true if caBundle is present")
