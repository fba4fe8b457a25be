"""One `styr up` for all tests of the room, in a process of its own; a namespace for each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from styr.cli.demo.platform import Platform
from styr.plane.folder import Folder
from tests.conformance.clients.scene import Scene, scene

for module in (
    "run",
    "python.official",
    "python.asyncio_clients",
    "python.kr8s_client",
    "python.lightkube_client",
):
    pytest.register_assert_rewrite(f"tests.conformance.clients.{module}")


@pytest.fixture(scope="session")
def styr(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Folder]:
    made = Platform(tmp_path_factory.mktemp("styr"))
    asyncio.run(made.styr("up", "--detach", "--port", "0", "--without-metrics"))
    yield made.folder
    asyncio.run(made.styr("down"))
    assert made.folder.running_pid() is None


@pytest.fixture
async def stage(styr: Folder, tmp_path: Path) -> AsyncIterator[Scene]:
    async with scene(styr, tmp_path) as made:
        yield made


@pytest.fixture(scope="session")
def caches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where each program keeps what it has discovered: asked once, as on a user's machine."""
    return tmp_path_factory.mktemp("caches")
