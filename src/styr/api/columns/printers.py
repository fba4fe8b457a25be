"""The columns of `kubectl get`, kind by kind, as Kubernetes' own printers write them.

Called by `table`. Calls the other files of this package, and `jsonpath` for the columns of CustomResourceDefinitions. Pure:
ages are counted from the `now` that is handed in. What is malformed gives its name, never an error.
The definitions of columns are in `definitions.json`, made by tests/api/generate_tables.py from a kube-apiserver (Apache-2.0).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import msgspec

from styr.api import jsonpath
from styr.api.columns import cluster, network, storage, workloads
from styr.api.columns.pods import finished, pod
from styr.api.columns.words import UNKNOWN, Cells, born, counted, name, plain
from styr.api.durations import age
from styr.kinds import meta
from styr.kinds.resources import Object, Resource


@dataclass(frozen=True, slots=True)
class Printer:
    """`definitions` go out as `columnDefinitions`; `cells(obj, now)` has one value for each. `conditions` are those of a row;
    `order` sorts the objects of a list."""

    definitions: list[Object]
    cells: Cells
    conditions: Callable[[Object], list[Object]] | None = None
    order: Callable[[Object], Any] | None = None


def _safely(cells: Cells, width: int) -> Cells:
    """Objects of any shape can be stored in an unvalidated field: a row that cannot be printed shows its name."""

    def guarded(obj: Object, now: float) -> list[Any]:
        try:
            return cells(obj, now)
        except (AttributeError, KeyError, TypeError, ValueError, IndexError):
            return [meta.name(obj), *[UNKNOWN] * (width - 1)]

    return guarded


def printer(resource: Resource, printer_columns: Sequence[Object] | None = None) -> Printer:
    """The printer of a kind: its own, or the CRD's columns, or name and age."""
    if printer_columns:
        return _custom(printer_columns)
    return _builtin(resource.group, resource.plural)


@cache
def _builtin(group: str, plural: str) -> Printer:
    definitions = _definitions(group, plural)
    cells = _CELLS.get((group, plural), _created_or_age(definitions))
    conditions = finished if (group, plural) == ("", "pods") else None
    order = cluster.flow_order if plural == "flowschemas" else None
    return Printer(definitions, _safely(cells, len(definitions)), conditions, order)


def _created_or_age(definitions: list[Object]) -> Cells:
    return cluster.created if definitions[1]["name"] == "Created At" else lambda obj, now: [name(obj), born(obj, now)]


@cache
def _table() -> Any:
    return json.loads(resources.files(__package__).joinpath("definitions.json").read_bytes())


def _definitions(group: str, plural: str) -> list[Object]:
    """As they go out. A kind that the table does not have shows its name and age, as custom kinds do."""
    table = _table()
    listed = table["columns"].get(f"{group}/{plural}") or table["columns"]["custom"]
    return [
        {
            "name": title,
            "type": kind,
            "format": form,
            "description": table["texts"][text],
            "priority": priority,
        }
        for title, kind, form, text, priority in listed
    ]


# --- CustomResourceDefinitions -------------------------------------------------------------------------------------


def _custom(printer_columns: Sequence[Object]) -> Printer:
    definitions = _definitions("", "custom")[:1]
    definitions += [
        {
            "name": str(column.get("name", "")),
            "type": str(column.get("type", "string")),
            "format": str(column.get("format", "")),
            "description": column.get("description") or f"{_CUSTOM}: {column.get('jsonPath', '')}",
            "priority": column.get("priority") or 0,
        }
        for column in printer_columns
    ]

    def cells(obj: Object, now: float) -> list[Any]:
        return [meta.name(obj), *(_custom_cell(column, obj, now) for column in printer_columns)]

    return Printer(definitions, _safely(cells, len(definitions)))


_CUSTOM = "Custom resource definition column (in JSONPath format)"


def _custom_cell(column: Object, obj: Object, now: float) -> Any:
    found = jsonpath.find(str(column.get("jsonPath", "")), obj)
    if not found:
        return None
    value, kind = found[0], column.get("type")
    if kind == "string":
        return _text(value)
    if kind == "date":
        return age(value, now) if isinstance(value, str) else None
    if kind == "boolean":
        return value if isinstance(value, bool) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if kind == "integer" else value


def _text(value: Any) -> str:
    """As Go prints it."""
    if value is None:
        return "<no value>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return msgspec.json.encode(value).decode().removesuffix(".0")
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


