"""All built-in kinds: served, stored, read as Go reads them."""

from __future__ import annotations

from typing import Any

import pytest

from styr.api.builtin import tables
from styr.api.builtin.tables import Kind
from tests.api.kit import running

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
