"""Where the sources of the real Prometheus are: its test scripts are read from there, and are never part of this repository.

Called by the conformance tests and the reports. `go.mod` beside this file pins the version; `build` makes the programs.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

MODULE = "github.com/prometheus/prometheus"


@cache
def prometheus_source() -> Path | None:
    """`$STYR_PROMETHEUS_SOURCE`, else the pinned module from Go's module cache (downloaded if it is not there). None without
    Go, or when it cannot be had."""
    if chosen := os.environ.get("STYR_PROMETHEUS_SOURCE"):
        return Path(chosen)
    go = shutil.which("go")
    if go is None:
        return None
    found = subprocess.run(
        [go, "mod", "download", "-json", MODULE], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    if found.returncode:
        return None
    return Path(json.loads(found.stdout)["Dir"])


def promql_scripts() -> list[Path]:
    """Prometheus' own PromQL test scripts, sorted; empty when the source cannot be had."""
    source = prometheus_source()
    return sorted((source / "promql" / "promqltest" / "testdata").glob("*.test")) if source else []
