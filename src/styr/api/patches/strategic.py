"""Strategic merge patch for built-in kinds: a merge patch that knows which lists are keyed, and by what. Pure.

Directives: `$patch` (delete, replace), `$retainKeys`, `$deleteFromPrimitiveList/FIELD`, `$setElementOrder/FIELD`. Format:
sig-api-machinery's "Strategic Merge Patch". What each field is, says `builtin/patching.json`, generated; lists that are not
there are replaced whole. The steps are those of k8s.io/apimachinery's strategicpatch, which tests/builtin holds it to.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

import msgspec

from styr.api.builtin import types
from styr.api.builtin.types import Type
from styr.kinds.errors import BadRequest

_RETAIN, _PATCH = "$retainKeys", "$patch"
_SHORT = 20
_DELETE, _ORDER = "$deleteFromPrimitiveList/", "$setElementOrder/"


class _Field(NamedTuple):
    """`type`: of the struct, or of a list's items; None where there is none. `key`: what its items are told apart by."""

    type: Type | None = None
    merges: bool = False
    replaces: bool = False
    key: str = ""


def apply(target: dict[str, Any], patch: Any, made: Type) -> dict[str, Any]:
    """The patched object, of type `made`; neither argument is changed. Raises BadRequest for a malformed patch."""
    if not isinstance(patch, dict):
        raise BadRequest("a strategic merge patch must be an object")
    return _merge(copy.deepcopy(target), copy.deepcopy(patch), made)


@cache
def _table() -> dict[str, dict[str, str]]:
    raw = resources.files(types.__package__ or "").joinpath("patching.json").read_bytes()
    found: dict[str, dict[str, str]] = msgspec.json.decode(raw)["types"]
    return found


def _field(made: Type | None, name: str) -> _Field:
    if made is None:
        raise BadRequest("merging an object in json but data type is not struct")
    known = types.ready(made).fields.get(name)
    if known is None:
        raise BadRequest(
            f'unable to find api field in struct {made.name.rpartition(".")[2]} for the json field "{name}"'
        )
    strategies, _, key = _table().get(made.name, {}).get(name, "").partition(" ")
    kinds = strategies.split(",")
    return _Field(known.type if known.many != "{}" else None, "merge" in kinds, "replace" in kinds, key)


def _merge(target: dict[str, Any], patch: dict[str, Any], made: Type | None) -> dict[str, Any]:
    if _PATCH in patch:
        directive = patch.pop(_PATCH)
        if directive == "replace":
            return patch
        if directive == "delete":
            return {}
        raise BadRequest(f"unknown patch type: {directive}")
    _retain(target, patch)
    for key in [key for key in patch if key.startswith(_ORDER)]:
        _order(target, patch, key, made)
    for key, value in patch.items():
        _put(target, key, value, made)
    return target


def _put(target: dict[str, Any], key: str, value: Any, made: Type | None) -> None:
    deletes = key.startswith(_DELETE)
    key = key.removeprefix(_DELETE) if deletes else key
    if value is None:
        target.pop(key, None)
        return
    there = target.get(key)
    if key not in target or not _alike(there, value):
        if not deletes:
            _take(target, key, value)
    elif isinstance(value, dict):
        known = _field(made, key)
        target[key] = value if known.replaces else _merge(there, value, known.type)  # type: ignore[arg-type]
    elif isinstance(value, list):
        known = _field(made, key)
        target[key] = _merge_list(there, value, known, deletes) if known.merges or deletes else value  # type: ignore[arg-type]
    else:
        target[key] = value


def _take(target: dict[str, Any], key: str, value: Any) -> None:
    found, keep = _plain(value)
    if keep:
        target[key] = found
    else:
        target.pop(key, None)


def _alike(one: Any, other: Any) -> bool:
    return _sort(one) == _sort(other)


def _sort(value: Any) -> type:
    return type(value) if not isinstance(value, int) or isinstance(value, bool) else int


def _plain(value: Any) -> tuple[Any, bool]:
    """A value without nulls and directives, and whether it stays at all."""
    if isinstance(value, dict):
        if _PATCH in value:
            return None, False
        made = {}
        for key, child in value.items():
            found, keep = _plain(child)
            if keep and child is not None:
                made[key] = found
        return made, True
    if isinstance(value, list):
        return [found for found, keep in map(_plain, value) if keep], True
    return value, True


def _retain(target: dict[str, Any], patch: dict[str, Any]) -> None:
    if _RETAIN not in patch:
        return
    kept = patch.pop(_RETAIN)
    if not isinstance(kept, list):
        raise BadRequest("invalid patch format of retainKeys")
    names = {name for name in kept if isinstance(name, str)}
    for key, value in patch.items():
        if value is not None and not key.startswith((_DELETE, _ORDER)) and key not in names:
            raise BadRequest("invalid patch format of retainKeys")
    for key in [key for key in target if key not in names]:
        del target[key]


def _order(target: dict[str, Any], patch: dict[str, Any], directive: str, made: Type | None) -> None:
    """`$setElementOrder/FIELD`, with the patch of that field, if there is one."""
    order, name = _a_list(patch.pop(directive)), directive.removeprefix(_ORDER)
    have = _a_list(target[name]) if name in target else None
    given = _a_list(patch[name]) if name in patch else None
    known = _field(made, name)
    _check_order(given or [], order, known.key)
    before = list(have or ())
    if have is None and given is None:
        return
    if given is None:
        merged = have or []
    elif have is None:
        merged = _plain_items(given)
    else:
        merged = _merge_list(have, given, known, False) if known.merges else given
    patch.pop(name, None)
    if not before and not given:
        raise BadRequest("no elements in any of the given slices")
    if not known.key and any(isinstance(item, dict) for item in (*before, *(given or ()))):
        raise BadRequest(f"the items of {name} have no merge key, and so no order of their own")
    listed = {_identity(item, known.key) for item in _keyed(order, known.key)}
    mine = [item for item in _keyed(merged, known.key) if _identity(item, known.key) in listed]
    others = [item for item in merged if _identity(item, known.key) not in listed]
    target[name] = _normal(mine, others, order, before, known.key)


