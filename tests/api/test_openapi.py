"""OpenAPI as a real server publishes it: the same documents for the same kinds, and what clients do with them."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from struct import unpack
from typing import Any

import pytest

from styr.api.builtin import tables
from styr.api.discovery import Documented, Served, Subresource
from styr.api.openapi import builtin, documents, gnostic
from styr.api.verbs.delete import RETURNED
from styr.kinds.resources import Resource
from styr.kinds.transport import Response
from tests.api.generate_openapi import digest
from tests.api.kit import Api, running
from tests.api.openapi_crds import CRDS, crd, struct, version

REAL = json.loads(Path(__file__).with_name("openapi_real.json").read_text())
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
V2_PROTOBUF = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
V3_PROTOBUF = "application/com.github.proto-openapi.spec.v3@v1.0+protobuf"


PATH = (
    r"/apis?/(?:([a-z.0-9]+)/)?(v\d\w*)/(?:watch/)?(namespaces/\{namespace\}/)?"
    r"(\w+)(?:/\{name\}(?:/(\w+).*)?)?"
)


LATER = re.compile("/v1/(watch/)?mutatingadmissionpolic")
"""That version has them in v1beta1 alone."""


def everything() -> list[Documented]:
    """All that the real server serves, read from its paths."""
    table = builtin.load()
    found: dict[tuple[str, str, str], dict[str, set[str]]] = {}
    scopes: dict[tuple[str, str, str], bool] = {}
    for path, raw in table.paths.items():
        match = re.fullmatch(
            r"/apis?/(?:([^/]*\.?[^/]*)/)?(v\d\w*)/(?:watch/)?(namespaces/\{namespace\}/)?(\w+)(?:/\{name\}(?:/(\w+).*)?)?",
            path,
        )
        if match is None:
            continue
        group, number, namespaced, plural, sub = match.groups(default="")
        actions = (
            operation["x-kubernetes-action"] for key, operation in json.loads(bytes(raw)).items() if key in METHODS
        )
        verbs = {{"post": "create", "put": "update", "watchlist": "watch"}.get(action, action) for action in actions}
        found.setdefault((group, number, plural), {}).setdefault(sub, set()).update(verbs)
        scopes[group, number, plural] = scopes.get((group, number, plural), False) or bool(namespaced)
    return [
        Documented(
            Served(
                Resource(*key[:2], "", key[2], namespaced=scopes[key]),
                tuple(verbs.get("", ())),
                tuple(Subresource(name, tuple(words)) for name, words in verbs.items() if name),
            )
        )
        for key, verbs in found.items()
    ]


METHODS = ("get", "put", "post", "patch", "delete", "head", "options")


def test_the_documents_of_builtin_kinds_are_those_of_a_real_server() -> None:
    newer = {kind.resource for kind in tables.kinds() if kind.storage}
    entries, table = [entry for entry in everything() if entry.served.resource not in newer], builtin.load()
    parts = documents.parts_of(entries)
    made = {name: documents.v3(table, name, parts[name]) for name in parts} | {"v2": documents.v2(table, entries)}
    ours = {name: digest(json.loads(documents.encoded(document))) for name, document in made.items()}
    assert [name for name in REAL["digests"] if ours.get(name) != REAL["digests"][name]] == []
    assert ours.keys() == REAL["digests"].keys()


async def test_nothing_that_is_served_is_left_untold(api: Api) -> None:
    """Every built-in resource, its subresources and its verbs."""
    for name in (await read(api, "/openapi/v3"))["paths"]:
        if not re.fullmatch("api/v1|apis/[^/]+/v[^/]+", name):
            continue
        paths = (await v3(api, name))["paths"]
        for resource in (await read(api, f"/{name}"))["resources"]:
            plural, _, sub = resource["name"].partition("/")
            within = "namespaces/{namespace}/" if resource["namespaced"] else ""
            path = f"/{name}/{within}{plural}" + (f"/{{name}}/{sub}" if sub else "")
            assert path in paths, path
            told = {key for key in paths[path] if key in METHODS} | set(paths.get(f"{path}/{{name}}", ()))
            wanted = {"create": "post", "update": "put", "watch": "get", "list": "get", "deletecollection": "delete"}
            assert {wanted.get(verb, verb) for verb in resource["verbs"]} <= told
            operations = [operation for key, operation in paths[path].items() if key in METHODS]
            assert all("description" in operation for operation in operations)


def test_a_deletion_gives_what_the_documents_say() -> None:
    found = set()
    for path, raw in builtin.load().paths.items():
        operation = json.loads(bytes(raw)).get("delete", {})
        if operation.get("x-kubernetes-action") == "delete":
            kind = operation["x-kubernetes-group-version-kind"]
            plural = path.split("/")[-2]
            if not operation["responses"]["200"]["schema"]["$ref"].endswith(".Status"):
                found.add(f"{plural}.{kind['group']}" if kind["group"] else plural)
    assert found == RETURNED


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with running() as found:
        yield found


async def get(api: Api, path: str, accept: str = "application/json", **headers: str) -> Response:
    response = await api.raw("GET", path, accept=accept, **headers)
    assert isinstance(response.body, bytes)
    return response


async def read(api: Api, path: str) -> Any:
    response = await get(api, path)
    assert response.status == 200
    assert isinstance(response.body, bytes)
    return json.loads(response.body)


async def v3(api: Api, name: str) -> Any:
    return await read(api, (await read(api, "/openapi/v3"))["paths"][name]["serverRelativeURL"])


async def test_definitions_are_published_as_a_real_server_does(api: Api) -> None:
    for obj in CRDS:
        await api("POST", DEFINITIONS, obj)
    for name, theirs in REAL["v3"].items():
        ours = await v3(api, name)
        ours["paths"] = digest(ours["paths"])
        schemas = ours["components"]["schemas"]
        ours["components"]["schemas"] = {n: digest(s) if n.startswith("io.k8s.a") else s for n, s in schemas.items()}
        assert ours == theirs
    whole = await read(api, "/openapi/v2")
    for path, told in REAL["v2"]["paths"].items():
        assert digest(whole["paths"][path]) == told, path
    for name, schema in REAL["v2"]["definitions"].items():
        assert whole["definitions"][name] == schema


async def test_a_definition_is_told_at_once_and_forgotten_at_once(api: Api) -> None:
    before = await read(api, "/openapi/v3")
    tags = [
        (await get(api, path)).headers["etag"] for path in ("/openapi/v3", "/openapi/v2", "/openapi/v3/apis/apps/v1")
    ]
    await api("POST", DEFINITIONS, CRDS[1])
    addresses = "apis/stable.example.com/v1"
    assert (await read(api, "/openapi/v3"))["paths"].keys() - before["paths"].keys() == {addresses}
    street = (await v3(api, addresses))["components"]["schemas"]["com.example.stable.v1.Address"]["properties"]["spec"]
    assert street["properties"] == {"street": {"type": "string"}}
    after = [
        (await get(api, path)).headers["etag"] for path in ("/openapi/v3", "/openapi/v2", "/openapi/v3/apis/apps/v1")
    ]
    assert [old == new for old, new in zip(tags, after, strict=True)] == [False, False, True]
    changed = struct(spec=struct(street={"type": "integer"}))
    patch = {"spec": {"versions": [version("v1", changed), version("v2", changed, storage=False)]}}
    await api("PATCH", f"{DEFINITIONS}/addresses.stable.example.com", patch, type="application/merge-patch+json")
    for name in (addresses, "apis/stable.example.com/v2"):
        text = json.dumps(await v3(api, name))
        assert '"street": {"type": "integer"}' in text
    assert "com.example.stable.v2.Address" in (await read(api, "/openapi/v2"))["definitions"]
    await api("DELETE", f"{DEFINITIONS}/addresses.stable.example.com")
    assert await read(api, "/openapi/v3") == before
    assert (await get(api, f"/openapi/v3/{addresses}")).status == 404
    assert "example" not in json.dumps(list((await read(api, "/openapi/v2"))["definitions"]))


async def test_urls_with_a_hash_are_kept_for_ever(api: Api) -> None:
    url = (await read(api, "/openapi/v3"))["paths"]["apis/apps/v1"]["serverRelativeURL"]
    found = await get(api, url)
    assert found.headers["cache-control"] == "public, immutable"
    assert found.headers["expires"].endswith("GMT")
    assert url.partition("hash=")[2] == found.headers["etag"].strip('"')
    assert (await get(api, url, **{"if-none-match": found.headers["etag"]})).status == 304
    old = await get(api, "/openapi/v3/apis/apps/v1?hash=OLD")
    assert (old.status, old.headers["location"]) == (301, url)
    assert "cache-control" not in (await get(api, "/openapi/v3/apis/apps/v1")).headers


async def test_the_form_is_the_one_asked_for(api: Api) -> None:
    for path, accept, media in (
        ("/openapi/v2", "", "application/json"),
        ("/openapi/v2", "application/vnd.oai, */*", "application/json"),
        ("/openapi/v2", V2_PROTOBUF, V2_PROTOBUF.replace("@", ".")),
        ("/openapi/v2", f"{V2_PROTOBUF}, application/json", V2_PROTOBUF.replace("@", ".")),
        ("/openapi/v3/api/v1", V3_PROTOBUF, V3_PROTOBUF.replace("@", ".")),
        ("/openapi/v3/api/v1", V3_PROTOBUF.replace("@", "."), V3_PROTOBUF.replace("@", ".")),
        ("/openapi/v3/api/v1", f"application/json, {V3_PROTOBUF}", "application/json"),
    ):
        plain = await get(api, path, accept)
        assert (plain.status, plain.headers["content-type"]) == (200, media)
        packed = await get(api, path, accept, **{"accept-encoding": "gzip"})
        assert packed.headers["content-encoding"] == "gzip"
        assert isinstance(packed.body, bytes)
        assert gzip.decompress(packed.body) == plain.body
    for path in ("/openapi/v2", "/openapi/v3/api/v1"):
        assert (await get(api, path, "text/html")).status == 406
        assert (await get(api, path, V2_PROTOBUF if "v3" in path else V3_PROTOBUF)).status == 406
    for path in ("/openapi/v3/apis/none/v1", "/openapi/v4", "/openapi/v3/v2", "/openapi/"):
        assert (await get(api, path)).status == 404


async def test_every_reference_leads_somewhere_and_every_operation_is_one(api: Api) -> None:
    await api("POST", DEFINITIONS, CRDS[0])
    names = [f"/openapi/v3/{name}" for name in (await read(api, "/openapi/v3"))["paths"]]
    for path in (*names, "/openapi/v2"):
        document = await read(api, path)
        known = document.get("definitions") or document["components"].get("schemas", {})
        for found in re.findall(r'"\$ref": "#/(?:definitions|components/schemas)/([^"]+)"', json.dumps(document)):
            assert found in known
        ids = [op["operationId"] for item in document["paths"].values() for key, op in item.items() if key in METHODS]
        assert len(ids) == len(set(ids))


def fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """The fields of a protobuf message: an independent reading of what `gnostic` wrote."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        tag = varint()
        if tag & 7 == 0:
            yield tag >> 3, varint()
            continue
        size = varint() if tag & 7 == 2 else 8
        yield tag >> 3, data[at : at + size]
        at += size


