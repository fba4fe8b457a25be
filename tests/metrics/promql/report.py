"""`python -m tests.metrics.promql.report` runs all of Prometheus' own PromQL scripts and writes docs/promql-conformance.md.

`--check` only compares: it fails when the page says something else than the run. Scripts and evaluations that fail are listed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.metrics.promql import script
from tests.metrics.promql.runner import Outcome, run
from tests.peers import promql_scripts

PAGE = Path(__file__).parents[3] / "docs" / "promql-conformance.md"
OURS = Path(__file__).parent / "scripts"

HEAD = """# PromQL: how much of Prometheus' own test suite passes

Made by `python -m tests.metrics.promql.report`; do not edit. The scripts are those of Prometheus 3.14.0
(`promql/promqltest/testdata`). They are fetched for the run and are no part of this repository. As in Prometheus' own
run, all experimental features are on, and each instant query is evaluated up to twelve times: as it stands, pinned with
`@` to its time and asked at other times, and as one step of a range query. An evaluation counts only when all of these
give what the script says.

"""


def outcomes(scripts: list[Path]) -> dict[str, list[Outcome]]:
    return {path.stem: run(script.parse(path.read_text())) for path in scripts}


def table(found: dict[str, list[Outcome]]) -> str:
    rows = [
        (name, sum(not each.failure for each in outcomes), len(outcomes)) for name, outcomes in sorted(found.items())
    ]
    rows.append(("**all**", sum(row[1] for row in rows), sum(row[2] for row in rows)))
    lines = [
        "| script | passed | of |",
        "|---|---|---|",
        *(f"| {name} | {good} | {all_} |" for name, good, all_ in rows),
    ]
    return "\n".join(lines) + "\n"


def page(theirs: dict[str, list[Outcome]], ours: dict[str, list[Outcome]]) -> str:
    text = HEAD + table(theirs)
    failures = [(name, each) for name, found in sorted(theirs.items()) for each in found if each.failure]
    if failures:
        text += "\n## What fails\n\n| script | line | query | why |\n|---|---|---|---|\n"
        for name, each in failures:
            cells = (each.expr, each.failure.splitlines()[0][:200])
            query, why = (cell.replace("|", "\\|") for cell in cells)
            text += f"| {name} | {each.line} | `{query}` | {why} |\n"
    text += "\n## Styr's own scripts\n\n`tests/metrics/promql/scripts`, which every test run includes; "
    text += "their expected values were checked against Prometheus 3.14.0.\n\n" + table(ours)
    return text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="compare, do not write")
    check = parser.parse_args().check
    scripts = promql_scripts()
    if not scripts:
        print("the source of Prometheus is not there: install Go, or set STYR_PROMETHEUS_SOURCE", file=sys.stderr)
        return 1
    theirs, ours = outcomes(scripts), outcomes(sorted(OURS.glob("*.test")))
    made = page(theirs, ours)
    for name, found in [*theirs.items(), *ours.items()]:
        for each in found:
            if each.failure:
                print(f"{name}:{each.line}: {each.expr}\n    {each.failure}", file=sys.stderr)
    if check:
        same = PAGE.exists() and PAGE.read_text() == made
        print(
            "the page is up to date" if same else f"{PAGE.name} is out of date: python -m tests.metrics.promql.report"
        )
        return 0 if same else 1
    PAGE.write_text(made)
    print(table(theirs), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
