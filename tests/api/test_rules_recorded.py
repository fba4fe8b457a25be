"""Definitions and objects beside what the real kube-apiserver said to them (`generate_rule_answers`)."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.api.generate_rule_answers import ANSWERS, CRDS, causes, plural
from tests.api.kit import Api, running
from tests.api.rule_samples import REFUSED, TAKEN, definition

RECORDED: dict[str, Any] = json.loads(ANSWERS.read_text())


def told(texts: list[str]) -> list[str]:
    """The real one calls types after the time."""
    return [re.sub(r"selfType\d*", "selfType", text) for text in texts]


async def send(api: Api, method: str, path: str, body: Any) -> Any:
    response = await api.raw(method, path, body)
    assert isinstance(response.body, bytes)
    return json.loads(response.body)


@pytest.mark.parametrize("name", REFUSED)
async def test_a_definition_is_refused_in_the_same_words(name: str) -> None:
    async with running() as api:
        answer = await send(api, "POST", CRDS, definition(plural(0), REFUSED[name]))
        assert told(causes(answer)) == told(RECORDED["refused"][name])


@pytest.mark.parametrize("name", [name for name, (_, pairs) in TAKEN.items() if pairs])
async def test_an_object_is_judged_in_the_same_words(name: str) -> None:
    spec, pairs = TAKEN[name]
    path = f"/apis/rules.example.com/v1/{plural(0)}"
    async with running() as api:
        await api("POST", CRDS, definition(plural(0), spec))
        for number, (new, old) in enumerate(pairs):
            body = {
                "apiVersion": "rules.example.com/v1",
                "kind": plural(0).capitalize(),
                "metadata": {"name": f"{name}-{number}"},
            }
            if old is None:
                answer = await send(api, "POST", path, body | {"spec": new})
            else:
                made = await api("POST", path, body | {"spec": old})
                answer = await send(api, "PUT", f"{path}/{name}-{number}", made | {"spec": new})
            assert causes(answer) == RECORDED["taken"][name][number]