def named(message: bytes, number: int = 1) -> dict[str, bytes]:
    """The named values of a message."""
    pairs = [dict(fields(block)) for key, block in fields(message) if key == number]
    return {pair[1].decode(): pair[2] for pair in pairs}


async def test_protobuf_says_the_same_as_json(api: Api) -> None:
    """kubectl 1.20 in tests/conformance reads it in earnest; the whole was compared once with gnostic's own, and is equal."""
    await api("POST", DEFINITIONS, CRDS[0])
    plain = await read(api, "/openapi/v2")
    response = await get(api, "/openapi/v2", V2_PROTOBUF)
    assert isinstance(response.body, bytes)
    document = dict(fields(response.body))
    assert document[1] == b"2.0"
    assert named(document[8], 2).keys() == plain["paths"].keys()
    definitions = named(document[9])
    assert definitions.keys() == plain["definitions"].keys()
    for name, schema in plain["definitions"].items():
        read_back = dict(fields(definitions[name]))
        assert read_back.get(4, b"").decode() == schema.get("description", "")
        assert named(read_back.get(25, b"")).keys() == schema.get("properties", {}).keys()
        extensions = {key: json.loads(dict(fields(value))[2]) for key, value in named(definitions[name], 31).items()}
        assert extensions == {key: value for key, value in schema.items() if key.startswith("x-")}
    spec = dict(fields(named(dict(fields(definitions["com.example.stable.v1.CronTab"]))[25])["spec"]))
    counts = dict(fields(named(spec[25])["counts"]))
    assert (struct_double(counts[7]), counts[8], list(fields(counts[22]))) == (10.5, 1, [(1, b"integer")])


