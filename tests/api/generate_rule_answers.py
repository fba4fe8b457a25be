"""What the real kube-apiserver v1.35 says to `rule_samples`, recorded in `rule_answers.json`:

python -m tests.api.generate_rule_answers URL TOKEN      # of one that `python -m tests.peers.apiserver DIR` keeps running
"""

from __future__ import annotations

import json
import ssl
import sys
import time
from pathlib import Path
from typing import Any

from tests.api.rule_samples import REFUSED, TAKEN, definition
from tests.peers.apiserver import KubeApiserver

ANSWERS = Path(__file__).with_name("rule_answers.json")
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def causes(answer: dict[str, Any]) -> list[str]:
    """`FIELD: MESSAGE (REASON)`, sorted: maps are walked in no order there. [] for an object that is taken."""
    found = answer.get("details", {}).get("causes", []) if answer.get("kind") == "Status" else []
    told = {f"{cause.get('field')}: {cause.get('message')} ({cause.get('reason')})" for cause in found}
    return sorted(told)


def plural(index: int) -> str:
    return f"r{index}s"


def record(peer: KubeApiserver) -> dict[str, Any]:
    refused, taken = {}, {}
    for index, (name, spec) in enumerate(REFUSED.items()):
        _, answer = peer.ask("POST", CRDS, definition(plural(index), spec))
        refused[name] = causes(answer)
    for index, (name, (spec, pairs)) in enumerate(TAKEN.items(), len(REFUSED)):
        status, answer = peer.ask("POST", CRDS, definition(plural(index), spec))
        if status != 201:
            raise SystemExit(f"{name}: {answer['message']}")
        path = f"/apis/rules.example.com/v1/{plural(index)}"
        while peer.send("GET", path).status != 200:
            time.sleep(0.1)
        found = taken[name] = []
        for number, (new, old) in enumerate(pairs):
            body = {
                "apiVersion": "rules.example.com/v1",
                "kind": plural(index).capitalize(),
                "metadata": {"name": f"{name}-{number}"},
            }
            if old is None:
                found.append(causes(peer.ask("POST", path, body | {"spec": new})[1]))
                continue
            status, made = peer.ask("POST", path, body | {"spec": old})
            assert status == 201, made
            found.append(causes(peer.ask("PUT", f"{path}/{name}-{number}", made | {"spec": new})[1]))
    return {"refused": refused, "taken": taken}


if __name__ == "__main__":
    real = KubeApiserver(sys.argv[1], sys.argv[2], Path("."), ssl._create_unverified_context())
    ANSWERS.write_text(json.dumps(record(real), indent=1, ensure_ascii=False) + "\n")
