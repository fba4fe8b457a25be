"""What one call costs at worst, and how large its result can be, by the sizes of its arguments. Called by `estimate`; pure."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import NamedTuple

from styr.cel import costs
from styr.cel.ast import Const, Node
from styr.cel.sizes import MOST, UNKNOWN, Range, fixed
from styr.cel.types import Type


class Known(NamedTuple):
    """An argument. `items` is the size of the elements of a list or map, None for anything else."""

    size: Range
    type: Type
    node: Node
    items: Range | None


class Estimate(NamedTuple):
    cost: Range
    size: Range | None = None


Call = Callable[[Known | None, list[Known]], Estimate | None]
ONE = fixed(1)
_PLAIN = Estimate(ONE)


def of_call(name: str, overload: str, target: Known | None, args: list[Known]) -> Estimate:
    """Without what the arguments themselves cost."""
    for table, key in ((_OVERLOADS, overload), (_FUNCTIONS, name)):
        found = table[key](target, args) if key in table else None
        if found is not None:
            return found
    if overload.endswith("_sort"):
        return _sorted(target, args)
    return _PLAIN


def _traversed(factor: float = 1, *, sized: bool = False) -> Call:
    """The first of target and arguments is walked once."""

    def estimate(target: Known | None, args: list[Known]) -> Estimate:
        size = (target or args[0]).size
        return Estimate(size.scaled(factor * costs.TRAVERSAL), size if sized else None)

    return estimate


def _flat(cost: int) -> Call:
    return lambda target, args: Estimate(fixed(cost))


def _selector(_: Known | None, args: list[Known]) -> Estimate:
    size = args[0].size
    requirements = size.scaled(0.5).scaled(float(costs.LIST + costs.STRUCT))
    return Estimate(fixed(costs.LIST).plus(size.scaled(costs.TRAVERSAL)).plus(requirements))


def _walked(target: Known | None, args: list[Known]) -> Estimate | None:
    """isSorted, sum, max, min, indexOf, lastIndexOf."""
    if target is None:
        return None
    if target.items is None:
        return Estimate(target.size.scaled(costs.TRAVERSAL))
    each = ONE
    if target.type.params[0].kind in ("string", "bytes"):
        each = each.plus(target.items.scaled(costs.TRAVERSAL))
    return Estimate(target.size.times(each))


def _replace(target: Known | None, args: list[Known]) -> Estimate | None:
    if target is None:
        return None
    size, old, new = target.size, args[0].size, args[1].size
    most, kept_most = 0, 0
    if old.low == 0:
        most, kept_most = min(size.high + 1, MOST), size.high
    elif new.high <= old.low:
        kept_most = size.high
    else:
        most = ceil(float(size.high) / old.low)
    least, kept_least = 0, 0
    if old.high == 0:
        least, kept_least = min(size.low + 1, MOST), size.low
    elif old.high <= new.low:
        kept_least = size.low
    else:
        least = ceil(float(size.low) / old.high)
    result = Range(least, min(most, MOST)).times(new).plus(Range(kept_least, kept_most))
    return Estimate(size.scaled(2 * costs.TRAVERSAL), result)


def _split(target: Known | None, args: list[Known]) -> Estimate | None:
    if target is None:
        return None
    return Estimate(target.size.scaled(2 * costs.TRAVERSAL), Range(0, _literal(args[1:], target.size.high)))


def _literal(args: list[Known], default: int) -> int:
    """A number that stands in the text."""
    node = args[0].node if args else None
    if isinstance(node, Const) and type(node.value) is int:
        return max(node.value, 0)
    return default


def _join(target: Known | None, args: list[Known]) -> Estimate | None:
    if target is None:
        return None
    size = target.size.times(target.items or UNKNOWN)
    if args:
        count = target.size
        size = size.plus(args[0].size.times(Range(max(count.low - 1, 0), max(count.high - 1, 0))))
    return Estimate(size.scaled(costs.TRAVERSAL), size)


def _pattern(text: Range, pattern: Range) -> Range:
    return text.plus(ONE).scaled(costs.TRAVERSAL).times(pattern.scaled(costs.REGEX))


def _find(target: Known | None, args: list[Known]) -> Estimate | None:
    return target and Estimate(_pattern(target.size, args[0].size), Range(0, target.size.high))


def _matches(target: Known | None, args: list[Known]) -> Estimate | None:
    return target and Estimate(_pattern(target.size, args[0].size))


def _contains(target: Known | None, args: list[Known]) -> Estimate | None:
    if target is None:
        return None
    return Estimate(target.size.scaled(costs.TRAVERSAL).times(args[0].size.scaled(costs.TRAVERSAL)))


def _validated(_: Known | None, args: list[Known]) -> Estimate:
    return Estimate(args[0].size.scaled(costs.TRAVERSAL).scaled(128 * costs.REGEX))


def _inside(text: bool, more: bool) -> Call:
    """containsIP and containsCIDR: addresses have 4 to 16 bytes."""

    def estimate(_: Known | None, args: list[Known]) -> Estimate:
        size = Range(4, 16)
        cost = size.plus(size).scaled(costs.TRAVERSAL)
        if more:
            cost = cost.plus(size.scaled(costs.TRAVERSAL)).plus(ONE)
        return Estimate(cost.plus(args[0].size.scaled(costs.TRAVERSAL)) if text else cost)

    return estimate


def _starts(_: Known | None, args: list[Known]) -> Estimate:
    return Estimate(args[0].size.scaled(costs.TRAVERSAL))


def _in_list(_: Known | None, args: list[Known]) -> Estimate:
    return Estimate(args[1].size)


def _compared(_: Known | None, args: list[Known]) -> Estimate:
    one, two = args[0], args[1]
    if one.type == two.type and one.type.kind in ("struct", "opaque"):
        name = one.type.name
        if name in _ATOMS:
            return _PLAIN
        if name == "kubernetes.NamedFormat":
            return Estimate(Range(1, 64).scaled(costs.TRAVERSAL))
        if name == "kubernetes.URL":
            return Estimate(Range(1, max(one.size.high, two.size.high)).scaled(costs.TRAVERSAL))
    smaller = min(one.size.high, two.size.high)
    return Estimate(Range(1 if smaller else 0, smaller).scaled(costs.TRAVERSAL))


def _ordered(_: Known | None, args: list[Known]) -> Estimate:
    smaller = min(args[0].size.high, args[1].size.high)
    return Estimate(Range(1 if smaller else 0, smaller).scaled(costs.TRAVERSAL))


def _added(_: Known | None, args: list[Known]) -> Estimate:
    size = args[0].size.plus(args[1].size)
    return Estimate(size.scaled(costs.TRAVERSAL), size)


def _joined(_: Known | None, args: list[Known]) -> Estimate:
    return Estimate(ONE, args[0].size.plus(args[1].size))


# A size without bounds wraps around in these two, as uint64 does in Go: rules that pass there must pass here.


def _encoded(_: Known | None, args: list[Known]) -> Estimate:
    size = args[0].size
    return Estimate(size.scaled(costs.TRAVERSAL), Range(size.low, size.high * 4 & MOST))


def _decoded(_: Known | None, args: list[Known]) -> Estimate:
    size = args[0].size
    return Estimate(size.scaled(costs.TRAVERSAL), Range(size.low // 4, size.high))


def _quoted(_: Known | None, args: list[Known]) -> Estimate:
    size = args[0].size
    return Estimate(size.scaled(costs.TRAVERSAL), Range(size.low + 2, (size.high * 2 + 2) & MOST))


def _allocated(factor: float, size: Range) -> Estimate:
    return Estimate(size.scaled(factor).plus(fixed(1 + costs.LIST)), size)


def _slice(target: Known | None, args: list[Known]) -> Estimate | None:
    if target is None:
        return None
    size = _literal(args[1:], target.size.high) - _literal(args, 0)
    return _allocated(1, fixed(size % (MOST + 1)))


def _flatten(target: Known | None, args: list[Known]) -> Estimate | None:
    return target and _allocated(float(_literal(args, MOST)) if args else 1.0, target.size)


def _square(target: Known | None, args: list[Known]) -> Estimate | None:
    return target and _allocated(2.0, target.size.times(target.size))


def _sorted(target: Known | None, args: list[Known]) -> Estimate:
    assert target is not None
    words = bool(target.type.params) and target.type.params[0].kind in ("string", "bytes")
    return _allocated(2.0 + (costs.TRAVERSAL if words else 0), target.size.times(target.size))


def _pairs(factor: int) -> Call:
    return lambda _, args: Estimate(args[0].size.times(args[1].size).scaled(factor).plus(ONE))


_ATOMS = frozenset(
    {
        "net.IP",
        "net.CIDR",
        "kubernetes.Quantity",
        "kubernetes.Semver",
        *(
            f"kubernetes.authorization.{name}"
            for name in ("Authorizer", "PathCheck", "GroupCheck", "ResourceCheck", "Decision")
        ),
    }
)
_FUNCTIONS: dict[str, Call] = {
    "check": _flat(costs.AUTHORIZATION),
    **dict.fromkeys(("fieldSelector", "labelSelector"), _selector),
    **dict.fromkeys(("isSorted", "sum", "max", "min", "indexOf", "lastIndexOf"), _walked),
    **dict.fromkeys(
        ("url", "jsonpatch.escapeKey", "lowerAscii", "upperAscii", "substring", "trim"), _traversed(sized=True)
    ),
    "replace": _replace,
    "split": _split,
    "join": _join,
    **dict.fromkeys(("find", "findAll"), _find),
    **dict.fromkeys(("cidr", "isIP", "isCIDR", "ip", "quantity", "isQuantity", "semver", "isSemver"), _traversed()),
    "ip.isCanonical": _traversed(2),
    "validate": _validated,
}
_OVERLOADS: dict[str, Call] = {
    "cidr_ip": _flat(1),
    "cidr_contains_ip_string": _inside(text=True, more=False),
    "cidr_contains_ip_ip": _inside(text=False, more=False),
    "cidr_contains_cidr_string": _inside(text=True, more=True),
    "cidr_contains_cidr": _inside(text=False, more=True),
    "string_format": _traversed(),
    "string_to_bytes": _encoded,
    "bytes_to_string": _decoded,
    "strings_quote": _quoted,
    **dict.fromkeys(("starts_with_string", "ends_with_string"), _starts),
    "in_list": _in_list,
    "matches_string": _matches,
    "contains_string": _contains,
    **dict.fromkeys(("add_string", "add_bytes"), _added),
    "add_list": _joined,
    **dict.fromkeys(("equals", "not_equals"), _compared),
    **{
        f"{word}_{kind}": _ordered
        for word in ("less", "less_equals", "greater", "greater_equals")
        for kind in ("string", "bytes")
    },
    "list_slice": _slice,
    "lists_range": lambda _, args: _allocated(1, fixed(_literal(args, MOST))),
    "list_reverse": lambda target, _: target and _allocated(1, target.size),
    **dict.fromkeys(("list_flatten", "list_flatten_int"), _flatten),
    "list_distinct": _square,
    "list_sets_contains_list": _pairs(1),
    "list_sets_intersects_list": _pairs(1),
    "list_sets_equivalent_list": _pairs(2),
}
