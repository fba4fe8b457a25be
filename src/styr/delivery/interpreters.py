"""Which Pythons and which installer this machine has. Called by `build` and `source`; asks each program once."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from styr.delivery import python


@dataclass(frozen=True, slots=True)
class Interpreter:
    path: Path
    version: python.Version

    def __str__(self) -> str:
        return ".".join(map(str, self.version))

    @property
    def reads(self) -> tuple[Path, ...]:
        """The folder it is installed in, for pods that may not see it otherwise: () below /usr."""
        prefix = self.path.resolve().parent.parent
        return () if prefix.is_relative_to("/usr") else (prefix,)


def find_interpreters(path: str) -> list[Interpreter]:
    """Pythons on a PATH that answer, newest first."""
    found: dict[Path, Interpreter] = {}
    for name in (*(f"python3.{minor}" for minor in range(20, 7, -1)), "python3"):
        place = shutil.which(name, path=path)
        if not place:
            continue
        try:
            asked = subprocess.run(
                [place, "-IS", "-c", "import sys; print(*sys.version_info[:3]); print(sys._base_executable)"],
                capture_output=True,
                text=True,
                timeout=10,
                check=True,
            )
            numbers, executable = asked.stdout.splitlines()[:2]
        except (OSError, subprocess.SubprocessError, ValueError):
            continue
        found.setdefault(Path(executable), Interpreter(Path(executable), tuple(map(int, numbers.split()))))
    return list(found.values())


def find_uv() -> str | None:
    """The binary of the wheel `uv`, else one on the PATH, else None."""
    try:
        from uv import find_uv_bin

        return str(find_uv_bin())
    except (ImportError, FileNotFoundError):
        return shutil.which("uv")
