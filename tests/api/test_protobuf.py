"""Bodies in protobuf, made by hand: what they become, and what is made of damaged and hostile ones. Whether they become what Go
makes of them is asked in `test_protobuf_peer`."""

from __future__ import annotations

import contextlib
import random
import struct
from typing import Any

import pytest

from styr.api.protobuf import reader, shapes
from styr.api.protobuf.envelope import decode
from styr.api.protobuf.wire import MAX_VALUES
from styr.kinds.errors import ApiError, BadRequest, TooLarge, UnsupportedMedia
from tests.api.kit import MERGE_PATCH, Api, running
from tests.api.proto import MEDIA, envelope, f, pair, varint
from tests.conformance.conftest import WIDGETS, widget

_META = f(1, "web") + pair(11, "app", "web") + pair(11, "tier", "")
_PORT = f(1, "") + f(3, 8080) + f(4, "TCP")
_PROBE = f(1, f(2, f(1, "/") + f(2, f(1, 1) + f(2, 0) + f(3, "http")))) + f(3, -1)
_MAIN = f(1, "main") + f(2, "image") + f(6, _PORT) + f(8, pair(1, "cpu", f(1, "100m"))) + f(10, _PROBE)
_SPEC = f(1, f(1, "data") + f(2, f(2, f(1, "Memory")))) + f(2, _MAIN) + f(4, 0) + f(11, 1)
POD = f(1, _META) + f(2, _SPEC + f(14, f(4, varint(7) + varint(300)) + f(4, 5)))


def pod(*parts: bytes) -> dict[str, Any]:
    return decode(envelope("v1", "Pod", b"".join(parts)))


def schema(*parts: bytes) -> Any:
    found = decode(envelope("apiextensions.k8s.io/v1", "JSONSchemaProps", b"".join(parts)))
    del found["apiVersion"], found["kind"]
    return found


def event(*parts: bytes) -> dict[str, Any]:
    return decode(envelope("v1", "Event", b"".join(parts)))


def test_a_pod() -> None:
    main = {
        "name": "main",
        "image": "image",
        "ports": [{"containerPort": 8080, "protocol": "TCP"}],
        "resources": {"limits": {"cpu": "100m"}},
        "livenessProbe": {"httpGet": {"path": "/", "port": "http"}, "timeoutSeconds": -1},
    }
    assert pod(POD) == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "labels": {"app": "web", "tier": ""}},
        "spec": {
            "volumes": [{"name": "data", "emptyDir": {"medium": "Memory"}}],
            "containers": [main],
            "terminationGracePeriodSeconds": 0,
            "hostNetwork": True,
            "securityContext": {"supplementalGroups": [7, 300, 5]},
        },
        "status": {},
    }


def test_what_is_not_on_the_wire_is_what_go_writes_for_it() -> None:
    empty = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {}, "status": {}}
    template = {"metadata": {}, "spec": {"containers": None}}
    wanted = {**empty, "spec": {"selector": None, "strategy": {}, "template": template}}
    assert decode(envelope("apps/v1", "Deployment", b"")) == wanted
    times = ("firstTimestamp", "lastTimestamp", "eventTime")
    assert [event()[name] for name in times] == [None, None, None]


def test_secrets_are_base64() -> None:
    raw = pair(2, "a", b"\x00\xff") + pair(2, "empty", b"") + pair(4, "word", "text") + f(4, f(1, "bare"))
    found = decode(envelope("v1", "Secret", raw))
    assert found["data"] == {"a": "AP8=", "empty": ""}
    assert found["stringData"] == {"word": "text", "bare": ""}


