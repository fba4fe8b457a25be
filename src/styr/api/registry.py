"""What the server serves: the built-in kinds and what CustomResourceDefinitions add. Kept current from the store's write
path, so that a CRD is served as soon as its create returns. Called by the server and the verbs; never writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from styr.api.apply import types
from styr.api.apply.types import Type
from styr.api.builtin import tables
from styr.api.builtin.forms import FORMS, Form
from styr.api.builtin.tables import VERBS, Kind, Subresource
from styr.api.discovery import SCALE, STATUS, VIRTUAL, Documented, Served
from styr.api.schema import Schema
from styr.api.store.commit import Store
from styr.api.store.records import Change, Record
from styr.api.strategies.api_service import KIND as API_SERVICE_KIND
from styr.api.strategies.base import Strategy, getter
from styr.api.strategies.builtin import builtin_strategy
from styr.api.strategies.custom import CustomStrategy
from styr.api.validations import SchemaError
from styr.kinds import conditions, resources
from styr.kinds.resources import Object, Resource
from styr.kit.log import Log

log = Log("styr.api.registry")

IMPLEMENTED = frozenset(
    {
        "approval",
        "attach",
        "binding",
        "ephemeralcontainers",
        "eviction",
        "exec",
        "finalize",
        "log",
        "portforward",
        "proxy",
        "resize",
        "scale",
        "status",
        "token",
    }
)
"""Subresources that the server has verbs for."""


@dataclass(frozen=True, slots=True)
class ScalePaths:
    """Where an object has what its /scale shows. `selector` is a selector of built-in kinds, a text in custom ones."""

    replicas: str = "spec.replicas"
    status: str = "status.replicas"
    selector: str = "spec.selector"


@dataclass(frozen=True, slots=True)
class ServedResource:
    """One resource in one version. `storage` is the version its objects are stored in; `columns` and `openapi` are a
    CRD version's own."""

    resource: Resource
    load: Callable[[], Strategy]
    """Makes the strategy, at its first use: few servers see objects of every kind."""
    storage: str
    custom: bool = False
    list_kind: str = ""
    columns: tuple[Mapping[str, Any], ...] | None = None
    openapi: Mapping[str, Any] | None = None
    verbs: tuple[str, ...] = VERBS
    subresources: dict[str, Subresource] = field(default_factory=dict)
    scale: ScalePaths = ScalePaths()
    type: Callable[[], Type] = Type
    """Which fields have owners of their own; worked out at the first write."""
    conversion: Mapping[str, Any] | None = None
    form: Form | None = None
    """Of a built-in kind that is stored in another one."""
    """`spec.conversion.webhook` of a definition whose versions differ by more than their name."""
    webhook: str = ""
    """Which state of the definition `conversion` is of."""
    since: int = 0
    """The revision of its definition. Objects that are older may lack its defaults and have fields that it does not know."""

    @property
    def key(self) -> str:
        """The name of the resource, as messages have it; also the store's, for kinds with one form."""
        return self.resource.group_resource

    @property
    def store_key(self) -> str:
        """The store's name of the resource."""
        return self.form.key if self.form is not None else self.resource.group_resource

    @property
    def strategy(self) -> Strategy:
        return self.load()

    @property
    def getters(self) -> dict[str, Callable[[Mapping[str, Any]], str]]:
        """They read the selectable fields, of stored objects."""
        found = self.load().getters
        if self.form is None:
            return found
        return {path: getter(self.form.fields.get(path, path)) for path in found}

    @property
    def schema(self) -> Schema | None:
        return self.strategy.schema

    @property
    def stored_as(self) -> str:
        """The apiVersion inside stored bytes."""
        if self.form is not None:
            return self.form.stored
        return f"{self.resource.group}/{self.storage}" if self.resource.group else self.storage

    def columns_list(self) -> list[Object] | None:
        """As `table.render` takes them: None for a built-in kind."""
        return None if self.columns is None else [dict(column) for column in self.columns]

    def served(self) -> Served:
        """As discovery tells it."""
        stored = self.stored_as if "create" in self.verbs else ""
        return Served(self.resource, self.verbs, tuple(self.subresources.values()), stored)

    def documented(self) -> Documented:
        """As OpenAPI tells it."""
        selectable = self.strategy.selectable if self.custom else ()
        return Documented(self.served(), self.custom, self.openapi, self.list_kind, selectable)


