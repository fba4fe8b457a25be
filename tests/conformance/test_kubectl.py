"""Debian's kubectl, unmodified, on the API server alone. Its commands, one by one: `clients/`."""

from __future__ import annotations

import copy
import json

import pytest

from styr.kinds.resources import CRD
from tests.api.kit import Api
from tests.api.table_objects import OBJECTS
from tests.conformance.conftest import STRICT, WIDGETS, Platform, kubectl_minor, widget

pytestmark = [pytest.mark.needs("kubectl"), pytest.mark.timeout(120)]


async def test_describe_every_kind(platform: Platform) -> None:
    """One of each kind that is served, described by kubectl's own code for it."""
    described = {"events", "componentstatuses"}
    for path, obj, status in OBJECTS:
        plural = path.rpartition("/")[2]
        answer = await Api(platform.api).raw("POST", path, obj)
        if answer.status != 201 or obj["metadata"].get("finalizers"):
            continue
        if status is not None:
            await Api(platform.api).raw("PUT", f"{path}/{obj['metadata']['name']}/status", obj | {"status": status})
        described.add(plural)
    listed = (await platform.kubectl("api-resources", "--verbs=list", "-o", "name")).split()
    kinds = [name for name in listed if name.partition(".")[0] in described and not _is_gone(name)]
    assert len(kinds) > 40
    text = await platform.kubectl("describe", ",".join(kinds), "--all-namespaces")
    assert text.count("Name:") > len(kinds)


def _is_gone(name: str) -> bool:
    """Kinds that kubectl 1.20 describes by versions of its time, which no server of today has."""
    gone = ("horizontalpodautoscalers", "cronjobs", "endpointslices", "poddisruptionbudgets")
    return kubectl_minor() < STRICT and name.startswith(gone)


async def test_rules_are_evaluated_and_named(platform: Platform) -> None:
    definition = copy.deepcopy(WIDGETS)
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    schema["properties"]["spec"]["x-kubernetes-validations"] = [{"rule": "self.size < 100", "message": "too large"}]
    await platform.client.create(CRD, definition)
    refused = await platform.kubectl("create", "-f", "-", stdin=json.dumps(widget("big", size=100)), ok=False)
    assert 'The Widget "big" is invalid: spec: Invalid value: ' in refused
    assert refused.rstrip().endswith("too large")
    await platform.kubectl("create", "-f", "-", stdin=json.dumps(widget("small", size=99)))
