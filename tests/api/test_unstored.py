"""fieldValidation of bodies that are stored nowhere: every text here is kube-apiserver v1.35.3's answer to the same request."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.api.kit import MERGE_PATCH, STRATEGIC, running
from tests.api.test_fields import APPLY, DEPLOYMENT, DEPLOYMENTS

PODS = "/api/v1/namespaces/default/pods"
SCALE = f"{DEPLOYMENTS}/d/scale"
POD = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
BODIES = [
    (
        "PUT",
        SCALE,
        '{"apiVersion":"autoscaling/v1","kind":"Scale","metadata":{"name":"d","namespace":"default","odd":1},'
        '"spec":{"replicas":2,"replicas":3,"foo":1},"bar":2}',
        "Scale",
        ('unknown "metadata.odd"', 'duplicate "spec.replicas"', 'unknown "spec.foo"', 'unknown "bar"'),
    ),
    (
        "POST",
        f"{PODS}/p/eviction",
        '{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"p","namespace":"default"},"foo":1,'
        '"deleteOptions":{"bar":1,"gracePeriodSeconds":1,"gracePeriodSeconds":2}}',
        "Eviction",
        ('unknown "foo"', 'unknown "deleteOptions.bar"', 'duplicate "deleteOptions.gracePeriodSeconds"'),
    ),
    (
        "POST",
        f"{PODS}/p/binding",
        '{"metadata":{"name":"p","namespace":"default"},"foo":1,"target":{"name":"n","bar":1,"kind":"Node"}}',
        "Binding",
        ('unknown "foo"', 'unknown "target.bar"'),
    ),
    (
        "POST",
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        '{"foo":1,"spec":{"bar":1,"resourceAttributes":{"verb":"get","verb":"list","resource":"pods"}}}',
        "SelfSubjectAccessReview",
        ('unknown "foo"', 'unknown "spec.bar"', 'duplicate "spec.resourceAttributes.verb"'),
    ),
    (
        "POST",
        "/apis/authentication.k8s.io/v1/tokenreviews",
        '{"foo":1,"spec":{"bar":1,"token":"x"}}',
        "TokenReview",
        ('unknown "foo"', 'unknown "spec.bar"'),
    ),
]


def texts(faults: tuple[str, ...]) -> list[str]:
    return [fault.replace(" ", " field ", 1) for fault in faults]


@pytest.mark.parametrize(("method", "path", "body", "kind", "faults"), BODIES, ids=[entry[3] for entry in BODIES])
async def test_unknown_and_doubled_fields_are_told_or_refused(
    method: str, path: str, body: str, kind: str, faults: tuple[str, ...]
) -> None:
    dry = "" if kind.endswith("Review") else "&dryRun=All"
    async with running() as api:
        await api("POST", DEPLOYMENTS, DEPLOYMENT)
        await api("POST", PODS, POD)
        refused = await api(method, f"{path}?fieldValidation=Strict{dry}", body.encode(), want=400)
        assert refused["message"] == (
            f'{kind} in version "v1" cannot be handled as a {kind}: strict decoding error: {", ".join(texts(faults))}'
        )
        warned = await api.raw(method, f"{path}?fieldValidation=Warn{dry}", body.encode())
        quoted = [json.dumps(text) for text in texts(faults)]
        assert warned.status in (200, 201)
        assert warned.headers["warning"] == ", ".join(f"299 - {text}" for text in quoted)
        ignored = await api.raw(method, f"{path}?fieldValidation=Ignore{dry}", body.encode())
        assert (ignored.status, "warning" in ignored.headers) == (warned.status, False)


@pytest.mark.parametrize(
    ("type_", "patch", "fault"),
    [
        (MERGE_PATCH, '{"spec":{"replicas":2,"foo":1}}', 'unknown field "spec.foo"'),
        (MERGE_PATCH, '{"spec":{"replicas":2,"replicas":3}}', 'duplicate field "spec.replicas"'),
        (STRATEGIC, '{"spec":{"replicas":2,"foo":1}}', 'unknown field "spec.foo"'),
    ],
)
async def test_patches_of_a_scale(type_: str, patch: str, fault: str) -> None:
    async with running() as api:
        await api("POST", DEPLOYMENTS, DEPLOYMENT)
        url = f"{SCALE}?dryRun=All&fieldValidation="
        refused: Any = await api("PATCH", f"{url}Strict", patch.encode(), type=type_, want=422)
        assert refused["message"].endswith(f"strict decoding error: {fault}")
        if type_ == STRATEGIC:
            assert refused["message"].startswith(
                ' "" is invalid: patch: Invalid value: "map[spec:map[foo:1 replicas:2]]": strict'
            )
        warned = await api.raw("PATCH", f"{url}Warn", patch.encode(), type=type_)
        assert (warned.status, warned.headers["warning"]) == (200, f"299 - {json.dumps(fault)}")
        ignored = await api.raw("PATCH", f"{url}Ignore", patch.encode(), type=type_)
        assert (ignored.status, "warning" in ignored.headers) == (200, False)


async def test_an_applied_scale_has_no_other_fields() -> None:
    config = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "d"}, "spec": {"foo": 1}}
    async with running() as api:
        await api("POST", DEPLOYMENTS, DEPLOYMENT)
        answer = await api("PATCH", f"{SCALE}?fieldManager=m", config, type=APPLY, want=400)
        assert answer["message"] == (
            "failed to create typed patch object (default/d; autoscaling/v1, Kind=Scale): "
            ".spec.foo: field not declared in schema"
        )


async def test_a_scale_of_another_kind_is_refused() -> None:
    async with running() as api:
        await api("POST", DEPLOYMENTS, DEPLOYMENT)
        await api("PUT", SCALE, DEPLOYMENT, want=400)
