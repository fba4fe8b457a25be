"""Structural schemas of the Gateway API kinds that Styr serves, own-written, with the limits of Gateway API v1.6. Pure.

Called by `kinds`. Fields that Styr does not implement are in the schema as far as needed to be seen: pruned away, they
would be ignored in silence; seen, they make the object Accepted=False with a condition that names them.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_HOSTNAME = rf"^(\*\.)?{_LABEL}(\.{_LABEL})*$"
_NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
_TOKEN = r"^[A-Za-z0-9!#$%&'*+\-.^_\x60|~]+$"  # noqa: S105 the `token` of RFC 9110
METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"]


def obj(properties: Schema, *required: str, **more: Any) -> Schema:
    return {"type": "object", "properties": properties, **({"required": list(required)} if required else {}), **more}


def array(items: Schema, most: int, least: int = 0, **more: Any) -> Schema:
    return {"type": "array", "items": items, "maxItems": most, **({"minItems": least} if least else {}), **more}


def by_key(items: Schema, most: int, *keys: str, least: int = 0) -> Schema:
    return array(items, most, least, **{"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)})


def text(most: int = 253, least: int = 1, **more: Any) -> Schema:
    return {"type": "string", "maxLength": most, **({"minLength": least} if least else {}), **more}


def choice(*values: str, default: str | None = None) -> Schema:
    return {"type": "string", "enum": list(values), **({"default": default} if default else {})}


def integer(low: int, high: int, **more: Any) -> Schema:
    return {"type": "integer", "format": "int32", "minimum": low, "maximum": high, **more}


HOSTNAME = text(253, pattern=_HOSTNAME)
SECTION = text(253, pattern=_NAME)
_GROUP = text(253, least=0, pattern=rf"^$|{_NAME}")
_KIND = text(63, pattern=r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$")
_NAMESPACE = text(63, pattern=rf"^{_LABEL}$")
_PORT = integer(1, 65535)
_ANYTHING = {"type": "object"}
"""Seen but pruned inside: a field that is reported as unsupported."""

CONDITIONS = by_key(
    obj(
        {
            "type": text(316),
            "status": choice("True", "False", "Unknown"),
            "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0},
            "lastTransitionTime": {"type": "string", "format": "date-time"},
            "reason": text(1024),
            "message": text(32768, least=0),
        },
        *("type", "status", "lastTransitionTime", "reason", "message"),
    ),
    8,
    "type",
)

GATEWAY_CLASS: Schema = obj(
    {
        "spec": obj(
            {
                "controllerName": text(253, pattern=rf"^{_LABEL}(\.{_LABEL})*/[A-Za-z0-9/\-._~%!$&'()*+,;=:]+$"),
                "description": text(64, least=0),
                "parametersRef": obj(
                    {"group": _GROUP, "kind": _KIND, "name": text(), "namespace": _NAMESPACE}, "group", "kind", "name"
                ),
            },
            "controllerName",
        ),
        "status": obj({"conditions": CONDITIONS}),
    },
    "spec",
)

_ROUTE_KIND = obj({"group": {**_GROUP, "default": "gateway.networking.k8s.io"}, "kind": _KIND}, "kind")
_SELECTOR = obj(
    {
        "matchLabels": {"type": "object", "additionalProperties": {"type": "string"}},
        "matchExpressions": {
            "type": "array",
            "items": obj(
                {
                    "key": {"type": "string"},
                    "operator": choice("In", "NotIn", "Exists", "DoesNotExist"),
                    "values": {"type": "array", "items": {"type": "string"}},
                },
                *("key", "operator"),
            ),
        },
    }
)
_LISTENER = obj(
    {
        "name": SECTION,
        "hostname": HOSTNAME,
        "port": _PORT,
        "protocol": text(255),
        "tls": obj({"mode": choice("Terminate", "Passthrough")}),
        "allowedRoutes": obj(
            {
                "namespaces": obj(
                    {"from": choice("All", "Selector", "Same", "None", default="Same"), "selector": _SELECTOR}
                ),
                "kinds": array(_ROUTE_KIND, 8),
            }
        ),
    },
    *("name", "port", "protocol"),
)
_ADDRESS = obj({"type": text(), "value": text(253, least=0)})

GATEWAY: Schema = obj(
    {
        "spec": obj(
            {
                "gatewayClassName": text(),
                "listeners": by_key(_LISTENER, 64, "name", least=1),
                "addresses": array(_ADDRESS, 16),
                "infrastructure": _ANYTHING,
                "allowedListeners": _ANYTHING,
                "tls": _ANYTHING,
            },
            *("gatewayClassName", "listeners"),
        ),
        "status": obj(
            {
                "addresses": array(_ADDRESS, 16),
                "attachedListenerSets": {"type": "integer"},
                "conditions": CONDITIONS,
                "listeners": by_key(
                    obj(
                        {
                            "name": SECTION,
                            "supportedKinds": array(_ROUTE_KIND, 8),
                            "attachedRoutes": {"type": "integer", "format": "int32"},
                            "conditions": CONDITIONS,
                        },
                        *("name", "attachedRoutes", "conditions"),
                    ),
                    64,
                    "name",
                ),
            }
        ),
    },
    "spec",
)

_PARENT = obj(
    {
        "group": {**_GROUP, "default": "gateway.networking.k8s.io"},
        "kind": {**_KIND, "default": "Gateway"},
        "namespace": _NAMESPACE,
        "name": text(),
        "sectionName": SECTION,
        "port": _PORT,
    },
    "name",
)
_FILTER = obj({"type": text(64)}, "type")
_BACKEND = obj(
    {
        "group": {**_GROUP, "default": ""},
        "kind": {**_KIND, "default": "Service"},
        "name": text(),
        "namespace": _NAMESPACE,
        "port": _PORT,
        "weight": integer(0, 1_000_000, default=1),
        "filters": array(_FILTER, 16),
    },
    "name",
)
_VALUE_TYPE = choice("Exact", "RegularExpression", default="Exact")


def _value_matches(value_length: int) -> Schema:
    entry = obj({"type": _VALUE_TYPE, "name": text(256, pattern=_TOKEN), "value": text(value_length)}, "name", "value")
    return by_key(entry, 16, "name")


_PATH = obj(
    {
        "type": choice("Exact", "PathPrefix", "RegularExpression", default="PathPrefix"),
        "value": {"type": "string", "maxLength": 1024, "default": "/"},
    },
    default={"type": "PathPrefix", "value": "/"},
)
_MATCH = obj(
    {
        "path": _PATH,
        "headers": _value_matches(4096),
        "queryParams": _value_matches(1024),
        "method": choice(*METHODS),
    }
)
_RULE = obj(
    {
        "name": SECTION,
        "matches": array(_MATCH, 64, default=[{"path": {"type": "PathPrefix", "value": "/"}}]),
        "backendRefs": array(_BACKEND, 16),
        "filters": array(_FILTER, 16),
        "timeouts": _ANYTHING,
        "retry": _ANYTHING,
        "sessionPersistence": _ANYTHING,
    }
)

HTTP_ROUTE: Schema = obj(
    {
        "spec": obj(
            {
                "parentRefs": array(_PARENT, 32),
                "hostnames": array(HOSTNAME, 16),
                "rules": array(_RULE, 16, 1, default=[{"matches": [{"path": {"type": "PathPrefix", "value": "/"}}]}]),
                "useDefaultGateways": text(16),
            }
        ),
        "status": obj(
            {
                "parents": array(
                    obj(
                        {"parentRef": _PARENT, "controllerName": text(253), "conditions": CONDITIONS},
                        *("parentRef", "controllerName", "conditions"),
                    ),
                    32,
                )
            },
            "parents",
        ),
    },
    "spec",
)