class Registry:
    """`find` is called on every request; everything else when a CRD changes, which `generation` counts."""

    def __init__(self) -> None:
        self._builtin = {
            (kind.resource.group, kind.resource.version, kind.resource.plural): _builtin(kind)
            for kind in (*tables.kinds(), API_SERVICE_KIND)
            if not kind.answered
        }
        self._custom: dict[str, list[ServedResource]] = {}
        self._all: dict[tuple[str, str, str], ServedResource] = {}
        self._served: tuple[Served, ...] = ()
        self.generation = 0
        self._rebuild()

    def follow(self, store: Store) -> None:
        """Loads what is there and follows every later change."""
        for (_, name), record in store.state(resources.CRD.group_resource).items():
            self._custom[name] = _versions(record.decode(), record.revision)
        self._rebuild()
        store.on_commit(self._changed)

    def find(self, group: str, version: str, plural: str) -> ServedResource | None:
        return self._all.get((group, version, plural))

    def by_key(self, key: str) -> ServedResource | None:
        """Any served version of a group resource."""
        return next((served for served in self._all.values() if served.key == key), None)

    def versions(self, key: str) -> list[ServedResource]:
        """Every served version of a group resource, the stored one first."""
        found = [served for served in self._all.values() if served.key == key]
        return sorted(found, key=lambda served: served.resource.version != served.storage)

    def all(self) -> Sequence[ServedResource]:
        return list(self._all.values())

    def discovery(self) -> tuple[Served, ...]:
        """What `discovery.discover` is handed."""
        return self._served

    def documented(self) -> list[Documented]:
        """What the OpenAPI documents are made from."""
        return [*(served.documented() for served in self._all.values()), *map(Documented, VIRTUAL)]

    def _changed(self, changes: Iterable[Change]) -> None:
        touched = False
        for change in changes:
            if change.key.resource == resources.CRD.group_resource:
                touched = True
                if change.new is None:
                    self._custom.pop(change.key.name, None)
                else:
                    self._custom[change.key.name] = _versions(change.new.decode(), self._since(change, change.new))
        if touched:
            self._rebuild()

    def _since(self, change: Change, new: Record) -> int:
        """What changes the status of a definition alone leaves its objects as current as they were."""
        known = self._custom.get(change.key.name)
        if known and change.old is not None and change.old.decode()["spec"] == new.decode()["spec"]:
            return known[0].since
        return new.revision

    def _rebuild(self) -> None:
        self._all = dict(self._builtin)
        for versions in self._custom.values():
            for served in versions:
                r = served.resource
                self._all[r.group, r.version, r.plural] = served
        self.generation += 1
        self._served = (*(served.served() for served in self._all.values()), *VIRTUAL)


def _builtin(kind: Kind) -> ServedResource:
    resource = kind.resource
    stored = replace(resource, version=kind.storage or resource.version)
    load = cache(lambda: builtin_strategy(kind))
    return ServedResource(
        resource,
        load,
        stored.version,
        list_kind=f"{resource.kind}List",
        verbs=kind.verbs,
        form=FORMS.get((resource.api_version, resource.plural)),
        subresources={name: sub for name, sub in kind.subresources.items() if name in IMPLEMENTED},
        type=cache(lambda: types.builtin(stored.api_version, stored.kind) or types.custom(load().shape or {})),
    )


def _versions(crd: Object, since: int) -> list[ServedResource]:
    """What an established CRD serves. One that this build cannot compile is left out, and the log says why."""
    if not conditions.is_true(crd, "Established"):
        return []
    storage = next(version["name"] for version in crd["spec"]["versions"] if version["storage"])
    try:
        return [_version(crd, version, storage, since) for version in crd["spec"]["versions"] if version["served"]]
    except SchemaError as error:
        log.error("a definition is not served", error, crd=crd["metadata"]["name"])
        return []


def _version(crd: Object, version: dict[str, Any], storage: str, since: int) -> ServedResource:
    spec, names = crd["spec"], crd["spec"]["names"]
    subresources = version.get("subresources", {})
    resource = Resource(
        spec["group"],
        version["name"],
        names["kind"],
        names["plural"],
        namespaced=spec["scope"] == "Namespaced",
        singular=names["singular"],
        short_names=tuple(names.get("shortNames", ())),
        categories=tuple(names.get("categories", ())),
        status="status" in subresources,
    )
    schema = version["schema"]["openAPIV3Schema"]
    selectable = tuple(entry["jsonPath"].removeprefix(".") for entry in version.get("selectableFields", ()))
    strategy = CustomStrategy(schema, selectable)
    scale = subresources.get("scale") or {}
    served = {"status": STATUS} if resource.status else {}
    conversion = spec.get("conversion") or {}
    return ServedResource(
        resource,
        lambda: strategy,
        storage,
        custom=True,
        list_kind=names["listKind"],
        columns=tuple(version.get("additionalPrinterColumns", ())),
        openapi=schema,
        subresources=served | ({"scale": SCALE} if scale else {}),
        scale=ScalePaths(
            *(
                scale.get(key, "").removeprefix(".")
                for key in ("specReplicasPath", "statusReplicasPath", "labelSelectorPath")
            )
        ),
        type=cache(lambda: types.custom(schema)),
        conversion=conversion.get("webhook") if conversion.get("strategy") == "Webhook" else None,
        webhook=f"{crd['metadata']['uid']}/{crd['metadata'].get('generation', 0)}",
        since=since,
    )
