"""Service: what is refused, what follows the type, and what is handed out: a clusterIP from 10.96.0.0/16, as a name that stays,
and ports of the node from 30000-32767."""

from __future__ import annotations

import ipaddress
from typing import Any

from styr.api.faults import names
from styr.api.faults.causes import Faults, invalid
from styr.api.faults.services import is_headless, needs_health_check, service_faults, status_faults, update_faults
from styr.api.store.commit import Txn
from styr.api.strategies.base import TypedStrategy
from styr.kinds import meta
from styr.kinds.errors import InternalError, Invalid
from styr.kinds.resources import SERVICE, Object

NETWORK = ipaddress.ip_network("10.96.0.0/16")
NODE_PORTS = range(30000, 32768)
_STAYS = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy")


class ServiceStrategy(TypedStrategy):
    name_check = staticmethod(names.dns_label_1035)

    def prepare_create(self, obj: Object) -> None:
        obj["status"] = {"loadBalancer": {}}
        spec = obj["spec"]
        if spec.get("clusterIP") and not spec.get("clusterIPs"):
            spec["clusterIPs"] = [spec["clusterIP"]]
        _families(spec)

    def prepare_update(self, new: Object, old: Object) -> None:
        """A PUT that leaves allocated values out keeps them; what the new type has no use for goes, unless it was changed."""
        new["status"] = old["status"]
        after, before = new["spec"], old["spec"]
        _normal(after, before)
        if _has_address(after) and _has_address(before):
            for field in _STAYS[:2]:
                if before.get(field) and not after.get(field):
                    after[field] = before[field]
            if before.get("ipFamilyPolicy") and not after.get("ipFamilyPolicy"):
                after["ipFamilyPolicy"] = before["ipFamilyPolicy"]
        if _has_node_ports(after) and _has_node_ports(before):
            _keep_ports(after, before)
        if needs_health_check(after) and needs_health_check(before) and "healthCheckNodePort" in before:
            after.setdefault("healthCheckNodePort", before["healthCheckNodePort"])
        _drop(after, before)
        if after.get("type") != "LoadBalancer":
            new["status"] = {"loadBalancer": {}}
        _families(after)

    def rules(self, obj: Object) -> Faults:
        yield from service_faults(obj, None)

    def update_rules(self, new: Object, old: Object) -> Faults:
        yield from update_faults(new, old)
        yield from service_faults(new, old)

    def status_rules(self, new: Object, old: Object) -> Faults:
        yield from status_faults(new, old)

    def admit(self, new: Object, old: Object | None, txn: Txn) -> None:
        spec = new["spec"]
        if spec["type"] == "ExternalName":
            return
        before = old["spec"] if old else {}
        others = _Others(new, txn)
        wanted = spec.get("clusterIP", "")
        if wanted == "None":
            spec["clusterIPs"] = ["None"]
        elif not wanted or before.get("clusterIP") != wanted:
            spec["clusterIP"] = _address(wanted, others.addresses(), meta.name(new))
            spec["clusterIPs"] = [spec["clusterIP"]]
        if _has_node_ports(spec):
            _hand_out(new, before, others)


class _Others:
    """What the other services have; looked at once, and only when something is to be handed out."""

    def __init__(self, obj: Object, txn: Txn) -> None:
        self._own = (SERVICE.group_resource, meta.namespace(obj), meta.name(obj))
        self._txn = txn
        self._specs: list[dict[str, Any]] | None = None

    def specs(self) -> list[dict[str, Any]]:
        if self._specs is None:
            records = self._txn.list(SERVICE.group_resource)
            self._specs = [record.decode().get("spec", {}) for key, record in records if key != self._own]
        return self._specs

    def addresses(self) -> set[str | None]:
        return {spec.get("clusterIP") for spec in self.specs()}

    def ports(self) -> set[tuple[int, str]]:
        found = {(spec["healthCheckNodePort"], "TCP") for spec in self.specs() if spec.get("healthCheckNodePort")}
        return found | {
            (port["nodePort"], port["protocol"])
            for spec in self.specs()
            for port in spec.get("ports") or ()
            if port.get("nodePort")
        }


def _families(spec: dict[str, Any]) -> None:
    if spec.get("type") != "ExternalName":
        spec.setdefault(
            "ipFamilyPolicy",
            "RequireDualStack" if spec.get("clusterIP") == "None" and not spec.get("selector") else "SingleStack",
        )
        spec.setdefault(
            "ipFamilies",
            ["IPv4", "IPv6"] if spec["ipFamilyPolicy"] == "RequireDualStack" and is_headless(spec) else ["IPv4"],
        )


def _has_address(spec: dict[str, Any]) -> bool:
    return spec.get("type") != "ExternalName"


def _has_node_ports(spec: dict[str, Any]) -> bool:
    kind = spec.get("type")
    return kind == "NodePort" or (kind == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is not False)


