"""`kubectl cp`, both ways: it is an exec of tar at the pod's end."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conformance.streaming import KUBECTLS, Streaming, streaming
from tests.node.world import shell


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Streaming]:
    async with streaming(tmp_path) as made:
        await made.run("web", *shell("sleep 1000"))
        yield made


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.needs(name)) for name in KUBECTLS])
def kubectl(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_a_tree_there_and_back(cluster: Streaming, kubectl: str, tmp_path: Path) -> None:
    """Relative paths in the pod are below its working folder."""
    source = tmp_path / "mine"
    (source / "deep" / "er").mkdir(parents=True)
    (source / "big").write_bytes(os.urandom(5_000_000))
    (source / "deep" / "er" / "caf\u00e9 x").write_text("text")
    (source / "empty").touch()
    await cluster.kubectl(kubectl, "cp", str(source), "web:there")
    out, _ = await cluster.kubectl(kubectl, "exec", "web", "--", "find", "there", "-type", "f")
    assert len(out.splitlines()) == 3
    back = tmp_path / "back"
    await cluster.kubectl(kubectl, "cp", "default/web:there", str(back))
    for path in ("big", "deep/er/caf\u00e9 x", "empty"):
        assert (back / path).read_bytes() == (source / path).read_bytes()


async def test_one_file_to_where_it_may_not_go(cluster: Streaming, kubectl: str, tmp_path: Path) -> None:
    (tmp_path / "one").write_text("x")
    _, err = await cluster.kubectl(kubectl, "cp", str(tmp_path / "one"), "web:/usr/share/one", code=2)
    assert "Permission denied" in err
    out, _ = await cluster.kubectl(kubectl, "cp", "web:no-such", str(tmp_path / "none"))  # kubectl takes no notice
    assert b"No such file" in out
