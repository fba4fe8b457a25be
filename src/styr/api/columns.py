"""The columns of `kubectl get`, kind by kind, as Kubernetes' own printers write them.

Called by `table`. Calls `jsonpath` for the columns of CustomResourceDefinitions. Pure: ages are counted from the `now`
that is handed in. A malformed object (a status of another shape) gives empty cells, never an error.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from styr.api import jsonpath
from styr.api.columns_pods import pod_cells
from styr.api.durations import age
from styr.kinds import meta, resources, selectors
from styr.kinds.resources import Object, Resource

Cells = Callable[[Object, float], list[Any]]


@dataclass(frozen=True, slots=True)
class Printer:
    """`definitions` go out as `columnDefinitions`; `cells(obj, now)` has one value for each."""

    definitions: list[Object]
    cells: Cells


def _definition(text: str) -> Object:
    """`Ready` | `Desired:integer` | `Node+` (+: only with -o wide)."""
    name, _, kind = text.partition(":")
    wide = name.endswith("+")
    name = name.rstrip("+")
    return {
        "name": name,
        "type": kind or "string",
        "format": "name" if name == "Name" and not wide else "",
        "description": "",
        "priority": 1 if wide else 0,
    }


def _safely(cells: Cells, width: int) -> Cells:
    """Objects of any shape can be stored in an unvalidated field: a row that cannot be printed shows its name."""

    def guarded(obj: Object, now: float) -> list[Any]:
        try:
            return cells(obj, now)
        except (AttributeError, KeyError, TypeError, ValueError, IndexError):
            return [meta.name(obj), *["<unknown>"] * (width - 1)]

    return guarded


def _printer(header: str, cells: Cells) -> Printer:
    definitions = [_definition(text) for text in header.split(", ")]
    return Printer(definitions, _safely(cells, len(definitions)))


def printer(resource: Resource, printer_columns: Sequence[Object] | None = None) -> Printer:
    """The printer of a kind: its own, or the CRD's columns, or name and age."""
    if printer_columns:
        return _custom(printer_columns)
    return _BUILTIN.get((resource.group, resource.plural), _DEFAULT)


# --- CustomResourceDefinitions -------------------------------------------------------------------------------------


def _custom(printer_columns: Sequence[Object]) -> Printer:
    definitions = [_definition("Name")]
    definitions += [
        {
            "name": str(column.get("name", "")),
            "type": str(column.get("type", "string")),
            "format": str(column.get("format", "")),
            "description": str(column.get("description", "")),
            "priority": column.get("priority") or 0,
        }
        for column in printer_columns
    ]

    def cells(obj: Object, now: float) -> list[Any]:
        return [meta.name(obj), *(_custom_cell(column, obj, now) for column in printer_columns)]

    return Printer(definitions, _safely(cells, len(definitions)))


def _custom_cell(column: Object, obj: Object, now: float) -> Any:
    found = jsonpath.find(str(column.get("jsonPath", "")), obj)
    if not found or found[0] is None:
        return None
    value, kind = found[0], column.get("type")
    if kind == "date":
        return age(value, now)
    if kind == "integer":
        return int(value) if isinstance(value, (int, float)) else None
    if kind in ("number", "boolean"):
        return value
    if isinstance(value, str):
        return value
    return ("true" if value else "false") if isinstance(value, bool) else json.dumps(value)


# --- built-in kinds ------------------------------------------------------------------------------------------------


def _age(obj: Object, now: float) -> str:
    return age(meta.metadata(obj).get("creationTimestamp"), now)


def _created(obj: Object) -> Any:
    return meta.metadata(obj).get("creationTimestamp")


def _containers(spec: Object) -> list[str]:
    found = spec.get("containers") or []
    return [",".join(str(c.get("name")) for c in found), ",".join(str(c.get("image")) for c in found)]


def _selector(obj: Object) -> str:
    text = selectors.to_query(selectors.from_object((obj.get("spec") or {}).get("selector")))
    return text or "<none>"


