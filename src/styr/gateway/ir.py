"""The gateway's own picture of the world: small immutable values between Gateway API objects and Envoy resources.

Made by `routes`, read by `resources` and `status`. Every node knows the object it came from, so that what Envoy says of a
resource can be said on that object. Pure.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from styr.kinds.resources import Object

CONTROLLER = "styr.dev/gateway"
"""`spec.controllerName` of the GatewayClasses that are ours, and of the status entries that we may touch."""

ObjectKey = tuple[str, str]
"""Namespace and name; the namespace is "" for a GatewayClass."""

CDS = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
EDS = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
LDS = "type.googleapis.com/envoy.config.listener.v3.Listener"
RDS = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"


@dataclass(frozen=True, slots=True)
class Source:
    """The object, at the generation that was read, behind a piece of configuration."""

    kind: str
    namespace: str
    name: str
    generation: int = 0

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Arm:
    """A weighted backend. `cluster` is None when the reference does not resolve: its share of requests gets 500."""

    service: str
    weight: int
    cluster: str | None


PathKind = Literal["Exact", "PathPrefix", "RegularExpression"]


@dataclass(frozen=True, slots=True)
class StringMatch:
    name: str
    value: str
    regex: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """One entry of `rules[].matches`; all its parts must hold."""

    path_kind: PathKind = "PathPrefix"
    path: str = "/"
    method: str = ""
    headers: tuple[StringMatch, ...] = ()
    query: tuple[StringMatch, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    index: int
    matches: tuple[Match, ...]
    arms: tuple[Arm, ...]


@dataclass(frozen=True, slots=True)
class Route:
    """One accepted HTTPRoute. `created` orders routes that tie."""

    source: Source
    created: str
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Backend:
    """A Service port in use. `endpoints` are (address, port) of what is ready."""

    namespace: str
    service: str
    port: int
    endpoints: tuple[tuple[str, int], ...]

    @property
    def cluster(self) -> str:
        """By what it is, never by where it is used: reordering rules changes no cluster."""
        return cluster_name(self.namespace, self.service, self.port)


def cluster_name(namespace: str, service: str, port: int) -> str:
    return f"{namespace}/{service}/{port}"


@dataclass(frozen=True, slots=True)
class Port:
    """One listening port: virtual hosts are routes by hostname ("*" for any)."""

    number: int
    gateways: tuple[Source, ...]
    hosts: tuple[tuple[str, tuple[Route, ...]], ...]


@dataclass(frozen=True, slots=True)
class Plan:
    ports: tuple[Port, ...] = ()
    backends: tuple[Backend, ...] = ()


@dataclass(frozen=True, slots=True)
class Unit:
    """One xDS resource. `version` is a hash of its content, the same in every process."""

    type_url: str
    name: str
    body: Mapping[str, Any]
    version: str
    sources: tuple[Source, ...] = ()


def make_unit(type_url: str, name: str, body: Mapping[str, Any], sources: Sequence[Source] = ()) -> Unit:
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return Unit(type_url, name, body, hashlib.sha256(text.encode()).hexdigest()[:16], tuple(sources))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything Envoy should have. `number` rises with each one published."""

    number: int
    units: Mapping[str, Mapping[str, Unit]]

    def of(self, type_url: str) -> Mapping[str, Unit]:
        return self.units.get(type_url, {})


@dataclass(frozen=True, slots=True)
class World:
    """The objects that a translation reads, as the API holds them. Never changed by us."""

    classes: Sequence[Object] = ()
    gateways: Sequence[Object] = ()
    routes: Sequence[Object] = ()
    services: Sequence[Object] = ()
    slices: Sequence[Object] = ()
    namespaces: Sequence[Object] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """One condition, without its time: `ok=None` is Unknown."""

    ok: bool | None
    reason: str
    message: str = ""


@dataclass(slots=True)
class ParentResult:
    """What became of one parentRef of a route. `listeners` are those it is attached to: gateway, name, port."""

    parent: Mapping[str, Any]
    accepted: Verdict
    resolved: Verdict
    listeners: list[tuple[ObjectKey, str, int]] = field(default_factory=list)


@dataclass(slots=True)
class ListenerResult:
    name: str
    port: int
    accepted: Verdict
    conflicted: Verdict
    resolved: Verdict
    kinds: list[dict[str, str]] = field(default_factory=list)
    routes: set[ObjectKey] = field(default_factory=set)
    hostname: str = ""


@dataclass(slots=True)
class Translation:
    """The plan and what there is to say about the objects it was made from."""

    plan: Plan = field(default_factory=Plan)
    classes: list[str] = field(default_factory=list)
    gateways: dict[ObjectKey, list[ListenerResult]] = field(default_factory=dict)
    routes: dict[ObjectKey, list[ParentResult]] = field(default_factory=dict)
    served: dict[ObjectKey, Route] = field(default_factory=dict)
    generations: dict[ObjectKey, int] = field(default_factory=dict)
