"""Bodies in protobuf beside Go's own reading of them: random objects of every kind that client-go knows."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from styr.api.protobuf import generate
from styr.api.protobuf.envelope import decode

pytestmark = [pytest.mark.needs("go"), pytest.mark.timeout(600)]
MODULE = Path(__file__).parents[1] / "peers" / "kubernetes"
ROUNDS = 12


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("go") / "bodies"
    subprocess.run(["go", "build", "-o", target, "./bodies"], cwd=MODULE, check=True, timeout=500)
    return target


@pytest.mark.parametrize("seed", range(3))
def test_a_body_becomes_what_go_says_it_is(program: Path, seed: int) -> None:
    found = subprocess.run([program, str(seed), str(ROUNDS)], capture_output=True, check=True, timeout=120)
    pairs: list[dict[str, Any]] = [json.loads(line) for line in found.stdout.splitlines()]
    assert len({entry["kind"] for entry in pairs}) > 600
    for entry in pairs:
        assert decode(base64.b64decode(entry["body"])) == entry["json"], entry["kind"]


def test_the_table_is_what_the_script_makes() -> None:
    assert generate.TARGET.read_text() == generate.table()
