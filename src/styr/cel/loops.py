"""The macros at run time: plain loops over a list or the keys of a map, paid per round. Called by the compiler; pure.

Costs are those of the comprehensions that cel-go expands a macro to. In `all` and `exists` a round that fails is forgotten
when another one decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from styr.cel import costs
from styr.cel.errors import CostExceeded, EvaluationError, no_overload
from styr.cel.library.lists import sort_by
from styr.cel.values import NONE, Optional, keys_of, map_key

Frame = list[Any]
Code = Callable[[Frame], Any]
Piece = tuple[Code, int]
"""A closure, and what it costs whatever its values are."""


class _Constant:
    """A closure whose value is known."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __call__(self, _: Frame) -> Any:
        return self.value


def constant(value: Any) -> Code:
    return _Constant(value)


def is_constant(code: Code) -> bool:
    return type(code) is _Constant


def pay(f: Frame, cost: int) -> None:
    """Raises CostExceeded."""
    f[0] -= cost
    if f[0] < 0:
        raise CostExceeded


def guarded(code: Code, cost: int, *, free: bool = False) -> Code:
    """The same, paid when it is entered."""
    if free or not cost:
        return code

    def run(f: Frame) -> Any:
        f[0] -= cost
        return code(f)

    return run


def junction(terms: list[Code], conjunction: bool) -> Code:
    """`&&` and `||`: any term may decide, and then errors of others are absorbed."""
    stop = not conjunction
    if len(terms) == 2:
        return _pair(terms[0], terms[1], stop)

    def run(f: Frame) -> Any:
        failed: EvaluationError | None = None
        for term in terms:
            try:
                value = term(f)
            except EvaluationError as error:
                failed = failed or error
                continue
            if value is stop:
                return stop
            if value is conjunction:
                continue
            failed = failed or no_overload()
        if failed is not None:
            raise failed
        return conjunction

    return run


def _pair(left: Code, right: Code, stop: bool) -> Code:
    def run(f: Frame) -> Any:
        failed: EvaluationError | None = None
        try:
            value = left(f)
            if value is stop:
                return stop
            if type(value) is not bool:
                failed = no_overload()
        except EvaluationError as error:
            failed = error
        value = right(f) if failed is None else _second(right, f, failed)
        if value is stop:
            return stop
        if failed is not None:
            raise failed
        if type(value) is not bool:
            raise no_overload()
        return value

    return run


def _second(right: Code, f: Frame, failed: EvaluationError) -> Any:
    try:
        return right(f)
    except EvaluationError:
        raise failed from None


Rounds = Callable[[Frame], Iterable[Any]]


def _rounds(over: Code, first: int, second: int) -> Rounds:
    """Walks the range: sets the variables, then yields."""

    def one(f: Frame) -> Iterable[Any]:
        items = over(f)
        for item in items if isinstance(items, list) else _keys(items):
            f[first] = item
            yield item

    def two(f: Frame) -> Iterable[Any]:
        items = over(f)
        pairs = enumerate(items) if isinstance(items, list) else zip(_keys(items), items.values(), strict=True)
        for key, item in pairs:
            f[first], f[second] = key, item
            yield key

    return two if second else one


def _keys(items: Any) -> list[Any]:
    if isinstance(items, dict):
        return keys_of(items)
    raise no_overload()


def _truth(value: Any) -> bool:
    if value is True or value is False:
        return bool(value)
    raise no_overload()


Loop = Callable[[Piece, int, int, Piece | None, Piece], Piece]


def _quantified(stop: bool, overhead: int, condition: int) -> Loop:
    """all (stops at false) and exists (stops at true)."""

    def make(over: Piece, first: int, second: int, _: Piece | None, body: Piece) -> Piece:
        rounds, (test, cost) = _rounds(over[0], first, second), body
        step = cost + overhead + condition

        def run(f: Frame) -> bool:
            failed: EvaluationError | None = None
            for _ in rounds(f):
                f[0] -= step
                if f[0] < 0:
                    raise CostExceeded
                try:
                    if _truth(test(f)) is stop:
                        return stop
                except EvaluationError as error:
                    failed = failed or error
            if failed is not None:
                raise failed
            return not stop

        return run, over[1] + 1

    return make


