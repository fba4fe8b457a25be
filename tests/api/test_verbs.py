"""The verbs over a real store: what each answers, and what is then stored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.api.kit import JSON_PATCH, MERGE_PATCH, STRATEGIC, Api, config, pod, running

MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
GADGETS = "/apis/example.com/v1/namespaces/default/gadgets"


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with running() as found:
        yield found


def deployment(name: str = "d", **spec: Any) -> dict[str, Any]:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": pod("x")["spec"]}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template, **spec}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def crd(**version: Any) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {"size": {"type": "integer", "default": 3, "minimum": 1}, "color": {"type": "string"}},
            },
            "status": {"type": "object", "properties": {"ready": {"type": "boolean"}}},
        },
    }
    v1 = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}, **version}
    v1.setdefault("subresources", {"status": {}})
    names = {"plural": "gadgets", "kind": "Gadget", "shortNames": ["gd"]}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "gadgets.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [v1]},
    }


def gadget(name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "example.com/v1", "kind": "Gadget", "metadata": {"name": name}, "spec": spec}


async def test_what_an_older_definition_stored_is_read_as_the_newer_one_has_it(api: Api) -> None:
    await api("POST", CRDS, crd())
    await api("POST", GADGETS, gadget("old", size=1))
    schema = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties"
    later = [{"op": "add", "path": f"{schema}/later", "value": {"type": "string", "default": "yes"}}]
    await api("PATCH", f"{CRDS}/gadgets.example.com", later, type=JSON_PATCH)
    assert (await api("GET", f"{GADGETS}/old"))["spec"]["later"] == "yes"
    assert [item["spec"]["later"] for item in (await api("GET", GADGETS))["items"]] == ["yes"]
    told = {"status": {"conditions": [{"type": "Odd", "status": "True"}]}}
    await api("PATCH", f"{CRDS}/gadgets.example.com/status", told, type=MERGE_PATCH)
    assert (await api("GET", f"{GADGETS}/old"))["spec"]["later"] == "yes"
    events = await api.events(f"{GADGETS}?watch=true", 1)
    assert events[0]["object"]["spec"]["later"] == "yes"


# create


async def test_create_sets_what_the_server_owns(api: Api) -> None:
    made = await api("POST", DEPLOYMENTS, deployment() | {"status": {"replicas": 9}})
    meta = made["metadata"]
    assert meta["generation"] == 1
    assert meta["uid"]
    assert meta["creationTimestamp"].endswith("Z")
    assert made["status"] == {}
    assert (await api("GET", f"{DEPLOYMENTS}/d")) == made


async def test_create_refuses(api: Api) -> None:
    await api("POST", MAPS, config("a"))
    assert (await api("POST", MAPS, config("a"), want=409))["reason"] == "AlreadyExists"
    assert (await api("POST", MAPS, config("b", namespace="other"), want=400))["reason"] == "BadRequest"
    assert "kind" in (await api("POST", MAPS, pod("b"), want=400))["message"]
    assert (await api("POST", MAPS, config("b", resourceVersion="1"), want=400))["reason"] == "BadRequest"
    assert (await api("POST", "/api/v1/namespaces/none/configmaps", config("a"), want=404))["details"]["name"] == "none"
    assert (await api("POST", MAPS, config("Not_A_Name"), want=422))["details"]["causes"][0]["field"] == "metadata.name"
    assert (await api("POST", MAPS, {"metadata": {}}, want=422))["reason"] == "Invalid"
    assert (await api("POST", "/api/v1/namespaces/default/nothings", config("a"), want=404))["kind"] == "Status"


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        (b"", 400, "not valid JSON"),
        (b"[]", 400, "not a JSON object"),
        (b"{", 400, "not valid JSON"),
        (b'{"metadata": 3}', 400, "metadata must be an object"),
        (b'{"metadata": {"name": 3}}', 400, "cannot unmarshal number into Go struct field ObjectMeta.metadata.name"),
        (b'{"metadata": {"name": "a"}, "data": NaN}', 400, "not valid JSON"),
        (b'{"metadata": {"name": "a"}, "data": ' + b"[" * 5000 + b"]" * 5000 + b"}", 400, "nested deeper"),
        (b'{"metadata": {"name": "a"}, "data": {"k": 1}}', 400, "data"),
        (b'{"metadata": {"name": "a", "labels": {"k": 1}}}', 400, "labels"),
        (b'{"metadata": {"name": "a", "labels": []}}', 400, "labels"),
        (b'{"metadata": {"name": "a", "finalizers": {}}}', 400, "finalizers"),
        (b'{"metadata": {"name": "a", "ownerReferences": [{}]}}', 422, "ownerReferences"),
        (b'{"metadata": {"name": "a"}, "data": "' + b"x" * (3 << 20) + b'"}', 413, "too large"),
        (b'\xff\xfe{"metadata": {}}', 400, "not valid JSON"),
    ],
)
async def test_a_bad_body_is_refused_in_words(api: Api, body: bytes, code: int, words: str) -> None:
    answer = await api("POST", MAPS, body, want=code)
    assert answer["kind"] == "Status"
    assert words in answer["message"]
    assert (await api("GET", MAPS))["items"] == []


@pytest.mark.parametrize(
    ("spec", "want"),
    [
        (None, 422),
        (3, 400),
        ([], 400),
        ("x", 400),
        ({}, 422),
        ({"containers": None}, 422),
        ({"containers": []}, 422),
        ({"containers": [3]}, 400),
        ({"containers": [{"name": 1}]}, 400),
    ],
)
async def test_a_pod_of_the_wrong_shape(api: Api, spec: Any, want: int) -> None:
    answer = await api("POST", PODS, pod("p") | {"spec": spec}, want=want)
    assert want == 400 or answer["details"]["causes"]


async def test_generate_name(api: Api) -> None:
    first = await api("POST", MAPS, {"metadata": {"generateName": "x" * 70}})
    second = await api("POST", MAPS, {"metadata": {"generateName": "x" * 70}})
    assert first["metadata"]["name"] != second["metadata"]["name"]
    assert len(first["metadata"]["name"]) == 63
    assert not set(first["metadata"]["name"][58:]) & set("aeiou013")


async def test_dry_run_stores_nothing(api: Api) -> None:
    assert (await api("POST", f"{MAPS}?dryRun=All", config("a")))["metadata"]["uid"]
    await api("GET", f"{MAPS}/a", want=404)
    await api("POST", f"{MAPS}?dryRun=Some", config("a"), want=422)
    await api("POST", MAPS, config("a", {"k": "1"}))
    changed = await api("PATCH", f"{MAPS}/a?dryRun=All", {"data": {"k": "2"}}, type=MERGE_PATCH)
    assert changed["data"] == {"k": "2"}
    await api("DELETE", f"{MAPS}/a?dryRun=All")
    assert (await api("GET", f"{MAPS}/a"))["data"] == {"k": "1"}


async def test_field_validation(api: Api) -> None:
    odd = pod("p")
    odd["spec"]["contianers"] = []
    answer = await api("POST", f"{PODS}?fieldValidation=Strict", odd, want=400)
    assert 'unknown field "spec.contianers"' in answer["message"]
    double = b'{"metadata": {"name": "a"}, "data": {"k": "1", "k": "2"}}'
    assert (
        'duplicate field "data.k"' in (await api("POST", f"{MAPS}?fieldValidation=Strict", double, want=400))["message"]
    )
    warned = await api.raw("POST", PODS, odd)
    assert warned.status == 201
    assert "spec.contianers" in warned.headers["warning"]
    assert "contianers" not in (await api("GET", f"{PODS}/p"))["spec"]


# update


async def test_update_conflicts_and_no_op(api: Api) -> None:
    made = await api("POST", MAPS, config("a", {"k": "1"}))
    assert (await api("PUT", f"{MAPS}/a", made)) == made
    changed = await api("PUT", f"{MAPS}/a", made | {"data": {"k": "2"}})
    assert int(changed["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])
    assert (await api("PUT", f"{MAPS}/a", made, want=409))["reason"] == "Conflict"
    blind = await api("PUT", f"{MAPS}/a", config("a", {"k": "3"}))
    assert blind["data"] == {"k": "3"}
    assert blind["metadata"]["uid"] == made["metadata"]["uid"]
    await api("PUT", f"{MAPS}/a", config("a", uid="another"), want=409)
    await api("PUT", f"{MAPS}/b", config("a"), want=400)
    await api("PUT", f"{MAPS}/none", config("none"), want=404)


async def test_status_and_spec_keep_apart(api: Api) -> None:
    made = await api("POST", DEPLOYMENTS, deployment())
    made["status"] = {"replicas": 5}
    assert (await api("PUT", f"{DEPLOYMENTS}/d", made))["status"] == {}
    made["spec"]["replicas"] = 7
    told = await api("PUT", f"{DEPLOYMENTS}/d/status", made)
    assert told["status"] == {"replicas": 5}
    assert told["spec"]["replicas"] == 1
    assert told["metadata"]["generation"] == 1
    told["spec"]["replicas"] = 2
    assert (await api("PUT", f"{DEPLOYMENTS}/d", told))["metadata"]["generation"] == 2
    patched = await api("PATCH", f"{DEPLOYMENTS}/d/status", {"status": {"replicas": 6}}, type=MERGE_PATCH)
    assert patched["status"] == {"replicas": 6}
    assert patched["metadata"]["generation"] == 2


async def test_what_never_changes(api: Api) -> None:
    made = await api("POST", DEPLOYMENTS, deployment())
    other = deployment(selector={"matchLabels": {"a": "c"}})
    other["spec"]["template"]["metadata"]["labels"] = {"a": "c"}
    causes = (await api("PUT", f"{DEPLOYMENTS}/d", other, want=422))["details"]["causes"]
    assert causes[0]["field"] == "spec.selector"
    mismatch = {"spec": {"template": {"metadata": {"labels": {"a": "z"}}}}}
    await api("PATCH", f"{DEPLOYMENTS}/d", mismatch, type=MERGE_PATCH, want=422)
    await api("POST", PODS, pod("p"))
    await api("PATCH", f"{PODS}/p", {"spec": {"restartPolicy": "Never"}}, type=MERGE_PATCH, want=422)
    image = [{"op": "replace", "path": "/spec/containers/0/image", "value": "other:1"}]
    assert (await api("PATCH", f"{PODS}/p", image, type=JSON_PATCH))["metadata"]["generation"] == 2
    await api("POST", MAPS, config("sealed", {"k": "1"}) | {"immutable": True})
    await api("PATCH", f"{MAPS}/sealed", {"data": {"k": "2"}}, type=MERGE_PATCH, want=422)
    again = await api("PATCH", f"{MAPS}/sealed", {"metadata": {"uid": None, "labels": {"x": "y"}}}, type=MERGE_PATCH)
    assert again["metadata"]["uid"]
    assert made["spec"]["selector"] == (await api("GET", f"{DEPLOYMENTS}/d"))["spec"]["selector"]


async def test_service_addresses(api: Api) -> None:
    services = "/api/v1/namespaces/default/services"

    def service(name: str, **spec: Any) -> dict[str, Any]:
        return {"metadata": {"name": name}, "spec": {"ports": [{"port": 80}], **spec}}

    one = await api("POST", services, service("one"))
    two = await api("POST", services, service("two"))
    assert one["spec"]["clusterIP"] != two["spec"]["clusterIP"]
    assert one["spec"]["ports"][0] == {"port": 80, "protocol": "TCP", "targetPort": 80}
    assert (await api("POST", services, service("none", clusterIP="None")))["spec"]["clusterIPs"] == ["None"]
    await api("POST", services, service("taken", clusterIP=one["spec"]["clusterIP"]), want=422)
    kept = await api("PUT", f"{services}/one", service("one", ports=[{"port": 81}]))
    assert kept["spec"]["clusterIP"] == one["spec"]["clusterIP"]
    await api("PATCH", f"{services}/one", {"spec": {"clusterIP": "10.96.9.9"}}, type=MERGE_PATCH, want=422)
    await api("POST", services, {"metadata": {"name": "bare"}}, want=422)


async def test_secrets_fold_string_data(api: Api) -> None:
    made = await api(
        "POST", "/api/v1/namespaces/default/secrets", {"metadata": {"name": "s"}, "stringData": {"k": "v"}}
    )
    assert made["data"] == {"k": "dg=="}
    assert made["type"] == "Opaque"
    assert "stringData" not in made


# patch


async def test_patches(api: Api) -> None:
    made = await api("POST", MAPS, config("a", {"k": "1"}))
    tested = [{"op": "test", "path": "/data/k", "value": "9"}, {"op": "remove", "path": "/data/k"}]
    assert (await api("PATCH", f"{MAPS}/a", tested, type=JSON_PATCH, want=422))["reason"] == "Invalid"
    assert (await api("GET", f"{MAPS}/a")) == made
    stale = {"metadata": {"resourceVersion": "1"}, "data": {"k": "2"}}
    await api("PATCH", f"{MAPS}/a", stale, type=MERGE_PATCH, want=409)
    await api("PATCH", f"{MAPS}/a", {"metadata": {"name": "b"}}, type=MERGE_PATCH, want=400)
    await api("PATCH", f"{MAPS}/a", {}, type="application/apply-patch+cbor", want=415)
    await api("PATCH", f"{MAPS}/a", [], type=MERGE_PATCH, want=400)
    await api("PATCH", f"{MAPS}/a", [{"op": "remove", "path": ""}], type=JSON_PATCH, want=422)
    await api("PATCH", f"{MAPS}/a", [{"op": "replace", "path": "", "value": 3}], type=JSON_PATCH, want=400)
    results = await asyncio.gather(
        *(api("PATCH", f"{MAPS}/a", {"data": {f"n{n}": "x"}}, type=MERGE_PATCH) for n in range(30))
    )
    assert len((await api("GET", f"{MAPS}/a"))["data"]) == 31
    assert len({result["metadata"]["resourceVersion"] for result in results}) == 30


async def test_a_patch_cannot_nest_without_end(api: Api) -> None:
    await api("POST", MAPS, config("a", {"k": "v"}))
    nest = [{"op": "copy", "from": "/data", "path": "/data/x"}] * 2000
    answer = await api("PATCH", f"{MAPS}/a", nest, type=JSON_PATCH, want=400)
    assert "deep" in answer["message"]
    assert (await api("GET", f"{MAPS}/a"))["data"] == {"k": "v"}


async def test_strategic_patch_knows_keyed_lists(api: Api) -> None:
    await api("POST", DEPLOYMENTS, deployment())
    side = {"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "i:1"}]}}}}
    both = await api("PATCH", f"{DEPLOYMENTS}/d", side, type=STRATEGIC)
    assert {c["name"] for c in both["spec"]["template"]["spec"]["containers"]} == {"main", "side"}
    side["spec"]["template"]["spec"]["containers"] = [{"name": "side", "$patch": "delete"}]
    left = await api("PATCH", f"{DEPLOYMENTS}/d", side, type=STRATEGIC)
    assert [c["name"] for c in left["spec"]["template"]["spec"]["containers"]] == ["main"]


# delete


async def test_delete_preconditions_and_finalizers(api: Api) -> None:
    made = await api("POST", MAPS, config("a", finalizers=["example.com/hold"]))
    wrong = {"preconditions": {"uid": "another"}}
    assert (await api("DELETE", f"{MAPS}/a", wrong, want=409))["reason"] == "Conflict"
    await api("DELETE", f"{MAPS}/a", {"preconditions": {"resourceVersion": "1"}}, want=409)
    held = await api("DELETE", f"{MAPS}/a", {"preconditions": {"uid": made["metadata"]["uid"]}})
    assert held["metadata"]["deletionTimestamp"]
    more = [{"op": "add", "path": "/metadata/finalizers/-", "value": "example.com/more"}]
    await api("PATCH", f"{MAPS}/a", more, type=JSON_PATCH, want=422)
    await api("PATCH", f"{MAPS}/a", {"metadata": {"finalizers": None}}, type=MERGE_PATCH)
    await api("GET", f"{MAPS}/a", want=404)
    await api("DELETE", f"{MAPS}/a", want=404)


async def test_pods_are_given_time_only_on_a_node(api: Api) -> None:
    await api("POST", PODS, pod("p"))
    await api("DELETE", f"{PODS}/p")
    await api("GET", f"{PODS}/p", want=404)
    await api("POST", PODS, pod("p", terminationGracePeriodSeconds=20))
    await api("POST", f"{PODS}/p/binding", {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}})
    await api("POST", f"{PODS}/p/binding", {"metadata": {"name": "p"}, "target": {"name": "m"}}, want=409)
    await api("POST", PODS, pod("q"))
    bindings = "/api/v1/namespaces/default/bindings"
    await api("POST", bindings, {"metadata": {"name": "q"}, "target": {"name": "n"}})
    assert (await api("GET", f"{PODS}/q"))["spec"]["nodeName"] == "n"
    await api("POST", bindings, {"metadata": {"name": "gone"}, "target": {"name": "n"}}, want=404)
    await api("POST", bindings, {"metadata": {}, "target": {"name": "n"}}, want=404)
    await api("GET", bindings, want=405)
    going = await api("DELETE", f"{PODS}/p")
    assert going["metadata"]["deletionGracePeriodSeconds"] == 20
    assert going["spec"]["nodeName"] == "n"
    assert (await api("DELETE", f"{PODS}/p"))["metadata"] == going["metadata"]
    shorter = await api("DELETE", f"{PODS}/p", {"gracePeriodSeconds": 5})
    assert shorter["metadata"]["deletionGracePeriodSeconds"] == 5
    await api("PATCH", f"{PODS}/p/status", {"status": {"phase": "Succeeded"}}, type=MERGE_PATCH)
    await api("DELETE", f"{PODS}/p", {"gracePeriodSeconds": 0})
    await api("GET", f"{PODS}/p", want=404)


async def test_propagation_finalizers(api: Api) -> None:
    for policy, finalizer in (("Foreground", "foregroundDeletion"), ("Orphan", "orphan")):
        await api("POST", DEPLOYMENTS, deployment(policy.lower()))
        held = await api("DELETE", f"{DEPLOYMENTS}/{policy.lower()}", {"propagationPolicy": policy})
        assert held["metadata"]["finalizers"] == [finalizer]
    assert (await api("DELETE", f"{DEPLOYMENTS}/orphan", {"propagationPolicy": "Background"}))["status"] == "Success"
    await api("DELETE", f"{DEPLOYMENTS}/foreground", {"propagationPolicy": "Sideways"}, want=422)


async def test_a_namespace_terminates(api: Api) -> None:
    await api("POST", "/api/v1/namespaces", {"metadata": {"name": "team"}})
    going = await api("DELETE", "/api/v1/namespaces/team")
    assert going["status"]["phase"] == "Terminating"
    refused = await api("POST", "/api/v1/namespaces/team/configmaps", config("a"), want=403)
    assert refused["details"]["causes"][0]["reason"] == "NamespaceTerminating"
    await api("PUT", "/api/v1/namespaces/team/finalize", going | {"spec": {"finalizers": []}})
    await api("GET", "/api/v1/namespaces/team", want=404)
    assert (await api("DELETE", "/api/v1/namespaces/default", want=403))["reason"] == "Forbidden"


async def test_delete_collection(api: Api) -> None:
    for number in range(5):
        await api("POST", MAPS, config(f"m{number}", labels={"odd": str(number % 2)}))
    gone = await api("DELETE", f"{MAPS}?labelSelector=odd%3D1")
    assert [item["metadata"]["name"] for item in gone["items"]] == ["m1", "m3"]
    assert len((await api("GET", MAPS))["items"]) == 3


# list


async def test_pages_show_one_snapshot(api: Api) -> None:
    for number in range(10):
        await api("POST", MAPS, config(f"m{number}"))
    first = await api("GET", f"{MAPS}?limit=4")
    assert first["metadata"]["remainingItemCount"] == 6
    await api("DELETE", f"{MAPS}/m7")
    await api("POST", MAPS, config("m99"))
    second = await api("GET", f"{MAPS}?limit=100&continue={first['metadata']['continue']}")
    assert [item["metadata"]["name"] for item in second["items"]] == [f"m{n}" for n in range(4, 10)]
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    await api("GET", f"{MAPS}?continue=nonsense", want=400)
    assert len((await api("GET", f"{MAPS}?limit=-1"))["items"]) == len((await api("GET", MAPS))["items"])


async def test_a_snapshot_too_old_is_told() -> None:
    async with running(window_changes=5) as api:
        for number in range(6):
            await api("POST", MAPS, config(f"m{number}"))
        first = await api("GET", f"{MAPS}?limit=2")
        for number in range(6):
            await api("PUT", f"{MAPS}/m{number}", config(f"m{number}", {"k": "v"}))
        gone = await api("GET", f"{MAPS}?continue={first['metadata']['continue']}", want=410)
        assert gone["reason"] == "Expired"
        rest = await api("GET", f"{MAPS}?continue={gone['metadata']['continue']}")
        assert [item["metadata"]["name"] for item in rest["items"]] == ["m2", "m3", "m4", "m5"]


async def test_selectors(api: Api) -> None:
    await api("POST", PODS, pod("p") | {"metadata": {"name": "p", "labels": {"a": "1"}}})
    await api("POST", PODS, pod("q") | {"metadata": {"name": "q", "labels": {"a": "2"}}})

    async def names(query: str) -> list[str]:
        return [item["metadata"]["name"] for item in (await api("GET", f"{PODS}?{query}"))["items"]]

    assert await names("labelSelector=a%20in%20(1,3)") == ["p"]
    assert await names("labelSelector=a!%3D1") == ["q"]
    assert await names("fieldSelector=metadata.name%3Dq") == ["q"]
    assert await names("fieldSelector=status.phase%3DPending,metadata.name!%3Dq") == ["p"]
    assert await names("fieldSelector=spec.nodeName%3D") == ["p", "q"]
    await api("GET", f"{PODS}?labelSelector=a%3D%3D%3D", want=400)
    assert "status.phase" in (await api("GET", f"{PODS}?fieldSelector=spec.x%3D1", want=400))["message"]


async def test_resource_versions_of_reads(api: Api) -> None:
    made = await api("POST", MAPS, config("a"))
    revision = int(made["metadata"]["resourceVersion"])
    await api("PUT", f"{MAPS}/a", config("a", {"k": "v"}))
    old = await api("GET", f"{MAPS}?resourceVersion={revision}&resourceVersionMatch=Exact")
    assert old["items"] == [made]
    assert (await api("GET", f"{MAPS}?resourceVersion={revision}"))["items"][0]["data"] == {"k": "v"}
    future = await api("GET", f"{MAPS}?resourceVersion=99999", want=504)
    assert future["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"
    assert future["details"]["retryAfterSeconds"] == 1
    await api("GET", f"{MAPS}?resourceVersion=abc", want=400)


async def test_tables(api: Api) -> None:
    await api("POST", PODS, pod("p"))
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
    table = await api("GET", PODS, accept=accept)
    assert table["kind"] == "Table"
    assert table["rows"][0]["cells"][0] == "p"
    assert (await api("GET", f"{PODS}/p", accept=accept))["rows"][0]["cells"][0] == "p"


# scale, custom resources


async def test_scale(api: Api) -> None:
    await api("POST", DEPLOYMENTS, deployment())
    scale = await api("GET", f"{DEPLOYMENTS}/d/scale")
    assert (scale["kind"], scale["status"]["selector"]) == ("Scale", "a=b")
    scale["spec"]["replicas"] = 4
    assert (await api("PUT", f"{DEPLOYMENTS}/d/scale", scale))["spec"]["replicas"] == 4
    await api("PATCH", f"{DEPLOYMENTS}/d/scale", {"spec": {"replicas": 2}}, type=MERGE_PATCH)
    found = await api("GET", f"{DEPLOYMENTS}/d")
    assert (found["spec"]["replicas"], found["metadata"]["generation"]) == (2, 3)
    await api("PATCH", f"{DEPLOYMENTS}/d/scale", {"spec": {"replicas": -1}}, type=MERGE_PATCH, want=422)
    await api("PUT", f"{DEPLOYMENTS}/d/scale", scale, want=409)


async def test_scale_of_a_custom_resource(api: Api) -> None:
    definition = crd()
    definition["spec"]["versions"][0]["subresources"] = {
        "scale": {
            "specReplicasPath": ".spec.size",
            "statusReplicasPath": ".status.n",
            "labelSelectorPath": ".status.sel",
        }
    }
    await api("POST", CRDS, definition)
    gadgets = "/apis/example.com/v1/namespaces/default/gadgets"
    await api("POST", gadgets, gadget("w", size=3))
    scale = await api("GET", f"{gadgets}/w/scale")
    assert (scale["spec"], scale["status"]) == ({"replicas": 3}, {"replicas": 0})
    scale["spec"]["replicas"] = 4
    assert (await api("PUT", f"{gadgets}/w/scale", scale))["spec"]["replicas"] == 4
    await api("PATCH", f"{gadgets}/w/scale", {"spec": {"replicas": 2}}, type=MERGE_PATCH)
    assert (await api("GET", f"{gadgets}/w"))["spec"]["size"] == 2
    applied = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "w"}, "spec": {"replicas": 7}}
    apply = f"{gadgets}/w/scale?fieldManager=scaler&force=true"
    await api("PATCH", apply, applied, type="application/apply-patch+yaml")
    found = await api("GET", f"{gadgets}/w")
    owned = {entry["manager"]: entry["fieldsV1"] for entry in found["metadata"]["managedFields"]}
    assert (found["spec"]["size"], owned["scaler"]) == (7, {"f:spec": {"f:size": {}}})
    del definition["spec"]["versions"][0]["subresources"]["scale"]["statusReplicasPath"]
    definition["spec"]["versions"][0]["subresources"]["scale"]["specReplicasPath"] = ".status.n"
    refused = await api("PUT", f"{CRDS}/gadgets.example.com", definition, want=422)
    fields = [cause["field"].rpartition(".")[2] for cause in refused["details"]["causes"]]
    assert fields == ["specReplicasPath", "statusReplicasPath"]


async def test_a_crd_is_served_as_soon_as_it_is_created(api: Api) -> None:
    made = await api("POST", CRDS, crd())
    assert {c["type"]: c["status"] for c in made["status"]["conditions"]} == {
        "NamesAccepted": "True",
        "Established": "True",
    }
    assert made["status"]["storedVersions"] == ["v1"]
    one = await api("POST", GADGETS, gadget("one", extra=1) | {"status": {"ready": True}})
    assert one["spec"] == {"size": 3}
    assert "status" not in one
    await api("POST", GADGETS, gadget("two", size=0), want=422)
    answer = await api("POST", f"{GADGETS}?fieldValidation=Strict", gadget("two", extra=1), want=400)
    assert "spec.extra" in answer["message"]
    blind = gadget("one", size=4)
    assert (await api("PUT", f"{GADGETS}/one", blind, want=422))["details"]["causes"]
    assert (await api("PATCH", f"{GADGETS}/one", {"spec": {"size": 5}}, type=MERGE_PATCH))["metadata"][
        "generation"
    ] == 2
    told = await api("PATCH", f"{GADGETS}/one/status", {"status": {"ready": True}}, type=MERGE_PATCH)
    assert (told["status"], told["metadata"]["generation"]) == ({"ready": True}, 2)
    await api("PATCH", f"{GADGETS}/one", {}, type=STRATEGIC, want=415)
    await api("DELETE", f"{CRDS}/gadgets.example.com")
    await api("GET", GADGETS, want=404)
    await api("POST", CRDS, crd())
    assert (await api("GET", GADGETS))["items"] == []


async def test_a_crd_that_is_not_structural(api: Api) -> None:
    bad = crd(schema={"openAPIV3Schema": {"type": "object", "properties": {"spec": {"properties": {}}}}})
    causes = (await api("POST", CRDS, bad, want=422))["details"]["causes"]
    assert "openAPIV3Schema" in causes[0]["field"]
    wrong = crd()
    wrong["metadata"]["name"] = "x.example.com"
    await api("POST", CRDS, wrong, want=422)


async def test_crds_survive_a_restart(tmp_path: Any) -> None:
    async with running(tmp_path / "store.db", inline=False) as api:
        await api("POST", CRDS, crd())
        await api("POST", GADGETS, gadget("one"))
    async with running(tmp_path / "store.db", inline=False) as api:
        assert (await api("GET", f"{GADGETS}/one"))["spec"] == {"size": 3}


async def test_another_version_of_a_crd(api: Api) -> None:
    both = crd()
    both["spec"]["versions"].append(both["spec"]["versions"][0] | {"name": "v1beta1", "storage": False})
    await api("POST", CRDS, both)
    await api("POST", GADGETS, gadget("one"))
    older = "/apis/example.com/v1beta1/namespaces/default/gadgets"
    assert (await api("GET", f"{older}/one"))["apiVersion"] == "example.com/v1beta1"
    assert (await api("GET", older))["items"][0]["apiVersion"] == "example.com/v1beta1"
    patched = await api("PATCH", f"{older}/one", {"spec": {"size": 9}}, type=MERGE_PATCH)
    assert patched["apiVersion"] == "example.com/v1beta1"
    assert (await api("GET", f"{GADGETS}/one"))["apiVersion"] == "example.com/v1"


async def test_a_custom_field_with_the_rule_self_equals_old_self_is_immutable(api: Api) -> None:
    frozen = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    frozen["x-kubernetes-validations"] = [{"rule": "self == oldSelf", "message": "made once"}]
    schema = {"type": "object", "properties": {"spec": frozen, "note": {"type": "string"}}}
    await api("POST", CRDS, crd(schema={"openAPIV3Schema": schema}))
    path = "/apis/example.com/v1/namespaces/default/gadgets"
    body = {"apiVersion": "example.com/v1", "kind": "Gadget", "metadata": {"name": "one"}, "spec": {"size": 1}}
    made = await api("POST", path, body)
    refused = await api("PUT", f"{path}/one", made | {"spec": {"size": 2}}, want=422)
    assert [cause["field"] for cause in refused["details"]["causes"]] == ["spec"]
    assert "made once" in refused["message"]
    assert (await api("PUT", f"{path}/one", made | {"note": "kept"}))["spec"] == {"size": 1}


async def test_a_put_creates_where_kubernetes_lets_it(api: Api) -> None:
    path = "/api/v1/namespaces/default/services/web"
    made = await api("PUT", path, {"spec": {"ports": [{"port": 80}]}}, want=201)
    assert made["spec"]["clusterIP"]
    assert made["metadata"]["managedFields"][0]["operation"] == "Update"
    await api("PUT", f"{MAPS}/none", config("none"), want=404)
    refused = await api("PUT", f"{path}2", {"metadata": {"uid": "x"}, "spec": {"ports": [{"port": 80}]}}, want=409)
    assert "UID in precondition: x" in refused["message"]
    await api("PUT", f"{path}3/status", {"metadata": {"name": "web3"}}, want=404)
