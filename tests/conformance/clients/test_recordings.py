"""What clients sent when they were played, sent again: needs none of them. A server that answers otherwise than it did breaks
somebody's client, also one that is not installed here."""

from __future__ import annotations

import pytest

from styr.plane.folder import Folder
from tests.conformance.clients import page, recorded
from tests.conformance.clients.families import FAMILIES
from tests.conformance.clients.recorded import Recording
from tests.conformance.clients.replay import replay
from tests.conformance.clients.scene import Scene

pytestmark = pytest.mark.timeout(120)
RECORDINGS = [
    pytest.param(each, id=f"{each.case}-{each.clients[0]}")
    for family in FAMILIES
    for each in recorded.load(family.name)
]


@pytest.mark.parametrize("found", RECORDINGS)
async def test_recording(stage: Scene, styr: Folder, found: Recording) -> None:
    await replay(found.lines, styr, stage)


def test_the_page_tells_of_the_recordings() -> None:
    assert page.PATH.read_text() == page.text(), "stale: run python -m tests.conformance.clients.report --page"


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_case_is_played_by_some_client(family) -> None:
    played = {each.case for each in recorded.load(family.name)}
    assert [case for case in family.cases() if case not in played and case not in family.why_not()] == []
