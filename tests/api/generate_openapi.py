"""Writes `src/styr/api/openapi/builtin.json.xz`, and what tests compare with: `python -m tests.api.generate_openapi`.

Called by people, when the declared version moves; needs kube-apiserver and etcd of that version on the PATH. Keeps what that
server tells of itself (Kubernetes, Apache-2.0; the texts are in the published api/openapi-spec too): the definitions of
OpenAPI v3, the paths and parameters of v2 (the other two forms follow from these: see `styr.api.openapi.convert`), and how it
publishes two definitions of our own, the pattern for every other. For tests: `openapi_real.json`, digests of its documents and
how it publishes the definitions of openapi_crds.py, and `discovery_real.json`, its discovery.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.api.openapi_crds import CRDS
from tests.peers.apiserver import KubeApiserver, kube_apiserver

DISCOVERY = Path(__file__).with_name("discovery_real.json")
GOLDEN = Path(__file__).with_name("openapi_real.json")
BETA = (
    "--runtime-config=admissionregistration.k8s.io/v1beta1=true",
    "--feature-gates=MutatingAdmissionPolicy=true",
)
"""What is served although it is not GA in that version."""
TARGET = Path(__file__).parents[2] / "src/styr/api/openapi/builtin.json.xz"
PROMOTED = "/mutatingadmissionpolic"
GROUP, VERSION = "qqgroup.styr.dev", "qqversion"
NAMES = {"Namespaced": ("qqplural", "Qqkind"), "Cluster": ("qqclusters", "Qqcluster")}
"""`styr.api.openapi.custom` puts other names in their place, wherever they stand."""
_LISTS = [f"{kind}List" for _, kind in NAMES.values()]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, kube_apiserver(Path(folder), *BETA) as peer:
        golden = {"digests": digests(peer)}
        DISCOVERY.write_text("{" + ",\n".join(f'"{k}": {json.dumps(v)}' for k, v in discovery(peer).items()) + "}\n")
        table = read(peer)
        golden |= published(peer)
    promote(table)
    GOLDEN.write_text(json.dumps(golden, indent=1, sort_keys=True) + "\n")
    text = json.dumps(table, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()
    TARGET.write_bytes(lzma.compress(text, preset=9 | lzma.PRESET_EXTREME, check=lzma.CHECK_CRC32))
    print(f"{TARGET}: {len(text)} bytes, {TARGET.stat().st_size} compressed")


def digest(document: Any) -> str:
    """Of a document, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def digests(peer: KubeApiserver) -> dict[str, str]:
    """Of every document of a server without any CustomResourceDefinition."""
    found = {
        name: digest(_get(peer, entry["serverRelativeURL"]))
        for name, entry in _get(peer, "/openapi/v3")["paths"].items()
    }
    return found | {"v2": digest(_get(peer, "/openapi/v2"))}


def discovery(peer: KubeApiserver) -> dict[str, Any]:
    """By path: plain, and for the two roots aggregated."""
    groups = [f"/apis/{version['groupVersion']}" for g in _get(peer, "/apis")["groups"] for version in g["versions"]]
    plain = {path: _get(peer, path) for path in ("/apis", "/api/v1", *groups)}
    accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    return plain | {f"{path} v2": peer.ask("GET", path, accept=accept)[1] for path in ("/api", "/apis")}


def published(peer: KubeApiserver) -> dict[str, Any]:
    """How the definitions of openapi_crds.py are published: documents of v3 by name, and their parts of v2."""
    names = {f"apis/{obj['spec']['group']}/{v['name']}" for obj in CRDS for v in obj["spec"]["versions"] if v["served"]}
    for obj in CRDS:
        status, said = peer.ask("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", obj)
        assert status == 201, said
    lists = [obj["spec"]["names"]["listKind"] for obj in CRDS]
    v2 = _wait(lambda: _with(_get(peer, "/openapi/v2"), lists))
    index = _wait(lambda: _with(_get(peer, "/openapi/v3"), names))["paths"]
    v3 = {name: _get(peer, index[name]["serverRelativeURL"]) for name in sorted(names)}
    v3 = {name: {**document, "paths": digest(document["paths"])} for name, document in v3.items()}
    for document in v3.values():
        schemas = document["components"]["schemas"]
        document["components"] = {"schemas": {name: _brief(name, schema) for name, schema in schemas.items()}}
    ours = [f"/{obj['spec']['group']}/" for obj in CRDS]
    groups = tuple(".".join(reversed(obj["spec"]["group"].split("."))) + "." for obj in CRDS)
    paths = {path: digest(item) for path, item in v2["paths"].items() if any(word in path for word in ours)}
    definitions = {name: schema for name, schema in v2["definitions"].items() if name.startswith(groups)}
    return {"v3": v3, "v2": {"paths": paths, "definitions": definitions}}


