"""The clients by family, each with its cases and what plays them. Called by the report and the page."""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.clients import clients, run
from tests.conformance.clients.helm import table as helm
from tests.conformance.clients.kubectl.table import CASES
from tests.conformance.clients.python import table as python
from tests.conformance.clients.scene import Scene

Play = Callable[[str, Scene, Path], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Player:
    """One client: its name, the cases it has, and what plays one: the case's name, the scene, a folder for what it keeps."""

    name: str
    cases: tuple[str, ...]
    play: Play


@dataclass(frozen=True, slots=True)
class Family:
    """`here` finds those of this machine; `cases` are all rows of the table; `why_not` says why a row cannot pass."""

    name: str
    title: str
    here: Callable[[], Iterable[Player]]
    cases: Callable[[], tuple[str, ...]]
    why_not: Callable[[], dict[str, str]]


def _kubectls() -> Iterable[Player]:
    for program in clients.here():
        mine = {case.name: case for case in CASES if case.since <= program.minor <= case.until and not case.why_not}

        async def play(name: str, scene: Scene, cache: Path, program=program, mine=mine) -> None:  # type: ignore[no-untyped-def]
            await run.kubectl(program.program, scene, cache).play(mine[name])

        yield Player(str(program), tuple(mine), play)


def _pythons() -> Iterable[Player]:
    """Those that are installed; each is imported only by what it plays."""
    for client in dict.fromkeys(each.client for each in python.ALL):
        mine = {each.case: each for each in python.CASES if each.client == client}

        async def play(name: str, scene: Scene, cache: Path, mine=mine) -> None:  # type: ignore[no-untyped-def]
            await mine[name].play(scene)

        yield Player(client, tuple(mine), play)


def _helms() -> Iterable[Player]:
    for program, major in clients.HELMS.items():
        if not shutil.which(program):
            continue
        mine = {case.name: case for case in helm.CASES if case.since <= major <= case.until and not case.why_not}

        async def play(name: str, scene: Scene, cache: Path, program=program, mine=mine) -> None:  # type: ignore[no-untyped-def]
            await run.Player(program, scene).play(mine[name])

        yield Player(f"helm {major}", tuple(mine), play)


KUBECTL = Family(
    "kubectl",
    "kubectl",
    _kubectls,
    lambda: tuple(dict.fromkeys(case.name for case in CASES)),
    lambda: {case.name: case.why_not for case in CASES if case.why_not},
)
PYTHON = Family(
    "python",
    "Python",
    _pythons,
    lambda: python.ROWS,
    lambda: {f"{each.client}, {each.case}": each.why_not for each in python.ALL if each.why_not},
)
HELM = Family(
    "helm",
    "helm",
    _helms,
    lambda: tuple(case.name for case in helm.CASES),
    lambda: {case.name: case.why_not for case in helm.CASES if case.why_not},
)
FAMILIES = (KUBECTL, HELM, PYTHON)