def _a_list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise BadRequest("expected a list in the patch")
    return value


def _plain_items(items: list[Any]) -> list[Any]:
    return [found for found, keep in map(_plain, items) if keep]


def _check_order(given: list[Any], order: list[Any], key: str) -> None:
    """Two items of a patch must stand as the order has them, and the order must have them all."""
    if not given or not order:
        return
    wanted = [item for item in given if not (isinstance(item, dict) and item.get(_PATCH) == "delete" and key)]
    place = 0
    for item in _keyed(order, key):
        while place < len(wanted) and isinstance(wanted[place], dict) and _PATCH in wanted[place]:
            place += 1
        if place < len(wanted) and _identity(_keyed(wanted[place : place + 1], key)[0], key) == _identity(item, key):
            place += 1
    if place < len(wanted):
        raise BadRequest(f"The order in patch list:\n{given}\n doesn't match $setElementOrder list:\n{order}\n")


def _merge_list(have: list[Any], patch: list[Any], known: _Field, deletes: bool) -> list[Any]:
    if not have and not patch:
        return have
    kinds = {_sort(item) for item in (*have, *patch)}
    if list in kinds:
        raise BadRequest("lists of lists are not supported")
    if len(kinds) > 1:
        raise BadRequest("list element types are not identical")
    if dict not in kinds:
        if deletes:
            gone = {_identity(item, "") for item in patch}
            return [item for item in have if _identity(item, "") not in gone]
        merged = list({_identity(item, ""): item for item in (*have, *patch)}.values())
        key = ""
    else:
        if not known.key:
            raise BadRequest("cannot merge lists without merge key for struct")
        key = known.key
        have, patch = _special(have, patch, key)
        merged = _merge_items(have, patch, known)
    listed = {_identity(item, key) for item in _keyed(patch, key)}
    mine = [item for item in _keyed(merged, key) if _identity(item, key) in listed]
    others = [item for item in merged if _identity(item, key) not in listed]
    return _normal(mine, others, patch, have, key)


def _special(have: list[Any], patch: list[Any], key: str) -> tuple[list[Any], list[Any]]:
    """Without the items that have a directive, which is done."""
    plain = [item for item in patch if _PATCH not in item]
    replaces, gone = False, set()
    for item in patch:
        directive = item.get(_PATCH, "")
        if _PATCH not in item:
            continue
        if directive == "delete":
            gone.add(_identity(_keyed([item], key)[0], key))
        elif directive == "replace":
            replaces = True
        elif directive == "merge":
            raise BadRequest("merging lists cannot yet be specified in the patch")
        else:
            raise BadRequest(f"unknown patch type: {directive}")
    if replaces:
        return plain, []
    return [item for item in have if not gone or key not in item or _identity(item, key) not in gone], plain


def _merge_items(have: list[Any], patch: list[Any], known: _Field) -> list[Any]:
    merged = list(have)
    places: dict[Any, int] = {}
    for place, item in enumerate(merged):
        if known.key in item:
            places.setdefault(_identity(item, known.key), place)
    for item in _keyed(patch, known.key):
        mine = _identity(item, known.key)
        place = places.get(mine, -1)
        if place < 0:
            places[mine] = len(merged)
            merged.append(item)
        else:
            merged[place] = _merge(merged[place], item, known.type)
    return merged


def _normal(mine: list[Any], others: list[Any], order: Iterable[Any], before: Iterable[Any], key: str) -> list[Any]:
    """`mine` in their order, woven with the others as all of them stood before."""
    wanted, stood = _places(order, key), _places(before, key)
    _sort_by(mine, wanted, key)
    _sort_by(others, stood, key)
    found: list[Any] = []
    left, right = others[::-1], mine[::-1]
    while left and right:
        one, other = stood.get(_identity(left[-1], key), -1), stood.get(_identity(right[-1], key), -1)
        found.append(left.pop() if 0 <= one < other else right.pop())
    return found + left[::-1] + right[::-1]


def _sort_by(items: list[Any], order: Mapping[Any, int], key: str) -> None:
    """As Kubernetes sorts: what the order does not know goes before what stands in front of it, in short lists."""
    places = [order.get(_identity(item, key), -1) for item in items]
    if -1 not in places or len(items) > _SHORT:
        items[:] = [item for _, item in sorted(zip(places, items, strict=True), key=lambda pair: pair[0])]
        return
    for start in range(1, len(items)):
        for at in range(start, 0, -1):
            if 0 <= places[at - 1] <= places[at]:
                break
            items[at - 1 : at + 1] = items[at], items[at - 1]
            places[at - 1 : at + 1] = places[at], places[at - 1]


def _places(items: Iterable[Any], key: str) -> dict[Any, int]:
    found: dict[Any, int] = {}
    for place, item in enumerate(items):
        found.setdefault(_identity(item, key), place)
    return found


def _identity(item: Any, key: str) -> Any:
    value = item.get(key) if key and isinstance(item, Mapping) else item
    if isinstance(value, dict | list):
        return msgspec.json.encode(value)
    return (type(value), value)


def _keyed(items: list[Any], key: str) -> list[Any]:
    """The same items, which all have the key. Raises BadRequest."""
    for item in items if key else ():
        if not isinstance(item, dict) or key not in item:
            raise BadRequest(f"map: {item} does not contain declared merge key: {key}")
    return items
