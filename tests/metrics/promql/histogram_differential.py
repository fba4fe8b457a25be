"""Native histograms: our engine and a real Prometheus answer the same query over the same chunks, compared to the bit.

`python -m tests.metrics.promql.histogram_differential --count 5000 --seed 7` runs many and reports; the suite runs some
hundred. What is compared: values, buckets and their bounds, warnings and infos with their positions.
"""

from __future__ import annotations

import argparse
import math
import struct
import sys
import tempfile
from itertools import groupby
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from styr.metrics.model.errors import MetricsError
from styr.metrics.model.frame import LabelFrame
from styr.metrics.model.histogram import CUSTOM_BUCKETS, GAUGE, UNKNOWN, Histogram
from styr.metrics.model.labels import Labels, make
from styr.metrics.promql.engine import Engine, Settings
from styr.metrics.promql.features import EXPERIMENTAL
from styr.metrics.promql.histograms import layout
from styr.metrics.promql.histograms.bounds import exponential
from styr.metrics.promql.histograms.text import json_buckets
from styr.metrics.storage.block import meta, ulid
from styr.metrics.storage.block.writer import write_block
from tests.metrics.promql import peer
from tests.metrics.promql.differential import Report
from tests.metrics.promql.runner import series_of
from tests.metrics.promql.store import Store
from tests.metrics.storage.block.support import chunk_set
from tests.peers.prometheus import Peer

START, STEP, SAMPLES = peer.START, 15, 200
Value = float | Histogram
Data = dict[Labels, list[tuple[int, Value]]]


def _fresh(random: Random, custom: bool, hint: int) -> Histogram:
    if custom:
        bounds = sorted(random.sample([-5.0, 0.0, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 100.0], random.randrange(1, 6)))
        return Histogram(schema=CUSTOM_BUCKETS, custom_values=bounds, counter_reset_hint=hint)
    return Histogram(
        schema=random.choice([-2, -1, 0, 0, 1, 2, 3, 5, 8]),
        zero_threshold=random.choice([0.0, 0.001, 0.001, 0.5, 1.0, 3.0]),
        counter_reset_hint=hint,
    )


def _observed(random: Random, h: Histogram, positive: dict[int, float], negative: dict[int, float]) -> None:
    """Counts some more; floats with a fraction when the histogram has no integer counts."""
    custom = h.schema == CUSTOM_BUCKETS
    width = len(h.custom_values) + 1 if custom else 12
    for _ in range(random.randrange(6)):
        index = random.randrange(width) - (0 if custom else 4)
        amount = float(random.randrange(1, 5)) if h.integer else random.choice([1.0, 0.25, random.random() * 9, 1e15])
        if not custom and (random.random() < 0.2 or exponential(index - 1, h.schema) < h.zero_threshold):
            h.zero_count += amount
        elif not custom and random.random() < 0.25:
            negative[index] = negative.get(index, 0.0) + amount
        else:
            positive[index] = positive.get(index, 0.0) + amount
        h.count += amount
        h.sum += random.choice([1.0, -2.5, random.uniform(-9, 99)])
        if random.random() < 0.02:
            h.count, h.sum = h.count + 1, math.nan


def _copy(h: Histogram, positive: dict[int, float], negative: dict[int, float]) -> Histogram:
    at, below = sorted(positive), sorted(negative)
    return Histogram(
        h.schema,
        h.zero_threshold,
        h.zero_count,
        h.count,
        h.sum,
        layout.spans(at),
        [positive[i] for i in at],
        layout.spans(below),
        [negative[i] for i in below],
        list(h.custom_values),
        h.counter_reset_hint,
        h.integer,
    )


