"""The behaviours, and what becomes of each: `find` resolves a marker, `ported` reads them out of the tests.

Read by `conftest`, by the report and by the test of both. What is not ported stands in `classification`.
"""

from __future__ import annotations

import ast
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.conformance.kubernetes.classification import BY_FILE, BY_NAME, MISSING, Standing

HERE = Path(__file__).parent

Marker = tuple[str, ...]
"""The name; and for a name that the list has twice, words of the name in the suite."""


@dataclass(frozen=True)
class Behaviour:
    name: str
    codename: str
    file: str
    release: str


@cache
def behaviours() -> tuple[Behaviour, ...]:
    return tuple(Behaviour(*entry) for entry in json.loads((HERE / "names.json").read_text())["behaviours"])


@cache
def version() -> str:
    listed = json.loads((HERE / "names.json").read_text())
    return f"{listed['module']} {listed['version']}, {listed['file']}"


def find(marker: Marker) -> Behaviour:
    """Raises LookupError when the list has no such behaviour, or several."""
    name, *words = marker
    found = [each for each in behaviours() if each.name == name and all(word in each.codename for word in words)]
    if len(found) != 1:
        raise LookupError(f"{marker} names {len(found)} behaviours: {[each.codename for each in found]}")
    return found[0]


def markers() -> Iterator[tuple[Marker, str]]:
    """Every `behaviour(...)` in the tests here, with its file."""
    for path in sorted(HERE.glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "behaviour":
                yield tuple(ast.literal_eval(argument) for argument in node.args), path.name


def ported() -> dict[Behaviour, str]:
    """Which test file holds a behaviour. Raises LookupError for one that stands twice."""
    found = [(find(marker), file) for marker, file in markers()]
    twice = [each.codename for each, count in Counter(each for each, _ in found).items() if count > 1]
    if twice:
        raise LookupError(f"more than one test for {twice}")
    return dict(found)


def missing() -> dict[Behaviour, str]:
    """Why a ported behaviour does not pass yet."""
    return {find(marker): reason for marker, reason in MISSING.items()}


def by_name(behaviour: Behaviour) -> Standing | None:
    """Why this one is not ported here; None where nobody has said."""
    return {find(marker): standing for marker, standing in BY_NAME.items()}.get(behaviour)


def by_file(behaviour: Behaviour) -> Standing | None:
    """Why what is not ported of its file is not."""
    return BY_FILE.get(behaviour.file)
