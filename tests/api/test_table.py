"""Content negotiation, and the columns of `kubectl get`."""

from __future__ import annotations

from typing import Any

import pytest

from styr.api import jsonpath
from styr.api.builtin import tables
from styr.api.columns_pods import pod_status
from styr.api.durations import human_duration
from styr.api.table import Form, negotiate, render
from styr.kinds import resources
from styr.kinds.errors import NotAcceptable
from styr.kit.clock import parse_rfc3339

NOW = parse_rfc3339("2026-11-23T10:00:00Z")
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", Form.OBJECT),
        ("*/*", Form.OBJECT),
        ("application/json", Form.OBJECT),
        ("application/vnd.kubernetes.protobuf,application/json", Form.OBJECT),
        (f"{TABLE},application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json", Form.TABLE),
        ("application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json", Form.OBJECT),
        ("application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io", Form.PARTIAL),
        (f"application/json;q=0.5,{TABLE}", Form.TABLE),
    ],
)
def test_negotiates_the_exact_version(accept: str, form: Form) -> None:
    assert negotiate(accept) is form


@pytest.mark.parametrize(
    "accept", ["text/html", "application/json;as=Table;v=v2;g=meta.k8s.io", "application/json;q=0"]
)
def test_what_we_do_not_have_is_406(accept: str) -> None:
    with pytest.raises(NotAcceptable, match="only the following media types are accepted"):
        negotiate(accept)


def pod(**status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "web", "namespace": "default", "creationTimestamp": "2026-11-23T09:55:00Z"},
        "spec": {"containers": [{"name": "c", "image": "i"}], "nodeName": "here"},
        "status": status,
    }


def cells(obj: dict[str, Any], resource: resources.Resource, **options: Any) -> dict[str, Any]:
    table = render(obj, Form.TABLE, resource, now=NOW, **options)
    names = [column["name"] for column in table["columnDefinitions"]]
    return dict(zip(names, table["rows"][0]["cells"], strict=True))


def test_a_running_pod() -> None:
    running = {"name": "c", "ready": True, "restartCount": 2, "state": {"running": {}}}
    running["lastState"] = {"terminated": {"finishedAt": "2026-11-23T09:59:00Z"}}
    found = cells(pod(phase="Running", podIP="127.0.0.1", containerStatuses=[running]), resources.POD)
    assert (found["Ready"], found["Status"], found["Restarts"], found["Age"]) == ("1/1", "Running", "2 (60s ago)", "5m")
    assert (found["IP"], found["Node"]) == ("127.0.0.1", "here")


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({"waiting": {"reason": "CrashLoopBackOff"}}, "CrashLoopBackOff"),
        ({"terminated": {"reason": "Error", "exitCode": 1}}, "Error"),
        ({"terminated": {"exitCode": 3}}, "ExitCode:3"),
        ({"terminated": {"signal": 9}}, "Signal:9"),
        ({"terminated": {"reason": "Completed"}}, "Completed"),
    ],
)
def test_the_status_of_a_container_that_does_not_run(state: dict[str, Any], expected: str) -> None:
    assert pod_status(pod(phase="Running", containerStatuses=[{"name": "c", "state": state}])) == expected


def test_a_pod_on_its_way_out() -> None:
    obj = pod(phase="Running")
    obj["metadata"]["deletionTimestamp"] = "2026-11-23T09:59:00Z"
    assert pod_status(obj) == "Terminating"


@pytest.mark.parametrize("resource", [kind.resource for kind in tables.kinds()], ids=str)
def test_every_builtin_kind_prints_an_empty_and_a_misshapen_object(resource: resources.Resource) -> None:
    for odd in ({}, {"spec": 3, "status": [1]}, {"spec": {"ports": 7, "containers": "x"}, "subjects": [3], "data": 1}):
        obj = {"metadata": {"name": "x"}, **odd}
        table = render(obj, Form.TABLE, resource, now=NOW)
        assert len(table["rows"][0]["cells"]) == len(table["columnDefinitions"])
        assert "x" in table["rows"][0]["cells"]


def test_lists_keep_their_metadata_and_objects_come_as_asked() -> None:
    listing = {"kind": "PodList", "metadata": {"resourceVersion": "7", "continue": "abc"}, "items": [pod(), pod()]}
    table = render(listing, Form.TABLE, resources.POD, now=NOW)
    assert table["metadata"] == {"resourceVersion": "7", "continue": "abc"}
    assert [row["object"]["kind"] for row in table["rows"]] == ["PartialObjectMetadata"] * 2
    whole = render(listing, Form.TABLE, resources.POD, now=NOW, include_object="Object", headers=False)
    assert whole["rows"][0]["object"]["spec"]["nodeName"] == "here"
    assert whole["columnDefinitions"] == []
    assert "object" not in render(listing, Form.TABLE, resources.POD, now=NOW, include_object="None")["rows"][0]
    partial = render(listing, Form.PARTIAL, resources.POD, now=NOW)
    assert partial["kind"] == "PartialObjectMetadataList"
    assert set(partial["items"][0]) == {"kind", "apiVersion", "metadata"}


def test_columns_of_a_definition() -> None:
    columns = [
        {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status'},
        {"name": "Weight", "type": "integer", "jsonPath": ".spec.weight"},
        {"name": "Since", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        {"name": "None", "type": "string", "jsonPath": ".no.such"},
    ]
    obj = {
        "metadata": {"name": "x", "creationTimestamp": "2026-11-23T08:00:00Z"},
        "spec": {"weight": 5},
        "status": {"conditions": [{"type": "A", "status": "False"}, {"type": "Ready", "status": "True"}]},
    }
    found = cells(obj, resources.APP, printer_columns=columns)
    assert found == {"Name": "x", "Ready": "True", "Weight": 5, "Since": "120m", "None": None}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (".a.b", [1]),
        ("{.a.b}", [1]),
        (".list[0].n", [1]),
        (".list[-1].n", [2]),
        (".list[9]", []),
        (".list[*].n", [1, 2]),
        (r".labels.x\.y/z", ["v"]),
        (".labels['x.y/z']", ["v"]),
        (".list[?(@.n==2)].m", ["two"]),
        (".list[?(@.n!=2)].m", ["one"]),
        (".a[", []),
        ("..b", []),
        ("", [None]),
    ],
)
def test_jsonpath(path: str, expected: list[Any]) -> None:
    obj = {"a": {"b": 1}, "list": [{"n": 1, "m": "one"}, {"n": 2, "m": "two"}], "labels": {"x.y/z": "v"}}
    found = jsonpath.find(path, obj)
    assert found == (expected if path else [obj])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((0, "0s"), (119, "119s"), (120, "2m"), (200, "3m20s"), (3600, "60m"), (10800, "3h"), (12000, "3h20m")),
        *((86400, "24h"), (172800, "2d"), (180000, "2d2h"), (864000, "10d"), (86400 * 800, "2y70d")),
        *((-1, "0s"), (-5, "<invalid>")),
    ],
)
def test_durations(seconds: int, text: str) -> None:
    assert human_duration(seconds) == text
