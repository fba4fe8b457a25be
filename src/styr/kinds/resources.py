"""The REST mapping of every kind that Styr itself uses: group, version, kind, plural.

Called by the client (paths), the API server (its built-in table) and every controller (constants such as `POD`).
Never reads anything: kinds of users arrive at the server as CustomResourceDefinitions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]
"""A Kubernetes object as decoded JSON."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One served resource. `group` is "" for the core group; `plural` is what stands in the path."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True
    singular: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    status: bool = True
    """Has a /status subresource (the main endpoint then ignores status, and the other way round)."""

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def group_resource(self) -> str:
        """As error messages and storage keys name it: `pods`, `deployments.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def singular_name(self) -> str:
        return self.singular or self.kind.lower()

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """The URL path, `/apis/apps/v1/namespaces/NS/deployments/NAME/status`. `namespace=None` on a namespaced kind
        means all namespaces (lists and watches only)."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        parts = [root]
        if self.namespaced and namespace:
            parts.append(f"namespaces/{namespace}")
        parts.append(self.plural)
        if name:
            parts.append(name)
        if subresource:
            parts.append(subresource)
        return "/".join(parts)

    def __str__(self) -> str:
        return f"{self.api_version}/{self.kind}"


POD = Resource("", "v1", "Pod", "pods", short_names=("po",), categories=("all",))
SERVICE = Resource("", "v1", "Service", "services", short_names=("svc",), categories=("all",))
NAMESPACE = Resource("", "v1", "Namespace", "namespaces", namespaced=False, short_names=("ns",))
NODE = Resource("", "v1", "Node", "nodes", namespaced=False, short_names=("no",))
EVENT = Resource("", "v1", "Event", "events", short_names=("ev",), status=False)
CONFIG_MAP = Resource("", "v1", "ConfigMap", "configmaps", short_names=("cm",), status=False)
SECRET = Resource("", "v1", "Secret", "secrets", status=False)
SERVICE_ACCOUNT = Resource("", "v1", "ServiceAccount", "serviceaccounts", short_names=("sa",), status=False)
DEPLOYMENT = Resource("apps", "v1", "Deployment", "deployments", short_names=("deploy",), categories=("all",))
REPLICA_SET = Resource("apps", "v1", "ReplicaSet", "replicasets", short_names=("rs",), categories=("all",))
ENDPOINT_SLICE = Resource("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", status=False)
LEASE = Resource("coordination.k8s.io", "v1", "Lease", "leases", status=False)
ROLE = Resource("rbac.authorization.k8s.io", "v1", "Role", "roles", status=False)
ROLE_BINDING = Resource("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings", status=False)
CLUSTER_ROLE = Resource("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", False, status=False)
CLUSTER_ROLE_BINDING = Resource(
    "rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings", False, status=False
)
CRD = Resource(
    "apiextensions.k8s.io",
    "v1",
    "CustomResourceDefinition",
    "customresourcedefinitions",
    namespaced=False,
    short_names=("crd", "crds"),
    categories=("api-extensions",),
)

BUILTIN: tuple[Resource, ...] = (
    POD,
    SERVICE,
    NAMESPACE,
    NODE,
    EVENT,
    CONFIG_MAP,
    SECRET,
    SERVICE_ACCOUNT,
    DEPLOYMENT,
    REPLICA_SET,
    ENDPOINT_SLICE,
    LEASE,
    ROLE,
    ROLE_BINDING,
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    CRD,
)
"""Kinds the API server serves without a CustomResourceDefinition."""

GATEWAY_CLASS = Resource(
    "gateway.networking.k8s.io", "v1", "GatewayClass", "gatewayclasses", False, short_names=("gc",)
)
GATEWAY = Resource("gateway.networking.k8s.io", "v1", "Gateway", "gateways", short_names=("gtw",))
HTTP_ROUTE = Resource("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes")
APP = Resource("styr.dev", "v1alpha1", "App", "apps", categories=("styr",))
RELEASE = Resource("styr.dev", "v1alpha1", "Release", "releases", short_names=("rel",), categories=("styr",))
_MONITORING = ("monitoring.coreos.com", "v1")
_PROMETHEUS = ("prometheus-operator",)
SERVICE_MONITOR = Resource(
    *_MONITORING, "ServiceMonitor", "servicemonitors", short_names=("smon",), categories=_PROMETHEUS
)
POD_MONITOR = Resource(*_MONITORING, "PodMonitor", "podmonitors", short_names=("pmon",), categories=_PROMETHEUS)
PROBE = Resource(*_MONITORING, "Probe", "probes", short_names=("prb",), categories=_PROMETHEUS)
PROMETHEUS_RULE = Resource(
    *_MONITORING, "PrometheusRule", "prometheusrules", short_names=("promrule",), categories=_PROMETHEUS
)
SCRAPE_CONFIG = Resource(
    "monitoring.coreos.com",
    "v1alpha1",
    "ScrapeConfig",
    "scrapeconfigs",
    short_names=("scfg",),
    categories=_PROMETHEUS,
)
"""All from GATEWAY_CLASS on are CustomResourceDefinitions, installed at start by the capability that owns them."""
