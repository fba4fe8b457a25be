"""docs/clients.md: which client does what, from the recordings. Pure but for reading them."""

from __future__ import annotations

from pathlib import Path

from tests.conformance.clients import recorded
from tests.conformance.clients.families import FAMILIES, Family

PATH = Path(__file__).parents[3] / "docs" / "clients.md"
HEAD = """\
# Clients

<!-- Made by `python -m tests.conformance.clients.report`; do not edit. -->

Every client below runs unmodified against `styr up`. A "yes" stands where the client has played the case and all that it
says and leaves behind was as it must be; its requests are then kept in `tests/conformance/clients/recorded/`, and replayed
by every run of the tests, also where the client itself is not installed. "-" is a command that this version does not have,
or that this client is not asked for.

Two more are tested as programs: a kopf operator (`examples/operator`; it is killed, and so is the server), and the typed
clients of client-go, whose bodies are protobuf.
"""


def text() -> str:
    return "\n".join([HEAD, *(_table(family) for family in FAMILIES)])


def _table(family: Family) -> str:
    found = recorded.load(family.name)
    names = sorted({name for each in found for name in each.clients}, key=recorded.age)
    played = {(each.case, name) for each in found for name in each.clients}
    why_not = family.why_not()
    short = [name.removeprefix(f"{family.name} ") for name in names]
    rows = [f"## {family.title}\n", f"| | {' | '.join(short)} |", "|---" * (len(names) + 1) + "|"]
    for case in family.cases():
        if case in why_not:
            rows.append(f"| {case} | {' | '.join('no' if i == 0 else '' for i in range(len(names)))} |")
            continue
        rows.append(f"| {case} | {' | '.join('yes' if (case, name) in played else '-' for name in names)} |")
    reasons = [f"- {case}: {why}" for case, why in why_not.items()]
    if reasons:
        rows += ["\nWhat cannot be, and why:\n", *reasons]
    return "\n".join(rows) + "\n"
