"""How tests write samples: `1 2 _ _x3 stale 1+2x5 {{schema:0 sum:3 buckets:[1 2]}}x2`, and start timestamps. Pure.

The format is that of Prometheus' promqltest and of its unit tests for rules. Called by `rules.unittest`, and by the script
runner of our own tests.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np

from styr.metrics.model.errors import BadData, ParseError
from styr.metrics.model.histogram import GAUGE, NOT_RESET, RESET, UNKNOWN, Histogram
from styr.metrics.model.labels import Labels
from styr.metrics.model.samples import STALE_BITS
from styr.metrics.promql.histograms.arithmetic import accumulate
from styr.metrics.promql.histograms.working import Working
from styr.metrics.promql.numbers import parse_duration, parse_number
from styr.metrics.promql.parser import parse_metric

MOST = 1_000_000
STALE = float(np.array([STALE_BITS], np.uint64).view(np.float64)[0])
_NUMBER = r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[iI][nN][fF]|[nN][aA][nN])"
_ITEM = re.compile(rf"({_NUMBER})(?:([+-]{_NUMBER[5:]}))?(?:x(\d+))?")
_DURATION = r"[+-]?(?:\d+(?:ms|[smhdwy])?)"
_START = re.compile(rf"({_DURATION})(?:([+-]{_DURATION[5:]}))?(?:x(\d+))?")
_HISTOGRAM = re.compile(r"\{\{(.*?)\}\}(?:x(\d+)|([+-])\{\{(.*?)\}\}x(\d+))?(?=\s|$)")
_FIELD = re.compile(r"(\w+):(\[[^\]]*\]|\S+)")
_HINTS = {"unknown": UNKNOWN, "reset": RESET, "not_reset": NOT_RESET, "gauge": GAUGE}


@dataclass(frozen=True, slots=True)
class Value:
    """One place of a sequence: nothing, a float, or a histogram; `hinted` when it says something of counter resets."""

    number: float = 0.0
    histogram: Histogram | None = None
    omitted: bool = False
    hinted: bool = False


GAP = Value(omitted=True)


def parse_series(line: str) -> tuple[Labels, list[Value]]:
    """`name{label="x"} VALUES`. Raises BadData."""
    metric, rest = split_metric(line)
    return parse_metric(metric), parse_values(rest)


def split_metric(line: str) -> tuple[str, str]:
    """At the first blank outside braces and quotes."""
    depth, quoted = 0, ""
    for i, char in enumerate(line):
        if quoted:
            if char == quoted and line[i - 1] != "\\":
                quoted = ""
        elif char in "\"'`":
            quoted = char
        elif char in "{}":
            depth += 1 if char == "{" else -1
        elif (
            char in " \t"
            and not depth
            and not line[i:].lstrip().startswith("{" if line[i:].lstrip()[:2] != "{{" else "\0")
        ):
            return line[:i], line[i:].strip()
    return line, ""


def _braces(rest: str) -> bool:
    """Labels may stand apart from the name; two braces are a histogram."""
    return rest.startswith("{") and not rest.startswith("{{")


def parse_values(text: str) -> list[Value]:
    found: list[Value] = []
    at = 0
    while at < len(text):
        if text[at] in " \t":
            at += 1
            continue
        if text.startswith("{{", at):
            match = _HISTOGRAM.match(text, at)
            if match is None:
                raise ParseError(f"not a histogram: {text[at : at + 40]}", text, at)
            found += _histograms(match)
            at = match.end()
            continue
        end = min((i for i in (text.find(" ", at), text.find("\t", at)) if i >= 0), default=len(text))
        found += _item(text[at:end], text, at)
        at = end
    if len(found) > MOST:
        raise BadData(f"a sequence of {len(found)} values; at most {MOST}")
    return found


def _count(digits: str | None, default: int) -> int:
    """Raises BadData for what no test needs and no memory holds."""
    count = int(digits[:20]) if digits else default
    if count > MOST:
        raise BadData(f"a repetition of {count}; at most {MOST}")
    return count


def _item(word: str, text: str, at: int) -> list[Value]:
    if word == "stale":
        return [Value(STALE)]
    if gap := re.fullmatch(r"_(?:x(\d+))?", word):
        return [GAP] * _count(gap.group(1), 1)
    match = _ITEM.fullmatch(word)
    if match is None:
        raise ParseError(f"not a value: {word}", text, at)
    base, step, times = match.groups()
    if step is not None and times is None:
        raise ParseError(f"a step needs a repetition: {word}", text, at)
    value, delta = _number(base), _number(step) if step else 0.0
    found = []
    for _ in range(_count(times, 0) + 1):
        found.append(Value(value))
        value += delta
    return found


def _number(text: str) -> float:
    sign = -1.0 if text.startswith("-") else 1.0
    return sign * parse_number(text.lstrip("+-"))


def _histograms(match: re.Match[str]) -> list[Value]:
    base, times, sign, step, step_times = match.groups()
    first = _histogram(base)
    if sign is None:
        return [first] * (_count(times, 0) + 1)
    delta = _histogram(step)
    if first.histogram is None or delta.histogram is None:
        raise BadData("histograms step by histograms")
    found = [replace(first, hinted=delta.hinted)]
    current = first.histogram
    for _ in range(_count(step_times, 0)):
        working = Working.of(current)
        accumulate(working, delta.histogram, negative=sign == "-")
        current = working.histogram()
        found.append(Value(histogram=current, hinted=delta.hinted))
    return found


def _histogram(text: str) -> Value:
    fields = dict(_FIELD.findall(text))
    if "".join(_FIELD.sub("", text).split()):
        raise BadData(f"not a histogram: {text}")
    made = Histogram(
        schema=_whole(fields.get("schema", "0")),
        sum=_number(fields.get("sum", "0")),
        count=_number(fields.get("count", "0")),
        zero_count=_number(fields.get("z_bucket", "0")),
        zero_threshold=_number(fields.get("z_bucket_w", "0")),
        custom_values=_list(fields.get("custom_values", "")),
        positive_buckets=_list(fields.get("buckets", "")),
        negative_buckets=_list(fields.get("n_buckets", "")),
        counter_reset_hint=_hint(fields.get("counter_reset_hint", "unknown")),
    )
    if made.positive_buckets:
        made.positive_spans = [(_whole(fields.get("offset", "0")), len(made.positive_buckets))]
    if made.negative_buckets:
        made.negative_spans = [(_whole(fields.get("n_offset", "0")), len(made.negative_buckets))]
    return Value(histogram=made, hinted="counter_reset_hint" in fields)


def _whole(text: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,9}", text):
        raise BadData(f"{text} is no whole number")
    return int(text)


def _hint(text: str) -> int:
    if text not in _HINTS:
        raise BadData(f"{text} is no counter reset hint; known are {', '.join(_HINTS)}")
    return _HINTS[text]


def _list(text: str) -> list[float]:
    return [_number(each) for each in text.strip("[]").split()]


def parse_starts(text: str) -> list[int | None]:
    """Start timestamps, in ms relative to their samples: `-1m -1m-30sx4 _ _x2`."""
    found: list[int | None] = []
    for word in text.split():
        if gap := re.fullmatch(r"_(?:x(\d+))?", word):
            found += [None] * _count(gap.group(1), 1)
            continue
        match = _START.fullmatch(word)
        if match is None:
            raise BadData(f"not a start timestamp: {word}")
        base, step, times = match.groups()
        value, delta = _signed(base), _signed(step) if step else 0
        for _ in range(_count(times, 0) + 1):
            found.append(value)
            value += delta
    return found


def _signed(text: str) -> int:
    return (-1 if text.startswith("-") else 1) * parse_duration(text.lstrip("+-"))
