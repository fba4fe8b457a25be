"""Makes `src/styr/api/builtin/resources.json` from the discovery documents inside the Go module k8s.io/kubernetes, and from
what its code answers (tests/peers/builtin, built):

    python -m tests.builtin.generate_resources $(go mod download -json k8s.io/kubernetes@v1.35.3 | jq -r .Dir) PEER

Facts only: which resources the version serves as GA, their names, scope, verbs and subresources. One resource a line:
`verbs` and `of` (what a subresource takes or returns, `Kind` or `group/version/Kind`) stand only where they are not the usual;
`counts`: metadata.generation counts changes; `upsert`: a PUT creates; `careful`: a PUT needs a resourceVersion; `select`: the
field selectors beside metadata.name and metadata.namespace.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from styr.api.builtin import types
from tests.builtin.peer import Peer

TARGET = Path(__file__).parents[2] / "src/styr/api/builtin/resources.json"
USUAL = "create delete deletecollection get list patch update watch"
USUAL_SUB = "get patch update"
BESIDE_GA = {
    "apis__admissionregistration.k8s.io__v1beta1": ("mutatingadmissionpolicies", "mutatingadmissionpolicybindings")
}
"""Kinds that clients expect already, in the version that Kubernetes has them in."""
ANSWERED = ("authentication.k8s.io", "authorization.k8s.io")
"""Groups of questions: nothing of them is stored, `reviews` answers."""
COUNTED = ("customresourcedefinitions",)
"""Kinds that count changes, by code outside of that module."""
ELSEWHERE = ("apiregistration.k8s.io",)


def main(module: str, peer: Peer) -> None:
    folder = Path(module, "api/discovery")
    found: list[dict[str, Any]] = []
    for path in sorted(folder.glob("*.json")):
        version = path.stem.rpartition("__")[2]
        group = path.stem.split("__")[1] if path.stem.startswith("apis__") else ""
        wanted = BESIDE_GA.get(path.stem)
        if group in ELSEWHERE or not (wanted or version in ("v1", "v2")):
            continue
        listed = json.loads(path.read_bytes()).get("resources", ())
        found += resources(group, version, [entry for entry in listed if not wanted or entry["name"] in wanted])
    for entry in found:
        entry |= rules(entry, peer)
    head = json.dumps({"source": f"k8s.io/kubernetes {module.rpartition('@')[2]} api/discovery"})[:-1]
    lines = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in found)
    TARGET.write_text(f'{head}, "resources": [\n{lines}\n]}}\n')
    print(f"{TARGET}: {len(found)} resources")


def resources(group: str, version: str, listed: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for entry in listed:
        if "/" in entry["name"]:
            continue
        made = {"group": group, "version": version, "kind": entry["kind"], "plural": entry["name"]}
        made["singular"] = entry["singularName"]
        made |= {} if entry["namespaced"] else {"cluster": True}
        made |= {"short": entry["shortNames"]} if "shortNames" in entry else {}
        made |= {"categories": entry["categories"]} if "categories" in entry else {}
        verbs = " ".join(entry["verbs"])
        made |= {"verbs": verbs} if verbs != USUAL else {}
        made |= {"answered": True} if group in ANSWERED or verbs == "create" else {}
        prefix = f"{entry['name']}/"
        subs = {
            sub["name"].removeprefix(prefix): subresource(entry, sub)
            for sub in listed
            if sub["name"].startswith(prefix)
        }
        yield made | ({"subresources": subs} if subs else {})


def rules(entry: dict[str, Any], peer: Peer) -> dict[str, Any]:
    """What the code says of the kind."""
    group = entry["group"]
    kind = f"{group}/{entry['version']}/{entry['kind']}" if group else f"{entry['version']}/{entry['kind']}"
    facts = peer.ask(op="facts", kind=kind, resource=f"{entry['plural']}.{group}" if group else entry["plural"])
    said = facts.get("object", {})
    made: dict[str, Any] = {}
    made |= {"counts": True} if said.get("generation") or entry["plural"] in COUNTED else {}
    made |= {"upsert": True} if said.get("upsert") else {}
    made |= {"careful": True} if said.get("blind") is False else {}
    labels = [path for path in paths(kind) if path not in ("metadata.name", "metadata.namespace")]
    select = peer.ask(op="label", kind=kind, labels=labels).get("labels", [])
    return made | ({"select": select} if select else {})


def paths(kind: str) -> Iterator[str]:
    """Every field that is a scalar, three levels deep, and a structure's own name (an Event's `source`)."""
    try:
        root = types.find(*kind.rsplit("/", 1))
    except KeyError:
        return
    yield "status.successful"  # of jobs: no field has that name
    for name, child in root.fields.items():
        yield name
        if child.type is not None and not child.many:
            types.ready(child.type)
            yield from (f"{name}.{inner}" for inner, field in child.type.fields.items() if field.type is None)


def subresource(parent: dict[str, Any], sub: dict[str, Any]) -> dict[str, str]:
    kind, group = sub["kind"], sub.get("group", "")
    of = f"{group}/{sub['version']}/{kind}" if sub.get("version") else kind
    verbs = " ".join(sub["verbs"])
    return ({"of": of} if of != parent["kind"] else {}) | ({"verbs": verbs} if verbs != USUAL_SUB else {})


if __name__ == "__main__":
    with Peer(sys.argv[2]) as running:
        main(sys.argv[1], running)