@pytest.mark.parametrize(
    ("seconds", "nanos", "text", "micro"),
    [
        (0, 0, "1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000Z"),
        (1_700_000_000, 123_456_789, "2023-11-14T22:13:20Z", "2023-11-14T22:13:20.123456Z"),
        (-1, 0, "1969-12-31T23:59:59Z", "1969-12-31T23:59:59.000000Z"),
        (-62_135_596_800, 0, "0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
    ],
)
def test_times(seconds: int, nanos: int, text: str, micro: str) -> None:
    found = event(f(6, f(1, seconds) + f(2, nanos)), f(10, f(1, seconds) + f(2, nanos)))
    assert (found["firstTimestamp"], found["eventTime"]) == (text, micro)


@pytest.mark.parametrize("seconds", [1 << 40, 1 << 62, -(1 << 40), -(1 << 63)])
def test_times_that_are_none(seconds: int) -> None:
    with pytest.raises(BadRequest, match="years 1 and 9999"):
        event(f(6, f(1, seconds)))


def test_json_schemas() -> None:
    either = f(24, f(2, f(5, "string")) + f(2, f(5, "integer")))
    assert schema(f(3, "#/x"), f(2, "draft"), either) == {
        "$ref": "#/x",
        "$schema": "draft",
        "items": [{"type": "string"}, {"type": "integer"}],
    }
    assert schema(f(24, f(1, f(5, "string")))) == {"items": {"type": "string"}}
    for raw, wanted in ((f(1, 1), True), (f(1, 0), False), (b"", False), (f(1, 1) + f(2), {})):
        assert schema(f(30, raw)) == {"additionalProperties": wanted}
    assert schema(pair(32, "a", f(2, "b") + f(2, "c")), pair(32, "d", f(1, f(5, "object")))) == {
        "dependencies": {"a": ["b", "c"], "d": {"type": "object"}}
    }
    assert schema(f(8, f(1, '{"a":[1,null]}')), varint(9 << 3 | 1) + struct.pack("<d", 0.5)) == {
        "default": {"a": [1, None]},
        "maximum": 0.5,
    }
    assert schema(f(20, f(1, "1")), f(20), f(38, 0)) == {
        "enum": [1, None],
        "x-kubernetes-preserve-unknown-fields": False,
    }


def test_a_field_that_comes_twice() -> None:
    found = pod(f(1, f(1, "a") + f(3, "ns")), POD, f(1, f(1, "b")), f(1, pair(11, "app", "other")))
    assert found["metadata"] == {"name": "b", "namespace": "ns", "labels": {"app": "other", "tier": ""}}
    assert "name" not in pod(f(1, f(1, "a")), f(1, f(1, "")))["metadata"]
    twice = pod(f(2, f(2, f(1, "a")) + f(10, "here")), f(2, f(2, f(1, "b"))))["spec"]
    assert [entry["name"] for entry in twice["containers"]] == ["a", "b"]
    assert twice["nodeName"] == "here"


def test_unknown_fields_are_skipped() -> None:
    strange = f(900, 1 << 60) + f(901, "x" * 300) + varint(902 << 3 | 1) + bytes(8) + varint(903 << 3 | 5) + bytes(4)
    assert pod(strange, f(1, strange + _META + strange), f(2, _SPEC), strange) == pod(f(1, _META), f(2, _SPEC))


@pytest.mark.parametrize(
    "raw",
    [
        f(1, 7),  # metadata as a number
        f(2, f(4, "text")),  # a number as a text
        varint(1 << 3 | 5) + bytes(4),
        varint(0 << 3) + b"\0",
        varint(900 << 3 | 3) + varint(900 << 3 | 4),
        varint(900 << 3 | 6),
        varint(900 << 3 | 7),
        b"\xff" * 11,
        varint(1 << 3 | 2) + varint((1 << 64) - 1),
        varint(900 << 3 | 2) + varint(1 << 62),
        f(1, f(1, b"\xff")),
        f(1, varint(1 << 3 | 2) + varint(9) + b"a") + bytes(20),  # a name longer than what holds it
        f(2, f(14, f(4, b"\x80"))),
        f(2, f(2, f(10, f(1, f(2, f(2, f(1, 2))))))),  # an IntOrString that is neither
    ],
)
def test_damaged_messages_are_refused_in_words(raw: bytes) -> None:
    with pytest.raises(BadRequest, match="damaged"):
        pod(raw)
    with pytest.raises(BadRequest, match="damaged"):
        pod(POD, raw)


@pytest.mark.parametrize("real", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_json_has_not(real: float) -> None:
    with pytest.raises(BadRequest, match="no number of JSON"):
        schema(varint(9 << 3 | 1) + struct.pack("<d", real))


@pytest.mark.parametrize("raw", ["{", "nul", "[" * 3000, "\ud800".encode("utf-16-le", "surrogatepass"), b"\xff"])
def test_damaged_json_within(raw: str | bytes) -> None:
    with pytest.raises(BadRequest):
        schema(f(8, f(1, raw)))


def test_cut_off_at_every_byte() -> None:
    whole = envelope("v1", "Pod", POD)
    start = whole.index(POD)
    for size in range(len(whole)):
        if start - 2 < size < start + len(POD) or size < 4:
            with pytest.raises(BadRequest):
                decode(whole[:size])
        else:
            _any(whole[:size])
    for size in range(len(POD)):
        _any(envelope("v1", "Pod", POD[:size]))


def test_random_damage() -> None:
    draw = random.Random(7)
    whole = [envelope("v1", "Pod", POD), envelope("v1", "Event", f(6, f(1, 5)) + f(10, f(1, 5) + f(2, 7)))]
    for _ in range(5000):
        raw = bytearray(draw.choice(whole))
        for _ in range(draw.randint(1, 4)):
            raw[draw.randrange(4, len(raw))] = draw.randrange(256)
        _any(bytes(raw))


def _any(raw: bytes) -> None:
    """An object or an error of the API, nothing else."""
    with contextlib.suppress(ApiError):
        assert isinstance(decode(raw), dict)


def test_depth_is_limited() -> None:
    def nested(levels: int, inner: bytes = b"") -> bytes:
        for _ in range(levels):
            inner = f(28, inner)  # not
        return inner

    assert schema(nested(100))
    for raw in (nested(200), nested(20_000), nested(100, f(8, f(1, "[" * 50 + "]" * 50)))):
        with pytest.raises(BadRequest, match="nested deeper"):
            schema(raw)


def test_size_is_limited() -> None:
    many = MAX_VALUES + 1
    container = (f(3) * many, pair(8, "", "") * many, f(6) * many)
    for raw in (f(2) * many, f(14, f(4, b"\1" * many)), f(14, f(4, 1) * many), *(f(2, entry) for entry in container)):
        with pytest.raises(TooLarge, match="values"):
            pod(f(2, raw))
    with pytest.raises(TooLarge, match="bytes"):
        pod(f(2, bytes(3 << 20)))


def test_the_envelope() -> None:
    for raw in (b"", b"k8", b"k8s\0", b"{}", b"k8s\0" + f(2, POD), b"k8s\0" + f(1, f(2, "Pod"))):
        with pytest.raises(BadRequest):
            decode(raw)
    for version, kind in (("v1", "Widget"), ("example.com/v1", "Pod"), ("v2", "Pod"), ("v1", "pod")):
        with pytest.raises(UnsupportedMedia, match="send application/json"):
            decode(envelope(version, kind, b""))
    assert decode(envelope("apps/v1", "DeleteOptions", f(1, 0)))["gracePeriodSeconds"] == 0


def test_every_message_of_the_table_compiles() -> None:
    table = shapes.table()
    assert sum(map(len, table.values())) > 1000
    for version, messages in table.items():
        for name in messages:
            shape = shapes.find(version, name)
            assert shape is not None
            reader.Reader(b"").message(0, 0, shape, {}, 1)


async def test_the_server_takes_it() -> None:
    async with running() as api:
        await _write_and_delete(api)
        await _refuse(api)


async def _write_and_delete(api: Api) -> None:
    maps, named = "/api/v1/namespaces/default/configmaps", f(1, f(1, "a"))
    raw = envelope("v1", "ConfigMap", named + pair(2, "k", "v"))
    await api("POST", f"{maps}?dryRun=All", raw, type=MEDIA)
    await api("POST", f"{maps}?fieldValidation=Strict", raw, type=MEDIA)
    changed = envelope("v1", "ConfigMap", named + pair(2, "k", "w"))
    assert (await api("PUT", f"{maps}/a", changed, type=MEDIA))["data"] == {"k": "w"}
    options = envelope("v1", "DeleteOptions", f(2, f(1, "other")))
    await api("DELETE", f"{maps}/a", options, type=MEDIA, want=409)
    await api("DELETE", f"{maps}/a", envelope("v1", "DeleteOptions", b""), type=MEDIA)
    small = f(1, _META) + f(2, f(2, f(1, "main") + f(2, "image")))
    await api("POST", "/api/v1/namespaces/default/pods", envelope("v1", "Pod", small), type=MEDIA)
    target = f(1, f(1, "web")) + f(2, f(1, "Node") + f(3, "here"))
    path = "/api/v1/namespaces/default/pods/web"
    await api("POST", f"{path}/binding", envelope("v1", "Binding", target), type=MEDIA)
    assert (await api("GET", path))["spec"]["nodeName"] == "here"


async def _refuse(api: Api) -> None:
    maps = "/api/v1/namespaces/default/configmaps"
    await api("POST", maps, envelope("v1", "Widget", b""), type=MEDIA, want=415)
    await api("POST", maps, envelope("v1", "Secret", f(1, f(1, "a"))), type=MEDIA, want=400)
    await api("POST", maps, b"{}", type=MEDIA, want=400)
    answer = await api("POST", maps, b"a: b", type="application/toml", want=415)
    assert MEDIA in answer["message"]
    await api("PATCH", f"{maps}/a", envelope("v1", "ConfigMap", b""), type=MEDIA, want=415)
    await api("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", WIDGETS)
    widgets = "/apis/example.com/v1/namespaces/default/widgets"
    await api("POST", widgets, envelope("example.com/v1", "Widget", b""), type=MEDIA, want=415)
    await api("POST", widgets, widget("a", size=1))
    await api("DELETE", f"{widgets}/a", envelope("example.com/v1", "DeleteOptions", b""), type=MEDIA)


async def test_zeros_that_go_writes_are_defaulted() -> None:
    space, rbac, crds = "/namespaces/default", "rbac.authorization.k8s.io/v1", "apiextensions.k8s.io/v1"
    named = f(1, f(1, "a"))
    async with running() as api:
        port = f(2, f(1, f(1, "") + f(2, "TCP") + f(3, 80) + f(4, f(1, 0) + f(2, 0) + f(3, ""))))
        made = await api("POST", f"/api/v1{space}/services", envelope("v1", "Service", named + port), type=MEDIA)
        assert made["spec"]["ports"] == [{"port": 80, "targetPort": 80, "protocol": "TCP"}]
        subjects = f(2, f(1, "User") + f(2, "") + f(3, "ann") + f(4, ""))
        raw = envelope(rbac, "RoleBinding", named + subjects + f(3, f(1, "") + f(2, "ClusterRole") + f(3, "view")))
        made = await api("POST", f"/apis/{rbac}{space}/rolebindings", raw, type=MEDIA)
        assert made["roleRef"]["apiGroup"] == made["subjects"][0]["apiGroup"] == "rbac.authorization.k8s.io"
        names = f(3, f(1, "toys") + f(2, "") + f(4, "Toy") + f(5, ""))
        version = f(7, f(1, "v1") + f(2, 1) + f(3, 1) + f(4, f(1, f(5, "object"))))
        spec = f(2, f(1, "e.com") + names + f(4, "Namespaced") + version)
        raw = envelope(crds, "CustomResourceDefinition", f(1, f(1, "toys.e.com")) + spec)
        path = f"/apis/{crds}/customresourcedefinitions"
        await api("POST", path, raw, type=MEDIA)
        status = (await api("PUT", f"{path}/toys.e.com/status", raw, type=MEDIA))["status"]
        assert status["storedVersions"] == ["v1"]
        wrong = {"status": {"conditions": True, "storedVersions": [1]}}
        await api("PATCH", f"{path}/toys.e.com/status", wrong, type=MERGE_PATCH, want=422)
