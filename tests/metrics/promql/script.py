"""Test scripts of PromQL: text to commands. The format is that of Prometheus' promqltest; `runner` runs what comes out. Pure.

load 5m
  requests{job="api"} 0+10x10 _ stale
eval instant at 50m sum(requests)
  expect no_warn
  {} 100
eval range from 0 to 10m step 5m requests
  requests{job="api"} 0 10 20
clear
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from styr.metrics.model.errors import BadData
from styr.metrics.model.labels import Labels
from styr.metrics.promql import lexer
from styr.metrics.promql.notation import Value, parse_series, parse_starts
from styr.metrics.promql.numbers import parse_duration, parse_number

Kind = Literal["ordered", "fail", "warn", "no_warn", "info", "no_info"]

_LOAD = re.compile(r"load(?:_(with_nhcb))?\s+(.+)")
_INSTANT = re.compile(r"eval(?:_(fail|warn|ordered|info))?\s+instant\s+at\s+(.+?)\s+(.+)")
_RANGE = re.compile(r"eval(?:_(fail|warn|info))?\s+range\s+from\s+(.+)\s+to\s+(.+)\s+step\s+(.+?)\s+(.+)")
_EXPECT = re.compile(r"expect\s+(ordered|fail|warn|no_warn|info|no_info)(?:\s+(regex|msg):(.+))?")
_EXPECT_RANGE = re.compile(r"expect range vector\s+from\s+(.+)\s+to\s+(.+)\s+step\s+(.+)")


class ScriptError(Exception):
    """A script that is not understood; names the line."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """That a note or an error says something: matches a pattern, or is a text."""

    pattern: re.Pattern[str] | None = None
    message: str = ""

    def met(self, text: str) -> bool:
        return self.message == text if self.pattern is None else self.pattern.search(text) is not None

    def __str__(self) -> str:
        return self.message if self.pattern is None else self.pattern.pattern


@dataclass(slots=True)
class Load:
    """Series with their values, `step` ms apart from 0 on. `starts` are start timestamps, relative to the samples."""

    line: int
    step: int
    nhcb: bool = False
    series: dict[Labels, list[Value]] = field(default_factory=dict)
    starts: dict[Labels, list[int | None]] = field(default_factory=dict)


@dataclass(slots=True)
class Eval:
    """A query at `end` (ms), or over `start..end`, and what it must give: `scalar`, or `series` in the order of the script."""

    line: int
    expr: str
    start: int
    end: int
    step: int = 0
    range_vector: bool = False
    text: str | None = None
    scalar: float | None = None
    series: dict[Labels, list[Value]] = field(default_factory=dict)
    expectations: dict[Kind, list[Expectation]] = field(default_factory=dict)

    @property
    def is_range(self) -> bool:
        return bool(self.step) and not self.range_vector

    def wants(self, kind: Kind) -> list[Expectation]:
        return self.expectations.get(kind, [])


@dataclass(frozen=True, slots=True)
class Clear:
    line: int


Command = Load | Eval | Clear


def parse(text: str) -> list[Command]:
    """All commands of a script. Raises ScriptError."""
    lines = [line.strip() for line in text.split("\n")]
    lines = ["" if line.startswith("#") else line for line in lines]
    commands: list[Command] = []
    at = 0
    while at < len(lines):
        if not lines[at]:
            at += 1
            continue
        end = at + 1
        word = lines[at].split()[0].lower()
        make = next((each for prefix, each in _COMMANDS.items() if word.startswith(prefix)), None)
        if make is None:
            raise ScriptError(f"line {at + 1}: no command: {lines[at]}")
        while word != "clear" and end < len(lines) and lines[end]:
            end += 1
        try:
            commands.append(make(lines[at:end], at + 1))
        except BadData as error:
            raise ScriptError(f"line {at + 1} ff.: {error}") from None
        at = end
    return commands


def _load(lines: list[str], line: int) -> Load:
    match = _LOAD.fullmatch(lines[0])
    if match is None:
        raise BadData(f"load STEP, not {lines[0]}")
    made = Load(line, parse_duration(match.group(2).strip()), match.group(1) is not None)
    pending: tuple[Labels, list[int | None]] | None = None
    for each in lines[1:]:
        metric = each.split()[0]
        if metric.endswith("@st"):
            labels, _ = parse_series(metric.removesuffix("@st"))
            pending = labels, parse_starts(each[len(metric) :])
            continue
        labels, values = parse_series(each)
        made.series[labels] = values
        made.starts.pop(labels, None)
        if pending is not None:
            if pending[0] != labels or len(pending[1]) != len(values):
                raise BadData(f"the @st line is for another series or has another length: {each}")
            made.starts[labels] = pending[1]
            pending = None
    if pending is not None:
        raise BadData("an @st line has no samples behind it")
    return made


def _eval(lines: list[str], line: int) -> Eval:
    if instant := _INSTANT.fullmatch(lines[0]):
        modifier, at, expr = instant.groups()
        t = parse_duration(at)
        made = Eval(line, expr, t, t)
    elif ranged := _RANGE.fullmatch(lines[0]):
        modifier, start, end, step, expr = ranged.groups()
        made = Eval(line, expr, parse_duration(start), parse_duration(end), parse_duration(step))
    else:
        raise BadData(f"eval instant at T EXPR or eval range from T to T step D EXPR, not {lines[0]}")
    if modifier:
        made.expectations[modifier] = [_ANY]
    for each in lines[1:]:
        if _expected(made, each):
            break
    return made


_ANY = Expectation(re.compile(""))


def _expected(made: Eval, line: str) -> bool:
    """Takes one line below `eval`; true when it must be the last."""
    for prefix in ("expected_fail_message", "expected_fail_regexp"):
        if made.wants("fail") and line.startswith(prefix):
            rest = line.removeprefix(prefix).strip()
            wanted = Expectation(message=rest) if prefix.endswith("message") else Expectation(re.compile(rest))
            made.expectations["fail"] = [wanted]
            return True
    if line.startswith("expect range vector"):
        match = _EXPECT_RANGE.fullmatch(line)
        if match is None:
            raise BadData(f"expect range vector from T to T step D, not {line}")
        made.start, made.end, made.step = (parse_duration(each) for each in match.groups())
        made.range_vector = True
        return False
    if line.startswith("expect string"):
        made.text = lexer.unquote(line.removeprefix("expect string").strip())
        return False
    if line.split(" ")[0] == "expect":
        match = _EXPECT.fullmatch(line)
        if match is None:
            raise BadData(f"expect TYPE [regex|msg: TEXT], not {line}")
        kind, how, what = match.groups()
        wanted = _ANY
        if how:
            wanted = Expectation(message=what.strip()) if how == "msg" else Expectation(re.compile(what.strip()))
        made.expectations.setdefault(kind, []).append(wanted)  # type: ignore[arg-type]  # the pattern allows only kinds
        return False
    try:
        sign, digits = (-1.0, line[1:]) if line.startswith("-") else (1.0, line.removeprefix("+"))
        made.scalar = sign * parse_number(digits)
        return True
    except BadData:
        labels, values = parse_series(line)
        made.series[labels] = values
        return False


_COMMANDS: dict[str, Callable[[list[str], int], Command]] = {
    "clear": lambda lines, line: Clear(line),
    "load": _load,
    "eval": _eval,
}
