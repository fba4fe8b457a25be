"""All built-in kinds: served, stored, read as Go reads them."""

from __future__ import annotations

from typing import Any

import pytest

from styr.api.builtin import tables
from styr.api.builtin.tables import Kind
from styr.api.store.records import ObjectKey
from tests.api.kit import MERGE_PATCH, running

STORED = [kind for kind in tables.kinds() if not kind.answered]


@pytest.fixture
async def api() -> Any:
    async with running() as found:
        yield found


@pytest.mark.parametrize("kind", STORED, ids=lambda kind: str(kind.resource))
async def test_every_kind_is_listed(api: Any, kind: Kind) -> None:
    found = await api("GET", kind.resource.path())
    assert found["kind"] == f"{kind.resource.kind}List"


async def test_a_read_only_kind_takes_no_writes(api: Any) -> None:
    body = {"apiVersion": "v1", "kind": "ComponentStatus", "metadata": {"name": "x"}}
    assert (await api("POST", "/api/v1/componentstatuses", body, want=405))["reason"] == "MethodNotAllowed"


async def test_a_value_of_a_wrong_type_is_told_in_the_words_of_go(api: Any) -> None:
    body = {"metadata": {"name": "x"}, "spec": {"tls": [{"hosts": [1]}]}}
    answer = await api("POST", "/apis/networking.k8s.io/v1/namespaces/default/ingresses", body, want=400)
    assert answer["message"] == (
        'Ingress in version "v1" cannot be handled as a Ingress: json: cannot unmarshal number into Go struct field '
        "IngressTLS.spec.tls.hosts of type string"
    )


async def test_an_object_that_an_older_styr_stored_may_lack_defaults(api: Any) -> None:
    key = ObjectKey("deployments.apps", "default", "old")
    labels = {"app": "old"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    old = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "old", "namespace": "default", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }
    await api.server.store.write(lambda txn: txn.put(key, old))
    path = "/apis/apps/v1/namespaces/default/deployments/old"
    patched = await api("PATCH", path, {"spec": {"replicas": 2}}, type=MERGE_PATCH)
    assert patched["spec"]["strategy"]["type"] == "RollingUpdate"
    assert patched["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] == "Always"
    assert patched["metadata"]["generation"] == 1