def _brief(name: str, schema: Any) -> Any:
    return digest(schema) if name.startswith("io.k8s.a") else schema


def _with(document: dict[str, Any], words: Iterable[str]) -> Any:
    """The document, once all these words are in it."""
    text = json.dumps(document)
    return document if all(word in text for word in words) else None


def read(peer: KubeApiserver) -> dict[str, Any]:
    """What a server without any CustomResourceDefinition tells, then what it adds for the probes."""
    plain = _get(peer, "/openapi/v2")
    definitions = {}
    for entry in _get(peer, "/openapi/v3")["paths"].values():
        definitions |= _get(peer, entry["serverRelativeURL"]).get("components", {}).get("schemas", {})
    if definitions.keys() != plain["definitions"].keys():
        raise SystemExit(f"v2 and v3 differ: {definitions.keys() ^ plain['definitions'].keys()}")
    return {
        "source": f"kube-apiserver {_get(peer, '/version')['gitVersion']}",
        "definitions": definitions,
        "parameters": plain["parameters"],
        "paths": plain["paths"],
        "custom": _custom(peer, definitions),
    }


def promote(table: dict[str, Any]) -> None:
    """Adds what is served in v1 although this version has it in v1beta1: later ones have the same in both."""
    for old in [path for path in table["paths"] if PROMOTED in path]:
        new = old.replace("/v1beta1/", "/v1/")
        table["paths"][new] = json.loads(_as_v1(json.dumps(table["paths"][old])))
    names = [name for name in table["definitions"] if ".admissionregistration.v1beta1." in name]
    for name in names:
        table["definitions"].setdefault(_as_v1(name), json.loads(_as_v1(json.dumps(table["definitions"][name]))))


def _as_v1(text: str) -> str:
    for old, new in (
        (".admissionregistration.v1beta1.", ".admissionregistration.v1."),
        ("AdmissionregistrationV1beta1", "AdmissionregistrationV1"),
        ("admissionregistration_v1beta1", "admissionregistration_v1"),
        ('"version": "v1beta1"', '"version": "v1"'),
    ):
        text = text.replace(old, new)
    return text


def _custom(peer: KubeApiserver, builtin: dict[str, Any]) -> dict[str, Any]:
    for scope, (plural, kind) in NAMES.items():
        status, said = peer.ask(
            "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", _crd(scope, plural, kind)
        )
        assert status == 201, said
    v3 = _wait(lambda: _published(peer))
    v2 = _wait(lambda: _with(_get(peer, "/openapi/v2"), _LISTS))
    schemas, kind = v3["components"]["schemas"], f"dev.styr.qqgroup.{VERSION}.{NAMES['Namespaced'][1]}"
    properties = schemas[kind]["properties"]
    return {
        "paths": {path: item for path, item in v2["paths"].items() if GROUP in path},
        "embedded": properties.pop("embedded")["properties"],
        "kind": properties,
        "definitions": {name: told for name, told in schemas.items() if builtin.get(name, told) != told},
        "list": schemas[f"{kind}List"],
    }


def _crd(scope: str, plural: str, kind: str) -> dict[str, Any]:
    embedded = {"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True}
    schema = {"type": "object", "properties": {"embedded": embedded}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": scope,
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"},
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": {
                        "status": {},
                        "scale": {"specReplicasPath": ".spec.n", "statusReplicasPath": ".status.n"},
                    },
                }
            ],
        },
    }


def _published(peer: KubeApiserver) -> Any:
    found = _get(peer, "/openapi/v3")["paths"].get(f"apis/{GROUP}/{VERSION}")
    return found and _with(_get(peer, found["serverRelativeURL"]), _LISTS)


def _wait(ask: Any) -> Any:
    for _ in range(300):
        if found := ask():
            return found
        time.sleep(0.1)
    sys.exit("the probes are not published")


def _get(peer: KubeApiserver, path: str) -> Any:
    status, document = peer.ask("GET", path)
    assert status == 200, (path, document)
    return document


if __name__ == "__main__":
    main()
