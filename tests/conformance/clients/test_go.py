"""client-go, unmodified: a program over its typed clients, whose bodies are protobuf."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest

from tests.conformance.clients.scene import Scene

pytestmark = [pytest.mark.needs("go"), pytest.mark.timeout(600)]
MODULE = Path(__file__).parents[2] / "peers" / "kubernetes"


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("go") / "client"
    subprocess.run(["go", "build", "-o", target, "./client"], cwd=MODULE, check=True, timeout=500)
    return target


async def test_a_typed_client_writes_in_protobuf(stage: Scene, program: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        program, stage.kubeconfig, stage.namespace, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, out.decode()
    assert out.decode().splitlines()[-1] == "ok review"
