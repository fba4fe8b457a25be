"""kubectl, unmodified: the table of commands with the oldest, the declared and the newest version."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.clients.case import Case, Do
from tests.conformance.clients.clients import Kubectl as Program
from tests.conformance.clients.clients import players
from tests.conformance.clients.kubectl.table import CASES
from tests.conformance.clients.objects import config_map
from tests.conformance.clients.run import kubectl
from tests.conformance.clients.scene import Scene

pytestmark = pytest.mark.timeout(120)
PLAYED = [
    pytest.param(program, case, id=f"1.{program.minor}-{case.name}", marks=pytest.mark.needs(program.program))
    for program in players()
    for case in CASES
    if case.since <= program.minor <= case.until and not case.why_not
]


@pytest.mark.parametrize(("program", "case"), PLAYED)
async def test_kubectl(stage: Scene, caches: Path, program: Program, case: Case) -> None:
    await kubectl(program.program, stage, caches / program.program).play(case)


@pytest.mark.needs("kubectl")
async def test_what_is_too_large_is_refused_in_words(stage: Scene, caches: Path) -> None:
    large = Do(
        "create -f -", r"(Request entity|RequestEntity) ?[tT]oo ?[lL]arge", config_map("big", a="x" * 10_000_000), 1
    )
    await kubectl("kubectl", stage, caches / "kubectl").step(large)
