"""The way in: what an expression may speak of, and programs made from texts. Called by `api`; pure.

env = Environment({"self": types.INT})
program = env.compile("self > 3")
program.run(PER_CALL, 4)      # (True, 2): the value, and what it cost
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from styr.cel import types
from styr.cel.ast import Node
from styr.cel.checker import Checker
from styr.cel.compiler import Compiler
from styr.cel.errors import CostExceeded, EvaluationError, PlanError
from styr.cel.functions import Functions, merged
from styr.cel.loops import Code
from styr.cel.parser import parse
from styr.cel.types import DYN, Type

PER_CALL = 1_000_000
"""Units that one evaluation may take."""
TOTAL = 10_000_000
"""Units that all evaluations of one request may take, for one definition or policy."""


class Program:
    """A compiled expression. `type` is its static type; `names` the variables that it uses; `tree` the checked tree, for
    `estimate`."""

    __slots__ = ("_cost", "_rest", "_run", "names", "text", "tree", "type")

    def __init__(
        self, text: str, tree: Node, type: Type, names: frozenset[str], run: Code, cost: int, rest: int
    ) -> None:
        self.text, self.tree, self.type, self.names = text, tree, type, names
        self._run, self._cost, self._rest = run, cost, [None] * rest

    def run(self, budget: int, *values: Any) -> tuple[Any, int]:
        """The value, and what it cost. `values` in the order of the environment's variables. Raises EvaluationError, which
        knows what it cost too, and CostExceeded."""
        frame = [budget - self._cost, *values, *self._rest]
        try:
            found = self._run(frame)
        except EvaluationError as error:
            error.cost = budget - frame[0]
            raise
        except (TypeError, AttributeError, ValueError, LookupError, ArithmeticError, RecursionError) as error:
            # A value that is not of its declared type, such as a null: no overload takes it.
            raise EvaluationError("no such overload") from error
        if frame[0] < 0:
            raise CostExceeded
        return found, budget - frame[0]


def _no_struct(name: str, _: dict[str, Any]) -> Any:
    raise EvaluationError(f"unknown type {name}")


class Environment:
    """`structs` are types by name that `Name{...}` may make, through `make`. `functions` are Kubernetes' when not given.
    `mixed`: may a list or map that is written out hold values of several types? In Kubernetes it may not."""

    def __init__(
        self,
        variables: Mapping[str, Type],
        *,
        functions: Functions | None = None,
        structs: Callable[[str], Type | None] | None = None,
        make: Callable[[str, dict[str, Any]], Any] | None = None,
        mixed: bool = False,
    ) -> None:
        self.variables = variables
        self.mixed = mixed
        self.functions = functions if functions is not None else kubernetes()
        self._structs = structs
        self._make = make or _no_struct

    def type_named(self, name: str) -> Type | None:
        found = _type_names().get(name)
        return found if found is not None or self._structs is None else self._structs(name)

    def compile(self, text: str) -> Program:
        """Raises CompileError and PlanError."""
        tree = parse(text)
        checker = Checker(text, self)
        found = checker.check(tree)
        compiler = Compiler(text, list(self.variables), checker.resolved, self._make)
        names = frozenset(name for name in checker.resolved.values() if isinstance(name, str))
        try:
            run, cost = compiler.piece(tree)
        except PlanError as error:
            error.names = names
            raise
        return Program(text, tree, found, names, run, cost, compiler.size - 1 - len(self.variables))


@cache
def kubernetes(*, authorizer: bool = True, patches: bool = False) -> Functions:
    """The functions of Kubernetes v1.35."""
    from styr.cel.library import (
        authorizer as authorization,
    )
    from styr.cel.library import (
        conversions,
        formats,
        lists,
        network,
        optionals,
        quantity,
        regex,
        standard,
        strings,
        times,
        urls,
    )

    libraries = [standard, conversions, times, strings, regex, lists, optionals, urls, network, quantity, formats]
    found = [library.FUNCTIONS for library in libraries]
    if authorizer:
        found.append(authorization.FUNCTIONS)
    if patches:
        found.append(formats.PATCHES)
    return merged(found)


@cache
def _type_names() -> dict[str, Type]:
    """Types that expressions name."""
    from styr.cel.library import authorizer, formats, network, quantity, urls

    known: dict[str, Type] = {
        "bool": types.BOOL,
        "bytes": types.BYTES,
        "double": types.DOUBLE,
        "int": types.INT,
        "list": types.list_of(DYN),
        "map": types.map_of(DYN, DYN),
        "null_type": types.NULL,
        "string": types.STRING,
        "type": types.type_of(DYN),
        "uint": types.UINT,
        "optional_type": types.optional_of(DYN),
        "google.protobuf.Timestamp": types.TIMESTAMP,
        "google.protobuf.Duration": types.DURATION,
    }
    own = (
        urls.URL,
        network.IP,
        network.CIDR,
        quantity.QUANTITY,
        quantity.SEMVER,
        formats.FORMAT,
        authorizer.AUTHORIZER,
        authorizer.PATH_CHECK,
        authorizer.GROUP_CHECK,
        authorizer.RESOURCE_CHECK,
        authorizer.DECISION,
    )
    return known | {kind.name: kind for kind in own}
