"""CustomResourceDefinitions whose versions differ: a conversion webhook on a real socket, reads and writes in any version."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from styr.kinds.transport import Response
from tests.api import kit
from tests.api.kit import MERGE_PATCH, Api
from tests.api.webhook import (
    MUTATING,
    VALIDATING,
    Webhook,
    configuration,
    deny,
    expose,
    patch,
    rule,
    running,
    webhook,
)

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
GROUP = "/apis/stable.example.com"
V1 = f"{GROUP}/v1/namespaces/default/points"
V2 = f"{GROUP}/v2/namespaces/default/points"
APPLY = "application/apply-patch+yaml"


def version(name: str, **properties: Any) -> dict[str, Any]:
    spec = {"type": "object", "properties": properties}
    schema = {
        "type": "object",
        "properties": {"spec": spec, "status": {"type": "object", "properties": {"seen": TEXT}}},
    }
    return {
        "name": name,
        "served": True,
        "storage": name == "v1",
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}},
    }


TEXT = {"type": "string"}


def definition(client: dict[str, Any] | None) -> dict[str, Any]:
    """v1 has `hostPort: "localhost:8080"`, v2 `host` and `port`, and a default."""
    conversion: dict[str, Any] = {"strategy": "None"}
    if client is not None:
        conversion = {"strategy": "Webhook", "webhook": {"clientConfig": client, "conversionReviewVersions": ["v1"]}}
    names = {"plural": "points", "kind": "Point"}
    extra = {"type": "string", "default": "none"}
    versions = [version("v1", hostPort=TEXT), version("v2", host=TEXT, port=TEXT, extra=extra)]
    spec = {"group": "stable.example.com", "scope": "Namespaced", "names": names, "versions": versions}
    return {"metadata": {"name": "points.stable.example.com"}, "spec": {**spec, "conversion": conversion}}


class Converting:
    """What the webhook does: turns v1 into v2 and back."""

    def __init__(self) -> None:
        self.reviews: list[dict[str, Any]] = []
        self.spoil: Any = None

    def __call__(self, body: bytes) -> Response:
        review = json.loads(body)
        self.reviews.append(review["request"])
        wanted = review["request"]["desiredAPIVersion"]
        objects = [self.convert(obj, wanted) for obj in review["request"]["objects"]]
        response = {"uid": review["request"]["uid"], "convertedObjects": objects, "result": {"status": "Success"}}
        answer = {"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response}
        if self.spoil:
            self.spoil(answer)
        return Response(200, json.dumps(answer).encode(), {"content-type": "application/json"})

    def convert(self, obj: dict[str, Any], wanted: str) -> dict[str, Any]:
        spec = dict(obj.get("spec") or {})
        if wanted.endswith("/v2") and "hostPort" in spec:
            spec["host"], spec["port"] = spec.pop("hostPort").split(":")
        elif wanted.endswith("/v1"):
            spec = {"hostPort": f"{spec.get('host', '')}:{spec.get('port', '')}"}
        return {**obj, "apiVersion": wanted, "spec": spec}


@asynccontextmanager
async def together(path: Path) -> AsyncIterator[tuple[Api, Converting, Webhook]]:
    async with kit.running() as api, running(path) as hook:
        converting = Converting()
        hook.raw["/convert"] = converting
        await expose(api, hook)
        await api("POST", CRDS, definition(hook.client("/convert")))
        yield api, converting, hook


def one(name: str = "one", **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, **metadata}, "spec": {"hostPort": "localhost:8080"}}


def two(name: str = "two", host: str = "there", **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, **metadata}, "spec": {"host": host, "port": "80"}}


async def test_objects_are_read_in_every_version(tmp_path: Path) -> None:
    async with together(tmp_path) as (api, converting, _):
        made = await api("POST", V1, one(labels={"a": "b"}))
        assert made["apiVersion"] == "stable.example.com/v1"
        assert converting.reviews == []
        read = await api("GET", f"{V2}/one")
        assert read["apiVersion"] == "stable.example.com/v2"
        assert read["spec"] == {"host": "localhost", "port": "8080", "extra": "none"}
        assert read["metadata"] == made["metadata"]
        (review,) = converting.reviews
        assert review["desiredAPIVersion"] == "stable.example.com/v2"
        assert review["objects"][0]["metadata"]["labels"] == {"a": "b"}
        # What was asked once is known, until the object changes.
        await api("GET", f"{V2}/one")
        assert len(converting.reviews) == 1


async def test_a_list_is_one_question_also_in_mixed_forms(tmp_path: Path) -> None:
    async with together(tmp_path) as (api, converting, _):
        for number in range(5):
            await api("POST", V1, one(f"p{number}"))
        found = await api("GET", V2)
        assert found["apiVersion"] == "stable.example.com/v2"
        assert [item["spec"]["host"] for item in found["items"]] == ["localhost"] * 5
        assert {item["apiVersion"] for item in found["items"]} == {"stable.example.com/v2"}
        assert len(converting.reviews) == 1
        assert len(converting.reviews[0]["objects"]) == 5
        response = await api.raw("GET", V2, accept="application/json;as=Table;g=meta.k8s.io;v=v1")
        assert isinstance(response.body, bytes)
        assert len(json.loads(response.body)["rows"]) == 5


async def test_objects_are_written_in_every_version_and_stored_in_one(tmp_path: Path) -> None:
    async with together(tmp_path) as (api, _, _hook):
        made = await api("POST", V2, two())
        assert made["spec"] == {"host": "there", "port": "80", "extra": "none"}
        assert made["apiVersion"] == "stable.example.com/v2"
        stored = await api("GET", f"{V1}/two")
        assert stored["spec"] == {"hostPort": "there:80"}
        assert stored["metadata"]["uid"] == made["metadata"]["uid"]
        assert stored["metadata"]["managedFields"][0]["apiVersion"] == "stable.example.com/v2"

        made["spec"]["host"] = "here"
        changed = await api("PUT", f"{V2}/two", made)
        assert changed["metadata"]["generation"] == 2
        changed = await api("PATCH", f"{V2}/two", {"spec": {"port": "81"}}, type=MERGE_PATCH)
        assert (await api("GET", f"{V1}/two"))["spec"] == {"hostPort": "here:81"}
        changed = await api("PATCH", f"{V2}/two/status", {"status": {"seen": "yes"}}, type=MERGE_PATCH)
        assert changed["spec"]["host"] == "here"
        again = await api("PATCH", f"{V2}/two", {"spec": {"port": "81"}}, type=MERGE_PATCH)
        assert again["metadata"]["resourceVersion"] == changed["metadata"]["resourceVersion"]


async def test_server_side_apply_and_delete_in_another_version(tmp_path: Path) -> None:
    async with together(tmp_path) as (api, _, _hook):
        body = {"apiVersion": "stable.example.com/v2", "kind": "Point", **two()}
        url = f"{V2}/two?fieldManager=me"
        await api("PATCH", url, body, type=APPLY, want=201)
        body["spec"]["port"] = "90"
        changed = await api("PATCH", url, body, type=APPLY)
        assert changed["spec"]["port"] == "90"
        assert (await api("GET", f"{V1}/two"))["spec"] == {"hostPort": "there:90"}
        await api("PATCH", f"{V2}/two", {"metadata": {"finalizers": ["a.b/c"]}}, type=MERGE_PATCH)
        going = await api("DELETE", f"{V2}/two")
        assert going["spec"]["port"] == "90"
        assert going["metadata"]["deletionTimestamp"]
        await api("PATCH", f"{V2}/two", {"metadata": {"finalizers": None}}, type=MERGE_PATCH)
        await api("GET", f"{V2}/two", want=404)
        await api("POST", V1, one())
        gone = await api("DELETE", V2)
        assert [item["spec"]["host"] for item in gone["items"]] == ["localhost"]


async def test_watchers_of_another_version(tmp_path: Path) -> None:
    async with together(tmp_path) as (api, converting, _):
        await api("POST", V1, one())
        async with api.watching(f"{V2}?watch=1") as first, api.watching(f"{V2}?watch=1") as second:
            for stream in (first, second):
                event = await anext(stream)
                assert (event["type"], event["object"]["spec"]["host"]) == ("ADDED", "localhost")
            await api("PATCH", f"{V1}/one", {"spec": {"hostPort": "other:1"}}, type=MERGE_PATCH)
            await api("DELETE", f"{V1}/one")
            for stream in (first, second):
                event = await anext(stream)
                assert (event["type"], event["object"]["spec"]["host"]) == ("MODIFIED", "other")
                event = await anext(stream)
                assert (event["type"], event["object"]["apiVersion"]) == ("DELETED", "stable.example.com/v2")
        # Both watchers are served by one question each time.
        assert len(converting.reviews) <= 3


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda a: a["response"].update(result={"status": "Failure", "message": "no way"}), "failed: no way"),
        (lambda a: a["response"].update(result={}), "failed: response.result.status was '', not 'Success'"),
        (lambda a: a["response"].update(uid="x"), 'failed: expected response.uid="'),
        (lambda a: a.pop("response"), "failed: no response provided"),
        (lambda a: a.update(kind="Other"), "failed: expected webhook response of apiextensions.k8s.io/v1"),
        (lambda a: a["response"].update(convertedObjects=[]), "returned 0 objects, expected 1"),
        (lambda a: a["response"]["convertedObjects"][0].update(apiVersion="v9"), "invalid groupVersion"),
        (lambda a: a["response"]["convertedObjects"][0].update(kind="Other"), "invalid kind"),
        (lambda a: a["response"]["convertedObjects"][0].pop("metadata"), "missing metadata in converted object"),
        (lambda a: a["response"]["convertedObjects"][0]["metadata"].update(name="x"), "must have the same name"),
        (lambda a: a["response"]["convertedObjects"][0]["metadata"].update(uid="x"), "must have the same UID"),
        (lambda a: a["response"]["convertedObjects"][0]["metadata"].update(labels={"a": 1}), "invalid metadata.labels"),
        (lambda a: a["response"].update(convertedObjects=[5]), "it is no object"),
    ],
)
async def test_a_webhook_that_converts_badly(tmp_path: Path, spoil: Any, message: str) -> None:
    async with together(tmp_path) as (api, converting, _):
        await api("POST", V1, one())
        converting.spoil = spoil
        before = api.server.store.revision
        for answer in (await api("GET", f"{V2}/one", want=500), await api("POST", V2, two(), want=500)):
            assert answer["message"].startswith("conversion webhook for stable.example.com/v")
            assert message in answer["message"]
        assert api.server.store.revision == before
        (event,) = await api.events(f"{V2}?watch=1", 1)
        assert event["type"] == "ERROR"
        converting.spoil = None
        await api("GET", f"{V2}/one")


async def test_metadata_but_labels_and_annotations_is_not_the_webhooks(tmp_path: Path) -> None:
    async with together(tmp_path) as (api, converting, _):
        made = await api("POST", V1, one(labels={"a": "b"}))

        def spoil(answer: Any) -> None:
            meta = answer["response"]["convertedObjects"][0]["metadata"]
            meta |= {"labels": {"c": "d"}, "annotations": {"e": "f"}, "finalizers": ["x/y"], "resourceVersion": "1"}

        converting.spoil = spoil
        read = await api("GET", f"{V2}/one")
        assert read["metadata"]["labels"] == {"c": "d"}
        assert read["metadata"]["annotations"] == {"e": "f"}
        assert read["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
        assert "finalizers" not in read["metadata"]


async def test_the_storage_version_moves_and_old_objects_follow(tmp_path: Path) -> None:
    async with together(tmp_path) as (api, _, _hook):
        await api("POST", V1, one())
        crd = await api("GET", f"{CRDS}/points.stable.example.com")
        assert crd["status"]["storedVersions"] == ["v1"]
        for entry in crd["spec"]["versions"]:
            entry["storage"] = entry["name"] == "v2"
        crd = await api("PUT", f"{CRDS}/points.stable.example.com", crd)
        assert crd["status"]["storedVersions"] == ["v1", "v2"]
        assert (await api("GET", f"{V2}/one"))["spec"]["host"] == "localhost"
        await api("POST", V2, two())
        found = await api("GET", V1)
        assert [item["spec"]["hostPort"] for item in found["items"]] == ["localhost:8080", "there:80"]
        # An update that changes nothing brings an old object to today's version, and only then.
        read = await api("GET", f"{V2}/one")
        moved = await api("PUT", f"{V2}/one", read)
        assert moved["metadata"]["resourceVersion"] != read["metadata"]["resourceVersion"]
        again = await api("PUT", f"{V2}/one", moved)
        assert again["metadata"]["resourceVersion"] == moved["metadata"]["resourceVersion"]
        # No version is taken away while objects may be stored in it.
        crd = await api("GET", f"{CRDS}/points.stable.example.com")
        crd["spec"]["versions"] = [entry for entry in crd["spec"]["versions"] if entry["name"] == "v2"]
        refused = await api("PUT", f"{CRDS}/points.stable.example.com", crd, want=422)
        assert "must appear in spec.versions" in refused["message"]


async def test_admission_webhooks_see_the_version_that_they_ask_for(tmp_path: Path) -> None:
    async with together(tmp_path) as (api, _, hook):
        wanted = rule("points", "stable.example.com", "v2", "*")
        hook.on("/change", lambda _: patch({"op": "replace", "path": "/spec/host", "value": "changed"}))
        hook.on("/check", lambda r: deny("wrong") if r["object"]["spec"]["host"] != "changed" else {"allowed": True})
        await api("POST", MUTATING, configuration("m", webhook("m", hook.client("/change"), wanted)))
        await api("POST", VALIDATING, configuration("v", webhook("v", hook.client("/check"), wanted)))
        exact = webhook("x", hook.client("/exact"), wanted, matchPolicy="Exact")
        await api("POST", VALIDATING, configuration("x", exact))
        made = await api("POST", V1, one())
        assert made["spec"] == {"hostPort": "changed:8080"}
        first = hook.asked[0][1]
        assert first["kind"] == {"group": "stable.example.com", "version": "v2", "kind": "Point"}
        assert first["requestKind"]["version"] == "v1"
        assert first["requestResource"]["version"] == "v1"
        assert first["object"]["spec"] == {"host": "localhost", "port": "8080"}
        assert [path for path, _ in hook.asked] == ["/change", "/check"]


async def test_concurrent_writers_in_both_versions_lose_nothing(tmp_path: Path) -> None:
    async with together(tmp_path) as (api, _, _hook):
        await api("POST", V1, one())

        async def note(number: int) -> None:
            url = f"{V2 if number % 2 else V1}/one"
            await api("PATCH", url, {"metadata": {"labels": {f"n{number}": "x"}}}, type=MERGE_PATCH)

        await asyncio.gather(*(note(number) for number in range(12)))
        assert len((await api("GET", f"{V2}/one"))["metadata"]["labels"]) == 12


@pytest.mark.parametrize(
    ("conversion", "message"),
    [
        ({"strategy": "Webhook"}, "required when strategy is set to Webhook"),
        (
            {"strategy": "None", "webhook": {"conversionReviewVersions": ["v1"]}},
            "should not be set when strategy is not set to Webhook",
        ),
        ({"strategy": "Webhook", "webhook": {"clientConfig": {}}}, "exactly one of url or service is required"),
        (
            {
                "strategy": "Webhook",
                "webhook": {"clientConfig": {"url": "https://a/b"}, "conversionReviewVersions": ["x"]},
            },
            "must include at least one of v1, v1beta1",
        ),
        ({"strategy": "Webhook", "webhook": {"clientConfig": {"url": "http://a/b"}}}, "'https' is the only allowed"),
        ({"strategy": "Other"}, "Unsupported value"),
    ],
)
async def test_a_conversion_is_validated(conversion: dict[str, Any], message: str) -> None:
    async with kit.running() as api:
        crd = definition(None)
        crd["spec"]["conversion"] = conversion
        assert message in (await api("POST", CRDS, crd, want=422))["message"]


async def test_without_a_webhook_only_the_version_differs(tmp_path: Path) -> None:
    async with kit.running() as api:
        await api("POST", CRDS, definition(None))
        await api("POST", V1, one())
        read = await api("GET", f"{V2}/one")
        assert read["apiVersion"] == "stable.example.com/v2"


async def test_another_webhook_is_asked_anew(tmp_path: Path) -> None:
    async with together(tmp_path) as (api, _, _hook):
        await api("POST", V2, two())
        assert (await api("GET", f"{V1}/two"))["spec"] == {"hostPort": "there:80"}
        assert (await api("GET", f"{V2}/two"))["spec"]["host"] == "there"
        change = {"spec": {"conversion": {"webhook": {"clientConfig": {"service": {"name": "none"}}}}}}
        changed = await api("PATCH", f"{CRDS}/points.stable.example.com", change, type=MERGE_PATCH)
        assert changed["metadata"]["generation"] == 2
        refused = await api("GET", f"{V2}/two", want=500)
        assert 'service "none" not found' in refused["message"]
