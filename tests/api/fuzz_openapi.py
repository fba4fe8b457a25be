"""schemathesis over our own OpenAPI documents: requests made up from them, against a server in memory.

    python -m tests.api.fuzz_openapi [--examples 200] [--seed 7] [GROUP/VERSION ...]

Called by people for a long run, and by test_fuzz_openapi.py for a short one. No answer may be a fault of the server, none may
take long, and each must be of the type that the document declares for it. Half of the requests are made plausible (a namespace
that is there, a name, the kind of the path), so that they get beyond the first check.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote

import requests
import schemathesis
import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from styr.kinds.transport import Request
from tests.api.kit import ADMIN, Api, running
from tests.api.openapi_crds import CRDS

PATIENCE = 10.0
"""Seconds that an answer may take."""
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
STREAM = "a stream"
ELSEWHERE = ((504, "Timeout"), (503, "ServiceUnavailable"))
"""A revision is yet to come, as Kubernetes says it; no node runs in these tests."""
NAMES = ("one", "two", "default")


class Fuzz:
    """A server in memory with two custom kinds, on a loop of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._running = running()
        self.api: Api = self._loop.run_until_complete(self._running.__aenter__())
        for obj in CRDS[:2]:
            self._loop.run_until_complete(self.api("POST", DEFINITIONS, obj))
        self.requests = 0
        self.answers: dict[int, int] = {}

    def close(self) -> None:
        self._loop.run_until_complete(self._running.__aexit__(None, None, None))
        self._loop.close()

    def document(self, name: str) -> Any:
        """`apis/apps/v1` of OpenAPI v3."""
        return self._loop.run_until_complete(self.api("GET", f"/openapi/v3/{name}", accept="application/json"))

    def names(self) -> list[str]:
        index = self._loop.run_until_complete(self.api("GET", "/openapi/v3"))
        return [name for name in index["paths"] if name.startswith("api") and name.rpartition("/")[2][:1] == "v"]

    def run(self, name: str, examples: int, number: int) -> None:
        """Every operation of a document. Raises the first failure, with the request that shows it."""
        document = self.document(name)
        for schema in document["components"]["schemas"].values():
            _allow_null(schema)
        for found in schemathesis.openapi.from_dict(document).get_all_operations():
            self._operation(found.ok(), examples, number)

    def _operation(self, operation: Any, examples: int, number: int) -> None:
        @seed(number)
        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(), plausible=st.booleans(), name=st.sampled_from(NAMES))
        def ask(case: Any, plausible: bool, name: str) -> None:
            if plausible:
                _make_plausible(case, operation, name)
            self._check(case)

        ask()

    def _check(self, case: Any) -> None:
        kwargs = case.as_transport_kwargs(base_url="http://server")
        sent = requests.Request(kwargs["method"], kwargs["url"], params=kwargs.get("params"))
        prepared = sent.prepare()
        query = [(str(key), str(value)) for key, values in (case.query or {}).items() for value in _each(values)]
        body, headers = _body(case)
        request = Request(case.method.upper(), unquote(case.formatted_path), query, headers, body, ADMIN)
        began = time.monotonic()
        status, told, content = self._loop.run_until_complete(asyncio.wait_for(self._send(request), PATIENCE))
        self.requests += 1
        self.answers[status] = self.answers.get(status, 0) + 1
        if told.get("content-type") == STREAM:
            return
        answer = Response(
            status_code=status,
            headers={key: [value] for key, value in told.items()},
            content=content,
            request=prepared,
            elapsed=time.monotonic() - began,
            verify=False,
        )
        checks: list[Callable[..., Any]] = [content_type_conformance, response_schema_conformance]
        if (status, json.loads(content).get("reason") if content[:1] == b"{" else "") not in ELSEWHERE:
            checks.append(not_a_server_error)
        case.validate_response(answer, checks=checks)
        if status >= 400:
            said = json.loads(content)
            assert (said["kind"], said["code"]) == ("Status", status), said

    async def _send(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        """A stream is let go at once."""
        response = await self.api.server(request)
        if isinstance(response.body, bytes):
            return response.status, response.headers, response.body
        await response.body.aclose()  # type: ignore[attr-defined]
        return response.status, {"content-type": STREAM}, b""


def _allow_null(schema: Any) -> None:
    """Go writes null for what is empty, and Kubernetes' documents do not say so: any property may be null."""
    for child in schema.get("properties", {}).values():
        _allow_null(child)
        child["nullable"] = True
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            _allow_null(schema[key])


def _each(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _body(case: Any) -> tuple[bytes, dict[str, str]]:
    if case.body is None or type(case.body).__name__ == "NotSet":
        return b"", {}
    kind = case.media_type or "application/json"
    if isinstance(case.body, bytes):
        return case.body, {"content-type": kind}
    if "yaml" in kind:
        return yaml.safe_dump(json.loads(json.dumps(case.body))).encode(), {"content-type": kind}
    return json.dumps(case.body).encode(), {"content-type": kind}


def _make_plausible(case: Any, operation: Any, name: str) -> None:
    if case.path_parameters and "namespace" in case.path_parameters:
        case.path_parameters["namespace"] = "default"
    if case.path_parameters and "name" in case.path_parameters:
        case.path_parameters["name"] = name
    told = operation.definition.raw
    kind = told.get("x-kubernetes-group-version-kind", {})
    if case.query:
        for key in ("dryRun", "fieldValidation", "resourceVersion", "continue"):
            case.query.pop(key, None)
    if isinstance(case.body, dict) and told.get("x-kubernetes-action") in ("post", "put"):
        case.media_type = "application/json"
        group = f"{kind.get('group')}/" if kind.get("group") else ""
        case.body |= {
            "apiVersion": f"{group}{kind.get('version')}",
            "kind": kind.get("kind"),
            "metadata": {"name": name},
        }


@contextmanager
def fuzzing() -> Iterator[Fuzz]:
    fuzz = Fuzz()
    try:
        yield fuzz
    finally:
        fuzz.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="schemathesis over our own OpenAPI")
    parser.add_argument("--examples", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("names", nargs="*", help="documents, such as apis/apps/v1; all by default")
    options = parser.parse_args()
    with fuzzing() as fuzz:
        for name in options.names or fuzz.names():
            began = time.monotonic()
            fuzz.run(name, options.examples, options.seed)
            print(f"{name}: {time.monotonic() - began:.1f} s, answers {dict(sorted(fuzz.answers.items()))}", flush=True)


if __name__ == "__main__":
    main()