def _normal(after: dict[str, Any], before: dict[str, Any]) -> None:
    """`clusterIPs` follows `clusterIP`, for clients that know only the older field."""
    same = after.get("clusterIPs") == before.get("clusterIPs")
    if before.get("clusterIPs") and not after.get("clusterIPs") and after.get("clusterIP") == before.get("clusterIP"):
        after["clusterIPs"] = before["clusterIPs"]
    if after.get("clusterIP") != before.get("clusterIP") and same:
        if after.get("clusterIP"):
            after["clusterIPs"] = [after["clusterIP"]]
        else:
            after.pop("clusterIPs", None)


def _keep_ports(after: dict[str, Any], before: dict[str, Any]) -> None:
    known = {port.get("name", ""): port.get("nodePort") for port in before.get("ports") or ()}
    used = {port.get("nodePort") for port in after.get("ports") or ()} & set(known.values())
    for port in after.get("ports") or ():
        kept = known.get(port.get("name", ""))
        if not port.get("nodePort") and kept and kept not in used:
            port["nodePort"] = kept


def _drop(after: dict[str, Any], before: dict[str, Any]) -> None:
    if _has_address(before) and not _has_address(after):
        fields = [field for field in _STAYS if after.get(field) == before.get(field)]
        for field in fields:
            after.pop(field, None)
    if _has_node_ports(before) and not _has_node_ports(after):
        if [port.get("nodePort") for port in after.get("ports") or ()] == [
            p.get("nodePort") for p in before.get("ports") or ()
        ]:
            for port in after.get("ports") or ():
                port.pop("nodePort", None)
    rules = (
        ("healthCheckNodePort", needs_health_check),
        ("allocateLoadBalancerNodePorts", lambda spec: spec.get("type") == "LoadBalancer"),
        ("loadBalancerClass", lambda spec: spec.get("type") == "LoadBalancer"),
        ("externalTrafficPolicy", _outside),
    )
    for field, fits in rules:
        if fits(before) and not fits(after) and after.get(field) == before.get(field):
            after.pop(field, None)


def _outside(spec: dict[str, Any]) -> bool:
    kind = spec.get("type")
    return kind in ("LoadBalancer", "NodePort") or (kind == "ClusterIP" and bool(spec.get("externalIPs")))


def _hand_out(obj: Object, before: dict[str, Any], others: _Others) -> None:
    """A port of the node for each port, its own if it asked for one and nobody has it."""
    spec, kept = obj["spec"], {(p.get("nodePort"), p["protocol"]) for p in before.get("ports") or ()}
    mine = {(port["nodePort"], port["protocol"]) for port in spec.get("ports") or () if port.get("nodePort")}
    for index, port in enumerate(spec.get("ports") or ()):
        number = port.get("nodePort")
        if number and (number, port["protocol"]) not in kept:
            if number not in NODE_PORTS:
                span = f"{NODE_PORTS[0]}-{NODE_PORTS[-1]}"
                message = f"provided port is not in the valid range. The range of valid ports is {span}"
                raise _refused(obj, f"spec.ports[{index}].nodePort", number, message)
            if (number, port["protocol"]) in others.ports():
                raise _refused(obj, f"spec.ports[{index}].nodePort", number, "provided port is already allocated")
        elif not number:
            taken = {number for number, _ in others.ports() | mine}
            port["nodePort"] = _free(taken, meta.name(obj))
            mine.add((port["nodePort"], port["protocol"]))
    if needs_health_check(spec) and not spec.get("healthCheckNodePort"):
        spec["healthCheckNodePort"] = _free({number for number, _ in others.ports() | mine}, meta.name(obj))


def _free(taken: set[int], name: str) -> int:
    found = next((number for number in NODE_PORTS if number not in taken), None)
    if found is None:
        message = f"no port left in {NODE_PORTS[0]}-{NODE_PORTS[-1]} for service {name}"
        raise InternalError(f"{message}: delete services that are not used")
    return found


def _refused(obj: Object, path: str, value: Any, detail: str) -> Invalid:
    cause = invalid(path, value, detail)
    name = meta.name(obj)
    details = {"name": name, "kind": "Service", "causes": [cause]}
    return Invalid(f'Service "{name}" is invalid: {path}: {cause["message"]}', details=details)


def _address(wanted: str, taken: set[str | None], name: str) -> str:
    if wanted in taken:
        cause = invalid(
            "spec.clusterIPs", [wanted], "failed to allocate IP " + f"{wanted}: provided IP is already allocated"
        )
        details = {"name": name, "kind": "Service", "causes": [cause]}
        raise Invalid(f'Service "{name}" is invalid: spec.clusterIPs: {cause["message"]}', details=details)
    if wanted:
        return wanted
    # The address after the highest one, so that one just freed is not given to another service at once.
    base, size = int(NETWORK.network_address), NETWORK.num_addresses - 2
    used = {int(ipaddress.ip_address(ip)) - base for ip in taken if ip and ip != "None" and _is_ours(ip)}
    start = max(used, default=0)
    for step in range(1, size + 1):
        offset = (start + step - 1) % size + 1
        if offset not in used:
            return str(NETWORK.network_address + offset)
    raise InternalError(f"no address left in {NETWORK} for service {name}: delete services that are not used")


def _is_ours(text: str) -> bool:
    try:
        return ipaddress.ip_address(text) in NETWORK
    except ValueError:
        return False