def _deployment(obj: Object, now: float) -> list[Any]:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    ready = f"{status.get('readyReplicas') or 0}/{spec.get('replicas') if spec.get('replicas') is not None else 1}"
    counts = [ready, status.get("updatedReplicas") or 0, status.get("availableReplicas") or 0]
    return [meta.name(obj), *counts, _age(obj, now), *_containers(spec["template"]["spec"]), _selector(obj)]


def _replica_set(obj: Object, now: float) -> list[Any]:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    wanted = spec.get("replicas")
    counts = [1 if wanted is None else wanted, status.get("replicas") or 0, status.get("readyReplicas") or 0]
    template = (spec.get("template") or {}).get("spec") or {}
    return [meta.name(obj), *counts, _age(obj, now), *_containers(template), _selector(obj)]


def _service(obj: Object, now: float) -> list[Any]:
    spec, kind = obj.get("spec") or {}, (obj.get("spec") or {}).get("type") or "ClusterIP"
    selector = selectors.to_query(selectors.from_labels(spec.get("selector") or {})) or "<none>"
    address = spec.get("clusterIP") or "<none>"
    return [meta.name(obj), kind, address, _external(obj, kind), _ports(spec), _age(obj, now), selector]


def _external(obj: Object, kind: str) -> str:
    spec = obj.get("spec") or {}
    if kind == "ExternalName":
        return str(spec.get("externalName", "<none>"))
    addresses = list(spec.get("externalIPs") or ())
    if kind == "LoadBalancer":
        ingress = ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
        addresses = [str(entry.get("ip") or entry.get("hostname")) for entry in ingress] + addresses
        return ",".join(addresses) or "<pending>"
    return ",".join(addresses) or "<none>"


def _ports(spec: Object) -> str:
    words = []
    for port in spec.get("ports") or ():
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        words.append(f"{port.get('port')}{node}/{port.get('protocol', 'TCP')}")
    return ",".join(words) or "<none>"


def _node(obj: Object, now: float) -> list[Any]:
    status, spec = obj.get("status") or {}, obj.get("spec") or {}
    ready = next((c.get("status") for c in status.get("conditions") or () if c.get("type") == "Ready"), None)
    word = {"True": "Ready", "False": "NotReady"}.get(str(ready), "NotReady" if ready else "Unknown")
    if spec.get("unschedulable"):
        word += ",SchedulingDisabled"
    prefix = "node-role.kubernetes.io/"
    roles = ",".join(sorted(key.removeprefix(prefix) for key in meta.labels(obj) if key.startswith(prefix)))
    addresses = {entry.get("type"): entry.get("address") for entry in reversed(status.get("addresses") or [])}
    info = status.get("nodeInfo") or {}
    wide = [info.get(key) or "<unknown>" for key in ("osImage", "kernelVersion", "containerRuntimeVersion")]
    ips = [addresses.get("InternalIP", "<none>"), addresses.get("ExternalIP", "<none>")]
    return [meta.name(obj), word, roles or "<none>", _age(obj, now), info.get("kubeletVersion", ""), *ips, *wide]


def _event(obj: Object, now: float) -> list[Any]:
    about, source = obj.get("involvedObject") or {}, obj.get("source") or {}
    series = obj.get("series") or {}
    first = obj.get("firstTimestamp") or obj.get("eventTime")
    last = series.get("lastObservedTime") or obj.get("lastTimestamp") or first
    count = series.get("count") or obj.get("count") or 1
    component = source.get("component") or obj.get("reportingComponent") or ""
    origin = ", ".join(word for word in (component, source.get("host")) if word)
    named = f"{str(about.get('kind', '')).lower()}/{about.get('name', '')}"
    return [
        *(age(last, now), obj.get("type", ""), obj.get("reason", ""), named, about.get("fieldPath", ""), origin),
        *(str(obj.get("message", "")).strip(), age(first, now), count, meta.name(obj)),
    ]


