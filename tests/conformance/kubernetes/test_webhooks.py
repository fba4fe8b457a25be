"""Admission by webhooks: a local HTTPS server decides. Each configuration sees the namespace of its test only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest_asyncio

from tests.api.webhook import Webhook, deny, patch, running
from tests.conformance.kubernetes.client import Kube, Object, Refused, eventually, refused, unique
from tests.conformance.kubernetes.marker import behaviour
from tests.conformance.kubernetes.objects import (
    IMAGE,
    config_map,
    custom,
    define,
    definition,
    namespace_object,
    pod,
    version,
)

API = "admissionregistration.k8s.io/v1"
REASON = "the custom resource contains unwanted data"
Check = Callable[[], Awaitable[Any]]


def contrary(request: Object) -> Object:
    return deny(REASON)


def disallow(request: Object) -> Object:
    """Refuses whatever has `webhook-e2e-test: webhook-disallow` in its data, or is a pod or container of that name."""
    obj = request["object"] or request["oldObject"]
    data = obj.get("data") or {}
    images = [container["image"] for container in (obj.get("spec") or {}).get("containers") or ()]
    unwanted = data.get("webhook-e2e-test") == "webhook-disallow" or "webhook-disallow" in images
    return deny(REASON) if unwanted else {"allowed": True}


def stage(number: int) -> Callable[[Object], Object]:
    """Adds `mutation-stage-N` to data in which the stage before has left its mark."""

    def mutate(request: Object) -> Object:
        data = (request["object"] or {}).get("data") or {}
        before = f"mutation-stage-{number - 1}" if number > 1 else "mutation-start"
        if data.get(before) != "yes" or f"mutation-stage-{number}" in data:
            return {"allowed": True}
        return patch({"op": "add", "path": f"/data/mutation-stage-{number}", "value": "yes"})

    return mutate


def init_container(request: Object) -> Object:
    container = {"image": IMAGE, "name": "webhook-added-init-container", "resources": {}}
    return patch({"op": "add", "path": "/spec/initContainers", "value": [container]})


async def slow(request: Object) -> Object:
    await asyncio.sleep(1.5)  # the webhook's own latency, which the timeouts of the tests are about
    return {"allowed": True}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def hook(tmp_path_factory: Any) -> AsyncIterator[Webhook]:
    folder: Path = tmp_path_factory.mktemp("hook")
    async with running(folder) as found:
        answers: dict[str, Callable[[Object], Any]] = {
            "/always-deny": contrary,
            "/disallow": disallow,
            "/stage-1": stage(1),
            "/stage-2": stage(2),
            "/pods": init_container,
            "/slow": slow,
        }
        for path, answer in answers.items():
            found.on(path, answer)
        yield found


def rule(resource: str, *operations: str, group: str = "", version: str = "v1") -> Object:
    return {
        "apiGroups": [group],
        "apiVersions": [version],
        "resources": [resource],
        "operations": list(operations) or ["CREATE"],
    }


def entry(hook: Webhook, path: str, namespace: str, *rules: Object, **more: Any) -> Object:
    """One webhook. It is asked about objects in `namespace`; "" is for objects in none, which a selector must narrow."""
    body = {
        "name": f"{unique('hook')}.k8s.io",
        "clientConfig": hook.client(path, service=False),
        "rules": list(rules) or [rule("configmaps")],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1", "v1beta1"],
        "timeoutSeconds": 10,
    }
    if namespace:
        body["namespaceSelector"] = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    return {**body, **more}


async def register(kube: Kube, kind: str, *webhooks: Object, **labels: str) -> str:
    """`kind` is Mutating or Validating. The name of the configuration."""
    name = unique("config")
    body = {
        "apiVersion": API,
        "kind": f"{kind}WebhookConfiguration",
        "metadata": {"name": name, "labels": labels},
        "webhooks": list(webhooks),
    }
    await kube.of(API, f"{kind.lower()}webhookconfigurations").create(body)
    return name


def bad(name: str = "") -> Object:
    return config_map(name or unique("bad"), {"webhook-e2e-test": "webhook-disallow"})


def start(name: str = "") -> Object:
    return config_map(name or unique("start"), {"mutation-start": "yes"})


def tries(objects: Any, make: Callable[[], Object], wanted: bool) -> Check:
    """Whether creating is refused (`wanted`) or allowed; a new configuration may need a moment."""

    async def check() -> bool:
        try:
            await objects.create(make(), dryRun="All")
        except Refused as error:
            return wanted and REASON in error.message
        return not wanted

    return check


def stages(maps: Any, *wanted: int, name: str = "") -> Check:
    """Whether a new config map goes through these stages, and no others."""

    async def check() -> bool:
        data = (await maps.create(start(name), dryRun="All"))["data"]
        return data == {"mutation-start": "yes", **{f"mutation-stage-{number}": "yes" for number in wanted}}

    return check


@behaviour("Admission webhook, discovery document")
async def test_configurations_are_discoverable(kube: Kube) -> None:
    groups = {each["name"]: each for each in (await kube.read("/apis"))["groups"]}
    assert API in [each["groupVersion"] for each in groups["admissionregistration.k8s.io"]["versions"]]
    group = await kube.read("/apis/admissionregistration.k8s.io")
    assert API in [each["groupVersion"] for each in group["versions"]]
    names = {each["name"] for each in (await kube.read(f"/apis/{API}"))["resources"]}
    assert names >= {"mutatingwebhookconfigurations", "validatingwebhookconfigurations"}


@behaviour("Admission webhook, deny create")
async def test_creating_and_changing_is_refused(kube: Kube, namespace: str, hook: Webhook) -> None:
    maps, pods = kube.of("v1", "configmaps", namespace), kube.of("v1", "pods", namespace)
    rules = [rule("pods"), rule("configmaps", "CREATE", "UPDATE", "DELETE")]
    hang = entry(hook, "/hang", namespace, rule("pods"), timeoutSeconds=1)
    hang["objectSelector"] = {"matchLabels": {"hang": "yes"}}

    async def never(_request: Object) -> Object:
        await hook.gate.wait()
        return {"allowed": True}

    hook.on("/hang", never)
    await register(kube, "Validating", entry(hook, "/disallow", namespace, *rules), hang)
    await eventually(tries(maps, bad, True), "refused")
    container = {"name": "webhook-disallow", "image": "webhook-disallow"}
    with refused(400, "", REASON):
        await pods.create(pod("disallowed", spec={"containers": [container]}))
    with refused(500, "InternalError", "deadline exceeded"):
        await pods.create(pod("hanging", {"hang": "yes"}))
    with refused(404):
        await pods.get("hanging")
    await maps.create(config_map("allowed", {"admit": "this"}))
    with refused(400, "", REASON):
        await maps.change("allowed", lambda obj: obj.update(data={"webhook-e2e-test": "webhook-disallow"}))
    with refused(400, "", REASON):
        await maps.patch("allowed", {"data": {"webhook-e2e-test": "webhook-disallow"}})
    assert (await maps.get("allowed"))["data"] == {"admit": "this"}
    other = unique("ns")
    await kube.of("v1", "namespaces").create(namespace_object(other))
    await kube.of("v1", "configmaps", other).create(bad())


@behaviour("Admission webhook, deny attach")
async def test_attaching_is_refused(kube: Kube, namespace: str, hook: Webhook) -> None:
    pods = kube.of("v1", "pods", namespace)
    await register(kube, "Validating", entry(hook, "/always-deny", namespace, rule("pods/attach", "CONNECT")))
    await pods.create(pod("p"))
    await pods.until("p", lambda obj: obj["status"]["phase"] == "Running", "running")

    async def refuses() -> bool:
        try:
            await kube.ask("POST", pods.url("p", "attach", container="main", stdout=True))
        except Refused as error:
            return REASON in error.message
        return False

    await eventually(refuses, "attaching is refused")


@behaviour("Admission webhook, deny custom resource definition")
async def test_defining_is_refused(kube: Kube, hook: Webhook) -> None:
    label = unique("crd")
    crds = kube.of("apiextensions.k8s.io/v1", "customresourcedefinitions")
    selector = {"matchLabels": {label: "true"}}
    rules = rule("customresourcedefinitions", group="apiextensions.k8s.io")
    await register(kube, "Validating", entry(hook, "/always-deny", "", rules, objectSelector=selector))
    await eventually(tries(crds, lambda: definition(labels={label: "true"}), True), "refused")
    await define(kube, definition())


async def things(kube: Kube, namespace: str, *versions: Object) -> tuple[Object, Any]:
    crd = await define(kube, definition(*versions))
    spec = crd["spec"]
    return crd, kube.of(f"{spec['group']}/v1", spec["names"]["plural"], namespace)


@behaviour("Admission webhook, deny custom resource create and delete")
async def test_custom_objects_are_refused(kube: Kube, namespace: str, hook: Webhook) -> None:
    crd, objects = await things(kube, namespace)
    spec = crd["spec"]
    rules = rule(spec["names"]["plural"], "CREATE", "UPDATE", "DELETE", group=spec["group"])
    unwanted = {"webhook-e2e-test": "webhook-disallow"}
    await objects.create(custom(crd, "there-first", data=unwanted))
    await register(kube, "Validating", entry(hook, "/disallow", namespace, rules))
    await eventually(tries(objects, lambda: custom(crd, unique("bad"), data=unwanted), True), "refused")
    await objects.create(custom(crd, "good", data={"fine": "yes"}))
    with refused(400, "", REASON):
        await objects.patch("good", {"data": unwanted})
    with refused(400, "", REASON):
        await objects.delete("there-first")
    await objects.patch("there-first", {"data": {"webhook-e2e-test": None}})
    await objects.delete("there-first")
    await objects.until_gone("there-first")


@behaviour("Admission webhook, fail closed")
async def test_nobody_there_is_a_refusal(kube: Kube, namespace: str, hook: Webhook) -> None:
    maps = kube.of("v1", "configmaps", namespace)
    closed = entry(hook, "/closed", namespace, failurePolicy="Fail")
    closed["clientConfig"] = {"url": "https://127.0.0.1:1/closed", "caBundle": hook.ca}
    await register(kube, "Validating", closed)

    async def fails() -> bool:
        try:
            await maps.create(config_map(unique("any")))
        except Refused as error:
            return error.reason == "InternalError" and "failed calling webhook" in error.message
        return False

    await eventually(fails, "refused for want of an answer")


@behaviour("Admission webhook, honor timeout")
async def test_a_timeout_is_honoured(kube: Kube, namespace: str, hook: Webhook) -> None:
    maps = kube.of("v1", "configmaps", namespace)
    configurations = kube.of(API, "validatingwebhookconfigurations")

    async def attempt(**settings: Any) -> None:
        body = entry(hook, "/slow", namespace, **settings)
        if settings.get("timeoutSeconds") is None:
            body.pop("timeoutSeconds")
        name = await register(kube, "Validating", body)
        assert (await configurations.get(name))["webhooks"][0]["timeoutSeconds"] == settings.get("timeoutSeconds") or 10
        try:
            asked = len(hook.asked)

            async def heard() -> bool:
                await maps.create(config_map(unique("slow")))
                return len(hook.asked) > asked

            await eventually(heard, "asked")
        finally:
            await configurations.delete(name)

    with refused(500, "InternalError", "deadline exceeded"):
        await attempt(timeoutSeconds=1, failurePolicy="Fail")
    await attempt(timeoutSeconds=1, failurePolicy="Ignore")
    await attempt(timeoutSeconds=10, failurePolicy="Fail")
    await attempt(timeoutSeconds=None, failurePolicy="Fail")


@behaviour("Admission webhook, ordered mutation")
async def test_mutations_follow_one_another(kube: Kube, namespace: str, hook: Webhook) -> None:
    await register(kube, "Mutating", entry(hook, "/stage-1", namespace), entry(hook, "/stage-2", namespace))
    maps = kube.of("v1", "configmaps", namespace)
    await eventually(stages(maps, 1, 2), "both stages are gone through")


@behaviour("Admission webhook, mutation with defaulting")
async def test_defaults_come_after_mutation(kube: Kube, namespace: str, hook: Webhook) -> None:
    await register(kube, "Mutating", entry(hook, "/pods", namespace, rule("pods")))
    pods = kube.of("v1", "pods", namespace)

    async def mutated() -> list[Object]:
        return (await pods.create(pod(unique("p"))))["spec"].get("initContainers") or []

    (added,) = await eventually(mutated, "an init container is added")
    assert added["name"] == "webhook-added-init-container"
    assert added["terminationMessagePolicy"] == "File"


async def mutate_things(kube: Kube, namespace: str, hook: Webhook, crd: Object, objects: Any) -> Object:
    """The object after both stages."""
    spec = crd["spec"]
    rules = rule(spec["names"]["plural"], "CREATE", "UPDATE", group=spec["group"], version="*")
    await register(
        kube, "Mutating", entry(hook, "/stage-1", namespace, rules), entry(hook, "/stage-2", namespace, rules)
    )

    async def mutated() -> Object | None:
        made = await objects.create(custom(crd, unique("cr"), data={"mutation-start": "yes"}))
        return made if "mutation-stage-1" in made["data"] else None

    found: Object = await eventually(mutated, "mutated")
    return found


ALL = {"mutation-start": "yes", "mutation-stage-1": "yes", "mutation-stage-2": "yes"}


@behaviour("Admission webhook, mutate custom resource")
async def test_custom_objects_are_mutated(kube: Kube, namespace: str, hook: Webhook) -> None:
    crd, objects = await things(kube, namespace)
    assert (await mutate_things(kube, namespace, hook, crd, objects))["data"] == ALL


@behaviour("Admission webhook, mutate custom resource with pruning")
async def test_what_a_webhook_adds_is_pruned(kube: Kube, namespace: str, hook: Webhook) -> None:
    """The schema knows the first stage but not the second."""
    data = {name: {"type": "string"} for name in ("mutation-start", "mutation-stage-1")}
    schema = {"type": "object", "properties": {"data": {"type": "object", "properties": data}}}
    crd, objects = await things(kube, namespace, version(schema=schema))
    made = await mutate_things(kube, namespace, hook, crd, objects)
    assert made["data"] == {"mutation-start": "yes", "mutation-stage-1": "yes"}


@behaviour("Admission webhook, mutate custom resource with different stored version")
async def test_custom_objects_of_another_stored_version_are_mutated(kube: Kube, namespace: str, hook: Webhook) -> None:
    crd, objects = await things(kube, namespace, version("v1"), version("v2", storage=False))
    spec, crds = crd["spec"], kube.of("apiextensions.k8s.io/v1", "customresourcedefinitions")
    await objects.create(custom(crd, "old", data={"mutation-start": "yes"}))
    versions = [version("v1", storage=False), version("v2")]
    await crds.patch(crd["metadata"]["name"], {"spec": {"versions": versions}})
    await mutate_things(kube, namespace, hook, crd, objects)
    newer = kube.of(f"{spec['group']}/v2", spec["names"]["plural"], namespace)
    patched = await newer.patch("old", [{"op": "add", "path": "/dummy", "value": "test"}])
    assert patched["data"] == ALL
    assert patched["dummy"] == "test"


@behaviour("Admission webhook, admission control not allowed on webhook configuration objects")
async def test_configurations_themselves_are_nobody_elses_business(kube: Kube, hook: Webhook) -> None:
    label = unique("meta")
    more = {"objectSelector": {"matchLabels": {label: "true"}}}
    group = "admissionregistration.k8s.io"
    rules = [rule(f"{kind}webhookconfigurations", "*", group=group, version="*") for kind in ("validating", "mutating")]

    def relabel(_request: Object) -> Object:
        return patch({"op": "add", "path": "/metadata/labels/mutated", "value": "yes"})

    hook.on("/relabel", relabel)
    await register(kube, "Validating", entry(hook, "/always-deny", "", *rules, **more))
    await register(kube, "Mutating", entry(hook, "/relabel", "", *rules, **more))
    asked = len(hook.asked)
    nowhere = {"url": "https://127.0.0.1:1/never", "caBundle": hook.ca}
    for kind in ("Validating", "Mutating"):
        configurations = kube.of(API, f"{kind.lower()}webhookconfigurations")
        dummy = entry(hook, "/never", "no-such-namespace", clientConfig=nowhere, failurePolicy="Ignore")
        name = await register(kube, kind, dummy, **{label: "true"})
        assert (await configurations.get(name))["metadata"]["labels"] == {label: "true"}
        await configurations.delete(name)
        await configurations.until_gone(name)
    assert len(hook.asked) == asked


async def toggle(kube: Kube, kind: str, name: str, on: Check, off: Check) -> None:
    """On; updated to rules without CREATE: off; patched back: on."""
    configurations = kube.of(API, f"{kind.lower()}webhookconfigurations")
    await eventually(on, "effective")

    def updates_only(obj: Object) -> None:
        obj["webhooks"][0]["rules"][0]["operations"] = ["UPDATE"]

    await configurations.change(name, updates_only)
    await eventually(off, "no longer effective")
    path = "/webhooks/0/rules/0/operations"
    await configurations.patch(name, [{"op": "replace", "path": path, "value": ["CREATE"]}])
    await eventually(on, "effective again")


@behaviour("Admission webhook, update validating webhook")
async def test_a_validating_webhook_changes_its_rules(kube: Kube, namespace: str, hook: Webhook) -> None:
    maps = kube.of("v1", "configmaps", namespace)
    name = await register(kube, "Validating", entry(hook, "/disallow", namespace))
    await toggle(kube, "Validating", name, tries(maps, bad, True), tries(maps, bad, False))


@behaviour("Admission webhook, update mutating webhook")
async def test_a_mutating_webhook_changes_its_rules(kube: Kube, namespace: str, hook: Webhook) -> None:
    maps = kube.of("v1", "configmaps", namespace)
    name = await register(kube, "Mutating", entry(hook, "/stage-1", namespace))
    await toggle(kube, "Mutating", name, stages(maps, 1), stages(maps))


async def collection(kube: Kube, kind: str, hook: Webhook, path: str, namespace: str, on: Check, off: Check) -> None:
    """Many configurations, listed and deleted by label."""
    configurations, label = kube.of(API, f"{kind.lower()}webhookconfigurations"), unique("list")
    names = [await register(kube, kind, entry(hook, path, namespace), **{label: "true"}) for _ in range(10)]
    assert await configurations.names(f"{label}=true") == sorted(names)
    await eventually(on, "effective")
    await configurations.delete_all(f"{label}=true")
    await configurations.until_names([], f"{label}=true")
    await eventually(off, "no longer effective")


@behaviour("Admission webhook, list validating webhooks")
async def test_validating_webhooks_are_listed(kube: Kube, namespace: str, hook: Webhook) -> None:
    maps = kube.of("v1", "configmaps", namespace)
    on, off = tries(maps, bad, True), tries(maps, bad, False)
    await collection(kube, "Validating", hook, "/disallow", namespace, on, off)


@behaviour("Admission webhook, list mutating webhooks")
async def test_mutating_webhooks_are_listed(kube: Kube, namespace: str, hook: Webhook) -> None:
    maps = kube.of("v1", "configmaps", namespace)
    await collection(kube, "Mutating", hook, "/stage-1", namespace, stages(maps, 1), stages(maps))


FIRST = [{"name": "expression-1", "expression": "object.metadata.namespace == 'production'"}]
THEN = [*FIRST, {"name": "expression-2", "expression": "object.metadata.namespace == 'staging'"}]


async def conditions(kube: Kube, kind: str, hook: Webhook, namespace: str) -> None:
    configurations = kube.of(API, f"{kind.lower()}webhookconfigurations")
    name = await register(kube, kind, entry(hook, "/stage-1", namespace, matchConditions=FIRST))
    assert (await configurations.get(name))["webhooks"][0]["matchConditions"] == FIRST

    def more(obj: Object) -> None:
        obj["webhooks"][0]["matchConditions"] = THEN

    await configurations.change(name, more)
    assert (await configurations.get(name))["webhooks"][0]["matchConditions"] == THEN


async def bad_conditions(kube: Kube, kind: str, hook: Webhook, namespace: str) -> None:
    broken = [{"name": "invalid-expression-1", "expression": "... [] bad expression"}]
    with refused(422, "Invalid", "compilation failed"):
        await register(kube, kind, entry(hook, "/stage-1", namespace, matchConditions=broken))


@behaviour("Validating Admission webhook, create and update validating webhook configuration with matchConditions")
async def test_a_validating_webhook_has_conditions(kube: Kube, namespace: str, hook: Webhook) -> None:
    await conditions(kube, "Validating", hook, namespace)


@behaviour("Mutating Admission webhook, create and update mutating webhook configuration with matchConditions")
async def test_a_mutating_webhook_has_conditions(kube: Kube, namespace: str, hook: Webhook) -> None:
    await conditions(kube, "Mutating", hook, namespace)


@behaviour("Validing Admission webhook, reject validating webhook configurations with invalid matchConditions")
async def test_a_validating_webhook_with_a_broken_condition(kube: Kube, namespace: str, hook: Webhook) -> None:
    await bad_conditions(kube, "Validating", hook, namespace)


@behaviour("Mutating Admission webhook, reject mutating webhook configurations with invalid matchConditions")
async def test_a_mutating_webhook_with_a_broken_condition(kube: Kube, namespace: str, hook: Webhook) -> None:
    await bad_conditions(kube, "Mutating", hook, namespace)


@behaviour("Mutating Admission webhook, mutating webhook excluding object with specific name")
async def test_a_condition_leaves_an_object_out(kube: Kube, namespace: str, hook: Webhook) -> None:
    maps = kube.of("v1", "configmaps", namespace)
    skip = [{"name": "skip-me", "expression": "object.metadata.name != 'skip-me'"}]
    await register(kube, "Mutating", entry(hook, "/stage-1", namespace, matchConditions=skip))
    await eventually(stages(maps, 1), "mutated")
    await eventually(stages(maps, name="skip-me"), "skipped")


def convert(asked: Object) -> Object:
    """hostPort of v1 is host and port of v2."""
    converted = []
    for obj in asked["objects"]:
        fields = {key: value for key, value in obj.items() if key not in ("hostPort", "host", "port")}
        if asked["desiredAPIVersion"].endswith("/v2") and "hostPort" in obj:
            fields["host"], _, fields["port"] = obj["hostPort"].partition(":")
        elif "host" in obj or "port" in obj:
            fields["hostPort"] = f"{obj.get('host', '')}:{obj.get('port', '')}"
        converted.append({**fields, "apiVersion": asked["desiredAPIVersion"]})
    return {"convertedObjects": converted, "result": {"status": "Success"}}


def two_versions(stored: str, *, selectable: bool = False) -> list[Object]:
    fields = {"v1": ["hostPort"], "v2": ["host", "port"]}
    found = []
    for name, known in fields.items():
        schema = {"type": "object", "properties": {field: {"type": "string"} for field in known}}
        more = {"selectableFields": [{"jsonPath": f".{field}"} for field in known]} if selectable else {}
        found.append(version(name, schema, storage=name == stored, **more))
    return found


async def converted(kube: Kube, namespace: str, hook: Webhook, **more: bool) -> tuple[Object, Any, Any]:
    """A definition with two versions between which the webhook converts; its objects in both."""
    hook.on("/convert", convert)
    webhook = {"clientConfig": hook.client("/convert", service=False), "conversionReviewVersions": ["v1"]}
    conversion = {"strategy": "Webhook", "webhook": webhook}
    crd = await define(kube, definition(*two_versions("v1", **more), conversion=conversion))
    spec = crd["spec"]
    both = [kube.of(f"{spec['group']}/{name}", spec["names"]["plural"], namespace) for name in ("v1", "v2")]
    return crd, both[0], both[1]


@behaviour("Custom Resource Definition Conversion Webhook, conversion custom resource")
async def test_an_object_is_read_in_another_version(kube: Kube, namespace: str, hook: Webhook) -> None:
    crd, first, second = await converted(kube, namespace, hook)
    await first.create(custom(crd, "cr", hostPort="localhost:8080"))
    found = await second.get("cr")
    assert found["apiVersion"].endswith("/v2")
    assert (found["host"], found["port"]) == ("localhost", "8080")
    assert "hostPort" not in found


@behaviour("Custom Resource Definition Conversion Webhook, convert mixed version list")
async def test_a_list_of_objects_stored_in_two_versions(kube: Kube, namespace: str, hook: Webhook) -> None:
    crd, first, second = await converted(kube, namespace, hook)
    crds = kube.of("apiextensions.k8s.io/v1", "customresourcedefinitions")
    await first.create(custom(crd, "one", hostPort="localhost:8080"))
    await crds.patch(crd["metadata"]["name"], {"spec": {"versions": two_versions("v2")}})

    async def create() -> Object | None:
        try:
            return await first.create(custom(crd, "two", hostPort="localhost:8080"))
        except Refused as error:
            if error.reason == "AlreadyExists":
                return await first.get("two")
            return None

    await eventually(create, "created while v2 is stored")
    for found in await first.items():
        assert found["hostPort"] == "localhost:8080"

    async def listed() -> list[Object]:
        try:
            return await second.items()
        except Refused as error:
            if error.code == 429:
                return []
            raise

    items = await eventually(listed, "the storage is ready")
    assert [each["metadata"]["name"] for each in items] == ["one", "two"]
    for found in items:
        assert (found["host"], found["port"]) == ("localhost", "8080")
        assert "hostPort" not in found


@behaviour("custom-resource-definition-field-selectors-list-watch-register-informers")
async def test_fields_are_selected_in_each_version(kube: Kube, namespace: str, hook: Webhook) -> None:
    crd, first, second = await converted(kube, namespace, hook, selectable=True)
    async with (
        second.watching(fields="host=host1") as of_host,
        second.watching(fields="host=host1,port=80") as of_both,
        first.watching(fields="hostPort=host1:80") as of_pair,
    ):
        for name, host, port in (("a", "host1", "80"), ("b", "host1", "8080"), ("c", "host2", "80")):
            await second.create(custom(crd, name, "v2", host=host, port=port))
        assert await second.names(fields="host=host1") == ["a", "b"]
        assert await second.names(fields="host=host1,port=80") == ["a"]
        assert await first.names(fields="hostPort=host1:80") == ["a"]
        assert [((await of_host.next()).type, name) for name in "ab"] == [("ADDED", "a"), ("ADDED", "b")]
        for watch in (of_both, of_pair):
            event = await watch.next()
            assert (event.type, event.name) == ("ADDED", "a")
        await second.delete("a")
        await second.patch("b", {"host": "host2"})
        assert [((await of_host.next()).type) for _ in range(2)] == ["DELETED", "DELETED"]
        for watch in (of_both, of_pair):
            assert (await watch.next()).type == "DELETED"
        await first.patch("c", {"hostPort": "host1:80"})
        for watch in (of_host, of_both, of_pair):
            event = await watch.next()
            assert (event.type, event.name) == ("ADDED", "c")
    assert await second.names(fields="host=host2") == ["b"]
    assert await first.names(fields="hostPort=host2:8080") == ["b"]
