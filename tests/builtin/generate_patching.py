"""Makes `src/styr/api/builtin/patching.json` from the OpenAPI documents inside the Go module k8s.io/kubernetes:

    python -m tests.builtin.generate_patching $(go mod download -json k8s.io/kubernetes@v1.35.3 | jq -r .Dir)

Of each type the fields that a strategic merge patch treats specially: `STRATEGIES [MERGE KEY]`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from styr.api.builtin import tables, types
from styr.api.builtin.types import Type

TARGET = Path(__file__).parents[2] / "src/styr/api/builtin/patching.json"


def main(module: str) -> None:
    published: dict[str, Any] = {}
    for path in sorted(Path(module, "api/openapi-spec/v3").glob("*.json")):
        published |= json.loads(path.read_bytes()).get("components", {}).get("schemas", {})
    found = {}
    for made in all_types():
        schema = published.get(name_of(made))
        if schema is None:
            continue
        fields = {
            name: f"{strategy} {field.get('x-kubernetes-patch-merge-key', '')}".strip()
            for name, field in sorted(schema.get("properties", {}).items())
            if (strategy := field.get("x-kubernetes-patch-strategy"))
        }
        if fields:
            found[made.name] = fields
    head = f'{{"source": "k8s.io/kubernetes {module.rpartition("@")[2]} api/openapi-spec/v3", "types": {{\n'
    lines = ",\n".join(f"{json.dumps(name)}:{json.dumps(found[name], separators=(',', ':'))}" for name in sorted(found))
    TARGET.write_text(f"{head}{lines}\n}}}}\n")
    print(f"{TARGET}: {len(found)} types")


def name_of(made: Type) -> str:
    """As OpenAPI calls it."""
    group, _, version = made.package.rpartition("/")
    kind = made.name.rpartition(".")[2]
    if group == "meta.k8s.io":
        return f"io.k8s.apimachinery.pkg.apis.meta.{version}.{kind}"
    if group == "apiextensions.k8s.io":
        return f"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.{version}.{kind}"
    return f"io.k8s.api.{group.split('.')[0] or 'core'}.{version}.{kind}"


def all_types() -> Iterator[Type]:
    seen: dict[str, Type] = {}
    kinds = (kind for kind in tables.kinds() if not kind.storage)
    waiting = [types.find(kind.resource.api_version, kind.resource.kind) for kind in kinds]
    while waiting:
        made = types.ready(waiting.pop())
        if made.name not in seen:
            seen[made.name] = made
            waiting += [field.type for field in made.fields.values() if field.type is not None]
    yield from seen.values()


if __name__ == "__main__":
    main(sys.argv[1])
