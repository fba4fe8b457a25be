"""Lists in pages: consistent while the revision is kept, and a way on when it is not."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest

from tests.api.kit import running
from tests.conformance.kubernetes import oracle
from tests.conformance.kubernetes.client import Collection, Kube, Object, refused
from tests.conformance.kubernetes.marker import behaviour
from tests.conformance.kubernetes.objects import pod_spec

TOTAL = 200
LIMIT = 17


def name(number: int) -> str:
    return f"template-{number:04}"


async def fill(templates: Collection, count: int) -> None:
    for number in range(count):
        body = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": name(number)}}
        await templates.create({**body, "template": {"spec": pod_spec()}})


async def pages(
    templates: Collection, limit: int, token: str = "", found: int = 0, total: int = TOTAL
) -> AsyncIterator[Object]:
    """Checks of each page that it goes on where the last one stopped, and says what remains."""
    while True:
        page = await templates.list(limit=limit, **({"continue": token} if token else {}))
        names = [each["metadata"]["name"] for each in page["items"]]
        assert len(names) <= limit
        assert names == [name(number) for number in range(found, found + len(names))]
        found += len(names)
        token = page["metadata"].get("continue", "")
        assert page["metadata"].get("remainingItemCount") == ((total - found) if token else None)
        yield page
        if not token:
            assert found == total
            return


@behaviour("API Chunking, server should return chunks of results for list calls")
async def test_a_list_in_pages_is_one_list(kube: Kube, namespace: str) -> None:
    templates = kube.of("v1", "podtemplates", namespace)
    await fill(templates, TOTAL)
    for _ in range(3):
        versions = {page["metadata"]["resourceVersion"] async for page in pages(templates, LIMIT)}
        assert len(versions) == 1
    whole = await templates.list(limit=TOTAL + 1)
    assert len(whole["items"]) == TOTAL
    assert "continue" not in whole["metadata"]


@pytest.mark.skipif(oracle.VARIABLE in os.environ, reason="the real server forgets a revision after ten minutes")
@behaviour(
    "API Chunking, server should support continue listing from the last key even if the original version has been "
    "compacted away"
)
async def test_an_expired_list_can_be_gone_on_with(kube: Kube) -> None:
    async with running(window_changes=20) as small:
        templates = Kube(small.server, kube.user).of("v1", "podtemplates", "default")
        await fill(templates, 40)
        first = await templates.list(limit=4)
        assert first["metadata"]["remainingItemCount"] == 36
        for number in range(30):
            await templates.patch(name(number), {"metadata": {"labels": {"touched": "yes"}}})
        with refused(410, "Expired") as told:
            await templates.list(limit=4, **{"continue": first["metadata"]["continue"]})
        token = told[0].status["metadata"]["continue"]
        versions = {page["metadata"]["resourceVersion"] async for page in pages(templates, 4, token, 4, 40)}
        assert len(versions) == 1
        assert versions != {first["metadata"]["resourceVersion"]}
