"""The Gateway API kinds as CustomResourceDefinitions, and the objects of a fresh installation. Pure.

Called by `plane`, which applies them before the controllers start. On a cluster that has the official definitions
(standard channel, v1.6) those are used and these are not needed.
"""

from __future__ import annotations

from typing import Any

from styr.gateway import schemas
from styr.gateway.ir import CONTROLLER
from styr.kinds.resources import CRD, GATEWAY, GATEWAY_CLASS, HTTP_ROUTE, Object, Resource

NAMESPACE = "styr-system"
NAME = "styr"
LISTENER = "http"

_AGE = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}


def _column(name: str, path: str) -> Object:
    return {"name": name, "type": "string", "jsonPath": path}


def crds() -> list[Object]:
    """GatewayClass, Gateway, HTTPRoute, in the order in which to apply them."""
    accepted = _column("Accepted", '.status.conditions[?(@.type=="Accepted")].status')
    programmed = _column("Programmed", '.status.conditions[?(@.type=="Programmed")].status')
    controller = _column("Controller", ".spec.controllerName")
    return [
        _definition(GATEWAY_CLASS, schemas.GATEWAY_CLASS, [controller, accepted, _AGE]),
        _definition(
            GATEWAY,
            schemas.GATEWAY,
            [
                _column("Class", ".spec.gatewayClassName"),
                _column("Address", ".status.addresses[*].value"),
                programmed,
                _AGE,
            ],
        ),
        _definition(HTTP_ROUTE, schemas.HTTP_ROUTE, [_column("Hostnames", ".spec.hostnames"), _AGE]),
    ]


def _definition(resource: Resource, schema: dict[str, Any], columns: list[Object]) -> Object:
    header = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}
    names: Object = {
        "kind": resource.kind,
        "listKind": f"{resource.kind}List",
        "plural": resource.plural,
        "singular": resource.singular_name,
        "categories": ["gateway-api"],
    }
    if resource.short_names:
        names["shortNames"] = list(resource.short_names)
    version = {
        "name": resource.version,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {**schema, "properties": {**header, **schema["properties"]}}},
        "subresources": {"status": {}},
        "additionalPrinterColumns": columns,
    }
    return {
        "apiVersion": CRD.api_version,
        "kind": CRD.kind,
        "metadata": {
            "name": resource.group_resource,
            "annotations": {"api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/gateway-api"},
        },
        "spec": {
            "group": resource.group,
            "scope": "Namespaced" if resource.namespaced else "Cluster",
            "names": names,
            "versions": [version],
        },
    }


def default_objects(http_port: int) -> list[Object]:
    """GatewayClass `styr` and Gateway `styr` in namespace `styr-system` (which must exist), one HTTP listener, open to
    routes of all namespaces."""
    listener = {
        "name": LISTENER,
        "port": http_port,
        "protocol": "HTTP",
        "allowedRoutes": {"namespaces": {"from": "All"}},
    }
    return [
        {
            "apiVersion": GATEWAY_CLASS.api_version,
            "kind": GATEWAY_CLASS.kind,
            "metadata": {"name": NAME},
            "spec": {"controllerName": CONTROLLER, "description": "Envoy on this machine, run by Styr"},
        },
        {
            "apiVersion": GATEWAY.api_version,
            "kind": GATEWAY.kind,
            "metadata": {"name": NAME, "namespace": NAMESPACE},
            "spec": {"gatewayClassName": NAME, "listeners": [listener]},
        },
    ]
