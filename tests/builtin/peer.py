"""Kubernetes' own code for built-in kinds, as a program that answers: tests/peers/builtin."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "peers/builtin"


def build(target: Path) -> None:
    """Minutes of compiling where Go's cache is cold."""
    subprocess.run(["go", "build", "-o", str(target), "."], cwd=FOLDER, check=True)


class Peer:
    """One running program. `ask` waits for one answer, `all` for many at once."""

    def __init__(self, program: str | Path) -> None:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen([str(program)], text=True, **pipes)

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(30)

    def ask(self, **question: Any) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def all(self, questions: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        return [self.ask(**question) for question in questions]
