"""Which clients there are, and where their programs are. Called by the tests and the report."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

OLDEST = "kubectl"
"""Debian's, 1.20.2."""
BUILT = {"kubectl-1.35": 35, "kubectl-1.37": 37}
"""What `tests/peers/clients/build` makes, and their minor versions."""

HELMS = {"helm-3": 3, "helm-4": 4}
"""The same, and their major versions."""


@dataclass(frozen=True, slots=True)
class Kubectl:
    """`program` is what to look for on the PATH, or where it is."""

    program: str
    minor: int

    def __str__(self) -> str:
        return f"kubectl 1.{self.minor}"


@cache
def minor_of(program: str) -> int:
    """Of the client itself; 20 for 1.20.2. Raises OSError, CalledProcessError."""
    found = subprocess.run([program, "version", "--client", "-o", "json"], capture_output=True, check=True, timeout=60)
    return int(json.loads(found.stdout)["clientVersion"]["minor"].rstrip("+"))


def players() -> list[Kubectl]:
    """Those that every run of the tests plays, there or not: Debian's and the two that are built."""
    oldest = minor_of(OLDEST) if shutil.which(OLDEST) else 20
    return [Kubectl(OLDEST, oldest), *(Kubectl(name, minor) for name, minor in BUILT.items() if minor != oldest)]


def here() -> list[Kubectl]:
    """Every kubectl of this machine: on the PATH, and beside where those links lead; the oldest first, each minor once."""
    folders = [Path(part) for part in os.environ.get("PATH", "").split(os.pathsep) if part]
    folders += [Path(found).resolve().parent for folder in folders for found in folder.glob("kubectl")]
    programs = {
        path
        for folder in folders
        for path in folder.glob("kubectl*")
        if re.fullmatch(r"kubectl([.-]1\.\d+)?", path.name)
    }
    found = {minor_of(str(path)): str(path) for path in sorted(programs) if os.access(path, os.X_OK)}
    return [Kubectl(program, minor) for minor, program in sorted(found.items())]
