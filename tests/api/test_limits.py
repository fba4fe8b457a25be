"""LimitRange: what is filled in, what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.kit import Api, pod, running

ROOT = "/api/v1/namespaces/default"


async def limit(api: Api, **entry: Any) -> None:
    body = {"metadata": {"name": "l"}, "spec": {"limits": [{"type": "Container", **entry}]}}
    await api("POST", f"{ROOT}/limitranges", body)


def asking(requests: dict[str, str] | None = None, limits: dict[str, str] | None = None) -> Any:
    obj = pod("p")
    found = {"requests": requests, "limits": limits}
    obj["spec"]["containers"][0]["resources"] = {key: value for key, value in found.items() if value}
    return obj


async def test_what_a_container_leaves_out_is_filled_in() -> None:
    async with running() as api:
        await limit(api, default={"cpu": "500m", "memory": "500Mi"}, defaultRequest={"cpu": "100m", "memory": "200Mi"})
        made = await api("POST", f"{ROOT}/pods", asking({"cpu": "300m"}))
        assert made["spec"]["containers"][0]["resources"] == {
            "requests": {"cpu": "300m", "memory": "200Mi"},
            "limits": {"cpu": "500m", "memory": "500Mi"},
        }
        assert made["metadata"]["annotations"]["kubernetes.io/limit-ranger"] == (
            "LimitRanger plugin set: memory request for container main; cpu, memory limit for container main"
        )


@pytest.mark.parametrize(
    ("entry", "requests", "limits", "message"),
    [
        (
            {"min": {"cpu": "100m"}},
            {"cpu": "50m"},
            {"cpu": "1"},
            "minimum cpu usage per Container is 100m, but request is 50m",
        ),
        ({"max": {"cpu": "1"}}, {"cpu": "500m"}, {"cpu": "2"}, "maximum cpu usage per Container is 1, but limit is 2"),
        (
            {"type": "Pod", "max": {"memory": "1Gi"}},
            {"memory": "1Mi"},
            None,
            "maximum memory usage per Pod is 1Gi.  No limit is specified",
        ),
        ({"type": "Pod", "min": {"cpu": "1"}}, None, None, "minimum cpu usage per Pod is 1.  No request is specified"),
        (
            {"maxLimitRequestRatio": {"cpu": "2"}},
            {"cpu": "100m"},
            {"cpu": "300m"},
            "cpu max limit to request ratio per Container is 2, but provided ratio is 3.000000",
        ),
        (
            {"maxLimitRequestRatio": {"cpu": "2"}},
            None,
            None,
            "cpu max limit to request ratio per Container is 2, but no request is specified or request is 0",
        ),
    ],
)
async def test_what_is_too_little_or_too_much(entry: Any, requests: Any, limits: Any, message: str) -> None:
    async with running() as api:
        await limit(api, **entry)
        refused = await api("POST", f"{ROOT}/pods", asking(requests, limits), want=403)
        assert refused["message"] == f'pods "p" is forbidden: {message}'


async def test_several_faults_are_told_together() -> None:
    async with running() as api:
        await limit(api, type="Pod", min={"cpu": "1", "memory": "1Gi"})
        refused = await api("POST", f"{ROOT}/pods", asking(), want=403)
        assert refused["message"] == (
            'pods "p" is forbidden: [minimum cpu usage per Pod is 1.  No request is specified, '
            "minimum memory usage per Pod is 1Gi.  No request is specified]"
        )


async def test_claims() -> None:
    async with running() as api:
        await limit(api, type="PersistentVolumeClaim", min={"storage": "1Gi"}, max={"storage": "2Gi"})
        for size, message in (
            ("500Mi", "minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 500Mi"),
            ("3Gi", "maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi"),
            ("1500Mi", ""),
        ):
            spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
            answer = await api.raw("POST", f"{ROOT}/persistentvolumeclaims", {"metadata": {"name": "c"}, "spec": spec})
            assert answer.status == (403 if message else 201)
            assert message.encode() in answer.body  # type: ignore[operator]


async def test_other_namespaces_are_free() -> None:
    async with running() as api:
        await limit(api, type="Pod", min={"cpu": "1"})
        await api("POST", "/api/v1/namespaces/kube-system/pods", {**asking(), "metadata": {"name": "p"}})
