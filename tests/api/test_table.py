"""Content negotiation, and the columns of `kubectl get`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from styr.api import jsonpath
from styr.api.builtin import tables
from styr.api.columns.pods import pod_status
from styr.api.durations import human_duration
from styr.api.table import Form, negotiate, render
from styr.kinds import resources
from styr.kinds.errors import NotAcceptable
from styr.kit.clock import parse_rfc3339
from tests.api.kit import MERGE_PATCH, config, lines, running
from tests.api.table_objects import COLUMNS

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
        ("application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json", Form.OLD_TABLE),
        ("application/json;as=Table;v=v2;g=meta.k8s.io,application/json", Form.OBJECT),
        ("application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io", Form.PARTIAL_LIST),
        ("application/json;as=PartialObjectMetadata;v=v1beta1;g=meta.k8s.io", Form.OLD_PARTIAL),
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


REAL = json.loads(Path(__file__).with_name("tables_real.json").read_text())
"""What a kube-apiserver's Tables say of the objects of table_objects.py, by generate_tables.py."""
KINDS = {(kind.resource.api_version, kind.resource.plural): kind.resource for kind in tables.kinds()}
SECOND_UNCLEAR = 1.0
"""Its Date header has no fractions: the answer was given within this many seconds after."""


@pytest.mark.parametrize("told", REAL, ids=lambda told: told["object"]["metadata"]["name"])
def test_the_cells_are_those_of_a_real_server(told: dict[str, Any]) -> None:
    obj, plural = told["object"], told["path"].rpartition("/")[2]
    resource = KINDS.get((obj["apiVersion"], plural))
    columns = None
    if resource is None:
        group, _, version = obj["apiVersion"].partition("/")
        resource = resources.Resource(group, version, obj["kind"], plural)
        columns = COLUMNS if plural == "columns" else None
    rows = [
        render(obj, Form.TABLE, resource, now=told["now"] + late, printer_columns=columns)["rows"][0]
        for late in (0, 0.5, SECOND_UNCLEAR)
    ]
    theirs = told["cells"][: len(rows[0]["cells"])]  # an IPAddress there has a cell more than columns
    assert theirs in [row["cells"] for row in rows], rows[0]["cells"]
    assert rows[0].get("conditions", []) == told.get("conditions", [])


def test_flow_schemas_are_listed_by_precedence() -> None:
    items = [
        {"metadata": {"name": name}, "spec": {"matchingPrecedence": number}}
        for name, number in (("c", 5), ("b", 1), ("a", 5))
    ]
    table = render({"items": items}, Form.TABLE, KINDS["flowcontrol.apiserver.k8s.io/v1", "flowschemas"], now=NOW)
    assert [row["cells"][0] for row in table["rows"]] == ["b", "a", "c"]


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
        assert [cell for cell in table["rows"][0]["cells"] if "x" in str(cell)]


def test_lists_keep_their_metadata_and_objects_come_as_asked() -> None:
    listing = {"kind": "PodList", "metadata": {"resourceVersion": "7", "continue": "abc"}, "items": [pod(), pod()]}
    table = render(listing, Form.TABLE, resources.POD, now=NOW)
    assert table["metadata"] == {"resourceVersion": "7", "continue": "abc"}
    assert [row["object"]["kind"] for row in table["rows"]] == ["PartialObjectMetadata"] * 2
    whole = render(listing, Form.TABLE, resources.POD, now=NOW, include_object="Object", headers=False)
    assert whole["rows"][0]["object"]["spec"]["nodeName"] == "here"
    assert whole["columnDefinitions"] == []
    assert render(listing, Form.TABLE, resources.POD, now=NOW, include_object="None")["rows"][0]["object"] is None
    partial = render(listing, Form.PARTIAL, resources.POD, now=NOW)
    assert partial["kind"] == "PartialObjectMetadataList"
    assert set(partial["items"][0]) == {"kind", "apiVersion", "metadata"}


async def test_every_verb_answers_in_the_form_asked_for() -> None:
    async with running() as api:
        maps = "/api/v1/namespaces/default/configmaps"
        table = {"accept": TABLE}
        made = await api("POST", maps, config("one", {"a": "1"}), **table)
        assert (made["kind"], made["rows"][0]["cells"][:2]) == ("Table", ["one", 1])
        old = await api("GET", f"{maps}/one", accept=TABLE.replace("v=v1", "v=v1beta1"))
        assert (old["apiVersion"], old["rows"][0]["object"]["apiVersion"]) == ("meta.k8s.io/v1beta1",) * 2
        changed = await api("PATCH", f"{maps}/one", {"data": {"b": "2"}}, type=MERGE_PATCH, **table)
        assert changed["rows"][0]["cells"][1] == 2
        for version in ("v1", "v1beta1"):
            partial = f"application/json;as=PartialObjectMetadata;v={version};g=meta.k8s.io"
            found = await api("GET", f"{maps}/one", accept=partial)
            assert found.keys() == {"kind", "apiVersion", "metadata"}
            assert found["apiVersion"] == f"meta.k8s.io/{version}"
            several = partial.replace("Metadata;", "MetadataList;")
            assert (await api("GET", maps, accept=several))["items"][0]["metadata"]["name"] == "one"
            said = await api("GET", maps, accept=partial, want=406)
            assert said["message"] == "you requested PartialObjectMetadata, but the requested object is a list"
            await api("GET", f"{maps}/one", accept=several, want=406)
        said = await api("GET", f"{maps}?includeObject=odd", want=400, **table)
        assert "must be 'Metadata', 'Object', 'None', or empty" in said["message"]
        assert (await api("DELETE", f"{maps}/one", **table))["kind"] == "Status"
        assert (await api("GET", f"{maps}/one", want=404, **table))["kind"] == "Status"


async def test_a_watch_in_each_form() -> None:
    async with running() as api:
        maps = "/api/v1/namespaces/default/configmaps"
        await api("POST", maps, config("one", {"a": "1"}))
        query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
        for accept, kind in (
            (TABLE, "Table"),
            (TABLE.replace("Table", "PartialObjectMetadata"), "PartialObjectMetadata"),
        ):
            response = await api.raw("GET", f"{maps}?{query}", accept=accept)
            assert not isinstance(response.body, bytes)
            stream = lines(response.body)
            added, mark = await anext(stream), await anext(stream)
            await response.body.aclose()  # type: ignore[attr-defined]
            assert [added["type"], mark["type"]] == ["ADDED", "BOOKMARK"]
            assert [event["object"]["kind"] for event in (added, mark)] == [kind, kind]
            marked = mark["object"]["rows"][0]["object"] if kind == "Table" else mark["object"]
            assert marked["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


async def test_the_table_of_a_scale() -> None:
    async with running() as api:
        template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
        spec = {"replicas": 3, "selector": {"matchLabels": {"a": "b"}}, "template": template}
        made = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": spec}
        await api("POST", "/apis/apps/v1/namespaces/default/deployments", made)
        table = await api("GET", "/apis/apps/v1/namespaces/default/deployments/d/scale", accept=TABLE)
        assert table["rows"][0]["cells"][:3] == ["d", 3, 0]


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
