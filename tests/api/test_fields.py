"""fieldValidation, in the words of kube-apiserver v1.35.3: every text here was compared with its answer to the same request."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from styr.api import fields
from styr.kinds.resources import Object
from tests.api.kit import JSON_PATCH, MERGE_PATCH, STRATEGIC, Api, config, running

DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
MAPS = "/api/v1/namespaces/default/configmaps"
THINGS = "/apis/fields.example.com/v1/things"
APPLY = "application/apply-patch+yaml"
YAML = "application/yaml"
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "d", "labels": {"a": "b"}},
    "spec": {
        "replicas": 1,
        "selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
    },
}
TEMPLATE = {"type": "object", "x-kubernetes-embedded-resource": True, "properties": {"spec": {"type": "object"}}}
KEPT = {
    "type": "object",
    "x-kubernetes-preserve-unknown-fields": True,
    "properties": {"template": TEMPLATE, "foo": {"type": "string"}},
}
LIST = {"type": "array", "items": {"type": "object", "properties": {"k": {"type": "string"}}}}
CLOSED = {"type": "object", "properties": {"n": {"type": "integer"}, "list": LIST}}
CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "things.fields.example.com"},
    "spec": {
        "group": "fields.example.com",
        "scope": "Cluster",
        "names": {"plural": "things", "kind": "Thing"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": KEPT, "strict": CLOSED}}},
            }
        ],
    },
}


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with running() as found:
        yield found


def deployment(old: str, new: str) -> str:
    text = json.dumps(DEPLOYMENT)
    assert old in text
    return text.replace(old, new, 1)


def thing(**parts: Any) -> Object:
    return {"apiVersion": "fields.example.com/v1", "kind": "Thing", "metadata": {"name": "w"}, **parts}


async def said(api: Api, method: str, url: str, body: Any, type: str = "application/json") -> list[str]:
    """What is found, which must be the same whether it is warned of or refused; and silent when it is ignored."""
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    mark = "&" if "?" in url else "?"
    silent = await api.raw(method, f"{url}{mark}dryRun=All&fieldValidation=Ignore", data, type=type)
    assert "warning" not in silent.headers
    plain = await api.raw(method, f"{url}{mark}dryRun=All", data, type=type)
    warned = await api.raw(method, f"{url}{mark}dryRun=All&fieldValidation=Warn", data, type=type)
    assert plain.status == warned.status == silent.status < 300, plain.body
    told = warned.headers.get("warning", "")
    assert plain.headers.get("warning", "") == told
    quoted = told.removeprefix("299 - ").split(", 299 - ") if told else []
    texts = [text[1:-1].replace('\\"', '"') for text in quoted]
    strict = await api.raw(method, f"{url}{mark}dryRun=All&fieldValidation=Strict", data, type=type)
    assert isinstance(strict.body, bytes)
    answer = json.loads(strict.body)
    assert strict.status == ((422 if method == "PATCH" else 400) if texts else silent.status), answer
    if texts and len(texts) < 16:
        assert answer["message"].endswith(fields.strict_error(texts))
    return texts


def unknown(*paths: str) -> list[str]:
    return [f'unknown field "{path}"' for path in paths]


def double(*paths: str) -> list[str]:
    return [f'duplicate field "{path}"' for path in paths]


PORTS = '[{"containerPort": 80, "prot": 1}, {"containerPort": 81, "containerPort": 82}]'
CONTAINER = f'"image": "i", "imagee": "x", "image": "j", "ports": {PORTS}'
C = "spec.template.spec.containers[0]"


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ('"x"', '"x"', []),
        ('"replicas": 1', '"odd": 1, "replicas": 1, "replicas": 2', unknown("spec.odd") + double("spec.replicas")),
        ('"name": "d"', '"name": "d", "odd": 1', unknown("metadata.odd")),
        ('"labels": {"a": "b"}', '"labels": {"a": "b", "a": "c"}', double("metadata.labels.a")),
        (
            '"kind": "Deployment"',
            '"kind": "Deployment", "kind": "Deployment", "odd": 1',
            double("kind") + unknown("odd"),
        ),
        (
            '"image": "i"',
            CONTAINER,
            unknown(f"{C}.imagee")
            + double(f"{C}.image")
            + unknown(f"{C}.ports[0].prot")
            + double(f"{C}.ports[1].containerPort"),
        ),
        ('"replicas": 1', ", ".join(['"replicas": 1'] * 50), double("spec.replicas")),
        ('"replicas": 1', '"Replicas": 1, "a.b": 1, "": 3', unknown("spec.Replicas", "spec.a.b", "spec.")),
    ],
)
async def test_a_body_of_a_builtin_kind(api: Api, old: str, new: str, found: list[str]) -> None:
    text = json.dumps(DEPLOYMENT) if old == '"x"' else deployment(old, new)
    assert await said(api, "POST", DEPLOYMENTS, text) == found
    blank = text.replace('":', '" :')
    assert await said(api, "POST", DEPLOYMENTS, blank) == found


async def test_no_more_than_a_hundred_are_named(api: Api) -> None:
    text = deployment('"replicas": 1', ", ".join(f'"u{number}": 1' for number in range(150)))
    answer = await api("POST", f"{DEPLOYMENTS}?fieldValidation=Strict", text.encode(), want=400)
    assert answer["message"].startswith(
        'Deployment in version "v1" cannot be handled as a Deployment: strict decoding error: '
    )
    assert answer["message"].count("unknown field") == 100


async def test_warnings_have_a_limit_of_their_own(api: Api) -> None:
    """As the real server: all of them as long as they are short, then 256 characters of each, 4 KiB in all."""
    short = deployment('"replicas": 1', ", ".join(f'"u{number}": 1' for number in range(90)))
    told = (await api.raw("POST", f"{DEPLOYMENTS}?dryRun=All", short.encode())).headers["warning"]
    assert told.count("299 - ") == 90
    long = deployment('"replicas": 1', ", ".join(f'"{"u" * 300}{number}": 1' for number in range(90)))
    told = (await api.raw("POST", f"{DEPLOYMENTS}?dryRun=All", long.encode())).headers["warning"]
    assert (told.count("299 - "), len(told) < 5000) == (16, True)


async def test_bodies_of_yaml(api: Api) -> None:
    text = "metadata:\n  name: y\ndata:\n  a: '1'\n  a: '2'\nodd: 1\n"
    assert await said(api, "POST", MAPS, text, YAML) == ['line 5: key "a" already set in map', *unknown("odd")]
    refused = await api("POST", f"{MAPS}?fieldValidation=Strict", text.encode(), type=YAML, want=400)
    assert refused["message"] == (
        'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: yaml: unmarshal errors:\n'
        '  line 5: key "a" already set in map, unknown field "odd"'
    )
    made = await api("POST", MAPS, text.encode(), type=YAML)
    assert made["data"] == {"a": "2"}
    for odd in (b"a: [", b"a: &x 1\nb: *x\n", b"- 1\n", b"? [a]\n: 1\n"):
        await api("POST", MAPS, odd, type=YAML, want=400)


async def test_a_body_of_a_custom_kind(api: Api) -> None:
    await api("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", CRD)
    obj = thing(spec={"foo": "x", "any": {"a": 1}}, strict={"n": 1, "m": 2, "list": [{"k": "a", "z": 1}]}, top=1)
    obj["metadata"]["odd"] = 1
    assert await said(api, "POST", THINGS, obj) == unknown("metadata.odd", "strict.list[0].z", "strict.m", "top")
    inner = {"apiVersion": "v1", "kind": "P", "metadata": {"name": "x", "odd": 1, "labels": {"a": "b"}}, "more": 1}
    obj = thing(spec={"template": inner})
    assert await said(api, "POST", THINGS, obj) == unknown("spec.template.more", "spec.template.metadata.odd")
    made = await api("POST", THINGS, obj)
    assert made["spec"]["template"]["metadata"] == {"name": "x", "labels": {"a": "b"}}
    text = (
        json.dumps(thing()).replace('"w"', '"x", "name": "v"')[:-1]
        + ', "spec": {"foo": "a", "foo": "b", "x": {"y": 1, "y": 2}}}'
    )
    assert await said(api, "POST", THINGS, text) == double("metadata.name", "spec.foo", "spec.x.y")


async def test_patches(api: Api) -> None:
    await api("POST", MAPS, config("base"))
    base = f"{MAPS}/base"
    twice = '{"daa": {"a": "1"}, "data": {"a": "1", "a": "2"}}'
    for kind in (MERGE_PATCH, STRATEGIC):
        assert await said(api, "PATCH", base, twice, kind) == double("data.a") + unknown("daa")
    operations = '[{"op": "add", "path": "/data", "value": {"a": "1", "a": "2"}, "foo": 1}]'
    assert await said(api, "PATCH", base, operations, JSON_PATCH) == [
        'json patch duplicate field "[0].value.a"',
        'json patch unknown field "[0].foo"',
    ]
    assert await said(api, "PATCH", base, [{"op": "add", "path": "/daa", "value": "x"}], JSON_PATCH) == unknown("daa")
    refused = await api(
        "PATCH", f"{base}?fieldValidation=Strict", {"metadata": {"odd": {"a": 1}}}, type=STRATEGIC, want=422
    )
    assert refused["message"] == (
        ' "" is invalid: patch: Invalid value: "map[metadata:map[odd:map[a:1]]]": '
        'strict decoding error: unknown field "metadata.odd"'
    )
    await api("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", CRD)
    await api("POST", THINGS, thing())
    patch = '{"strict": {"m": 1}, "spec": {"foo": "a", "foo": "b"}}'
    assert await said(api, "PATCH", f"{THINGS}/w", patch, MERGE_PATCH) == double("spec.foo") + unknown("strict.m")


async def test_an_applied_configuration_has_the_fields_of_its_kind_or_is_refused(api: Api) -> None:
    url = f"{DEPLOYMENTS}/d?fieldManager=m&dryRun=All"
    for mode in ("Ignore", "Warn", "Strict"):
        text = deployment('"replicas": 1', '"replicas": 1, "odd": 1')
        answer = await api("PATCH", f"{url}&fieldValidation={mode}", text.encode(), type=APPLY, want=400)
        assert answer["message"].endswith("Kind=Deployment): .spec.odd: field not declared in schema")
    two = deployment('"replicas": 1', '"replicas": 1, "odd": 1, "even": 1').encode()
    answer = await api("PATCH", url, two, type=APPLY, want=400)
    assert "errors:\n  .spec.odd: field not declared in schema\n  .spec.even: field not" in answer["message"]
    twice = deployment('"replicas": 1', '"replicas": 1, "replicas": 2').encode()
    warned = await api.raw("PATCH", url, twice, type=APPLY)
    assert (warned.status, warned.headers["warning"]) == (201, '299 - "line 1: key \\"replicas\\" already set in map"')
    answer = await api("PATCH", f"{url}&fieldValidation=Strict", twice, type=APPLY, want=400)
    assert answer["message"] == (
        "error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n"
        '  line 1: key "replicas" already set in map'
    )
    ignored = await api.raw("PATCH", f"{url}&fieldValidation=Ignore", twice, type=APPLY)
    assert (ignored.status, "warning" in ignored.headers) == (201, False)


@pytest.mark.parametrize(
    ("method", "options"), [("POST", "CreateOptions"), ("PUT", "UpdateOptions"), ("PATCH", "PatchOptions")]
)
async def test_other_words_are_refused(api: Api, method: str, options: str) -> None:
    await api("POST", MAPS, config("a"))
    url = MAPS if method == "POST" else f"{MAPS}/a"
    kind = MERGE_PATCH if method == "PATCH" else "application/json"
    answer = await api(method, f"{url}?fieldValidation=strict", config("a"), type=kind, want=422)
    assert answer["message"] == (
        f'{options}.meta.k8s.io "" is invalid: fieldValidation: Unsupported value: "strict": '
        'supported values: "", "Ignore", "Strict", "Warn"'
    )


VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=5) | st.sampled_from(['":', " :", '\\":']),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=4), VALUES, max_size=5), st.booleans())
def test_what_stands_once_is_never_told(value: Any, ascii_only: bool) -> None:
    for separators in ((",", ":"), (", ", ": "), (" , ", " : ")):
        raw = json.dumps(value, separators=separators, ensure_ascii=ascii_only).encode()
        assert fields.repeats(raw, json.loads(raw)) == []


@given(st.dictionaries(st.text(max_size=4), VALUES, min_size=1, max_size=5), st.data())
def test_what_stands_twice_is_told(value: Any, data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(value)))
    separators = data.draw(st.sampled_from([(",", ":"), (", ", ": "), (" , ", " : ")]))
    again = json.dumps({key: 1}, separators=separators, ensure_ascii=False)[1:-1]
    raw = f"{json.dumps(value, separators=separators, ensure_ascii=False)[:-1]},{again}}}".encode(errors="replace")
    assert fields.repeats(raw, json.loads(raw))
