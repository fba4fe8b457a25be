"""Strategic merge patch for built-in kinds: a merge patch that knows which lists are keyed, and by what. Pure.

Directives: `$patch` (delete, replace, merge), `$retainKeys`, `$deleteFromPrimitiveList/FIELD`, `$setElementOrder/FIELD`.
Format: sig-api-machinery's "Strategic Merge Patch". Lists that are not in the tables below are replaced whole.
"""

from __future__ import annotations

from typing import Any

from styr.kinds.errors import BadRequest

_KEYS: dict[str, str] = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "imagePullSecrets": "name",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
    "conditions": "type",
    "ownerReferences": "uid",
    "secrets": "name",
    "addresses": "type",
    "podIPs": "ip",
    "resourceClaims": "name",
}
_PRIMITIVE_SETS = frozenset({"finalizers", "podCIDRs"})
_RETAIN, _PATCH = "$retainKeys", "$patch"
_DELETE, _ORDER = "$deleteFromPrimitiveList/", "$setElementOrder/"


def apply(target: dict[str, Any], patch: Any) -> dict[str, Any]:
    """The patched object; neither argument is changed. Raises BadRequest for a malformed patch."""
    if not isinstance(patch, dict):
        raise BadRequest("a strategic merge patch must be an object")
    merged = _merge(target, patch)
    return merged if merged is not None else {}


def _merge(target: Any, patch: dict[str, Any]) -> dict[str, Any] | None:
    """None when `$patch: delete` says so."""
    directive = patch.get(_PATCH)
    if directive == "delete":
        return None
    if directive not in (None, "replace", "merge"):
        raise BadRequest(f"unknown $patch directive {directive!r}: use delete, replace or merge")
    result = dict(target) if isinstance(target, dict) and directive != "replace" else {}
    if (keep := patch.get(_RETAIN)) is not None:
        if not isinstance(keep, list):
            raise BadRequest("$retainKeys must be a list")
        result = {key: value for key, value in result.items() if key in keep}
    for key, value in patch.items():
        if not key.startswith("$"):
            _field(result, key, value)
    for key, value in patch.items():
        if key.startswith((_DELETE, _ORDER)):
            _list_directive(result, key, value)
    return result


def _field(result: dict[str, Any], key: str, value: Any) -> None:
    old = result.get(key)
    if value is None:
        result.pop(key, None)
    elif isinstance(value, dict):
        merged = _merge(old, value)
        if merged is None:
            result.pop(key, None)
        else:
            result[key] = merged
    elif isinstance(value, list) and key in _PRIMITIVE_SETS:
        have = old if isinstance(old, list) else []
        result[key] = [*have, *(item for item in value if item not in have)]
    elif isinstance(value, list) and (name := _key_of(key, value, old)):
        result[key] = _merge_list(old if isinstance(old, list) else [], value, name)
    else:
        result[key] = _plain(value)


def _key_of(field: str, value: list[Any], old: Any) -> str | None:
    """The merge key of a list. `ports` is keyed by containerPort in a container, by port in a Service."""
    if not all(isinstance(item, dict) for item in value):
        return None
    if field == "ports":
        items = [*value, *(old if isinstance(old, list) else [])]
        return next((key for key in ("containerPort", "port") if any(key in item for item in items)), None)
    return _KEYS.get(field)


def _merge_list(old: list[Any], patch: list[Any], name: str) -> list[Any]:
    if any(item.get(_PATCH) == "replace" for item in patch):
        return [_plain(item) for item in patch if item.get(_PATCH) != "replace"]
    result = list(old)
    for item in patch:
        if name not in item:
            raise BadRequest(f"map: {item} does not contain declared merge key: {name}")
        places = [
            place for place, known in enumerate(result) if isinstance(known, dict) and known.get(name) == item[name]
        ]
        if item.get(_PATCH) == "delete":
            result = [known for place, known in enumerate(result) if place not in places]
        elif places:
            result[places[0]] = _merge(result[places[0]], item)
        else:
            result.append(_plain(item))
    return result


def _list_directive(result: dict[str, Any], key: str, value: Any) -> None:
    if not isinstance(value, list):
        raise BadRequest(f"{key} must be a list")
    prefix, _, field = key.partition("/")
    have = result.get(field)
    if not isinstance(have, list):
        return
    if f"{prefix}/" == _DELETE:
        result[field] = [item for item in have if item not in value]
        return
    name = _key_of(field, [item for item in have if isinstance(item, dict)], have) or ""

    def identity(item: Any) -> Any:
        return item.get(name) if isinstance(item, dict) else item

    order = [identity(item) for item in value]
    listed = sorted((item for item in have if identity(item) in order), key=lambda item: order.index(identity(item)))
    result[field] = _weave(have, listed, [item for item in have if identity(item) not in order])


def _weave(have: list[Any], listed: list[Any], others: list[Any]) -> list[Any]:
    """The listed items in their new order; each other one stays behind what it stood behind."""
    result = list(listed)
    for item in others:
        before = have[: have.index(item)]
        place = max((result.index(known) + 1 for known in before if known in result), default=0)
        result.insert(place, item)
    return result


def _plain(value: Any) -> Any:
    """A value without directives."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if not key.startswith("$") and item is not None}
    return [_plain(item) for item in value] if isinstance(value, list) else value
