"""The recordings as files, `recorded/FAMILY.jsonl`: an entry per case and way of playing it, with the clients that play it so.

Called by `report.py` (writes), the test of the recordings and the page in the docs (read).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.clients.transcript import Line

FOLDER = Path(__file__).with_name("recorded")
DISCOVERY = "(discovery)"
"""The name of what clients ask to know the server, in any case."""


@dataclass(slots=True)
class Recording:
    case: str
    clients: list[str]
    lines: list[Line]


def path(family: str) -> Path:
    return FOLDER / f"{family}.jsonl"


def load(family: str) -> list[Recording]:
    if not path(family).exists():
        return []
    return [Recording(**json.loads(line)) for line in path(family).read_text().splitlines()]


def save(family: str, found: Iterable[Recording], cases: Iterable[str]) -> None:
    """In the order of the table, the oldest client first. What is of no case of today is dropped."""
    order = {name: index for index, name in enumerate([DISCOVERY, *cases])}
    kept = sorted(
        (each for each in found if each.case in order), key=lambda each: (order[each.case], age(each.clients[0]))
    )
    rows = (
        json.dumps({"case": each.case, "clients": each.clients, "lines": each.lines}, separators=(",", ":"))
        for each in kept
    )
    FOLDER.mkdir(exist_ok=True)
    path(family).write_text("".join(f"{row}\n" for row in rows))


def without(found: Iterable[Recording], client: str, case: str) -> list[Recording]:
    """All but this client's way of playing this case."""
    left = []
    for each in found:
        clients = [name for name in each.clients if name != client or each.case != case]
        if clients:
            left.append(Recording(each.case, clients, each.lines))
    return left


def add(found: list[Recording], client: str, case: str, lines: list[Line]) -> list[Recording]:
    """In place of what this client had; with those who do the same."""
    found = without(found, client, case)
    for each in found:
        if each.case == case and each.lines == lines:
            each.clients = sorted([*each.clients, client], key=age)
            return found
    return [*found, Recording(case, [client], lines)]


def age(client: str) -> tuple[object, ...]:
    """Sorts `kubectl 1.20` before `kubectl 1.37`, and 1.9 before 1.10."""
    return tuple(int(part) if part.isdigit() else part for part in re.split(r"(\d+)", client))
