"""Reading metadata: names, owners, deletion. Called everywhere; never changes an object it is given."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from styr.kinds.resources import Resource


class Key(NamedTuple):
    """What a controller is given: which object, not what happened to it. `namespace` is "" for cluster objects."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


def metadata(obj: Mapping[str, Any]) -> dict[str, Any]:
    found = obj.get("metadata")
    return found if isinstance(found, dict) else {}


def name(obj: Mapping[str, Any]) -> str:
    return str(metadata(obj).get("name", ""))


def namespace(obj: Mapping[str, Any]) -> str:
    return str(metadata(obj).get("namespace", ""))


def uid(obj: Mapping[str, Any]) -> str:
    return str(metadata(obj).get("uid", ""))


def key(obj: Mapping[str, Any]) -> Key:
    return Key(namespace(obj), name(obj))


def resource_version(obj: Mapping[str, Any]) -> str:
    return str(metadata(obj).get("resourceVersion", ""))


def labels(obj: Mapping[str, Any]) -> dict[str, str]:
    return metadata(obj).get("labels") or {}


def annotations(obj: Mapping[str, Any]) -> dict[str, str]:
    return metadata(obj).get("annotations") or {}


def deleting(obj: Mapping[str, Any]) -> bool:
    """Has it been asked to go? (`deletionTimestamp` is set.)"""
    return "deletionTimestamp" in metadata(obj)


def owners(obj: Mapping[str, Any]) -> list[dict[str, Any]]:
    return metadata(obj).get("ownerReferences") or []


def controller_of(obj: Mapping[str, Any]) -> dict[str, Any] | None:
    """The one owner reference with `controller: true`, if any."""
    return next((owner for owner in owners(obj) if owner.get("controller")), None)


def is_controlled_by(obj: Mapping[str, Any], owner: Mapping[str, Any]) -> bool:
    found = controller_of(obj)
    return found is not None and found.get("uid") == uid(owner)


def owner_reference(owner: Mapping[str, Any], resource: Resource) -> dict[str, Any]:
    """A controlling reference to `owner`, as Kubernetes' own controllers write it."""
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "name": name(owner),
        "uid": uid(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }
