"""One request as admission sees it. Made by the verbs within the write path, handed to every plugin of a `chain.Stage`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from styr.kinds.errors import Forbidden
from styr.kinds.resources import Object
from styr.kinds.transport import ANONYMOUS, Request, User

if TYPE_CHECKING:
    from styr.api.registry import ServedResource

Operation = Literal["CREATE", "UPDATE", "DELETE", "CONNECT"]

_OPTIONS = {"CREATE": "CreateOptions", "UPDATE": "UpdateOptions", "DELETE": "DeleteOptions"}


@dataclass(slots=True)
class Attributes:
    """`served` is the resource in the version that was asked for; `object` and `old` are in that version, and without
    managedFields, which `managed` has. A plugin changes `object` in place and then calls `changed`. For a subresource with
    a kind of its own (Scale, Binding, Eviction) `object` is of that kind."""

    operation: Operation
    served: ServedResource
    request: Request
    namespace: str
    name: str
    object: Object | None
    old: Object | None = None
    subresource: str = ""
    dry_run: bool = False
    made_up: str = ""
    """The name, when it was made from generateName."""
    given: Object | None = None
    """The DeleteOptions of a delete, the options of a connection."""
    managed: list[Any] = field(default_factory=list)
    complete: Callable[[Object], None] | None = None
    """Prunes, defaults and checks the shape of an object that a plugin changed. Raises Invalid."""
    warnings: list[str] = field(default_factory=list)
    annotations: dict[str, str] = field(default_factory=dict)
    """For the audit log: `PLUGIN/KEY`."""
    replies: dict[bytes, Any] = field(default_factory=dict)
    """What others outside have answered in earlier runs of this write; see `pending`."""
    waits: bool = False
    """May a plugin raise Pending?"""
    memory: dict[str, Any] = field(default_factory=dict)
    """What plugins keep between the calls of one run, by their names."""
    touched: bool = False
    reinvoke: bool = False
    """Set by a plugin that wants the mutating ones before it to look again at what it changed."""
    second: bool = False
    """Is this that second look?"""

    @property
    def user(self) -> User:
        return self.request.user or ANONYMOUS

    @property
    def key(self) -> str:
        """`pods`, `deployments.apps`."""
        return self.served.key

    def changed(self) -> None:
        """Brings a changed object into shape again."""
        self.touched = True
        if self.complete is not None and self.object is not None:
            self.complete(self.object)

    def replace(self, obj: Object) -> None:
        """The object becomes `obj`, in place."""
        assert self.object is not None
        if obj is not self.object:
            self.object.clear()
            self.object.update(obj)
        self.changed()

    def options(self) -> Object:
        """CreateOptions, UpdateOptions or DeleteOptions, as an AdmissionReview tells them: of a patch too."""
        if self.given is not None:
            return self.given
        found: Object = {"kind": _OPTIONS.get(self.operation, "UpdateOptions"), "apiVersion": "meta.k8s.io/v1"}
        if dry := [value for key, value in self.request.query if key == "dryRun"]:
            found["dryRun"] = dry
        found |= {name: value for name in ("fieldManager", "fieldValidation") if (value := self.request.param(name))}
        return found

    def forbidden(self, message: str) -> Forbidden:
        """In Kubernetes' words: `pods "x" is forbidden: ...`."""
        meta = (self.object or {}).get("metadata") or {}
        name = self.name or meta.get("name") or meta.get("generateName") or "Unknown"
        resource = self.served.resource
        details = {"name": name, "group": resource.group, "kind": resource.plural}
        return Forbidden(
            f'{self.served.key} "{name}" is forbidden: {message}',
            details={key: value for key, value in details.items() if value},
        )
