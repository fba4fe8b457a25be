"""Beside cel-go with Kubernetes' libraries: the same values, the same types, an error where it has one, the same costs."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from styr.cel.environment import PER_CALL
from styr.cel.errors import CelError, CompileError, PlanError
from styr.cel.values import Duration, Optional, Timestamp, TypeValue, UInt, keys_of, kind_of
from tests.cel import expressions

pytestmark = [pytest.mark.needs("go"), pytest.mark.timeout(900)]
MODULE = Path(__file__).parents[1] / "peers" / "cel"
COUNT = 1500


@pytest.fixture(scope="session")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("go") / "cel"
    subprocess.run(["go", "build", "-o", target, "."], cwd=MODULE, check=True, timeout=800)
    return target


def ask(peer: Path, questions: list[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    lines = "\n".join(json.dumps({"expression": text, "values": values}) for text, values in questions)
    found = subprocess.run([peer], input=lines.encode(), capture_output=True, check=True, timeout=300)
    return [json.loads(line) for line in found.stdout.splitlines()]


def show(value: Any) -> Any:
    """As the peer prints values."""
    if isinstance(value, (list, dict)):
        if isinstance(value, list):
            return ["list", [show(item) for item in value]]
        pairs = zip(keys_of(value), value.values(), strict=True)
        return [
            "map",
            sorted([json.dumps(show(k), separators=(",", ":"), ensure_ascii=False), show(v)] for k, v in pairs),
        ]
    if isinstance(value, Optional):
        return ["optional", show(value.value)] if value.present else ["optional"]
    return _simple(value)


def _simple(value: Any) -> Any:
    if value is None:
        return ["null_type"]
    if isinstance(value, bytes):
        return ["bytes", value.hex()]
    if isinstance(value, float):
        return ["double", value]
    if isinstance(value, Timestamp):
        return ["timestamp", f"{int(value) // 10**9}.{int(value) % 10**9}"]
    if isinstance(value, Duration):
        return ["duration", str(int(value))]
    if isinstance(value, TypeValue):
        return ["type", value.name]
    if type(value) in (bool, int, UInt, str):
        return [kind_of(value), str(value).lower() if isinstance(value, bool) else str(value)]
    return ["other", kind_of(value)]


def same(mine: Any, theirs: Any) -> bool:
    if isinstance(mine, list) and mine and mine[0] == "double":
        return theirs[0] == "double" and repr(float(theirs[1])) == repr(mine[1])
    if isinstance(mine, list) and isinstance(theirs, list):
        return len(mine) == len(theirs) and all(map(same, mine, theirs))
    return bool(mine == theirs)


def alike(mine: int, theirs: int) -> bool:
    """Costs are the same to within what cel-go does not count of absent keys and short texts."""
    return theirs * 0.7 - 30 <= mine <= theirs * 1.5 + 30


def difference(text: str, values: dict[str, Any], answer: dict[str, Any]) -> str:
    """ "" when both say the same."""
    try:
        program = expressions.ENVIRONMENT.compile(text)
    except (CompileError, PlanError) as error:
        if "compile" in answer or answer.get("error", "").startswith("program:"):
            return ""
        return f"refused: {error}"
    if "compile" in answer:
        return f"accepted, but {answer['compile']}"
    if str(program.type).replace("null", "null_type") != answer["type"]:
        return f"type {program.type}, not {answer['type']}"
    try:
        found, cost = program.run(PER_CALL, *(values[name] for name in expressions.VARIABLES))
    except CelError as error:
        return "" if "error" in answer else f"{error}, not {answer['value']}"
    if "error" in answer:
        return f"{found!r}, not the error {answer['error']}"
    if not same(show(found), answer["value"]):
        return f"{show(found)}, not {answer['value']}"
    return "" if alike(cost, answer["cost"]) else f"costs {cost}, not {answer['cost']}"


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_expressions_mean_what_they_mean_to_kubernetes(peer: Path, seed: int) -> None:
    questions = expressions.expressions(seed, COUNT)
    answers = ask(peer, questions)
    assert sum("value" in answer for answer in answers) > COUNT / 4
    found = [
        f"{text}\n    {fault}"
        for (text, values), answer in zip(questions, answers, strict=True)
        if (fault := difference(text, values, answer))
    ]
    assert not found, f"{len(found)} of {COUNT}:\n" + "\n".join(found[:20])