def struct_double(data: bytes) -> float:
    return float(unpack("<d", data)[0])


def test_protobuf_of_v3() -> None:
    text = {"type": "string", "default": "x"}
    schema = {"properties": {"a": {"$ref": "#/x"}, "b": text}, "additionalProperties": False, "not": {"nullable": True}}
    made = gnostic.encode("v3", {"openapi": "3.0.0", "components": {"schemas": {"K": schema}}, "unknown": 1})
    found = dict(fields(named(dict(fields(dict(fields(made))[5]))[1])["K"]))
    inner = dict(fields(found[1]))
    properties = named(inner[31])
    assert dict(fields(dict(fields(properties["a"]))[2])) == {1: b"#/x"}
    assert dict(fields(dict(fields(properties["b"]))[1])) == {25: b"string", 33: b"\x1a\x01x"}
    assert (inner[32], inner[29]) == (b"\x10\x00", b"\x08\x01")


async def test_the_loop_goes_on_while_a_document_is_made(api: Api) -> None:
    longest, last = 0.0, time.monotonic()
    making = asyncio.create_task(get(api, "/openapi/v2", V2_PROTOBUF))
    while not making.done():
        await asyncio.sleep(0)
        now = time.monotonic()
        longest, last = max(longest, now - last), now
    assert (await making).status == 200
    assert longest < 0.5


async def test_many_ask_at_once_and_one_document_is_made(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    loads = 0
    load = builtin.load

    def counting() -> builtin.Table:
        nonlocal loads
        loads += 1
        return load()

    monkeypatch.setattr(builtin, "load", counting)
    answers = await asyncio.gather(*(get(api, "/openapi/v3/apis/apps/v1") for _ in range(20)))
    assert len({bytes(answer.body) for answer in answers if isinstance(answer.body, bytes)}) == 1
    assert loads == 1


async def test_a_kind_with_a_hostile_schema_is_published(api: Api) -> None:
    odd = {"x-kubernetes-preserve-unknown-fields": True, "type": "object", "properties": {"$ref": {"type": "string"}}}
    await api("POST", DEFINITIONS, crd("qqgroup.styr.dev", "qqplural", "Qqkind", version("qqversion", odd)))
    document = await v3(api, "apis/qqgroup.styr.dev/qqversion")
    assert "$ref" in document["components"]["schemas"]["dev.styr.qqgroup.qqversion.Qqkind"]["properties"]
    assert "/apis/qqgroup.styr.dev/qqversion/qqplural" in document["paths"]