def _endpoint_slice(obj: Object, now: float) -> list[Any]:
    ports = ",".join(str(port.get("port") or "*") for port in obj.get("ports") or ()) or "<unset>"
    addresses = [address for entry in obj.get("endpoints") or () for address in entry.get("addresses") or ()]
    shown = ",".join(addresses[:3]) + (f" + {len(addresses) - 3} more..." if len(addresses) > 3 else "")
    return [meta.name(obj), obj.get("addressType", ""), ports, shown or "<unset>", _age(obj, now)]


def _binding(obj: Object, now: float) -> list[Any]:
    role, subjects = obj.get("roleRef") or {}, obj.get("subjects") or ()

    def named(kind: str) -> str:
        found = [subject for subject in subjects if subject.get("kind") == kind]
        if kind == "ServiceAccount":
            return ", ".join(f"{subject.get('namespace', '')}/{subject.get('name', '')}" for subject in found)
        return ", ".join(str(subject.get("name", "")) for subject in found)

    names = [named("User"), named("Group"), named("ServiceAccount")]
    return [meta.name(obj), f"{role.get('kind', '')}/{role.get('name', '')}", _age(obj, now), *names]


def _count(*fields: str) -> Callable[[Object], int]:
    return lambda obj: sum(len(obj.get(field) or ()) for field in fields)


_DEFAULT = _printer("Name, Age", lambda obj, now: [meta.name(obj), _age(obj, now)])
_CREATED = _printer("Name, Created At:date", lambda obj, now: [meta.name(obj), _created(obj)])
_BINDING = _printer("Name, Role, Age, Users+, Groups+, ServiceAccounts+", _binding)
_REPLICAS = "Desired:integer, Current:integer, Ready:integer"

_PRINTERS: dict[Resource, Printer] = {
    resources.POD: _printer(
        "Name, Ready, Status, Restarts, Age, IP+, Node+, Nominated Node+, Readiness Gates+",
        pod_cells,
    ),
    resources.DEPLOYMENT: _printer(
        "Name, Ready, Up-to-date:integer, Available:integer, Age, Containers+, Images+, Selector+", _deployment
    ),
    resources.REPLICA_SET: _printer(f"Name, {_REPLICAS}, Age, Containers+, Images+, Selector+", _replica_set),
    resources.SERVICE: _printer("Name, Type, Cluster-IP, External-IP, Port(s), Age, Selector+", _service),
    resources.NODE: _printer(
        "Name, Status, Roles, Age, Version, Internal-IP+, External-IP+, OS-Image+, Kernel-Version+, Container-Runtime+",
        _node,
    ),
    resources.NAMESPACE: _printer(
        "Name, Status, Age",
        lambda obj, now: [meta.name(obj), (obj.get("status") or {}).get("phase", ""), _age(obj, now)],
    ),
    resources.EVENT: _printer(
        "Last Seen, Type, Reason, Object, Subobject+, Source+, Message, First Seen+, Count+:integer, Name+", _event
    ),
    resources.CONFIG_MAP: _printer(
        "Name, Data:integer, Age",
        lambda obj, now: [meta.name(obj), _count("data", "binaryData")(obj), _age(obj, now)],
    ),
    resources.SECRET: _printer(
        "Name, Type, Data:integer, Age",
        lambda obj, now: [meta.name(obj), obj.get("type", ""), _count("data")(obj), _age(obj, now)],
    ),
    resources.SERVICE_ACCOUNT: _printer(
        "Name, Secrets:integer, Age", lambda obj, now: [meta.name(obj), _count("secrets")(obj), _age(obj, now)]
    ),
    resources.ENDPOINT_SLICE: _printer("Name, AddressType, Ports, Endpoints, Age", _endpoint_slice),
    resources.LEASE: _printer(
        "Name, Holder, Age",
        lambda obj, now: [meta.name(obj), (obj.get("spec") or {}).get("holderIdentity", ""), _age(obj, now)],
    ),
    resources.ROLE: _CREATED,
    resources.CLUSTER_ROLE: _CREATED,
    resources.CRD: _CREATED,
    resources.ROLE_BINDING: _BINDING,
    resources.CLUSTER_ROLE_BINDING: _BINDING,
}
_BUILTIN = {(resource.group, resource.plural): found for resource, found in _PRINTERS.items()}
