"""The record of a release: what the judge was given, so that its verdict can be computed again, bit for bit.

Format (`docs/formats/record.md`): one JSON object of whole numbers, written to the ConfigMap `RELEASE-record`, before a
decision is acted upon. Called by `rollout` (append, dump, resume) and `why` (load, replay). Pure: no I/O.

    RecordError    not a record, or one that does not agree with itself
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from styr.delivery import guards as guarding
from styr.delivery import judge
from styr.delivery.evidence import Arm, Reading, Tick
from styr.delivery.guards import Guard
from styr.delivery.judge import Parameters, State, Verdict

FORMAT = 1
ROWS = 200
"""Rows at most, as long as chapters allow it: 200 rows of the widest kind stay below 100 KB."""
LIMIT = 200_000
NAME = "record.json"
"""The key within the ConfigMap's data."""


class RecordError(ValueError):
    """Says what is wrong with the record and which release it belongs to."""


@dataclass(frozen=True, slots=True)
class Row:
    """One tick, or several of one chapter added up."""

    chapter: int
    tick: Tick


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided after row `row` (counted in ticks since the start): `word` is raise, promote, rollback, guard (a guard
    rolled back), abort or supersede, `weight` the weight from then on. `evidence` is the e-value that the judge gave."""

    at: int
    word: str
    weight: int
    evidence: float


@dataclass(frozen=True, slots=True)
class Record:
    """`elapsed` in milliseconds of all rows. `cursor` is the reading up to which they count,
    taken at `stamp` (milliseconds since 1970). `weight` is the one decided last, `sample` one failure in words. `guards` are
    the App's as they were at the beginning, their queries filled in, and `readings` what they said."""

    release: str
    against: str
    parameters: Parameters
    began: str
    rows: tuple[Row, ...] = ()
    decisions: tuple[Decision, ...] = ()
    cursor: Reading | None = None
    weight: int = 0
    stamp: int = 0
    sample: str = ""
    guards: tuple[Guard, ...] = ()
    readings: tuple[guarding.Reading, ...] = ()

    @property
    def elapsed(self) -> int:
        return sum(row.tick.milliseconds for row in self.rows)


def append(record: Record, chapter: int, tick: Tick) -> Record:
    """With one more tick; `chapter` is the judge's after it. Long records are shortened without loss to the verdict."""
    rows = (*record.rows, Row(chapter, tick))
    return replace(record, rows=rows if len(rows) <= ROWS else _shorten(rows))