def _series(random: Random, custom: bool, gauge: bool, mixed: bool) -> list[tuple[int, Value]]:
    """A counter that is reset now and then (mostly with another layout) or a gauge; `mixed`: floats in between."""
    integer, points = random.random() < 0.5, []
    positive: dict[int, float] = {}
    negative: dict[int, float] = {}
    h = _fresh(random, custom, GAUGE if gauge else UNKNOWN)
    h.integer = integer
    for i in range(SAMPLES):
        if random.random() < (0.3 if gauge else 0.03):
            positive, negative = {}, {}
            if random.random() < 0.7:
                kind = custom if random.random() < 0.9 or not mixed else not custom
                h = _fresh(random, kind, h.counter_reset_hint)
            else:
                h = Histogram(
                    h.schema, h.zero_threshold, custom_values=h.custom_values, counter_reset_hint=h.counter_reset_hint
                )
            h.integer = integer
        _observed(random, h, positive, negative)
        if random.random() < 0.03:
            continue
        t = (START + i * STEP) * 1000 + random.choice([0, 0, 0, random.randrange(-900, 900)])
        points.append((t, float(random.randrange(99)) if mixed and i // 8 % 3 == 1 else _copy(h, positive, negative)))
    return points


def dataset(seed: int) -> Data:
    random, found = Random(seed), {}
    for name, custom, gauge, mixed in (
        ("latency", False, False, False),
        ("load", False, True, False),
        ("size", True, False, False),
        ("depth", True, True, False),
        ("mixture", False, False, True),
    ):
        for job in ("api", "web"):
            for instance in "01":
                labels = make({"__name__": name, "job": job, "instance": instance})
                found[labels] = _series(random, custom, gauge, mixed)
    return found


def block(folder: Path, data: Data) -> None:
    """Writes the data as one block that Prometheus opens; a chunk holds floats or histograms."""
    runs: dict[tuple[Labels, int], list[tuple[int, Value]]] = {}
    for labels, points in data.items():
        for number, (_, run) in enumerate(groupby(points, key=lambda point: isinstance(point[1], Histogram))):
            runs[labels, number] = list(run)
    times = [t for points in data.values() for t, _ in points]
    parts = {(*labels, ("~run", f"{number:04d}")): points for (labels, number), points in runs.items()}
    chunks, ordered = chunk_set(parts, per_chunk=SAMPLES), sorted(data)
    runs_of = [sum(part[:-1] == labels for part in parts) for labels in ordered]
    first_runs = np.cumsum([0, *runs_of])
    chunks.frame, chunks.offsets = LabelFrame.of(ordered), chunks.offsets[first_runs]
    new = meta.new(ulid.make(1_700_000_000_000, bytes(10)), min(times), max(times) + 1)
    if write_block(folder, chunks, new) is None:
        raise RuntimeError("no samples to write")


def store(data: Data) -> Store:
    made = Store()
    for labels, points in data.items():
        for t, value in points:
            made.add(labels, t, value)
    return made


class Queries:
    """Random queries whose types fit."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def pick(self, *choices: str) -> str:
        return self.random.choice(choices)

    def number(self) -> str:
        return self.pick("0", "1", "2", "-1", "0.5", "3.7", "-0.25", "10", "Inf", "-Inf", "NaN", "1e300")

    def span(self) -> str:
        return self.pick("30s", "1m", "2m", "5m", "7m30s", "20m")

    def bare(self) -> str:
        name = self.pick("latency", "load", "size", "depth", "mixture", '{__name__=~"latency|load"}', '{__name__!=""}')
        if name.startswith("{"):
            return name
        return name + self.pick("", "", '{job="api"}', '{instance="0"}', '{job="web",instance="1"}')

    def moved(self) -> str:
        return self.pick("", "", "", " offset 1m", " offset -2m", " @ 1600001000", " @ end()")

    def matrix(self, depth: int) -> str:
        if depth > 0 and self.random.random() < 0.15:
            return f"({self.histogram(depth - 1)})[{self.span()}:{self.pick('', '30s', '1m')}]" + self.moved()
        return f"{self.bare()}[{self.span()}]{self.moved()}"

    def histogram(self, depth: int) -> str:
        if depth <= 0:
            return self.bare() + self.pick("", "", " smoothed") + self.moved()
        inner = depth - 1
        kind = self.random.randrange(10)
        if kind < 3:
            function = self.pick("rate", "increase", "delta")
            if self.random.random() < 0.3:
                return f"{function}({self.bare()}[{self.span()}] {self.pick('anchored', 'smoothed')}{self.moved()})"
            return f"{function}({self.matrix(depth)})"
        if kind < 5:
            function = self.pick(
                "irate", "idelta", "sum_over_time", "avg_over_time", "last_over_time", "first_over_time"
            )
            return f"{function}({self.matrix(depth)})"
        if kind == 5:
            return f"{self.pick('sum', 'avg')} {self.pick('by (job)', 'without (job)', '')} ({self.histogram(inner)})"
        if kind == 6:
            op = self.pick("+", "-", "==", "!=", "*", "== bool", "and", "or", "unless")
            rules = ["", "on (job, instance) ", "ignoring (job) "]
            if op not in ("and", "or", "unless"):
                rules.append("on (job) group_left ")
            return f"({self.histogram(inner)} {op} {self.pick(*rules)}{self.histogram(inner)})"
        if kind == 7:
            return f"({self.histogram(inner)} {self.pick('*', '/', '</', '>/', '+', '%')} {self.number()})"
        if kind == 8:
            return self.pick(f"({self.number()} * {self.histogram(inner)})", f"-({self.histogram(inner)})")
        return f"limitk({self.pick('1', '3')}, {self.histogram(inner)})" if depth > 2 else self.bare()

    def floats(self, depth: int) -> str:
        inner = self.histogram(depth)
        return self.random.choice(
            [
                f"histogram_quantile({self.pick('0', '0.1', '0.5', '0.9', '0.99', '1', '1.5', 'NaN')}, {inner})",
                f'histogram_quantiles({inner}, "q", 0.25, 0.75)',
                f"histogram_fraction({self.number()}, {self.number()}, {inner})",
                f"histogram_fraction(-Inf, {self.pick('0.3', '1.7', '4')}, {inner})",
                *(f"histogram_{of}({inner})" for of in ("count", "sum", "avg", "stddev", "stdvar")),
                *(
                    f"{of}({self.matrix(depth)})"
                    for of in ("resets", "changes", "count_over_time", "present_over_time")
                ),
                *(
                    f"{of}({self.matrix(depth)})"
                    for of in ("max_over_time", "deriv", "ts_of_last_over_time", "stddev_over_time")
                ),
                f"{self.pick('resets', 'changes')}({self.bare()}[{self.span()}] anchored)",
                f"{self.pick('count', 'group', 'min', 'max', 'stddev')} by (job) ({inner})",
                f"quantile(0.5, {inner})",
                f"abs({inner})",
                f"scalar({inner})",
                f"sort_desc({inner})",
                f"absent({inner})",
                f"timestamp({inner})",
                f"quantile_over_time(0.5, {self.matrix(depth)})",
            ]
        )

    def query(self) -> str:
        depth = self.random.randrange(4)
        return self.histogram(depth) if self.random.random() < 0.5 else self.floats(depth)


Shown = dict[Labels, dict[int, tuple[object, ...]]]


def _bits(value: float) -> object:
    return "NaN" if math.isnan(value) else struct.pack("<d", value)


def _shown(value: Value) -> tuple[object, ...]:
    if not isinstance(value, Histogram):
        return ("float", _bits(value))
    rows = [(rule, *map(_bits, numbers)) for rule, *numbers in json_buckets(value)]
    return ("histogram", _bits(value.count), _bits(value.sum), *rows)


def _theirs(data: dict[str, Any]) -> Shown:
    if data["resultType"] == "scalar":
        return {(): {round(data["result"][0] * 1000): _shown(float(data["result"][1]))}}
    found: Shown = {}
    for series in data["result"]:
        points = found.setdefault(make(series["metric"]), {})
        for t, v in series.get("values") or ([series["value"]] if "value" in series else []):
            points[round(t * 1000)] = _shown(float(v))
        for t, h in series.get("histograms") or ([series["histogram"]] if "histogram" in series else []):
            rows = [(row[0], *(_bits(float(each)) for each in row[1:])) for row in h.get("buckets", [])]
            points[round(t * 1000)] = ("histogram", _bits(float(h["count"])), _bits(float(h["sum"])), *rows)
    return found


def _difference(one: Shown, other: Shown) -> str:
    if one.keys() != other.keys():
        return f"series: only ours {sorted(one.keys() - other.keys())[:2]}, only theirs {sorted(other.keys() - one.keys())[:2]}"
    for labels, points in one.items():
        for t in sorted(points.keys() | other[labels].keys()):
            mine, their = points.get(t), other[labels].get(t)
            if mine != their:
                return f"{labels} at {t}: ours {_readable(mine)}, theirs {_readable(their)}"
    return ""


def _readable(shown: object) -> object:
    if isinstance(shown, bytes):
        return struct.unpack("<d", shown)[0]
    return tuple(map(_readable, shown)) if isinstance(shown, tuple) else shown


def one_query(engine: Engine, other: Peer, text: str, instant: bool, report: Report) -> None:
    start, end, step = START + 300, START + SAMPLES * STEP, 45
    form: dict[str, object]
    form = {"query": text, "time": end - 700} if instant else {"query": text, "start": start, "end": end, "step": step}
    answer = other.ask("query" if instant else "query_range", form)[1]
    try:
        result = (
            engine.instant(text, (end - 700) * 1000)
            if instant
            else engine.range(text, start * 1000, end * 1000, step * 1000)
        )
    except MetricsError as error:
        if answer["status"] == "success":
            report.different.append(f"{text}\n    ours: {error}; theirs answered")
        else:
            report.refused += 1
        return
    if answer["status"] != "success":
        report.different.append(f"{text}\n    ours answered; theirs: {answer['error']}")
        return
    mine = {labels: {t: _shown(value) for t, value in points} for labels, points in series_of(result)}
    if result.kind == "scalar":
        mine = {(): {int(result.times[0]): _shown(float(result.values[0]))}}
    difference = _difference(mine, _theirs(answer["data"]))
    notes = [sorted(kind) for kind in result.notes.texts(text)]
    told = [sorted(answer.get(kind, [])) for kind in ("warnings", "infos")]
    if not difference and notes != told and not any("omitted" in note for kind in told for note in kind):
        difference = f"notes: ours {notes}, theirs {told}"
    if difference and _sometimes(other, "query" if instant else "query_range", form, mine):
        report.explained += 1
    elif difference:
        report.different.append(f"{text}{' (instant)' if instant else ''}\n    {difference}")
    else:
        report.exact += 1


def _sometimes(other: Peer, path: str, form: dict[str, object], mine: Shown) -> bool:
    """Whether theirs is ours when asked again: the series of a computed operand come in an order that is random in Prometheus,
    and sums depend on it in their last bits."""
    for _ in range(20):
        answer = other.ask(path, form)[1]
        if answer["status"] == "success" and not _difference(mine, _theirs(answer["data"])):
            return True
    return False


def compare(folder: Path, count: int, seed: int) -> Report:
    data, report = dataset(seed), Report()
    held = store(data)
    engine = Engine(lambda: held, Settings(features=EXPERIMENTAL))
    queries = Queries(Random(seed))
    storage = folder / "peer" / "data"
    with peer.running(folder / "peer", prepare=lambda: block(storage, data)) as other:
        for i in range(count):
            one_query(engine, other, queries.query(), i % 3 == 2, report)
    return report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = compare(Path(folder), chosen.count, chosen.seed)
    for different in report.different:
        print(different)
    print(report)
    return 1 if report.different else 0


if __name__ == "__main__":
    sys.exit(main())
