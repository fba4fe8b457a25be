"""Makes `src/styr/api/apply/builtin.json` from the schema inside the Go module k8s.io/client-go:

    python -m tests.api.generate_apply_types $(go list -m -f '{{.Dir}}' k8s.io/client-go)

Only facts are taken: names of fields, which lists are keyed and by what, which structures are one value. In the result 0 is
a value that is owned as a whole (a scalar, an atomic list, an atomic structure), a text names another type, and
`{"list": TYPE, "keys": [...], "defaults": {...}}` and `{"map": TYPE}` are lists and maps whose items are owned one by one.
A named type is `{"whole": "its fields that are 0", "fields": {...}, "always": "structures that every object has"}`.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

TARGET = Path(__file__).parents[2] / "src/styr/api/apply/builtin.json"
GROUPS = {
    "core": "",
    "rbac": "rbac.authorization.k8s.io",
    "networking": "networking.k8s.io",
    "discovery": "discovery.k8s.io",
    "coordination": "coordination.k8s.io",
    "storage": "storage.k8s.io",
    "scheduling": "scheduling.k8s.io",
    "node": "node.k8s.io",
    "certificates": "certificates.k8s.io",
    "admissionregistration": "admissionregistration.k8s.io",
    "events": "events.k8s.io",
    "resource": "resource.k8s.io",
    "flowcontrol": "flowcontrol.apiserver.k8s.io",
}
API = re.compile(r"io\.k8s\.api\.(\w+)\.(v\d+|v1beta1(?=\.MutatingAdmissionPolicy))\.(\w+)")
META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
NEVER_LEFT_OUT = {"io.k8s.api.core.v1.PodSpec": ["containers"]}
"""Lists that every object shows, empty ones as null."""


def main(module: str) -> None:
    source = Path(module, "applyconfigurations/internal/internal.go").read_text()
    version = module.rpartition("@")[2]
    types = {entry["name"]: entry for entry in yaml.safe_load(source.partition("`")[2].rpartition("`")[0])["types"]}
    kinds = {}
    for name, entry in types.items():
        fields = {field["name"]: field["type"] for field in (entry.get("map") or {}).get("fields", ())}
        found = API.fullmatch(name)
        if found and fields.get("metadata", {}).get("namedType") == META and "kind" in fields:
            group, kind_version, kind = found.groups()
            group = GROUPS.get(group, group)
            kinds[f"{group}/{kind_version}/{kind}" if group else f"{kind_version}/{kind}"] = name
    table: dict[str, Any] = {}
    waiting = [META, *kinds.values()]
    while waiting:
        name = waiting.pop()
        if name not in table and ref(types, {"namedType": name}) == name:
            table[name] = structure(types, name)
            waiting += named(table[name]["fields"])
    table = {short(name): table[name] for name in sorted(table)}
    whole = {"source": f"k8s.io/client-go {version}", "kinds": {k: short(v) for k, v in sorted(kinds.items())}}
    text = json.dumps(whole | {"types": table}, separators=(",", ":"), sort_keys=False)
    for name in sorted(kinds.values(), key=len, reverse=True) + sorted(types, key=len, reverse=True):
        text = text.replace(f'"{name}"', f'"{short(name)}"')
    TARGET.write_text(text.replace('},"', '},\n"') + "\n")


def short(name: str) -> str:
    return name.removeprefix("io.k8s.").replace("apimachinery.pkg.apis.", "").removeprefix("api.")


def structure(types: dict[str, Any], name: str) -> dict[str, Any]:
    fields = types[name]["map"].get("fields", ())
    made = {field["name"]: ref(types, field["type"]) for field in fields}
    always = [f["name"] for f in fields if f.get("default") == {} and made[f["name"]] != 0]
    always += NEVER_LEFT_OUT.get(name, [])
    found: dict[str, Any] = {"whole": " ".join(key for key, value in made.items() if value == 0)}
    found["fields"] = {key: value for key, value in made.items() if value != 0}
    return found | ({"always": " ".join(always)} if always else {})


def ref(types: dict[str, Any], wanted: dict[str, Any]) -> Any:
    """A type where it is used: 0, a name, a list or a map."""
    name = wanted.get("namedType", "")
    atom = types[name] if name else wanted
    if name == "__untyped_deduced_":
        return "any"
    if wanted.get("elementRelationship") == "atomic" or name == "__untyped_atomic_":
        return 0
    if "list" in atom and "map" not in atom:
        return keyed(types, atom["list"])
    if "map" not in atom or atom["map"].get("elementRelationship") == "atomic":
        return 0
    if "elementType" in atom["map"]:
        element = atom["map"]["elementType"]
        return {"map": "any" if "scalar" in element and "map" in element else ref(types, element)}
    return name


def keyed(types: dict[str, Any], entry: dict[str, Any]) -> Any:
    if entry["elementRelationship"] == "atomic":
        return 0
    element = entry["elementType"]
    found: dict[str, Any] = {"list": ref(types, element), "keys": entry.get("keys", [])}
    item = types.get(element.get("namedType", ""), {}).get("map") or {}
    defaults = {
        f["name"]: f["default"] for f in item.get("fields", ()) if f["name"] in found["keys"] and "default" in f
    }
    return found | ({"defaults": defaults} if defaults else {})


def named(value: Any) -> list[str]:
    if isinstance(value, str):
        return [] if value == "any" else [value]
    if isinstance(value, dict):
        return [name for key, item in value.items() if key not in ("keys", "defaults") for name in named(item)]
    return []


if __name__ == "__main__":
    main(sys.argv[1])
