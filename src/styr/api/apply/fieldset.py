"""Sets of field paths, held in the very form that `metadata.managedFields` writes: FieldsV1. Pure; called by `typed` and
`managed`.

A set is a tree of dicts. The keys of a node are path elements: `f:NAME` a field, `k:{"KEY":VALUE}` an item of a keyed list,
`v:VALUE` an item of a set, `i:N` an item by position. A node is itself a member of the set when it has no children, or when
it has the key `.`. The root is no member, so `{}` is the empty set. Nodes are shared between sets and never changed.
Format: `FieldsV1` of meta/v1, and structured-merge-diff's `fieldpath`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

Set = dict[str, Any]
EMPTY: Set = {}
LEAF: Set = {}
_SELF = "."


def is_member(node: Set) -> bool:
    return not node or _SELF in node


def node_of(member: bool, children: Set) -> Set | None:
    """None: nothing is left of it. `children` holds no `.`."""
    if not children:
        return LEAF if member else None
    return {_SELF: LEAF, **children} if member else children


def children(node: Set) -> Iterator[tuple[str, Set]]:
    return ((key, child) for key, child in node.items() if key != _SELF)


def union(one: Set, two: Set) -> Set:
    """Every path of either."""
    if not one or not two:
        return one or two
    return _union(one, two, False)


def _union(one: Set, two: Set, member: bool) -> Set:
    merged = {key: child for key, child in one.items() if key != _SELF}
    for key, child in children(two):
        known = merged.get(key)
        if known is None:
            merged[key] = child
        elif known is not child:
            merged[key] = _union(known, child, is_member(known) or is_member(child))
    return node_of(member, merged) or EMPTY


def intersection(one: Set, two: Set) -> Set:
    """The paths that are in both."""
    return _walk(one, two, _both) or EMPTY


def difference(one: Set, two: Set) -> Set:
    """The paths of `one` that are not in `two`: exactly those, so a child outlives its parent."""
    return _walk(one, two, _left) or EMPTY


def recursive_difference(one: Set, two: Set) -> Set:
    """The paths of `one` that are neither in `two` nor below a path of it."""
    return _walk(one, two, _outside) or EMPTY


Rule = Callable[[Set, Set | None], Set | None]


def _walk(one: Set, two: Set, rule: Rule) -> Set:
    kept = {}
    for key, child in children(one):
        found = rule(child, two.get(key))
        if found is not None:
            kept[key] = found
    return kept


def _both(node: Set, other: Set | None) -> Set | None:
    if other is None:
        return None
    return node_of(is_member(node) and is_member(other), _walk(node, other, _both))


def _left(node: Set, other: Set | None) -> Set | None:
    if other is None:
        return node
    return node_of(is_member(node) and not is_member(other), _walk(node, other, _left))


def _outside(node: Set, other: Set | None) -> Set | None:
    if other is None:
        return node
    if is_member(other):
        return None
    return node_of(is_member(node), _walk(node, other, _outside))


def paths(tree: Set) -> Iterator[tuple[str, ...]]:
    """Every member, as its path elements; a parent before its children."""
    for key, child in children(tree):
        if is_member(child):
            yield (key,)
        for below in paths(child):
            yield (key, *below)


def of_paths(listed: list[tuple[str, ...]]) -> Set:
    """The set with these members; the empty path, the object itself, is nobody's."""
    found = EMPTY
    for path in listed:
        node: Set = LEAF
        for element in reversed(path):
            node = {element: node}
        found = union(found, node)
    return found


def ordered(tree: Set) -> Set:
    """The same set with its keys in the order of FieldsV1, so that equal sets are equal bytes."""
    return {key: ordered(child) if child else child for key, child in sorted(tree.items())}


# --- path elements -------------------------------------------------------------------------------------------------


def compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=True)


def parse(tree: Any) -> Set:
    """The set that a client sent as FieldsV1. Raises ValueError for what is none, naming the element."""
    if not isinstance(tree, dict):
        raise ValueError(f"fieldsV1: {str(tree)[:80]!r} is not a set of fields")
    found: Set = {}
    for key, child in tree.items():
        found[_element(key)] = parse(child)
    return found


def _element(key: str) -> str:
    kind, text = key[:2], key[2:]
    if key == _SELF or kind == "f:":
        return key
    if kind == "i:" and text.lstrip("-").isascii() and text.lstrip("-").isdigit():
        return key
    try:
        if kind == "v:" or (kind == "k:" and text.startswith("{")):
            return kind + compact(json.loads(text))
    except (ValueError, RecursionError):
        pass
    raise ValueError(f"fieldsV1: {key[:80]!r} is not an element of a path")


def describe(path: tuple[str, ...]) -> str:
    """As messages write it: `.spec.containers[name="main"].image`."""
    return "".join(_describe(element[:2], element[2:]) for element in path)


def _describe(kind: str, text: str) -> str:
    if kind == "f:":
        return f".{text}"
    if kind == "k:":
        return f"[{','.join(f'{key}={compact(value)}' for key, value in json.loads(text).items())}]"
    return f"[={text}]" if kind == "v:" else f"[{text}]"
