"""kubectl drain, unmodified: it evicts, and heeds a disruption budget."""

from __future__ import annotations

import pytest

from styr.kinds.errors import NotFound
from styr.kinds.resources import NODE, POD, POD_DISRUPTION_BUDGET
from tests.conformance.conftest import Platform, pod

pytestmark = [pytest.mark.needs("kubectl"), pytest.mark.timeout(120)]
DRAIN = ("drain", "here", "--force", "--grace-period=0", "--timeout=5s")
READY = {"type": "Ready", "status": "True"}


async def test_drain_evicts_what_the_budget_allows(platform: Platform) -> None:
    client = platform.client
    await client.create(NODE, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "here"}})
    for name in ("free", "guarded"):
        obj = pod(name)
        obj["metadata"]["labels"] = {"app": name}
        obj["spec"]["nodeName"] = "here"
        made = await client.create(POD, obj)
        await client.update_status(POD, {**made, "status": {"phase": "Running", "conditions": [READY]}})
    spec = {"selector": {"matchLabels": {"app": "guarded"}}, "minAvailable": 1}
    budget = await client.create(
        POD_DISRUPTION_BUDGET, {"metadata": {"name": "b", "namespace": "default"}, "spec": spec}
    )
    status = {"observedGeneration": 1, "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1}
    await client.update_status(POD_DISRUPTION_BUDGET, {**budget, "status": {**status, "disruptionsAllowed": 0}})
    refused = await platform.kubectl(*DRAIN, ok=False)
    assert "Cannot evict pod as it would violate the pod's disruption budget" in refused
    with pytest.raises(NotFound):
        await client.get(POD, "free", "default")
    assert (await client.get(NODE, "here"))["spec"]["unschedulable"] is True
    await client.delete(POD_DISRUPTION_BUDGET, "b", "default")
    assert "evict" in await platform.kubectl(*DRAIN)
    with pytest.raises(NotFound):
        await client.get(POD, "guarded", "default")
