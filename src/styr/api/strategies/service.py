"""Service: ports, addresses, what never changes. A clusterIP is handed out from 10.96.0.0/16, as a name that stays."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from styr.api.store.commit import Txn
from styr.api.strategies import node_ports
from styr.api.strategies.base import BuiltinStrategy, invalid, required
from styr.api.strategies.shapes import (
    BAG,
    COUNT,
    FLAG,
    INT_OR_TEXT,
    PORT,
    TEXT,
    WHOLE,
    fields,
    many,
    one_of,
    root,
    struct,
    table,
)
from styr.kinds import meta
from styr.kinds.errors import Cause, InternalError, Invalid
from styr.kinds.resources import SERVICE, Object

NETWORK = ipaddress.ip_network("10.96.0.0/16")


class ServiceStrategy(BuiltinStrategy):
    shape = root(
        spec=struct(
            type=one_of("ClusterIP", "NodePort", "LoadBalancer", "ExternalName", default="ClusterIP"),
            clusterIP=TEXT,
            clusterIPs=many(TEXT),
            selector=table(TEXT),
            ports=many(
                struct(
                    ("port",),
                    name=TEXT,
                    port=PORT,
                    targetPort=INT_OR_TEXT,
                    protocol=one_of("TCP", "UDP", "SCTP", default="TCP"),
                    appProtocol=TEXT,
                    nodePort=COUNT,
                )
            ),
            sessionAffinity=one_of("None", "ClientIP", default="None"),
            sessionAffinityConfig=BAG,
            externalName=TEXT,
            externalIPs=many(TEXT),
            publishNotReadyAddresses=FLAG,
            internalTrafficPolicy=TEXT,
            externalTrafficPolicy=TEXT,
            ipFamilies=many(TEXT),
            ipFamilyPolicy=TEXT,
            healthCheckNodePort=WHOLE,
            allocateLoadBalancerNodePorts=FLAG,
            **fields("loadBalancerIP loadBalancerSourceRanges loadBalancerClass trafficDistribution"),
        ),
        status=BAG,
    )

    def prepare_create(self, obj: Object) -> None:
        obj["status"] = {"loadBalancer": {}}

    def prepare_update(self, new: Object, old: Object) -> None:
        """A PUT that leaves the address out keeps it, unless the type changes to or from ExternalName."""
        spec, before = new.get("spec"), old.get("spec", {})
        if isinstance(spec, dict) and spec.get("type", "ClusterIP") != "ExternalName":
            for field in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
                if before.get(field) and not spec.get(field):
                    spec[field] = before[field]
        if isinstance(spec, dict) and isinstance(spec.get("ports"), list):
            node_ports.carry_over(spec, before)

    def default(self, obj: Object) -> None:
        spec = obj["spec"]
        for port in spec.get("ports", ()):
            if port.get("targetPort") in (None, 0, ""):  # Go writes 0 for one that is not given
                port["targetPort"] = port["port"]
        if spec["type"] != "ExternalName":
            spec.setdefault("internalTrafficPolicy", "Cluster")
            spec.setdefault("ipFamilies", ["IPv4"])
            spec.setdefault("ipFamilyPolicy", "SingleStack")

    def validate(self, obj: Object) -> list[Cause]:
        return list(_faults(obj)) if "spec" in obj else [required("spec")]

    def validate_update(self, new: Object, old: Object) -> list[Cause]:
        before, after = old["spec"].get("clusterIP", ""), new["spec"].get("clusterIP", "")
        if before and before != after and "ExternalName" not in (new["spec"]["type"], old["spec"]["type"]):
            return [invalid("spec.clusterIPs[0]", f'Invalid value: "{after}": may not change once set')]
        return []

    def admit(self, new: Object, old: Object | None, txn: Txn) -> None:
        self._node_ports(new, old, txn)
        spec = new["spec"]
        if spec["type"] == "ExternalName":
            return
        wanted = spec.get("clusterIP", "")
        if wanted == "None":
            spec["clusterIPs"] = ["None"]
            return
        if not wanted or not old or old["spec"].get("clusterIP") != wanted:
            taken = {other.get("spec", {}).get("clusterIP") for other in _others(new, txn)}
            wanted = spec["clusterIP"] = _allocate(wanted, taken, meta.name(new))
        spec["clusterIPs"] = [wanted]

    def _node_ports(self, new: Object, old: Object | None, txn: Txn) -> None:
        """Looks at the other services only when a number is asked for or needed."""
        spec, mine = new["spec"], node_ports.held(old) if old else set()
        others = [node_ports.held(other) for other in _others(new, txn)] if node_ports.lacks(spec, mine) else []
        if faults := node_ports.allocate(spec, mine, others):
            told = ", ".join(f"{fault['field']}: {fault['message']}" for fault in faults)
            raise Invalid(f'Service "{meta.name(new)}" is invalid: {told}', details={"causes": faults})


def _others(obj: Object, txn: Txn) -> Iterator[Object]:
    mine = (SERVICE.group_resource, meta.namespace(obj), meta.name(obj))
    return (record.decode() for key, record in txn.list(SERVICE.group_resource) if key != mine)


def _allocate(wanted: str, taken: set[str | None], name: str) -> str:
    if wanted in taken:
        message = (
            f'Service "{name}" is invalid: spec.clusterIPs: Invalid value: "{wanted}": provided IP is already allocated'
        )
        raise Invalid(message, details={"causes": [invalid("spec.clusterIPs", f"{wanted} is already allocated")]})
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


def _faults(obj: Object) -> Iterator[Cause]:
    spec = obj["spec"]
    ports = spec.get("ports", [])
    headless = spec.get("clusterIP") == "None"
    if spec["type"] == "ExternalName":
        if not spec.get("externalName"):
            yield required("spec.externalName")
        return
    if not ports and not headless:
        yield required("spec.ports")
    address = spec.get("clusterIP", "")
    if address not in ("", "None"):
        try:
            ipaddress.ip_address(address)
        except ValueError:
            yield invalid("spec.clusterIPs[0]", f'Invalid value: "{address}": must be a valid IP address')
    names: list[str] = []
    pairs: list[tuple[int, str]] = []
    for index, port in enumerate(ports):
        name = port.get("name", "")
        if len(ports) > 1 and not name:
            yield required(f"spec.ports[{index}].name")
        if name and name in names:
            yield invalid(f"spec.ports[{index}].name", f'Duplicate value: "{name}"', "FieldValueDuplicate")
        pair = (port["port"], port["protocol"])
        if pair in pairs:
            yield invalid(f"spec.ports[{index}]", f"Duplicate value: {pair[0]}/{pair[1]}", "FieldValueDuplicate")
        target = port["targetPort"]
        if isinstance(target, int) and not 1 <= target <= 65535:
            yield invalid(f"spec.ports[{index}].targetPort", f"Invalid value: {target}: must be between 1 and 65535")
        names.append(name)
        pairs.append(pair)
