"""Writes the columns of `kubectl get` from a kube-apiserver: `python -m tests.api.generate_tables`.

Called by people, when the declared version moves; needs kube-apiserver and etcd on the PATH. `definitions.json` has what its
Tables say of their columns, kind by kind (Kubernetes, Apache-2.0). `tables_real.json`, for test_table.py, has the cells that it
gives for the objects of table_objects.py, each beside the object as it stood there and the time of the answer.
"""

from __future__ import annotations

import json
import tempfile
import time
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from tests.api.table_objects import CUSTOM, OBJECTS
from tests.peers.apiserver import KubeApiserver, kube_apiserver

DEFINITIONS = Path(__file__).parents[2] / "src/styr/api/columns/definitions.json"
CELLS = Path(__file__).with_name("tables_real.json")
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
BETA = (
    "--runtime-config=admissionregistration.k8s.io/v1beta1=true",
    "--feature-gates=MutatingAdmissionPolicy=true",
    "--allow-privileged=true",
)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, kube_apiserver(Path(folder), *BETA) as peer:
        DEFINITIONS.write_text(_lines(definitions(peer)))
        CELLS.write_text(
            json.dumps(cells(peer), indent=None, separators=(",", ":")).replace('{"path"', '\n{"path"') + "\n"
        )
    print(DEFINITIONS, DEFINITIONS.stat().st_size, CELLS, CELLS.stat().st_size)


def definitions(peer: KubeApiserver) -> dict[str, Any]:
    """`GROUP/PLURAL` -> its columns: name, type, format, number of the description, priority."""
    texts: list[str] = []
    columns: dict[str, Any] = {}
    for path in (
        "/api/v1",
        *(f"/apis/{v['groupVersion']}" for g in _get(peer, "/apis")["groups"] for v in g["versions"]),
    ):
        for resource in _get(peer, path)["resources"]:
            if "list" in resource["verbs"]:
                group = path.split("/")[2] if path.startswith("/apis") else ""
                table = peer.ask("GET", f"{path}/{resource['name']}?limit=1", accept=TABLE)[1]
                columns[f"{group}/{resource['name']}"] = [_column(each, texts) for each in table["columnDefinitions"]]
    _post(peer, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", CUSTOM["plain"])
    things = "/apis/tables.styr.dev/v1/plains"
    columns["/custom"] = [_column(each, texts) for each in _wait_for_table(peer, things)["columnDefinitions"]]
    columns["custom"] = columns.pop("/custom")
    deployment = next(obj for path, obj, _ in OBJECTS if path.endswith("/deployments"))
    _post(peer, "/apis/apps/v1/namespaces/default/deployments", {**deployment, "metadata": {"name": "scaled"}})
    scale = peer.ask("GET", "/apis/apps/v1/namespaces/default/deployments/scaled/scale", accept=TABLE)[1]
    columns["autoscaling/scale"] = [_column(each, texts) for each in scale["columnDefinitions"]]
    return {"source": f"kube-apiserver {_get(peer, '/version')['gitVersion']}", "texts": texts, "columns": columns}


def _column(each: dict[str, Any], texts: list[str]) -> list[Any]:
    if each["description"] not in texts:
        texts.append(each["description"])
    return [each["name"], each["type"], each["format"], texts.index(each["description"]), each["priority"]]


def cells(peer: KubeApiserver) -> list[dict[str, Any]]:
    """For each object, in their order: `path`, `object`, `cells`, `conditions`, `now`."""
    found = []
    _post(peer, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", CUSTOM["columns"])
    _wait_for_table(peer, "/apis/tables.styr.dev/v1/columns")
    for path, obj, status in OBJECTS:
        made = _post(peer, path, obj)
        one = f"{path}/{made['metadata']['name']}"
        if status is not None:
            current = _get(peer, one)
            sub = "/approval" if "signingrequests" in path else ""
            for where in filter(None, (sub, "/status")):
                code, said = peer.ask("PUT", f"{one}{where}", current | {"status": status})
                assert code == 200, (one, said)
                current = said
        if obj.get("metadata", {}).get("finalizers"):
            peer.ask("DELETE", f"{one}?gracePeriodSeconds=0")
        answer = peer.send("GET", f"{one}?includeObject=Object", accept=TABLE)
        row = answer.json()["rows"][0]
        now = parsedate_to_datetime(answer.headers["date"]).timestamp()
        told = {"path": path, "now": now, "cells": row["cells"], "object": row["object"]}
        told["object"]["metadata"].pop("managedFields", None)
        found.append(told | ({"conditions": row["conditions"]} if "conditions" in row else {}))
    return found


def _lines(document: dict[str, Any]) -> str:
    """JSON with one kind, one text a line."""
    texts = ",\n".join(json.dumps(text) for text in document["texts"])
    columns = ",\n".join(
        f"{json.dumps(key)}: {json.dumps(value)}" for key, value in sorted(document["columns"].items())
    )
    return f'{{"source": {json.dumps(document["source"])}, "texts": [\n{texts}],\n"columns": {{\n{columns}}}}}\n'


def _get(peer: KubeApiserver, path: str) -> Any:
    status, document = peer.ask("GET", path)
    assert status == 200, (path, document)
    return document


def _post(peer: KubeApiserver, path: str, obj: Any) -> Any:
    status, made = peer.ask("POST", path, obj)
    assert status == 201, (path, made)
    return made


def _wait_for_table(peer: KubeApiserver, path: str) -> Any:
    while (answer := peer.send("GET", path, accept=TABLE)).status != 200:
        time.sleep(0.1)
    return answer.json()


if __name__ == "__main__":
    main()
