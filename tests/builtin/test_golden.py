"""What Kubernetes' own code answered to objects of every kind, and what the strategies answer.

The pairs (golden.json) are recorded by `python -m tests.builtin.differential PEER --count 12 --seed 7 --golden FILE`, from
k8s.io/kubernetes; those on which the two differ are not among them: how many of how many, the live comparison tells.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from styr.api.builtin import tables
from tests.builtin.differential import Case, ours, plain

PAIRS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("golden.json").read_bytes())["pairs"]
KINDS = {kind.resource.group_resource + " " + kind.resource.version: kind for kind in tables.kinds()}


@pytest.mark.parametrize("name", sorted({pair["kind"] for pair in PAIRS}))
def test_a_kind(name: str) -> None:
    pairs = [pair for pair in PAIRS if pair["kind"] == name]
    for pair in pairs:
        case = Case(KINDS[name], pair["object"], pair.get("old"))
        answer = json.loads(json.dumps(plain(ours(case))))
        assert answer == pair["answer"], json.dumps(pair["object"])


def test_both_answers_are_there() -> None:
    refused = sum("causes" in pair["answer"] for pair in PAIRS)
    assert refused > 150
    assert len(PAIRS) - refused > 300
