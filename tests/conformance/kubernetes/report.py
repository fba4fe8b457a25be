"""`python -m tests.conformance.kubernetes.report` writes docs/conformance.md; `--check` only compares.

It reads the tests, the list and the classification; it runs nothing. That a behaviour passes is what its test says in
every run of the suite: one that is said to pass and fails is a failed test, one that is said to fail and passes is too.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from tests.conformance.kubernetes import listing
from tests.conformance.kubernetes.classification import NEEDS
from tests.conformance.kubernetes.listing import Behaviour

PAGE = Path(__file__).parents[3] / "docs" / "conformance.md"

HEAD = """# Kubernetes' conformance behaviours: which of them Styr shows

Made by `python -m tests.conformance.kubernetes.report`; do not edit. The list is Kubernetes' own ({version}).
It is a port, not the certified suite: each behaviour that needs no process is said again as a test in
`tests/conformance/kubernetes`, in our own words, against a real Styr server with its controllers. Where a behaviour wants pods
but not what they do, a node that runs nothing plays them. What needs processes, mounts or networks is not ported, and says so.

"""


class Unaccounted(Exception):
    """A behaviour stands nowhere, or twice."""


def standing(behaviour: Behaviour, ported: dict[Behaviour, str], missing: dict[Behaviour, str]) -> tuple[str, str]:
    """(what it counts as, the cell). Raises Unaccounted."""
    elsewhere = listing.by_name(behaviour)
    if behaviour in ported:
        if elsewhere:
            raise Unaccounted(f"{behaviour.codename} is ported, and classified as not")
        link = f"[{ported[behaviour]}](../tests/conformance/kubernetes/{ported[behaviour]})"
        if behaviour in missing:
            return "fails", f"fails: {missing[behaviour]} ({link})"
        return "passes", f"passes ({link})"
    elsewhere = elsewhere or listing.by_file(behaviour)
    if elsewhere is None:
        raise Unaccounted(f"{behaviour.file}: {behaviour.codename} is neither ported nor classified")
    return elsewhere.needs, f"{elsewhere.needs}: {elsewhere.what}"


def page() -> str:
    """Raises Unaccounted, and LookupError for a marker that names no behaviour or one that stands twice."""
    ported, missing = listing.ported(), listing.missing()
    if strange := set(missing) - set(ported):
        raise Unaccounted(f"said to be missing, but not ported: {[each.codename for each in strange]}")
    counts: Counter[str] = Counter()
    sections: dict[str, list[str]] = {}
    for behaviour in listing.behaviours():
        kind, cell = standing(behaviour, ported, missing)
        counts[kind] += 1
        area = behaviour.codename.partition("]")[0].lstrip("[")
        sections.setdefault(area, []).append(f"| {_cell(behaviour.name)} | {_cell(cell)} |")
    text = HEAD.format(version=listing.version())
    words = {"passes": "pass", "fails": "fail for a missing feature", **NEEDS}
    told = "; ".join(f"{counts[kind]} {text}" for kind, text in words.items() if counts[kind])
    text += f"Of {sum(counts.values())} behaviours: {told}.\n"
    for area, rows in sorted(sections.items()):
        text += f"\n## {area}\n\n| behaviour | |\n|---|---|\n" + "\n".join(rows) + "\n"
    return text


def _cell(text: str) -> str:
    return text.replace("|", "\\|").strip()


def main() -> int:
    made = page()
    if "--check" in sys.argv:
        same = PAGE.exists() and PAGE.read_text() == made
        print("the page is up to date" if same else "out of date: python -m tests.conformance.kubernetes.report")
        return 0 if same else 1
    PAGE.write_text(made)
    print(next(line for line in made.splitlines() if line.startswith("Of ")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
