"""kubectl top, unmodified, of a server that knows what its node uses."""

from __future__ import annotations

import pytest

from styr.kinds.resources import NODE, POD
from tests.conformance.conftest import Platform, pod

pytestmark = [pytest.mark.needs("kubectl"), pytest.mark.timeout(120)]


async def test_top(platform: Platform) -> None:
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "here"}}
    made = await platform.client.create(NODE, node)
    capacity = {"cpu": "2", "memory": "4Gi"}
    await platform.client.update_status(NODE, {**made, "status": {"capacity": capacity, "allocatable": capacity}})
    await platform.client.create(POD, pod("web"))
    (_, row) = (line.split() for line in (await platform.kubectl("top", "node")).splitlines())
    assert row == ["here", "1500m", "75%", "1024Mi", "25%"]
    (_, row) = (line.split() for line in (await platform.kubectl("top", "pod")).splitlines())
    assert row == ["web", "250m", "64Mi"]
    assert "main" in await platform.kubectl("top", "pod", "web", "--containers")
