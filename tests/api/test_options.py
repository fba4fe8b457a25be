"""The options of writes: every text here is kube-apiserver v1.35.3's answer to the same request."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.api.kit import MERGE_PATCH, Api, config, running

MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
LONG = "x" * 130
DRY = 'dryRun: Unsupported value: ["Odd"]: supported values: "All"'
TOO_LONG = "fieldManager: Too long: may not be more than 128 bytes"
FIELDS = 'fieldValidation: Unsupported value: "x": supported values: "", "Ignore", "Strict", "Warn"'
FORCE = "force: Forbidden: may not be specified for non-apply patch"
POLICY = 'propagationPolicy: Unsupported value: "Odd": supported values: "Foreground", "Background", "Orphan", "nil"'
BOTH = 'propagationPolicy: Invalid value: "Orphan": orphanDependents and deletionPropagation cannot be both set'


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with running() as api:
        await api("POST", MAPS, config("base"))
        yield api


@pytest.mark.parametrize(
    ("query", "faults"),
    [
        ("dryRun=Odd", [DRY]),
        ("dryRun=", ['dryRun: Unsupported value: [""]: supported values: "All"']),
        ("dryRun=All&dryRun=Odd", ['dryRun: Unsupported value: ["All","Odd"]: supported values: "All"']),
        (f"dryRun=Odd&fieldManager={LONG}&fieldValidation=x", [TOO_LONG, DRY, FIELDS]),
        ("fieldManager=a%01b", ['fieldManager: Invalid value: "a\\x01b": invalid character U+0001 (at position 1)']),
        ("dryRun=Odd&force=true", [FORCE, DRY]),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_odd_options_of_a_write(api: Api, method: str, query: str, faults: list[str]) -> None:
    url = MAPS if method == "POST" else f"{MAPS}/base"
    kind = {"POST": "CreateOptions", "PUT": "UpdateOptions"}.get(method, "PatchOptions")
    told = [fault for fault in faults if fault != FORCE or method == "PATCH"]
    text = told[0] if len(told) == 1 else f"[{', '.join(told)}]"
    media = MERGE_PATCH if method == "PATCH" else "application/json"
    answer = await api(method, f"{url}?{query}", config("base"), type=media, want=422)
    assert answer["message"] == f'{kind}.meta.k8s.io "" is invalid: {text}'
    assert [f"{cause['field']}: {cause['message']}" for cause in answer["details"]["causes"]] == told


@pytest.mark.parametrize(
    ("query", "body", "told"),
    [
        ("dryRun=Odd", "", DRY),
        ("propagationPolicy=Odd", "", POLICY),
        ("orphanDependents=true&propagationPolicy=Orphan", "", BOTH),
        ("", {"dryRun": ["Odd"]}, DRY),
        ("", {"dryRun": ["Odd"], "propagationPolicy": "Odd"}, f"[{POLICY}, {DRY}]"),
        ("", {"orphanDependents": False, "propagationPolicy": "Orphan"}, BOTH),
    ],
)
@pytest.mark.parametrize("place", [f"{MAPS}/base", MAPS])
async def test_odd_options_of_a_deletion(api: Api, place: str, query: str, body: Any, told: str) -> None:
    answer = await api("DELETE", f"{place}?{query}", body or b"", want=422)
    assert answer["message"] == f'DeleteOptions.meta.k8s.io "" is invalid: {told}'
    await api("GET", f"{MAPS}/base")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"gracePeriodSeconds": 1.5}, "number 1.5 into Go struct field DeleteOptions.gracePeriodSeconds of type int64"),
        ({"gracePeriodSeconds": "1"}, "string into Go struct field DeleteOptions.gracePeriodSeconds of type int64"),
        ({"preconditions": 1}, "number into Go struct field DeleteOptions.preconditions of type v1.Preconditions"),
        ({"dryRun": "All"}, "string into Go struct field DeleteOptions.dryRun of type []string"),
    ],
)
async def test_wrong_types_in_a_deletion(api: Api, body: Any, told: str) -> None:
    answer = await api("DELETE", f"{MAPS}/base", body, want=400)
    assert answer["message"] == f"json: cannot unmarshal {told}"


async def test_a_deletion_takes_delete_options_only(api: Api) -> None:
    await api("DELETE", f"{MAPS}/base", {"kind": "Pod", "apiVersion": "v1"}, want=400)
    await api("DELETE", f"{MAPS}/base", b'"a"', want=400)
    await api("DELETE", f"{MAPS}/base", b"null")


async def test_less_than_no_grace_is_a_second(api: Api) -> None:
    pod = {"metadata": {"name": "p"}, "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i"}]}}
    for where, body in (("?gracePeriodSeconds=-1", b""), ("", {"gracePeriodSeconds": -7})):
        await api("POST", PODS, pod)
        gone = await api("DELETE", f"{PODS}/p{where}", body)
        assert gone["metadata"]["deletionGracePeriodSeconds"] == 1
        await api("DELETE", f"{PODS}/p?gracePeriodSeconds=0")


async def test_a_number_that_is_none(api: Api) -> None:
    answer = await api("GET", f"{MAPS}?limit=x", want=400)
    assert answer["message"] == 'strconv.ParseInt: parsing "x": invalid syntax'
