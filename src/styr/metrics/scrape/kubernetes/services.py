"""Services as targets (role `service`): one for each port, by the Service's name, for probers. Pure.

Called by `roles` and `endpoints`.
"""

from __future__ import annotations

from styr.kinds import meta
from styr.kinds.resources import Object
from styr.metrics.scrape.discovery import ADDRESS, Group
from styr.metrics.scrape.kubernetes.metalabels import NAMESPACE, PREFIX, of_object

SERVICE = f"{PREFIX}service_"


def source(namespace: str, name: str) -> str:
    return f"svc/{namespace}/{name}"


def labels_of(service: Object) -> dict[str, str]:
    return {NAMESPACE: meta.namespace(service), **of_object(service, "service")}


def group(service: Object) -> Group:
    name, namespace, spec = meta.name(service), meta.namespace(service), service.get("spec") or {}
    kind = str(spec.get("type") or "ClusterIP")
    common = {f"{SERVICE}type": kind}
    if kind == "ExternalName":
        common[f"{SERVICE}external_name"] = str(spec.get("externalName") or "")
    else:
        common[f"{SERVICE}cluster_ip"] = str(spec.get("clusterIP") or "")
    if kind == "LoadBalancer":
        common[f"{SERVICE}loadbalancer_ip"] = str(spec.get("loadBalancerIP") or "")
    targets = tuple(
        {
            ADDRESS: f"{name}.{namespace}.svc:{port['port']}",
            f"{SERVICE}port_name": str(port.get("name") or ""),
            f"{SERVICE}port_number": str(port["port"]),
            f"{SERVICE}port_protocol": str(port.get("protocol") or "TCP"),
            **common,
        }
        for port in spec.get("ports") or ()
    )
    return Group(source(namespace, name), targets, labels_of(service))
