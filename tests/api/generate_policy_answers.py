"""What the real kube-apiserver v1.35 says to `policy_samples`, recorded in `policy_answers.json`:

python -m tests.api.generate_policy_answers DIR
"""

from __future__ import annotations

import copy
import json
import sys
import time
from pathlib import Path
from typing import Any

from tests.api.policy_samples import PATHS, SAMPLES, Sample, binding, view
from tests.peers.apiserver import KubeApiserver, kube_apiserver

ANSWERS = Path(__file__).with_name("policy_answers.json")
FLAGS = (
    "--runtime-config=admissionregistration.k8s.io/v1beta1=true",
    "--feature-gates=MutatingAdmissionPolicy=true",
)
SAME = 6
"""Equal answers in a row that are taken for the last word: policies take effect there some time after they were written."""


def ask(peer: KubeApiserver, sample: Sample) -> Any:
    policy = copy.deepcopy(sample.policy)
    path = PATHS[policy["kind"]]
    status, answer = peer.ask("POST", path, policy)
    if status != 201:
        return view(answer)
    try:
        if sample.obj is None:
            return view(answer)
        status, bound = peer.ask("POST", PATHS[f"{policy['kind']}Binding"], binding(policy, **sample.binding))
        assert status == 201, bound
        return settled(peer, sample)
    finally:
        peer.ask("DELETE", f"{PATHS[policy['kind'] + 'Binding']}/p-binding")
        peer.ask("DELETE", f"{path}/p")
        time.sleep(1)


def settled(peer: KubeApiserver, sample: Sample) -> Any:
    assert sample.obj is not None
    last, times = None, 0
    while times < SAME:
        time.sleep(0.25)
        status, answer = peer.ask("POST", sample.path, sample.obj)
        if status == 201:
            peer.ask("DELETE", f"{sample.path}/{sample.obj['metadata']['name']}")
        found = view(answer)
        times = times + 1 if found == last else 0
        last = found
    return last


if __name__ == "__main__":
    with kube_apiserver(Path(sys.argv[1]).absolute(), *FLAGS) as real:
        recorded = {name: ask(real, sample) for name, sample in SAMPLES.items()}
    ANSWERS.write_text(json.dumps(recorded, indent=1, ensure_ascii=False) + "\n")
