"""Walks objects by their type: which fields there are, what two versions differ in, a configuration laid over an object,
fields taken away. Pure; called by `managed`.

The rules are structured-merge-diff's (`typed`): what has no owner of its own counts as a whole; an item of a keyed list goes
by its keys wherever it stands; items that share their keys (the live object may hold such) count as one.
No argument is changed; results share parts with them.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from styr.api.apply.fieldset import EMPTY, LEAF, Set, compact, is_member, node_of
from styr.api.apply.types import Type

_MISSING: Any = object()
Item = tuple[str, Any]
"""The path element of a list's item, and the item."""


class Malformed(ValueError):
    """A list that should be keyed holds an item without its keys, or two with the same."""


class Comparison(NamedTuple):
    """No path is in two of these."""

    removed: Set
    modified: Set
    added: Set


def _is_map(value: Any, type: Type | None) -> bool:
    return type is not None and type.is_map and isinstance(value, dict)


def _is_list(value: Any, type: Type | None) -> bool:
    return type is not None and type.keys is not None and isinstance(value, list)


def _below(type: Type, key: str) -> Type | None:
    return type.fields.get(key, type.values)


def items(value: list[Any], type: Type, path: str = "") -> list[Item]:
    """The items of a keyed list or a set, each with its path element. Raises Malformed."""
    return [(_element(item, type, f"{path}[{index}]"), item) for index, item in enumerate(value)]


def _element(item: Any, type: Type, path: str) -> str:
    keys = type.keys
    if not keys:
        if isinstance(item, dict | list) or item is None:
            raise Malformed(f"{path}: an item of a set must be a scalar")
        return f"v:{compact(item)}"
    if not isinstance(item, dict):
        raise Malformed(f"{path}: an item of a list with keys must be an object")
    found = {key: item.get(key, type.defaults.get(key)) for key in keys if key in item or key in type.defaults}
    if not found:
        raise Malformed(f"{path}: the item has none of the keys of its list: {', '.join(keys)}")
    return f"k:{compact(found)}"


# --- which fields there are ----------------------------------------------------------------------------------------


def fields(value: Any, type: Type | None) -> Set:
    """Every field and item that a configuration names. Raises Malformed."""
    return _fields(value, type) or EMPTY


def _fields(value: Any, type: Type | None) -> Set:
    found: Set = {}
    if type is None:
        return found
    if _is_map(value, type):
        for key, child in value.items():
            below = _below(type, key)
            inner = _fields(child, below)
            deep = bool(child) and (_is_map(child, below) or _is_list(child, below))
            itself = key not in type.fields or (not deep and not _is_list(child, below))
            node = node_of(itself, inner)
            if node is not None:
                found[f"f:{key}"] = node
    elif _is_list(value, type):
        for element, child in items(value, type):
            if element in found:
                found[element] = LEAF
            else:
                found[element] = node_of(True, _fields(child, type.items)) or LEAF
    return found


def check(value: Any, type: Type | None, path: str = "") -> None:
    """A configuration to be applied may not name an item twice, nor a field that there is not. Raises Malformed."""
    if type is None:
        return
    if _is_map(value, type):
        for key, child in value.items():
            if key not in type.fields and type.values is None and type.fields:
                raise Malformed(f"{path}.{key}: field not declared in schema")
            check(child, _below(type, key), f"{path}.{key}")
    elif _is_list(value, type):
        seen = set()
        for element, child in items(value, type, path):
            if element in seen:
                raise Malformed(f"{path}: duplicate entries for key {element[2:]}")
            seen.add(element)
            check(child, type.items, f"{path}[{element[2:]}]")


# --- what differs --------------------------------------------------------------------------------------------------


def compare(before: Any, after: Any, type: Type) -> Comparison:
    """What an update removed, changed and added; all empty for equal objects. Raises Malformed."""
    found = Comparison({}, {}, {})
    _compare_maps(before, after, type, found)
    return found


Parts = tuple[Set, Set, Set]


def _compare_maps(before: Any, after: Any, type: Type, out: Parts) -> None:
    for key in {**before, **after}:
        old, new = before.get(key, _MISSING), after.get(key, _MISSING)
        if old is new or (old == new and _same(old, new)):
            continue
        if key in type.always:
            old, new = (_empty(value, other) for value, other in ((old, new), (new, old)))
        _differ(f"f:{key}", old, new, _below(type, key), out)


def _same(old: Any, new: Any) -> bool:
    """Python's 1 == True is not JSON's; only scalars are looked at, deeper ones differ by type as rarely as they matter."""
    return isinstance(old, bool) is isinstance(new, bool)


def _empty(value: Any, other: Any) -> Any:
    if value is not _MISSING:
        return value
    return [] if isinstance(other, list) else {}


def _compare_lists(before: Any, after: Any, type: Type, out: Parts) -> None:
    old, new = _grouped(before, type), _grouped(after, type)
    for element in {**old, **new}:
        one, two = old.get(element, ()), new.get(element, ())
        if len(one) < 2 and len(two) < 2:
            _differ(element, one[0] if one else _MISSING, two[0] if two else _MISSING, type.items, out)
        elif len(one) >= 2 and len(two) >= 2:
            if one != two:
                out[1][element] = LEAF
        elif len(one) >= 2:
            if two:
                out[2][element] = _whole(two[0], type.items)
            out[0][element] = LEAF
        else:
            if one:
                out[0][element] = _whole(one[0], type.items)
            out[2][element] = LEAF


