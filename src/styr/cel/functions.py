"""How functions are declared, and how a call finds the overload for the classes of its values. Called by the libraries, the
checker and the compiler; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from styr.cel.errors import EvaluationError
from styr.cel.types import Type
from styr.cel.values import kind_of

Run = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Overload:
    """`id` is cel-go's, by which costs are looked up. The first parameter of a member is its target."""

    id: str
    params: tuple[Type, ...]
    result: Type
    run: Run
    member: bool = False
    loose: bool = False
    """Does it take a dyn of any class as its last argument, and judge that itself?"""


Functions = Mapping[str, tuple[Overload, ...]]


def function(id: str, params: Iterable[Type], result: Type, run: Run) -> Overload:
    return Overload(id, tuple(params), result, run)


def member(id: str, params: Iterable[Type], result: Type, run: Run) -> Overload:
    return Overload(id, tuple(params), result, run, member=True)


def merged(libraries: Iterable[Functions]) -> dict[str, tuple[Overload, ...]]:
    """All functions of several libraries; those of one name together."""
    found: dict[str, tuple[Overload, ...]] = {}
    for library in libraries:
        for name, overloads in library.items():
            found[name] = found.get(name, ()) + overloads
    return found


def _accepts(wanted: Type, kind: str) -> bool:
    if wanted.kind in ("dyn", "param"):
        return True
    if wanted.kind == "wrapper":
        return kind == "null_type" or _accepts(wanted.params[0], kind)
    return kind == (wanted.kind if wanted.kind in ("null_type", "list", "map", "type") else wanted.name)


def _takes(overload: Overload, kinds: list[str]) -> bool:
    if len(overload.params) != len(kinds):
        return False
    count = len(kinds) - 1 if overload.loose else len(kinds)
    return all(map(_accepts, overload.params[:count], kinds))


def choose(overloads: Iterable[Overload], name: str = "") -> Callable[[list[Any]], Overload]:
    """A function from arguments to the overload that takes them. What it finds is remembered by their classes. Raises
    EvaluationError when none does, which speaks of `name` where cel-go does."""
    candidates = tuple(overloads)
    known: dict[tuple[type, ...], Overload | None] = {}

    def find(args: list[Any]) -> Overload:
        key = tuple(map(type, args))
        if key in known:
            found = known[key]
        else:
            kinds = [kind_of(arg) for arg in args]
            fitting = (o for o in candidates if _takes(o, kinds))
            found = known[key] = next(fitting, None)
        if found is None:
            given = f": {name}({', '.join(map(kind_of, args))})" if name else ""
            raise EvaluationError(f"no such overload{given}")
        return found

    return find
