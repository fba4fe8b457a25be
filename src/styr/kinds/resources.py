"""The REST mapping of the kinds that Styr itself uses: group, version, kind, plural.

Called by the client (paths), the API server (the type) and every controller (constants such as `POD`). Never reads anything:
the server's table of all built-in kinds is `api.builtin`, and kinds of users arrive as CustomResourceDefinitions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]
"""A Kubernetes object as decoded JSON."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One served resource. `group` is "" for the core group; `plural` is what stands in the path. Equal by those and the
    version: what discovery tells beside them makes no other resource."""

    group: str
    version: str
    kind: str = field(compare=False)
    plural: str
    namespaced: bool = field(default=True, compare=False)
    singular: str = field(default="", compare=False)
    short_names: tuple[str, ...] = field(default=(), compare=False)
    categories: tuple[str, ...] = field(default=(), compare=False)
    status: bool = field(default=True, compare=False)
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


POD = Resource("", "v1", "Pod", "pods")
SERVICE = Resource("", "v1", "Service", "services")
NAMESPACE = Resource("", "v1", "Namespace", "namespaces", namespaced=False)
NODE = Resource("", "v1", "Node", "nodes", namespaced=False)
EVENT = Resource("", "v1", "Event", "events", status=False)
CONFIG_MAP = Resource("", "v1", "ConfigMap", "configmaps", status=False)
SECRET = Resource("", "v1", "Secret", "secrets", status=False)
SERVICE_ACCOUNT = Resource("", "v1", "ServiceAccount", "serviceaccounts", status=False)
DEPLOYMENT = Resource("apps", "v1", "Deployment", "deployments")
REPLICA_SET = Resource("apps", "v1", "ReplicaSet", "replicasets")
DAEMON_SET = Resource("apps", "v1", "DaemonSet", "daemonsets")
CONTROLLER_REVISION = Resource("apps", "v1", "ControllerRevision", "controllerrevisions", status=False)
REPLICATION_CONTROLLER = Resource("", "v1", "ReplicationController", "replicationcontrollers")
ENDPOINTS = Resource("", "v1", "Endpoints", "endpoints", status=False)
ENDPOINT_SLICE = Resource("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", status=False)
LEASE = Resource("coordination.k8s.io", "v1", "Lease", "leases", status=False)
ROLE = Resource("rbac.authorization.k8s.io", "v1", "Role", "roles", status=False)
ROLE_BINDING = Resource("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings", status=False)
CLUSTER_ROLE = Resource("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", False, status=False)
CLUSTER_ROLE_BINDING = Resource(
    "rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings", False, status=False
)
_FLOW_CONTROL = ("flowcontrol.apiserver.k8s.io", "v1")
FLOW_SCHEMA = Resource(*_FLOW_CONTROL, "FlowSchema", "flowschemas", namespaced=False)
PRIORITY_LEVEL = Resource(*_FLOW_CONTROL, "PriorityLevelConfiguration", "prioritylevelconfigurations", namespaced=False)
CERTIFICATE_REQUEST = Resource(
    "certificates.k8s.io", "v1", "CertificateSigningRequest", "certificatesigningrequests", False, short_names=("csr",)
)
CRD = Resource(
    "apiextensions.k8s.io",
    "v1",
    "CustomResourceDefinition",
    "customresourcedefinitions",
    namespaced=False,
)

PRIORITY_CLASS = Resource("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", False, status=False)
RUNTIME_CLASS = Resource("node.k8s.io", "v1", "RuntimeClass", "runtimeclasses", False, status=False)
STORAGE_CLASS = Resource("storage.k8s.io", "v1", "StorageClass", "storageclasses", False, status=False)
INGRESS_CLASS = Resource("networking.k8s.io", "v1", "IngressClass", "ingressclasses", False, status=False)
RESOURCE_QUOTA = Resource("", "v1", "ResourceQuota", "resourcequotas")
LIMIT_RANGE = Resource("", "v1", "LimitRange", "limitranges", status=False)
POD_DISRUPTION_BUDGET = Resource("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets")
API_SERVICE = Resource(
    "apiregistration.k8s.io", "v1", "APIService", "apiservices", False, categories=("api-extensions",)
)
_ADMISSION = ("admissionregistration.k8s.io", "v1")
MUTATING_WEBHOOKS = Resource(
    *_ADMISSION, "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", False, status=False
)
VALIDATING_WEBHOOKS = Resource(
    *_ADMISSION, "ValidatingWebhookConfiguration", "validatingwebhookconfigurations", False, status=False
)
VALIDATING_POLICY = Resource(*_ADMISSION, "ValidatingAdmissionPolicy", "validatingadmissionpolicies", False)
VALIDATING_POLICY_BINDING = Resource(
    *_ADMISSION, "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", False, status=False
)
STABLE_LATER = {"admissionregistration.k8s.io/v1beta1": "admissionregistration.k8s.io/v1"}
"""A beta version and the stable one in which a later Kubernetes has its kinds too, unchanged. They are served in both, and
stored in the beta version."""
MUTATING_POLICY = Resource(
    _ADMISSION[0], "v1beta1", "MutatingAdmissionPolicy", "mutatingadmissionpolicies", False, status=False
)
MUTATING_POLICY_BINDING = Resource(
    _ADMISSION[0], "v1beta1", "MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings", False, status=False
)

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