def _shorten(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """Add up neighbours of one chapter, in the older half; if there are none, in the whole."""
    half = len(rows) // 2
    old = _pairs(rows[:half])
    return (*old, *rows[half:]) if len(old) < half else _pairs(rows)


def _pairs(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    result: list[Row] = []
    joined = False
    for row in rows:
        if result and not joined and result[-1].chapter == row.chapter:
            result[-1] = Row(row.chapter, result[-1].tick.plus(row.tick))
            joined = True
        else:
            result.append(row)
            joined = False
    return tuple(result)


def replay(record: Record) -> Iterator[tuple[Row, State, Verdict]]:
    """The judge over the rows, from the start. Raises `RecordError` when the rows do not fit the chapters they name."""
    state = judge.start(record.parameters)
    for number, row in enumerate(record.rows):
        state, verdict = judge.step(state, row.tick)
        if state.chapter != row.chapter:
            raise RecordError(
                f"record of {record.release}: row {number} belongs to chapter {row.chapter}, the judge is in {state.chapter}"
            )
        yield row, state, verdict


def resume(record: Record) -> State:
    """The judge's state after the last row."""
    state = judge.start(record.parameters)
    for _, state, _ in replay(record):  # noqa: B007 the last one is the answer
        pass
    return state


def dumps(record: Record) -> str:
    """At most `LIMIT` bytes for any rollout."""
    parameters = record.parameters
    content: dict[str, Any] = {
        "format": FORMAT,
        "release": record.release,
        "against": record.against,
        "began": record.began,
        "weight": record.weight,
        "stamp": record.stamp,
        "parameters": {
            "alpha": parameters.alpha,
            "marginOdds": parameters.margin_odds,
            "latency": parameters.latency,
            "latencyAfter": parameters.latency_after,
            "bounds": list(parameters.bounds),
            "past": _sparse(parameters.past),
        },
        "rows": [
            [row.chapter, row.tick.milliseconds, row.tick.low, row.tick.high, *_arms(row.tick)] for row in record.rows
        ],
        "decisions": [[one.at, one.word, one.weight, one.evidence] for one in record.decisions],
        "cursor": record.cursor
        and {
            "epoch": record.cursor.epoch,
            "canary": _arm(record.cursor.canary),
            "stable": _arm(record.cursor.stable),
        },
        "sample": record.sample,
    }
    if record.guards:
        content["guards"] = [guarding.dump_guard(one) for one in record.guards]
        content["readings"] = [guarding.dump_reading(one) for one in record.readings]
    return json.dumps(content, separators=(",", ":"), allow_nan=False)


def _arms(tick: Tick) -> list[list[Any]]:
    return [_arm(tick.canary), _arm(tick.stable)]


def _arm(arm: Arm) -> list[Any]:
    return [arm.requests, arm.failures, _sparse(arm.latency)]


def _sparse(counts: tuple[int, ...]) -> list[int]:
    """A flat list: length, then index and count of each bucket that is not empty."""
    pairs = [number for index, count in enumerate(counts) if count for number in (index, count)]
    return [len(counts), *pairs]


def loads(text: str) -> Record:
    """Raises `RecordError`."""
    try:
        content = json.loads(text)
        if content["format"] != FORMAT:
            raise RecordError(f"a record of format {content['format']}; this version of styr reads format {FORMAT}")
        return _record(content)
    except RecordError:
        raise
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError) as error:
        raise RecordError(f"not a record of a release: {type(error).__name__}: {error}") from error


def _record(content: dict[str, Any]) -> Record:
    given = content["parameters"]
    parameters = Parameters(
        tuple(float(bound) for bound in given["bounds"]),
        _dense(given["past"]),
        float(given["alpha"]),
        float(given["marginOdds"]),
        bool(given["latency"]),
        int(given["latencyAfter"]),
    )
    judge.start(parameters)
    cursor = content["cursor"]
    guards = tuple(guarding.load_guard(one) for one in content.get("guards") or ())
    return Record(
        str(content["release"]),
        str(content["against"]),
        parameters,
        str(content["began"]),
        tuple(_row(row, len(parameters.bounds) + 1) for row in content["rows"]),
        tuple(Decision(int(at), str(word), int(weight), float(e)) for at, word, weight, e in content["decisions"]),
        Reading(str(cursor["epoch"]), parameters.bounds, _load_arm(cursor["canary"]), _load_arm(cursor["stable"]))
        if cursor
        else None,
        int(content["weight"]),
        int(content["stamp"]),
        str(content["sample"]),
        guards,
        tuple(guarding.load_reading(one, guards) for one in content.get("readings") or ()),
    )


def _row(row: list[Any], buckets: int) -> Row:
    chapter, milliseconds, low, high, canary, stable = row
    arms = (_load_arm(canary), _load_arm(stable))
    if milliseconds < 0 or not 0 <= low <= high <= 100 or any(len(arm.latency) not in (0, buckets) for arm in arms):
        raise RecordError("a row with impossible numbers")
    return Row(int(chapter), Tick(int(milliseconds), int(low), int(high), *arms))


def _load_arm(values: list[Any]) -> Arm:
    requests, failures, latency = values
    if not 0 <= failures <= requests:
        raise RecordError("an arm with impossible numbers")
    return Arm(int(requests), int(failures), _dense(latency))


def _dense(values: list[int]) -> tuple[int, ...]:
    length = int(values[0])
    if not 0 <= length <= 1000:
        raise RecordError("a histogram with too many buckets")
    counts = [0] * length
    for index, count in zip(values[1::2], values[2::2], strict=True):
        if not (isinstance(count, int) and count > 0 and isinstance(index, int) and index >= 0):
            raise RecordError("a histogram with impossible numbers")
        counts[index] = count
    return tuple(counts)


def with_sample(record: Record, sample: str) -> Record:
    """With one failure in words, cut to 1,000 characters."""
    return replace(record, sample=sample[:1_000])
