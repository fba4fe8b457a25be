"""Writes `names.json`, the names of the conformance behaviours: `python -m tests.conformance.kubernetes.generate`.

Called by people, when `VERSION` moves; needs Go, to fetch the published module. Takes names and places only: what a
behaviour demands is read there, and said again in our own words by the tests.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import yaml

TARGET = Path(__file__).with_name("names.json")
MODULE = "k8s.io/kubernetes"
VERSION = "v1.37.2"
LIST = "test/conformance/testdata/conformance.yaml"


def source() -> Path:
    """Where Go keeps the module; fetched if need be."""
    command = ["go", "mod", "download", "-json", f"{MODULE}@{VERSION}"]
    found = subprocess.run(command, check=True, capture_output=True, cwd="/")
    return Path(json.loads(found.stdout)["Dir"])


def names(listed: list[dict[str, str]]) -> list[list[str]]:
    """[name, name in the suite, file, since which version], by file and place in it."""
    return sorted(
        [[entry["testname"], entry["codename"], entry["file"], entry["release"]] for entry in listed],
        key=lambda entry: (entry[2], entry[1]),
    )


def main() -> None:
    found = names(yaml.safe_load((source() / LIST).read_text()))
    rows = ",\n".join("  " + json.dumps(entry, ensure_ascii=False) for entry in found)
    TARGET.write_text(
        f'{{"module": "{MODULE}", "version": "{VERSION}", "file": "{LIST}", "behaviours": [\n{rows}\n]}}\n'
    )
    print(f"{len(found)} behaviours")


if __name__ == "__main__":
    main()
