"""/ephemeralcontainers and /resize: one part of a pod changes, everything else stays."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.api.kit import JSON_PATCH, MERGE_PATCH, STRATEGIC, Api, pod, running

PODS = "/api/v1/namespaces/default/pods"
RESOURCES = {"requests": {"cpu": "10m"}, "limits": {"cpu": "20m"}}


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with running() as found:
        body = pod("p")
        body["spec"]["containers"][0]["resources"] = RESOURCES
        body["spec"]["initContainers"] = [{"name": "init", "image": "styr.dev/host", "command": ["true"]}]
        await found("POST", PODS, body)
        yield found


async def test_ephemeral_containers_are_added_and_stay(api: Api) -> None:
    url = f"{PODS}/p/ephemeralcontainers"
    one, two = ({"name": name, "image": "styr.dev/host"} for name in ("one", "two"))
    patch = {"metadata": {"labels": {"a": "b"}}, "spec": {"ephemeralContainers": [one], "hostname": "other"}}
    made = await api("PATCH", url, patch, type=STRATEGIC)
    assert made["spec"]["ephemeralContainers"][0]["terminationMessagePolicy"] == "File"
    assert "hostname" not in made["spec"]
    assert "labels" not in made["metadata"]
    assert made["metadata"]["generation"] == 2
    assert made == await api("GET", url) == await api("GET", f"{PODS}/p")
    made["spec"]["ephemeralContainers"].append(two)
    assert len((await api("PUT", url, made))["spec"]["ephemeralContainers"]) == 2
    for spec, word in (
        ({"ephemeralContainers": [two]}, "removed"),
        ({"ephemeralContainers": [one | {"tty": True}, two]}, "changed"),
    ):
        refusal = await api("PATCH", url, {"spec": spec}, type=MERGE_PATCH, want=422)
        assert f'existing ephemeral containers "one" may not be {word}' in refusal["message"]


async def resize(api: Api, *containers: Any, want: int = 0, group: str = "containers") -> Any:
    return await api("PATCH", f"{PODS}/p/resize", {"spec": {group: list(containers)}}, type=STRATEGIC, want=want)


async def test_resize_changes_processor_and_memory(api: Api) -> None:
    wanted = {"requests": {"cpu": "15m"}, "limits": {"cpu": "30m"}}
    made = await resize(api, {"name": "main", "image": "other", "resources": wanted})
    assert made["spec"]["containers"][0]["resources"] == wanted
    assert made["spec"]["containers"][0]["image"] == "styr.dev/host"
    assert made["metadata"]["generation"] == 2
    assert made == await api("GET", f"{PODS}/p/resize")


async def test_what_resize_refuses(api: Api) -> None:
    more = {"resources": {"limits": {"example.com/gpu": "1"}, "requests": {"example.com/gpu": "1"}}}
    for group, container, words in (
        ("containers", {"name": "main", **more}, "only cpu and memory resources are mutable"),
        ("containers", {"name": "main", "resources": {"limits": None}}, "resource limits cannot be removed"),
        ("containers", {"name": "other", "image": "i"}, "containers may not be added or removed on resize"),
        (
            "initContainers",
            {"name": "init", "resources": RESOURCES},
            "resources for non-sidecar init containers are immutable",
        ),
    ):
        assert words in (await resize(api, container, want=422, group=group))["message"]
    whole = {"name": "main", "resources": {"requests": {"cpu": "20m", "memory": "1Mi"}, "limits": {"memory": "1Mi"}}}
    plain = pod("plain")
    await api("POST", PODS, plain)
    asked = {"spec": {"containers": [whole]}}
    refusal = await api("PATCH", f"{PODS}/plain/resize", asked, type=STRATEGIC, want=422)
    assert "Pod QOS Class may not change as a result of resizing" in refusal["message"]
    rename = [{"op": "replace", "path": "/spec/containers/0/name", "value": "other"}]
    refusal = await api("PATCH", f"{PODS}/p/resize", rename, type=JSON_PATCH, want=422)
    assert "containers may not be renamed or reordered on resize" in refusal["message"]
    running = {"name": "main", "image": "", "imageID": "", "ready": True, "restartCount": 0, "state": {"running": {}}}
    await api("PATCH", f"{PODS}/p/status", {"status": {"containerStatuses": [running]}}, type=MERGE_PATCH)
    refusal = await resize(api, {"name": "main", "resources": {"limits": {"cpu": "50m"}}}, want=422)
    assert "Pod running on node without support for resize" in refusal["message"]


@pytest.mark.parametrize("value", [5, "x", {"a": 1}, [5], [None], None])
@pytest.mark.parametrize("field", ["containers", "initContainers", "ephemeralContainers"])
@pytest.mark.parametrize("sub", ["resize", "ephemeralcontainers"])
async def test_nonsense_is_refused(api: Api, sub: str, field: str, value: Any) -> None:
    answer = await api.raw("PATCH", f"{PODS}/p/{sub}", {"spec": {field: value}}, type=MERGE_PATCH)
    assert answer.status in (200, 400, 422), answer.body
