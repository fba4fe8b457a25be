"""The parameters of a binding, as they are in the transaction of the write. Called by the plugins."""

from __future__ import annotations

from styr.api.admission.attributes import Attributes
from styr.api.admission.policies.book import Binding, Policy
from styr.api.registry import Registry, ServedResource
from styr.api.store.commit import Txn
from styr.api.store.records import ObjectKey, Record
from styr.kinds import selectors
from styr.kinds.resources import Object


class ConfigurationError(Exception):
    """A policy or binding that cannot be asked. `str()` is Kubernetes' text."""


def kind_of(policy: Policy, registry: Registry) -> ServedResource | None:
    """What the parameters of a policy are; None for a policy without. Raises ConfigurationError."""
    kind = policy.param_kind
    if kind is None:
        return None
    for served in registry.all():
        resource = served.resource
        if resource.kind == kind.get("kind") and resource.api_version == kind.get("apiVersion"):
            return served
    shown = f"{kind.get('apiVersion', '')}, Kind={kind.get('kind', '')}"
    raise ConfigurationError(f"failed to configure policy: failed to find resource referenced by paramKind: '{shown}'")


def collect(served: ServedResource | None, binding: Binding, attributes: Attributes, txn: Txn) -> list[Object | None]:
    """One for each evaluation: [None] where there are no parameters, [] where none was found and that is allowed. Raises
    ConfigurationError."""
    ref = binding.param_ref
    if served is None or ref is None:
        return [None]
    namespace = ""
    if served.resource.namespaced:
        namespace = ref.get("namespace") or attributes.namespace
        if not namespace:
            raise _misbound("cannot use namespaced paramRef in policy binding that matches cluster-scoped resources")
    elif ref.get("namespace"):
        raise _misbound("paramRef.namespace must not be provided for a cluster-scoped `paramKind`")
    found = _found(ref, served, namespace, txn)
    if not found and ref.get("parameterNotFoundAction") == "Deny":
        raise _misbound("no params found for policy binding with `Deny` parameterNotFoundAction")
    return list(found)


def _misbound(text: str) -> ConfigurationError:
    return ConfigurationError(f"failed to configure binding: {text}")


def _found(ref: Object, served: ServedResource, namespace: str, txn: Txn) -> list[Object]:
    if name := ref.get("name"):
        record = txn.get(ObjectKey(served.store_key, namespace, name))
        return [] if record is None else [_shown(record, served)]
    selector = selectors.from_object(ref.get("selector"))
    found = [_shown(record, served) for _, record in txn.list(served.store_key, namespace)]
    return [obj for obj in found if selectors.matches(selector, obj["metadata"].get("labels") or {})]


def _shown(record: Record, served: ServedResource) -> Object:
    obj = record.decode()
    obj["apiVersion"] = served.resource.api_version
    return obj
