"""Policies beside what the real kube-apiserver said to them (`generate_policy_answers`)."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from tests.api.generate_policy_answers import ANSWERS
from tests.api.kit import Api, running
from tests.api.policy_samples import PATHS, SAMPLES, binding, view

RECORDED: dict[str, Any] = json.loads(ANSWERS.read_text())


async def send(api: Api, path: str, body: Any) -> Any:
    response = await api.raw("POST", path, body)
    assert isinstance(response.body, bytes)
    return json.loads(response.body)


@pytest.mark.parametrize("name", SAMPLES)
async def test_a_policy_says_what_it_says_to_kubernetes(name: str) -> None:
    sample = SAMPLES[name]
    policy = copy.deepcopy(sample.policy)
    async with running() as api:
        answer = await send(api, PATHS[policy["kind"]], policy)
        if answer["kind"] != "Status" and sample.obj is not None:
            await api("POST", PATHS[f"{policy['kind']}Binding"], binding(policy, **sample.binding))
            answer = await send(api, sample.path, sample.obj)
        assert view(answer) == RECORDED[name]
