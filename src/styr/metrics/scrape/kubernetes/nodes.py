"""Nodes as targets (role `node`): the kubelet's address, if the node has one. Pure. Called by `roles`."""

from __future__ import annotations

from styr.kinds import meta
from styr.kinds.resources import Object
from styr.metrics.scrape.discovery import ADDRESS, Group
from styr.metrics.scrape.kubernetes.metalabels import PREFIX, of_object, sanitized, with_port

NODE = f"{PREFIX}node_"
ORDER = ("InternalIP", "InternalDNS", "ExternalIP", "ExternalDNS", "LegacyHostIP", "Hostname")
"""Kinds of addresses, the preferred one first."""


def source(name: str) -> str:
    return f"node/{name}"


def group(node: Object) -> Group:
    """No targets for a node without an address."""
    name, status = meta.name(node), node.get("status") or {}
    addresses: dict[str, str] = {}
    for entry in status.get("addresses") or ():
        addresses.setdefault(str(entry.get("type")), str(entry.get("address")))
    chosen = next((addresses[kind] for kind in ORDER if kind in addresses), None)
    if chosen is None:
        return Group(source(name))
    endpoint = (status.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}
    target = {
        ADDRESS: with_port(chosen, int(endpoint.get("Port") or 0)),
        "instance": name,
        **{f"{NODE}address_{sanitized(kind)}": address for kind, address in addresses.items()},
    }
    return Group(source(name), (target,), labels_of(node))


def labels_of(node: Object) -> dict[str, str]:
    conditions = (node.get("status") or {}).get("conditions") or ()
    return {
        f"{NODE}provider_id": str((node.get("spec") or {}).get("providerID") or ""),
        **{
            f"{NODE}condition_{sanitized(str(one.get('type')).lower())}": str(one.get("status")).lower()
            for one in conditions
        },
        **of_object(node, "node"),
    }
