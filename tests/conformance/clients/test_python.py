"""The clients of PyPI, unmodified and with their own defaults."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tests.conformance.clients.objects import config_map
from tests.conformance.clients.python.cases import Played
from tests.conformance.clients.python.official import core
from tests.conformance.clients.python.table import CASES
from tests.conformance.clients.scene import Scene

pytestmark = pytest.mark.timeout(120)


@pytest.mark.parametrize("played", [pytest.param(each, id=f"{each.client}-{each.case}") for each in CASES])
async def test_python_client(stage: Scene, played: Played) -> None:
    await played.play(stage)


async def test_many_threads_at_once(stage: Scene) -> None:
    """Ten connections write and read together; nothing is lost, no revision is given twice."""
    versions: list[str] = []
    lock = threading.Lock()

    def work(number: int) -> None:
        with core(stage) as api:
            for turn in range(5):
                made = api.create_namespaced_config_map(
                    stage.namespace, config_map(f"c{number}-{turn}", {"made": "here"})
                )
                with lock:
                    versions.append(made.metadata.resource_version)

    await asyncio.gather(*(asyncio.to_thread(work, number) for number in range(10)))
    assert len(set(versions)) == 50
    with core(stage) as api:
        assert len(api.list_namespaced_config_map(stage.namespace, label_selector="made").items) == 50
