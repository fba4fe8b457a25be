"""`python -m tests.metrics.promql.expectations FILES` fills in what the `eval`s of our scripts must give: from Prometheus.

For writing scripts: their author states data and queries and reads what comes out. An `eval` that has lines below it is left
as it is. Prometheus loads the script's data as a block and answers over HTTP; where our engine does not answer the same,
nothing is filled in and the difference is told. Native histograms are then written as our engine has them, since HTTP does
not tell schemas.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from styr.metrics.model.errors import MetricsError
from styr.metrics.model.histogram import Histogram
from styr.metrics.model.labels import quote, text
from styr.metrics.promql.annotations import go_float
from styr.metrics.promql.engine import Engine, Result, Settings
from styr.metrics.promql.histograms.text import expression
from tests.metrics.promql import peer, script
from tests.metrics.promql.histogram_differential import Data, _difference, _shown, _theirs, block
from tests.metrics.promql.runner import FEATURES, MOST_SAMPLES, load, series_of
from tests.metrics.promql.script import Clear, Eval, Load
from tests.metrics.promql.store import Store
from tests.peers.prometheus import Peer

FLAGS = f"{peer.FLAGS},promql-delayed-name-removal"


def sections(commands: list[script.Command]) -> Iterator[tuple[Store, list[Eval]]]:
    """The data between two `clear`s, and what is asked of it."""
    store, evals = Store(), []
    for command in [*commands, Clear(0)]:
        match command:
            case Load():
                load(store, command)
            case Eval():
                evals.append(command)
            case Clear():
                yield store, evals
                store, evals = Store(), []


def answered(engine: Engine, other: Peer, command: Eval) -> list[str]:
    """The lines below an `eval`. Raises ValueError when the two do not answer the same."""
    seconds = [each / 1000 for each in (command.start, command.end, command.step)]
    try:
        if command.is_range:
            form = {"query": command.expr, "start": seconds[0], "end": seconds[1], "step": seconds[2]}
            answer = other.ask("query_range", form)[1]
            result = engine.range(command.expr, command.start, command.end, command.step)
        else:
            answer = other.ask("query", {"query": command.expr, "time": seconds[1]})[1]
            result = engine.instant(command.expr, command.end)
    except MetricsError as error:
        if answer["status"] == "success":
            raise ValueError(f"ours failed: {error}") from None
        if not answer["error"].endswith(str(error)):
            raise ValueError(f"ours failed with {error}, theirs with {answer['error']}") from None
        return [f"expect fail msg: {error}"]
    if answer["status"] != "success":
        raise ValueError(f"theirs failed: {answer['error']}")
    notes = [sorted(kind) for kind in result.notes.texts(command.expr)]
    told = [sorted(answer.get(kind, [])) for kind in ("warnings", "infos")]
    if notes != told:
        raise ValueError(f"notes: ours {notes}, theirs {told}")
    return [*_notes(result), *_values(command, result, answer["data"])]


def _notes(result: Result) -> list[str]:
    warnings, infos = result.notes.texts()
    lines = [f"expect warn msg: {note}" for note in warnings] or ["expect no_warn"]
    return lines + ([f"expect info msg: {note}" for note in infos] or ["expect no_info"])


def _values(command: Eval, result: Result, data: dict[str, object]) -> list[str]:
    if result.kind == "string":
        return [f"expect string {quote(result.text)}"]
    if result.kind == "scalar":
        return [go_float(float(result.values[0]))]
    found = series_of(result)
    mine = {labels: {t: _shown(value) for t, value in points} for labels, points in found}
    difference = _difference(mine, _theirs(data))
    if difference:
        raise ValueError(difference)
    lines = []
    for labels, points in found:
        values = dict(points)
        times = range(command.start, command.end + 1, command.step) if command.step else [command.end]
        if set(values) - set(times):
            raise ValueError("the samples of a range selector need an `expect range vector` first")
        shown = " ".join(_text(values[t]) if t in values else "_" for t in times)
        lines.append(f"{text(labels)} {shown}")
    return lines


def _text(value: float | Histogram) -> str:
    return expression(value) if isinstance(value, Histogram) else go_float(value)


def fill(path: Path) -> list[str]:
    """Rewrites one script; returns what could not be filled in."""
    lines, problems = path.read_text().split("\n"), []
    made: dict[int, list[str]] = {}
    for store, evals in sections(script.parse(path.read_text())):
        data: Data = {labels: sorted(points.items()) for labels, points in store.samples.items()}
        engine = Engine(lambda: store, Settings(features=FEATURES, most_samples=MOST_SAMPLES))  # noqa: B023
        with tempfile.TemporaryDirectory() as folder:
            storage = Path(folder) / "peer" / "data"
            prepare = (lambda: block(storage, data)) if data else (lambda: None)  # noqa: B023
            with peer.running(Path(folder) / "peer", prepare=prepare, flags=FLAGS) as other:
                for command in evals:
                    if lines[command.line : command.line + 1] not in ([], [""]):
                        continue
                    try:
                        made[command.line] = answered(engine, other, command)
                    except ValueError as problem:
                        problems.append(f"{path.name}:{command.line}: {command.expr}: {problem}")
    filled = []
    for number, line in enumerate(lines, 1):
        filled.append(line)
        filled += [f"  {each}" for each in made.get(number, [])]
    path.write_text("\n".join(filled))
    return problems


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("files", nargs="+", type=Path)
    problems = [problem for path in parser.parse_args().files for problem in fill(path)]
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