def _grouped(value: Any, type: Type) -> dict[str, list[Any]]:
    groups: dict[str, list[Any]] = {}
    for element, item in items(value or [], type):
        groups.setdefault(element, []).append(item)
    return groups


def _differ(element: str, old: Any, new: Any, type: Type | None, out: Parts) -> None:
    if old is _MISSING:
        out[2][element] = _whole(new, type)
    elif new is _MISSING:
        out[0][element] = _whole(old, type)
    elif (old or new) and _alike(old, new, type, dict):
        _descend(element, _compare_maps, old or {}, new or {}, type, out)
    elif (old or new) and _alike(old, new, type, list):
        _descend(element, _compare_lists, old or [], new or [], type, out)
    elif old != new or not _same(old, new):
        out[1][element] = LEAF


def _alike(old: Any, new: Any, type: Type | None, kind: Any) -> bool:
    """Both are maps (or lists) whose parts are owned one by one; null counts as an empty one."""
    if type is None or not (type.is_map if kind is dict else type.keys is not None):
        return False
    return (old is None or isinstance(old, kind)) and (new is None or isinstance(new, kind))


def _descend(element: str, walk: Any, old: Any, new: Any, type: Type | None, out: Parts) -> None:
    below: Parts = ({}, {}, {})
    walk(old, new, type, below)
    for part, found in zip(out, below, strict=True):
        if found:
            part[element] = found


def _whole(value: Any, type: Type | None) -> Set:
    """The node of something that is there on one side only: it, and everything in it."""
    if not value or type is None:
        return LEAF
    if _is_map(value, type):
        inner = {f"f:{key}": _whole(child, _below(type, key)) for key, child in value.items()}
        return {".": LEAF, **inner}
    if _is_list(value, type):
        groups = _grouped(value, type)
        inner = {key: _whole(group[0], type.items) if len(group) == 1 else LEAF for key, group in groups.items()}
        return {".": LEAF, **inner}
    return LEAF


# --- laying a configuration over an object -------------------------------------------------------------------------


def merge(live: Any, config: Any, type: Type | None) -> Any:
    """`live` with everything that `config` says. Nothing is removed. Raises Malformed."""
    if _alike(live, config, type, dict) and (live or config):
        assert type is not None
        merged = dict(live or {})
        for key, value in (config or {}).items():
            merged[key] = merge(merged[key], value, _below(type, key)) if key in merged else value
        return merged
    if _alike(live, config, type, list) and (live or config):
        assert type is not None
        return _merge_lists(items(live or [], type), items(config or [], type), type)
    return config


def _merge_lists(live: list[Item], config: list[Item], type: Type) -> list[Any]:
    """Items of the configuration in its order; those of the live list that it does not name keep their place behind the
    shared item that they followed."""
    known = dict(live)
    times = Counter(element for element, _ in live)
    wanted = dict(config)
    shared = iter([element for element, _ in config if element in known])
    expected = next(shared, None)
    done: set[str] = set()
    out: list[Any] = []

    def put(element: str) -> None:
        done.add(element)
        here = times[element] == 1
        out.append(merge(known[element], wanted[element], type.items) if here else wanted[element])

    left = right = 0
    while left < len(live) or right < len(config):
        if left < len(live) and right < len(config):
            element = live[left][0]
            if element == config[right][0]:
                put(element)
                left, right, expected = left + 1, right + 1, next(shared, None)
                continue
            if element in wanted and expected is not None and expected != element:
                left += 1
                continue
        if left < len(live):
            element, item = live[left]
            if element not in wanted:
                out.append(item)
                left += 1
                continue
            if element in done:
                left += 1
        if right < len(config):
            element = config[right][0]
            put(element)
            right += 1
            if expected == element:
                expected = next(shared, None)
    return out


# --- taking away ---------------------------------------------------------------------------------------------------


def remove(value: Any, gone: Set, type: Type | None) -> Any:
    """`value` without the fields and items in `gone`; None when nothing of a map or list is left."""
    if _is_map(value, type) and value:
        assert type is not None
        kept: dict[str, Any] = {}
        for key, child in value.items():
            node = gone.get(f"f:{key}")
            if node is None:
                kept[key] = child
            elif not is_member(node):
                kept[key] = _remove_below(child, node, _below(type, key))
        return kept or None
    if _is_list(value, type) and value:
        assert type is not None
        left = []
        for element, item in items(value, type):
            node = gone.get(element)
            if node is None:
                left.append(item)
            elif not is_member(node) and (rest := _remove_below(item, node, type.items)) is not None:
                left.append(rest)
        return left or None
    return value


def _remove_below(value: Any, node: Set, type: Type | None) -> Any:
    return remove(value, node, type) if type is not None else value


def with_named(tree: Set, type: Type | None) -> Set:
    """The same set, and of every declared field that holds a member also the field itself."""
    return _named(tree, type) or EMPTY


def _named(tree: Set, type: Type | None) -> Set:
    if type is None:
        return {key: child for key, child in tree.items() if key != "."}
    found: Set = {}
    for key, child in tree.items():
        if key == ".":
            continue
        field = key[2:] if key.startswith("f:") else None
        below = type.items if field is None else _below(type, field)
        itself = is_member(child) or (field is not None and field in type.fields)
        found[key] = node_of(itself, _named(child, below)) or LEAF
    return found
