"""Guards: expressions of the user's own that must hold while a release is a canary, beside the judge's evidence.

A guard is a PromQL expression and limits, asked each interval; Argo's metric templates and Flagger's checks are the models. A
reading is *met* when every series lies within the limits, *breached* when one does not, *missing* when there is no number (no
series, NaN, no answer). More breaches than are tolerated roll back. Missing data is neither a failure nor a pass: the weight
stays, or, if the user says so, the release goes on and the verdict says what was not known.

Called by `canary` (decide), `rollout` (ask), `record` and `why` (replay). Pure: `rollout` asks; readings are recorded, so that
the verdict can be computed again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

Result = Literal["met", "breached", "missing"]
NoData = Literal["Hold", "Continue"]
ARGUMENTS = ("app", "release", "namespace", "service", "stable")
"""What `{{...}}` in a query may name; `service` is the release's Service, `stable` the release that it is compared with."""
ROWS = 300
"""Readings kept; beyond that, equal ones that follow each other are added up."""

_ARGUMENT = re.compile(r"\{\{\s*\.?(\w+)\s*\}\}")


class UnknownArgument(ValueError):
    """A query names something that there is not."""


@dataclass(frozen=True, slots=True)
class Guard:
    """`interval` in milliseconds; `tolerated` breaches do not roll back yet. At least one of `low` and `high` is set."""

    name: str
    query: str
    low: float | None = None
    high: float | None = None
    interval: int = 10_000
    tolerated: int = 0
    no_data: NoData = "Hold"


@dataclass(frozen=True, slots=True)
class Reading:
    """At `at` milliseconds after the first weight, `count` times in a row. `value` is the one furthest out, None when there was
    none; `why` says what was missing."""

    at: int
    guard: str
    result: Result
    value: float | None = None
    why: str = ""
    count: int = 1


@dataclass(frozen=True, slots=True)
class Standing:
    """One guard so far. `last` is None before its first reading."""

    guard: Guard
    last: Reading | None
    breaches: int

    @property
    def broken(self) -> bool:
        return self.breaches > self.guard.tolerated


def read_guards(spec: Mapping[str, Any]) -> tuple[Guard, ...]:
    """`App.spec.guards`; values have passed the schema."""
    return tuple(
        Guard(
            str(one["name"]),
            str(one["query"]),
            _number(one.get("min")),
            _number(one.get("max")),
            1000 * int(one.get("intervalSeconds", 10)),
            int(one.get("failureLimit", 0)),
            "Continue" if one.get("noData") == "Continue" else "Hold",
        )
        for one in spec.get("guards") or ()
    )


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def fill(query: str, arguments: Mapping[str, str]) -> str:
    """The query with its arguments. Names of objects need no escaping within PromQL's strings. Raises `UnknownArgument`."""

    def value(match: re.Match[str]) -> str:
        if match[1] not in arguments:
            raise UnknownArgument(f"there is no argument {match[0]}; known: {', '.join(ARGUMENTS)}")
        return arguments[match[1]]

    return _ARGUMENT.sub(value, query)


def filled(guards: Iterable[Guard], arguments: Mapping[str, str]) -> tuple[Guard, ...]:
    """For one release. A query with an unknown argument stays as it is, and is never asked (`unknown_argument`)."""
    made = []
    for guard in guards:
        try:
            made.append(replace(guard, query=fill(guard.query, arguments)))
        except UnknownArgument:
            made.append(guard)
    return tuple(made)


def unknown_argument(query: str) -> str:
    """What is wrong with a filled query; "" when nothing is left to fill in."""
    found = _ARGUMENT.search(query)
    return f"there is no argument {found[0]}; known: {', '.join(ARGUMENTS)}" if found else ""


def due(guards: Iterable[Guard], readings: Sequence[Reading], now: int) -> list[Guard]:
    """Those whose interval has passed; at the beginning all."""
    last = {reading.guard: reading.at for reading in readings}
    return [guard for guard in guards if guard.name not in last or now - last[guard.name] >= guard.interval]


def judged(guard: Guard, values: Sequence[float], at: int) -> Reading:
    """What the values of an answer's series mean."""
    if not values:
        return Reading(at, guard.name, "missing", None, "the expression has no result")
    if any(math.isnan(value) for value in values):
        return Reading(at, guard.name, "missing", None, "the result is no number (NaN)")
    worst = max(values, key=lambda value: (_excess(guard, value), abs(value)))
    return Reading(at, guard.name, "breached" if _excess(guard, worst) > 0 else "met", worst)


def missing(guard: Guard, why: str, at: int) -> Reading:
    return Reading(at, guard.name, "missing", None, why[:200])


def _excess(guard: Guard, value: float) -> float:
    """How far out it lies; 0 within the limits, which are themselves within."""
    over = value - guard.high if guard.high is not None else 0.0
    under = guard.low - value if guard.low is not None else 0.0
    return max(0.0, over, under)


def append(readings: tuple[Reading, ...], new: Iterable[Reading]) -> tuple[Reading, ...]:
    """Later ones at the end. Long records are shortened without loss to the verdict: only counts matter to it."""
    joined = (*readings, *new)
    while len(joined) > ROWS:
        shorter = _shorten(joined)
        if len(shorter) == len(joined):
            break
        joined = shorter
    return joined


