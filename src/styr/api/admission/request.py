"""The `request` of an AdmissionReview: what webhooks are sent, and what expressions see as `request`. Pure."""

from __future__ import annotations

from styr.api.admission.attributes import Attributes
from styr.api.registry import ServedResource
from styr.kinds.resources import NAMESPACE, Object, Resource


def request(attributes: Attributes, served: ServedResource, obj: Object | None, old: Object | None) -> Object:
    """The `request` of a review but for its uid. `obj` and `old` are in the version of `served`."""
    asked, shown = attributes.served.resource, served.resource
    kind = _kind(shown, attributes)
    body: Object = {
        "kind": kind,
        "resource": _resource(shown),
        "requestKind": kind if asked == shown else _kind(asked, attributes),
        "requestResource": _resource(asked),
    }
    if attributes.subresource:
        body |= {"subResource": attributes.subresource, "requestSubResource": attributes.subresource}
    if attributes.name:
        body["name"] = attributes.name
    namespace = attributes.name if attributes.key == NAMESPACE.group_resource else attributes.namespace
    if namespace:
        body["namespace"] = namespace
    user = attributes.user
    info: Object = {"username": user.name, "uid": user.uid, "groups": list(user.groups)}
    if extra := getattr(user, "extra", None):
        info["extra"] = {key: list(values) for key, values in dict(extra).items()}
    return body | {
        "operation": attributes.operation,
        "userInfo": {key: value for key, value in info.items() if value},
        "object": _owned(obj, attributes),
        "oldObject": _owned(old, attributes),
        "dryRun": attributes.dry_run,
        "options": None if attributes.operation == "CONNECT" else attributes.options(),
    }


def _kind(resource: Resource, attributes: Attributes) -> Object:
    """Of what is sent: a subresource may have a kind of its own."""
    sent = attributes.object if attributes.object is not None else attributes.old
    if attributes.subresource and sent is not None and sent.get("kind") not in (None, resource.kind):
        group, _, version = str(sent.get("apiVersion") or "").rpartition("/")
        return {"group": group, "version": version, "kind": sent["kind"]}
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _resource(resource: Resource) -> Object:
    return {"group": resource.group, "version": resource.version, "resource": resource.plural}


def _owned(obj: Object | None, attributes: Attributes) -> Object | None:
    if obj is None or not attributes.managed or attributes.subresource not in ("", "status"):
        return obj
    return {**obj, "metadata": {**obj["metadata"], "managedFields": attributes.managed}}
