"""The RBAC objects that every server starts with: the default cluster roles and who holds them.

Called by the server at start, which writes those that are missing. Pure. As in Kubernetes, each carries the label
`kubernetes.io/bootstrapping: rbac-defaults`. A user's own change to one is kept.
"""

from __future__ import annotations

from collections.abc import Sequence

from styr.kinds.resources import CLUSTER_ROLE, CLUSTER_ROLE_BINDING, Object

_LABELS = {"kubernetes.io/bootstrapping": "rbac-defaults"}
_READ = ["get", "list", "watch"]
_WRITE = ["create", "delete", "deletecollection", "patch", "update"]

_WORKLOADS: list[tuple[str, list[str]]] = [
    ("", ["pods", "services", "configmaps", "serviceaccounts", "services/finalizers"]),
    ("policy", ["poddisruptionbudgets"]),
    ("apps", ["deployments", "deployments/scale", "replicasets", "replicasets/scale"]),
    ("gateway.networking.k8s.io", ["gateways", "httproutes"]),
    ("monitoring.coreos.com", ["servicemonitors", "podmonitors", "probes", "scrapeconfigs", "prometheusrules"]),
    ("styr.dev", ["apps", "releases"]),
]
"""What people of a namespace work with."""
_SHOWN: list[tuple[str, list[str]]] = [
    ("", ["pods/log", "pods/status", "services/status", "events", "namespaces", "namespaces/status"]),
    ("apps", ["deployments/status", "replicasets/status"]),
    ("discovery.k8s.io", ["endpointslices"]),
    ("gateway.networking.k8s.io", ["gateways/status", "httproutes/status"]),
    (
        "monitoring.coreos.com",
        [f"{kind}/status" for kind in ("servicemonitors", "podmonitors", "probes", "scrapeconfigs", "prometheusrules")],
    ),
    ("styr.dev", ["apps/status", "releases/status"]),
]


def _rule(group: str, plurals: Sequence[str], verbs: Sequence[str]) -> Object:
    return {"apiGroups": [group], "resources": list(plurals), "verbs": list(verbs)}


def _role(name: str, rules: list[Object]) -> Object:
    return {
        "apiVersion": CLUSTER_ROLE.api_version,
        "kind": CLUSTER_ROLE.kind,
        "metadata": {"name": name, "labels": dict(_LABELS)},
        "rules": rules,
    }


def _binding(name: str, *groups: str) -> Object:
    return {
        "apiVersion": CLUSTER_ROLE_BINDING.api_version,
        "kind": CLUSTER_ROLE_BINDING.kind,
        "metadata": {"name": name, "labels": dict(_LABELS)},
        "roleRef": {"apiGroup": CLUSTER_ROLE.group, "kind": CLUSTER_ROLE.kind, "name": name},
        "subjects": [{"apiGroup": CLUSTER_ROLE.group, "kind": "Group", "name": group} for group in groups],
    }


def _view() -> list[Object]:
    return [_rule(group, plurals, _READ) for group, plurals in (*_WORKLOADS, *_SHOWN)]


def _edit() -> list[Object]:
    return [
        *_view(),
        *(_rule(group, plurals, _WRITE) for group, plurals in _WORKLOADS),
        _rule("", ["secrets"], [*_READ, *_WRITE]),
        _rule("", ["pods/eviction"], ["create"]),
        _rule("coordination.k8s.io", ["leases"], [*_READ, *_WRITE]),
        _rule("", ["events"], ["create", "patch", "update"]),
    ]


def _admin() -> list[Object]:
    return [*_edit(), _rule(CLUSTER_ROLE.group, ["roles", "rolebindings"], [*_READ, *_WRITE])]


_PUBLIC = ["/healthz", "/livez", "/readyz", "/version", "/version/"]
_MONITORING = ["/healthz", "/livez", "/readyz", "/metrics", "/metrics/*"]
_ISSUER = [
    "/.well-known/openid-configuration",
    "/.well-known/openid-configuration/",
    "/openid/v1/jwks",
    "/openid/v1/jwks/",
]
_DISCOVERY = [*_PUBLIC, "/", "/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*"]


def objects() -> list[Object]:
    """Cluster roles first, then their bindings."""
    everything: list[Object] = [
        _rule("*", ["*"], ["*"]),
        {"nonResourceURLs": ["*"], "verbs": ["*"]},
    ]
    reviews = ["selfsubjectaccessreviews", "selfsubjectrulesreviews"]
    return [
        _role("cluster-admin", everything),
        _role("admin", _admin()),
        _role("edit", _edit()),
        _role("view", _view()),
        _role("system:discovery", [{"nonResourceURLs": list(_DISCOVERY), "verbs": ["get"]}]),
        _role("system:public-info-viewer", [{"nonResourceURLs": list(_PUBLIC), "verbs": ["get"]}]),
        _role("system:monitoring", [{"nonResourceURLs": list(_MONITORING), "verbs": ["get"]}]),
        _role(
            "system:basic-user",
            [
                _rule("authorization.k8s.io", reviews, ["create"]),
                _rule("authentication.k8s.io", ["selfsubjectreviews"], ["create"]),
            ],
        ),
        _role("system:service-account-issuer-discovery", [{"nonResourceURLs": list(_ISSUER), "verbs": ["get"]}]),
        _binding("cluster-admin", "system:masters"),
        _binding("system:service-account-issuer-discovery", "system:serviceaccounts"),
        _binding("system:discovery", "system:authenticated"),
        _binding("system:public-info-viewer", "system:authenticated", "system:unauthenticated"),
        _binding("system:monitoring", "system:monitoring"),
        _binding("system:basic-user", "system:authenticated"),
    ]