def _shorten(readings: tuple[Reading, ...]) -> tuple[Reading, ...]:
    """Adds up equal results of one guard that follow each other, but for each guard's newest reading."""
    newest = {reading.guard: index for index, reading in enumerate(readings)}
    result: list[Reading] = []
    open_: dict[str, int] = {}
    for index, reading in enumerate(readings):
        place = open_.get(reading.guard)
        if place is not None and result[place].result == reading.result and newest[reading.guard] != index:
            earlier = result[place]
            result[place] = replace(reading, at=earlier.at, count=earlier.count + reading.count)
        else:
            open_[reading.guard] = len(result)
            result.append(reading)
    return tuple(result)


def standings(guards: Sequence[Guard], readings: Iterable[Reading]) -> tuple[Standing, ...]:
    """In the order of the guards."""
    last: dict[str, Reading] = {}
    breaches: dict[str, int] = {}
    for reading in readings:
        last[reading.guard] = reading
        if reading.result == "breached":
            breaches[reading.guard] = breaches.get(reading.guard, 0) + reading.count
    return tuple(Standing(guard, last.get(guard.name), breaches.get(guard.name, 0)) for guard in guards)


def broken(guards: Sequence[Guard], readings: Iterable[Reading]) -> Standing | None:
    """The first guard with more breaches than are tolerated."""
    return next((standing for standing in standings(guards, readings) if standing.broken), None)


def holding(guards: Sequence[Guard], readings: Iterable[Reading]) -> str:
    """Why the weight may not rise now, as a sentence; "" when it may."""
    for standing in standings(guards, readings):
        last, guard = standing.last, standing.guard
        if last is not None and last.result == "breached":
            tolerated = f"{standing.breaches} of {guard.tolerated} breaches that are tolerated"
            return f"Guard {guard.name} is breached: {_finding(guard, last)} ({tolerated}). The weight does not rise."
        if guard.no_data == "Hold" and (last is None or last.result == "missing"):
            why = last.why if last is not None else "it was not asked yet"
            return f"Guard {guard.name} has no data: {why}. The weight does not rise until it has (noData: Hold)."
    return ""


def unknown(guards: Sequence[Guard], readings: Iterable[Reading]) -> str:
    """What the verdict has to add about guards that go on without data; "" when there is nothing."""
    blind = [
        standing.guard.name
        for standing in standings(guards, readings)
        if standing.guard.no_data == "Continue" and (standing.last is None or standing.last.result == "missing")
    ]
    return f"Without data, and going on (noData: Continue): guard {', '.join(blind)}." if blind else ""


def rolled_back(standing: Standing) -> str:
    """The sentence for a release that a guard takes back: guard, value, query and limit."""
    guard, last = standing.guard, standing.last
    assert last is not None
    times = "once" if standing.breaches == 1 else f"{standing.breaches} times"
    return (
        f"Rolled back: guard {guard.name} was breached {times} (tolerated: {guard.tolerated}). "
        f"{_finding(guard, last)[0].upper()}{_finding(guard, last)[1:]}."
    )


def _finding(guard: Guard, reading: Reading) -> str:
    value = f"{reading.value:.6g}" if reading.value is not None else "nothing"
    over = guard.high is not None and reading.value is not None and reading.value > guard.high
    limit = f"above its limit of {guard.high:g}" if over else f"below its limit of {guard.low or 0:g}"
    return f"{value} is {limit} in `{guard.query.strip()}`"


def told(guards: Sequence[Guard], readings: Iterable[Reading]) -> list[dict[str, Any]]:
    """`Release.status.guards`."""
    result = []
    for standing in standings(guards, readings):
        last = standing.last
        found: dict[str, Any] = {
            "name": standing.guard.name,
            "result": last.result.capitalize() if last is not None else "Missing",
            "breaches": standing.breaches,
        }
        if last is not None and last.value is not None:
            found["value"] = f"{last.value:.6g}"
        if last is not None and last.why:
            found["message"] = last.why
        result.append(found)
    return result


# The record


def dump_guard(guard: Guard) -> list[Any]:
    return [guard.name, guard.query, guard.low, guard.high, guard.interval, guard.tolerated, guard.no_data]


def load_guard(values: list[Any]) -> Guard:
    """Raises ValueError, TypeError."""
    name, query, low, high, interval, tolerated, no_data = values
    if no_data not in ("Hold", "Continue") or int(tolerated) < 0 or int(interval) <= 0:
        raise ValueError("a guard with impossible settings")
    return Guard(str(name), str(query), _number(low), _number(high), int(interval), int(tolerated), no_data)


def dump_reading(reading: Reading) -> list[Any]:
    """Infinity has no number in JSON: it is a text."""
    value: Any = reading.value
    if value is not None and math.isinf(value):
        value = "+Inf" if value > 0 else "-Inf"
    return [reading.at, reading.guard, reading.result, value, reading.count, reading.why]


def load_reading(values: list[Any], guards: Iterable[Guard]) -> Reading:
    """Raises ValueError, TypeError when it is impossible: it belongs to no guard, or says what its guard's limits do not."""
    at, name, result, value, count, why = values
    guard = next((one for one in guards if one.name == name), None)
    number = _number(value)
    reading = Reading(int(at), str(name), result, number, str(why), int(count))
    if guard is None or reading.at < 0 or reading.count < 1:
        raise ValueError("a reading of no guard, or with impossible numbers")
    if result != "missing" and (number is None or judged(guard, [number], 0).result != result):
        raise ValueError(f"a reading of guard {name} that its limits do not allow")
    if result not in ("met", "breached", "missing"):
        raise ValueError(f"a reading with the result {result!r}")
    return reading
