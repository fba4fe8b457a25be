"""Our engine and a real Prometheus answer the same query over the same data: compared to the bit.

`python -m tests.metrics.promql.differential --queries 5000 --seed 7` runs many and reports; the suite runs some hundred.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from styr.metrics.model.errors import MetricsError
from styr.metrics.model.labels import Labels, make
from styr.metrics.promql.engine import Engine, Result, Settings
from styr.metrics.promql.features import EXPERIMENTAL
from tests.metrics.promql import peer
from tests.metrics.promql.generate import Generator, mutate
from tests.peers.prometheus import Peer

EXPLAINED = re.compile(
    r"topk|bottomk|limitk"  # of equal values Prometheus takes the first ones in an order that is random for computed series
    r"|timestamp\([^()]*(offset|@)",  # with @, Prometheus forgets the offset
    re.DOTALL,
)
"""Queries whose answers may differ, and why."""
Points = dict[int, float]


@dataclass(slots=True)
class Report:
    exact: int = 0
    close: list[str] = field(default_factory=list)
    refused: int = 0
    explained: int = 0
    different: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.exact} equal, {len(self.close)} within rounding, {self.refused} refused by both, "
            f"{self.explained} explained, {len(self.different)} different"
        )


def ours(result: Result) -> dict[Labels, Points]:
    times = result.times.tolist()
    if result.kind == "scalar":
        return {(): {times[0]: float(result.values[0])}}
    matrix = result.matrix
    if matrix is None:
        return {}
    return {
        labels: {t: float(matrix.v[row, k]) for k, t in enumerate(times) if matrix.ok[row, k]}
        for row, labels in enumerate(matrix.frame.all_labels())
    }


def theirs(data: dict[str, Any]) -> dict[Labels, Points]:
    if data["resultType"] == "scalar":
        return {(): {round(data["result"][0] * 1000): float(data["result"][1])}}
    found = {}
    for series in data["result"]:
        points = series["values"] if "values" in series else [series["value"]]
        found[make(series["metric"])] = {round(t * 1000): float(v) for t, v in points}
    return found


def compare(one: dict[Labels, Points], other: dict[Labels, Points]) -> str:
    """ "" when equal, "close" when only roundings differ, else the first difference."""
    if one.keys() != other.keys():
        return f"series: only ours {sorted(one.keys() - other.keys())[:2]}, only theirs {sorted(other.keys() - one.keys())[:2]}"
    close = ""
    for labels, points in one.items():
        if points.keys() != other[labels].keys():
            return f"{labels}: samples at {sorted(points.keys() ^ other[labels].keys())[:3]}"
        for t, value in points.items():
            wanted = other[labels][t]
            if value == wanted or (math.isnan(value) and math.isnan(wanted)):
                continue
            if not math.isclose(value, wanted, rel_tol=1e-9, abs_tol=1e-12):
                return f"{labels} at {t}: {value!r}, theirs {wanted!r}"
            close = "close"
    return close


def one_query(engine: Engine, other: Peer, text: str, instant: bool, report: Report) -> None:
    end = peer.START + peer.SECONDS
    start, step = peer.START + 600, 60
    try:
        if instant:
            result = engine.instant(text, end * 1000 - 1_000_000)
        else:
            result = engine.range(text, start * 1000, end * 1000, step * 1000)
        error = ""
    except MetricsError as failed:
        error = str(failed)
    _, answer = (
        other.ask("query", {"query": text, "time": end - 1000})
        if instant
        else other.ask("query_range", {"query": text, "start": start, "end": end, "step": step})
    )
    refused = answer["status"] != "success"
    if refused != bool(error):
        report.different.append(f"{text}\n    ours: {error or 'answered'}; theirs: {answer.get('error', 'answered')}")
    elif error:
        report.refused += 1
    elif answer["data"]["resultType"] in ("string",) or (instant and result.raw is not None):
        report.exact += 1
    else:
        difference = compare(ours(result), theirs(answer["data"]))
        if not difference:
            difference = _notes(result, answer, text)
        if difference == "close":
            report.close.append(text)
        elif difference and EXPLAINED.search(text):
            report.explained += 1
        elif difference:
            report.different.append(f"{text}\n    {difference}")
        else:
            report.exact += 1


def _notes(result: Result, answer: dict[str, Any], text: str) -> str:
    """Kinds and texts; of positions only what both count alike."""
    mine = [{note.split(" (")[0] for note in kind} for kind in result.notes.texts(text, 0)]
    shown = [answer.get("warnings", []), answer.get("infos", [])]
    if any("omitted" in note for kind in shown for note in kind):
        return ""
    other = [{note.split(" (")[0] for note in kind} for kind in shown]
    return "" if mine == other else f"notes: ours {mine}, theirs {other}"


def run(other: Peer, engine: Engine, queries: int, seed: int) -> Report:
    random, report = Random(seed), Report()
    generator = Generator(
        random,
        experimental=True,
        names=("requests_total", "latency_bucket", "temperature", "up"),
        labels=("job", "instance", "code", "le", "zone"),
        values=("api", "web", "0", "1", "2", "200", "500", "a", "+Inf", ""),
    )
    for i in range(queries):
        text = generator.expression(random.randrange(1, 4))
        if i % 10 == 9:
            text = mutate(random, text)
        one_query(engine, other, text, i % 4 == 3, report)
    return report


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--count", "--queries", dest="queries", type=int, default=5000)
    arguments.add_argument("--seed", type=int, default=1)
    chosen = arguments.parse_args()
    data = peer.dataset(chosen.seed)
    held = peer.memory(data)
    engine = Engine(lambda: held, Settings(features=EXPERIMENTAL))
    with tempfile.TemporaryDirectory() as folder, peer.running(Path(folder) / "peer", data) as other:
        report = run(other, engine, chosen.queries, chosen.seed)
    for text in report.close:
        print("rounded otherwise:", text)
    for different in report.different:
        print(different)
    print(report)
    return 1 if report.different else 0


if __name__ == "__main__":
    sys.exit(main())