def _exists_one(over: Piece, first: int, second: int, _: Piece | None, body: Piece) -> Piece:
    rounds, (test, cost) = _rounds(over[0], first, second), body

    def run(f: Frame) -> bool:
        found = 0
        for _ in rounds(f):
            pay(f, cost)
            if _truth(test(f)):
                found += 1
                f[0] -= 2
        return found == 1

    return run, over[1] + 2


def _collected(over: Piece, first: int, second: int, guard: Piece | None, body: Piece) -> Piece:
    """map and transformList."""
    rounds, (make, cost) = _rounds(over[0], first, second), body
    step = cost + 2 + (0 if is_constant(make) else costs.LIST)
    if guard is None:

        def every(f: Frame) -> list[Any]:
            found = []
            for _ in rounds(f):
                f[0] -= step
                if f[0] < 0:
                    raise CostExceeded
                found.append(make(f))
            return found

        return every, over[1] + 1
    test, price = guard

    def some(f: Frame) -> list[Any]:
        found = []
        for _ in rounds(f):
            pay(f, price)
            if _truth(test(f)):
                pay(f, step)
                found.append(make(f))
        return found

    return some, over[1] + 1


def _filter(over: Piece, first: int, second: int, _: Piece | None, body: Piece) -> Piece:
    rounds, (test, cost) = _rounds(over[0], first, second), body

    def run(f: Frame) -> list[Any]:
        found = []
        for item in rounds(f):
            pay(f, cost)
            if _truth(test(f)):
                found.append(item)
                f[0] -= costs.LIST + 3
        return found

    return run, over[1] + 1


def _mapped(entry: bool) -> Loop:
    """transformMap keeps the keys; transformMapEntry makes entries of its own."""

    def make(over: Piece, first: int, second: int, guard: Piece | None, body: Piece) -> Piece:
        rounds, (build, cost) = _rounds(over[0], first, second), body
        test, price = guard or (constant(True), 0)

        def run(f: Frame) -> dict[Any, Any]:
            found: dict[Any, Any] = {}
            for key in rounds(f):
                pay(f, price)
                if not _truth(test(f)):
                    continue
                pay(f, cost + (2 if entry else 3))
                value = build(f)
                made = value if entry else {map_key(key): value}
                if not isinstance(made, dict):
                    raise no_overload()
                for name, item in made.items():
                    if name in found:
                        raise EvaluationError(f"insert failed: key {name} already exists")
                    found[name] = item
            return found

        return run, over[1] + 1

    return make


def _sorted(over: Piece, first: int, _: int, guard: Piece | None, body: Piece) -> Piece:
    """sortBy: the keys are made as `map` would."""
    source, cost = over
    keys, _ = _collected((lambda f: f[first], 0), first, 0, guard, body)

    def run(f: Frame) -> list[Any]:
        items = source(f)
        if not isinstance(items, list):
            raise no_overload()
        f[first] = items
        found = keys(f)
        pay(f, costs.compared(found))
        return sort_by(items, found)

    return run, cost + 3


def _bound(flat: bool) -> Loop:
    """optMap, and optFlatMap whose body is an optional itself."""

    def make(over: Piece, first: int, _: int, __: Piece | None, body: Piece) -> Piece:
        source, inner = over[0], guarded(body[0], body[1] + (1 if flat else 2))

        def run(f: Frame) -> Optional:
            value = source(f)
            if type(value) is not Optional:
                raise no_overload()
            if not value.present:
                return NONE
            f[first] = value.value
            found = inner(f)
            if not flat:
                return Optional(found)
            if type(found) is not Optional:
                raise no_overload()
            return found

        return run, over[1] * 2 + 1  # cel-go evaluates the range twice

    return make


LOOPS: dict[str, Loop] = {
    "all": _quantified(stop=False, overhead=1, condition=2),
    "exists": _quantified(stop=True, overhead=1, condition=3),
    "exists_one": _exists_one,
    "map": _collected,
    "filter": _filter,
    "transformList": _collected,
    "transformMap": _mapped(entry=False),
    "transformMapEntry": _mapped(entry=True),
    "optMap": _bound(flat=False),
    "optFlatMap": _bound(flat=True),
    "sortBy": _sorted,
}
