"""PrometheusRule objects against a real API server in memory: groups follow, errors stand on the object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from styr.kinds.resources import EVENT, PROMETHEUS_RULE, Object
from styr.metrics.model.errors import ParseError
from styr.metrics.rules.groups import Group
from styr.metrics.rules.kubernetes import RuleObjects, groups_of
from tests.metrics.api import Quick, accepted, managed, served, until


def parse(text: str) -> str:
    """Stands for the PromQL parser."""
    if "(" in text and ")" not in text:
        raise ParseError("unclosed left parenthesis", text, text.index("("))
    return text


def rule(name: str, expr: Any = "up == 0", **more: Any) -> Object:
    return {
        "apiVersion": PROMETHEUS_RULE.api_version,
        "kind": PROMETHEUS_RULE.kind,
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"groups": [{"name": "g", "rules": [{"alert": "Down", "expr": expr, **more}]}]},
    }


class Taken:
    def __init__(self) -> None:
        self.groups: Sequence[Group] = ()
        self.fail = False

    async def __call__(self, groups: Sequence[Group]) -> None:
        if self.fail:
            raise RuntimeError("no")
        self.groups = groups

    def rules(self) -> list[str]:
        return [f"{group.source};{group.name}: {each.expr}" for group in self.groups for each in group.rules]


async def test_groups_follow_the_objects():
    taken = Taken()
    rules = RuleObjects(taken, parse, Quick())
    async with served() as client, managed(client, rules.controllers(), rules.run()):
        await client.create(PROMETHEUS_RULE, rule("b"))
        await client.create(PROMETHEUS_RULE, rule("a", expr=1))
        await until(lambda: taken.rules() == ["default/a;g: 1", "default/b;g: up == 0"])
        assert (await accepted(client, PROMETHEUS_RULE, "a", "Accepted"))["status"] == "True"
        await client.delete(PROMETHEUS_RULE, "b", "default")
        await until(lambda: taken.rules() == ["default/a;g: 1"])


async def test_a_typo_is_told_and_silences_nothing():
    taken = Taken()
    rules = RuleObjects(taken, parse, Quick())
    async with served() as client, managed(client, rules.controllers(), rules.run()):
        await client.create(PROMETHEUS_RULE, rule("a"))
        await until(lambda: taken.rules() == ["default/a;g: up == 0"])
        held = await client.get(PROMETHEUS_RULE, "a", "default")
        await client.update(PROMETHEUS_RULE, {**held, "spec": rule("a", "rate(up")["spec"]})
        found = await accepted(client, PROMETHEUS_RULE, "a", "Invalid")
        assert found["status"] == "False"
        assert "groups[0].rules[0].expr" in found["message"]
        assert "unclosed left parenthesis" in found["message"]
        assert found["message"].endswith("what it said before goes on")
        assert taken.rules() == ["default/a;g: up == 0"]
        events = (await client.list(EVENT, "default")).items
        assert [(event["type"], event["reason"]) for event in events] == [("Warning", "Invalid")]


async def test_a_field_of_a_newer_operator_is_told_and_the_rules_are_in_force():
    taken = Taken()
    rules = RuleObjects(taken, parse, Quick())
    async with served() as client, managed(client, rules.controllers(), rules.run()):
        new = rule("a")
        new["spec"]["groups"][0]["partial_response_strategy"] = "warn"
        await client.create(PROMETHEUS_RULE, new)
        found = await accepted(client, PROMETHEUS_RULE, "a", "FieldsIgnored")
        assert "spec.groups[0].partial_response_strategy" in found["message"]
        await until(taken.rules)


async def test_a_failure_to_apply_is_tried_again_at_the_next_change():
    taken = Taken()
    taken.fail = True
    rules = RuleObjects(taken, parse, Quick())
    async with served() as client, managed(client, rules.controllers(), rules.run()):
        await client.create(PROMETHEUS_RULE, rule("a"))
        await until(rules.groups)
        taken.fail = False
        await client.create(PROMETHEUS_RULE, rule("b"))
        await until(lambda: len(taken.groups) == 2)


def test_the_engines_interval_is_for_groups_without_one():
    (group,) = groups_of(rule("a"), parse, 15_000)
    assert group.interval == 15_000
