"""Writes `api/roles.json`: the default roles of RBAC and who holds them: `python -m tests.api.generate_roles`.

Called by people, when Kubernetes' version moves; needs Go, to fetch the published module. Reads what its authorizer's own tests
compare with (`bootstrappolicy/testdata`). Roles of controllers that Styr does not run are left out. Facts only, no text.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import yaml

VERSION = "v1.35.3"
MODULE = "k8s.io/kubernetes"
FOLDER = "plugin/pkg/auth/authorizer/rbac/bootstrappolicy/testdata"
FILES = ("cluster-roles", "namespace-roles", "cluster-role-bindings", "namespace-role-bindings")
TARGET = Path(__file__).parents[2] / "src/styr/api/roles.json"
LEFT_OUT = "system:controller:"


def main() -> None:
    text = table()
    TARGET.write_text(text)
    print(f"{TARGET}: {len(text)} bytes")


def table() -> str:
    """The text of `roles.json`. Raises CalledProcessError when Go cannot fetch the module."""
    found = subprocess.run(
        ["go", "mod", "download", "-json", f"{MODULE}@{VERSION}"], capture_output=True, check=True, text=True
    )
    folder = Path(json.loads(found.stdout)["Dir"]) / FOLDER
    objects = [
        _plain(item) for name in FILES for item in yaml.safe_load((folder / f"{name}.yaml").read_text())["items"]
    ]
    kept = [obj for obj in objects if not obj["metadata"]["name"].startswith(LEFT_OUT)]
    lines = ",\n".join(json.dumps(obj, separators=(",", ":")) for obj in kept)
    return f'{{"source":"{MODULE}@{VERSION}/{FOLDER}","objects":[\n{lines}\n]}}\n'


def _plain(item: dict[str, Any]) -> dict[str, Any]:
    """Without what is the same for all of them."""
    meta = {key: value for key, value in item["metadata"].items() if key in ("name", "namespace", "labels")}
    labels = {key: value for key, value in meta.pop("labels", {}).items() if key != "kubernetes.io/bootstrapping"}
    found = {"kind": item["kind"], "metadata": {**meta, **({"labels": labels} if labels else {})}}
    for key in ("aggregationRule", "rules", "roleRef", "subjects"):
        if item.get(key):
            found[key] = item[key]
    return found


if __name__ == "__main__":
    main()
