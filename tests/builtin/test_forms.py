"""Kinds in two forms: what is written in one is read in the other, as kube-apiserver converts it (compared with v1.35.3)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from styr.api.builtin.forms import FORMS
from tests.api.kit import MERGE_PATCH, Api, running
from tests.api.table_objects import OBJECTS

V1 = "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers"
V2 = V1.replace("v1", "v2", 1)
CORE = "/api/v1/namespaces/default/events"
NEW = "/apis/events.k8s.io/v1/namespaces/default/events"
ALPHA = "autoscaling.alpha.kubernetes.io/"
TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}
SCALER = {"metadata": {"name": "s"}, "spec": {"scaleTargetRef": TARGET, "maxReplicas": 5}}
EVENT = {
    "metadata": {"name": "e"},
    "regarding": {"kind": "Pod", "name": "p", "namespace": "default"},
    "eventTime": "2020-01-02T03:04:05.000000Z",
    "reportingController": "c.io/x",
    "reportingInstance": "i",
    "action": "a",
    "type": "Normal",
    "reason": "R",
    "note": "n",
}


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with running() as found:
        yield found


async def test_an_event_has_other_names_in_its_other_form(api: Api) -> None:
    made = await api("POST", NEW, EVENT)
    core = await api("GET", f"{CORE}/e")
    assert (core["apiVersion"], core["involvedObject"], core["message"]) == ("v1", EVENT["regarding"], "n")
    assert (core["reportingComponent"], core["metadata"]) == ("c.io/x", made["metadata"])
    core["message"] = "changed"
    await api("PUT", f"{CORE}/e", core)
    assert (await api("GET", f"{NEW}/e"))["note"] == "changed"
    for selector, names in (
        ("regarding.name=p", ["e"]),
        ("regarding.name=q", []),
        ("reportingController=c.io/x", ["e"]),
    ):
        listed = await api("GET", f"{NEW}?fieldSelector={selector}")
        assert (listed["apiVersion"], [item["metadata"]["name"] for item in listed["items"]]) == (
            "events.k8s.io/v1",
            names,
        )
        assert all(item["apiVersion"] == "events.k8s.io/v1" for item in listed["items"])
    events = await api.events(f"{NEW}?watch=1", 1)
    assert events[0]["object"]["regarding"]["name"] == "p"
    missing = await api("GET", f"{NEW}/none", want=404)
    assert missing["message"] == 'events.events.k8s.io "none" not found'
    await api("DELETE", f"{NEW}/e")
    await api("GET", f"{CORE}/e", want=404)


async def test_an_autoscaler_of_v1_has_one_metric_of_v2(api: Api) -> None:
    await api("POST", V1, SCALER | {"spec": SCALER["spec"] | {"targetCPUUtilizationPercentage": 50}})
    found = await api("GET", f"{V2}/s")
    cpu = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}
    assert found["spec"]["metrics"] == [cpu]
    await api("PATCH", f"{V1}/s", {"spec": {"targetCPUUtilizationPercentage": 70}}, type=MERGE_PATCH)
    found = await api("GET", f"{V2}/s")
    assert found["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 70
    await api("PATCH", f"{V1}/s", {"spec": {"targetCPUUtilizationPercentage": None}}, type=MERGE_PATCH)
    assert (await api("GET", f"{V1}/s"))["spec"]["targetCPUUtilizationPercentage"] == 80


async def test_what_v1_has_no_field_for_is_kept_in_annotations(api: Api) -> None:
    external = {"type": "External", "external": {"metric": {"name": "m"}, "target": {"type": "Value", "value": "10"}}}
    behavior = {"scaleDown": {"stabilizationWindowSeconds": 7}}
    spec = SCALER["spec"] | {"metrics": [external], "behavior": behavior}
    made = await api("POST", V2, SCALER | {"spec": spec})
    old = await api("GET", f"{V1}/s")
    notes = {key: json.loads(text) for key, text in old["metadata"]["annotations"].items()}
    assert notes[f"{ALPHA}metrics"] == [{"type": "External", "external": {"metricName": "m", "targetValue": "10"}}]
    assert notes[f"{ALPHA}behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 7
    old["spec"]["maxReplicas"] = 6
    await api("PUT", f"{V1}/s", old)
    found = await api("GET", f"{V2}/s")
    assert found["spec"] == made["spec"] | {"maxReplicas": 6}
    assert "annotations" not in found["metadata"]
    odd = {
        "metadata": {"annotations": {f"{ALPHA}metrics": "[[[", f"{ALPHA}behavior": "[1]", f"{ALPHA}conditions": "{}"}}
    }
    await api("PATCH", f"{V1}/s", odd, type=MERGE_PATCH)
    assert (await api("GET", f"{V2}/s"))["spec"]["metrics"][0]["resource"]["name"] == "cpu"


@pytest.mark.parametrize("form", FORMS.values(), ids=[plural for _, plural in FORMS])
def test_there_and_back(form: Any) -> None:
    for _, obj, status in OBJECTS:
        if obj["apiVersion"] != form.stored or obj["kind"] not in ("Event", "HorizontalPodAutoscaler"):
            continue
        whole = {**obj, "spec": obj.get("spec") or {}, "status": status or {}} if "spec" in obj else obj
        back = form.store(form.show(json.loads(json.dumps(whole))))
        if whole.get("spec", {}).get("metrics"):
            key = "type"
            assert sorted(m[key] for m in back["spec"]["metrics"]) == sorted(m[key] for m in whole["spec"]["metrics"])
        assert back["metadata"] == whole["metadata"]
        assert {key for key in back if key not in ("spec", "status")} == {
            key for key in whole if key not in ("spec", "status")
        }
