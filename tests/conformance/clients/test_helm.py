"""helm, unmodified: version 3, and version 4, which applies on the server's side."""

from __future__ import annotations

import pytest

from tests.conformance.clients.case import Case, Do, Has
from tests.conformance.clients.clients import HELMS
from tests.conformance.clients.helm.chart import FILES
from tests.conformance.clients.helm.table import CASES, INSTALL, MAP
from tests.conformance.clients.run import Player
from tests.conformance.clients.scene import Scene

pytestmark = pytest.mark.timeout(120)
PLAYED = [
    pytest.param(program, case, id=f"{major}-{case.name}", marks=pytest.mark.needs(program))
    for program, major in HELMS.items()
    for case in CASES
    if case.since <= major <= case.until and not case.why_not
]


@pytest.mark.parametrize(("program", "case"), PLAYED)
async def test_helm(stage: Scene, program: str, case: Case) -> None:
    await Player(program, stage).play(case)


@pytest.mark.needs("helm-3", "helm-4")
async def test_the_new_one_takes_over_what_the_old_one_installed(stage: Scene) -> None:
    await Player("helm-3", stage).step(INSTALL)
    new = Player("helm-4", stage)
    await new.step(Do("upgrade web chart --set word=bye", r"REVISION: 2", files=FILES))
    await new.step(Has(MAP, {"data": {"word": "bye"}}))
    await new.step(Do("uninstall web", r"uninstalled"))