# --- built-in kinds ------------------------------------------------------------------------------------------------

_ADMISSION, _STORAGE, _NETWORKING = "admissionregistration.k8s.io", "storage.k8s.io", "networking.k8s.io"
_RBAC, _RESOURCE, _FLOW = "rbac.authorization.k8s.io", "resource.k8s.io", "flowcontrol.apiserver.k8s.io"

_CELLS: dict[tuple[str, str], Cells] = {
    ("", "componentstatuses"): cluster.component,
    ("", "configmaps"): counted("data", "binaryData"),
    ("", "endpoints"): network.endpoints,
    ("", "events"): cluster.event,
    ("", "namespaces"): plain("status.phase"),
    ("", "nodes"): cluster.node,
    ("", "persistentvolumeclaims"): storage.claim,
    ("", "persistentvolumes"): storage.volume,
    ("", "pods"): pod,
    ("", "podtemplates"): workloads.pod_template,
    ("", "replicationcontrollers"): workloads.replication_controller,
    ("", "resourcequotas"): cluster.quota,
    ("", "secrets"): lambda obj, now: [name(obj), obj.get("type", ""), len(obj.get("data") or ()), born(obj, now)],
    ("", "serviceaccounts"): plain(),
    ("", "services"): network.service,
    (_ADMISSION, "mutatingadmissionpolicies"): cluster.policy("mutations"),
    (_ADMISSION, "mutatingadmissionpolicybindings"): cluster.policy_binding,
    (_ADMISSION, "mutatingwebhookconfigurations"): counted("webhooks"),
    (_ADMISSION, "validatingadmissionpolicies"): cluster.policy("validations"),
    (_ADMISSION, "validatingadmissionpolicybindings"): cluster.policy_binding,
    (_ADMISSION, "validatingwebhookconfigurations"): counted("webhooks"),
    ("apiregistration.k8s.io", "apiservices"): cluster.api_service,
    ("apps", "controllerrevisions"): workloads.controller_revision,
    ("apps", "daemonsets"): workloads.daemon_set,
    ("apps", "deployments"): workloads.deployment,
    ("apps", "replicasets"): workloads.replica_set,
    ("apps", "statefulsets"): workloads.stateful_set,
    ("autoscaling", "horizontalpodautoscalers"): workloads.autoscaler,
    ("autoscaling", "scale"): workloads.scale,
    ("batch", "cronjobs"): workloads.cron_job,
    ("batch", "jobs"): workloads.job,
    ("certificates.k8s.io", "certificatesigningrequests"): cluster.signing_request,
    ("coordination.k8s.io", "leases"): plain("spec.holderIdentity"),
    ("discovery.k8s.io", "endpointslices"): network.endpoint_slice,
    ("events.k8s.io", "events"): cluster.new_event,
    (_FLOW, "flowschemas"): cluster.flow_schema,
    (_FLOW, "prioritylevelconfigurations"): cluster.priority_level,
    (_NETWORKING, "ingressclasses"): network.ingress_class,
    (_NETWORKING, "ingresses"): network.ingress,
    (_NETWORKING, "ipaddresses"): network.ip_address,
    (_NETWORKING, "networkpolicies"): network.network_policy,
    (_NETWORKING, "servicecidrs"): network.service_cidr,
    ("node.k8s.io", "runtimeclasses"): plain("handler"),
    ("policy", "poddisruptionbudgets"): workloads.disruption_budget,
    (_RBAC, "clusterrolebindings"): cluster.binding,
    (_RBAC, "rolebindings"): cluster.binding,
    (_RESOURCE, "deviceclasses"): plain(),
    (_RESOURCE, "resourceclaims"): storage.resource_claim,
    (_RESOURCE, "resourceclaimtemplates"): plain(),
    (_RESOURCE, "resourceslices"): storage.resource_slice,
    ("scheduling.k8s.io", "priorityclasses"): cluster.priority_class,
    (_STORAGE, "csidrivers"): storage.csi_driver,
    (_STORAGE, "csinodes"): storage.csi_node,
    (_STORAGE, "storageclasses"): storage.storage_class,
    (_STORAGE, "volumeattachments"): storage.attachment,
    (_STORAGE, "volumeattributesclasses"): plain("driverName"),
}
"""Kinds that are not here show their name and when they were made."""
