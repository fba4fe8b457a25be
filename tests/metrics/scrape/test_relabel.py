"""Relabelling, action by action, and held against Prometheus through the targets page of a real one."""

from __future__ import annotations

import pytest

from styr.metrics.model.errors import BadData
from styr.metrics.scrape.config import parse_job
from styr.metrics.scrape.relabel import relabel

LABELS = {"a": "foo", "b": "bar", "c": "baz", "__meta_x_one": "1", "__meta_x_two": "2"}
KEPT: dict[str, str] = {}


def run(rules: list[dict[str, object]], labels: dict[str, str] | None = None) -> dict[str, str] | None:
    job = parse_job({"job_name": "j", "metric_relabel_configs": rules})
    found = dict(LABELS if labels is None else labels)
    return found if relabel(job.metric_relabel, found) else None


CASES: list[tuple[dict[str, object], dict[str, str] | None]] = [
    ({"source_labels": ["a"], "regex": "f(.*)", "target_label": "d", "replacement": "ch${1}-ch$1"}, {"d": "choo-choo"}),
    (
        {"source_labels": ["a", "b"], "regex": "f(.*);(.*)r", "target_label": "a", "replacement": "b$2$1"},
        {"a": "bbaoo"},
    ),
    ({"source_labels": ["a"], "regex": "no", "target_label": "d", "replacement": "x"}, {}),
    ({"source_labels": ["a"], "target_label": "d"}, {"d": "foo"}),
    ({"target_label": "d", "replacement": "fixed"}, {"d": "fixed"}),
    ({"target_label": "a", "replacement": ""}, {"a": ""}),
    ({"source_labels": ["none"], "target_label": "a"}, {"a": ""}),
    ({"source_labels": ["a"], "regex": "f(?P<x>.)o", "target_label": "d", "replacement": "${x}$x$nope$9"}, {"d": "oo"}),
    ({"source_labels": ["a"], "regex": "f", "target_label": "d", "replacement": "x"}, {}),
    ({"source_labels": ["a"], "regex": "(f).*", "target_label": "$1x", "replacement": "v"}, {}),
    ({"source_labels": ["a"], "regex": "(f).*", "target_label": "${1}x", "replacement": "v"}, {"fx": "v"}),
    ({"source_labels": ["a"], "target_label": "d", "replacement": "$$1$"}, {"d": "$1$"}),
    ({"source_labels": ["a", "b"], "separator": "", "target_label": "d"}, {"d": "foobar"}),
    ({"action": "keep", "source_labels": ["a"], "regex": "fo+"}, {}),
    ({"action": "keep", "source_labels": ["a"], "regex": "o+"}, None),
    ({"action": "drop", "source_labels": ["a"], "regex": "fo+"}, None),
    ({"action": "Drop", "source_labels": ["a"], "regex": "x"}, {}),
    ({"action": "keepequal", "source_labels": ["a"], "target_label": "b"}, None),
    ({"action": "dropequal", "source_labels": ["a"], "target_label": "b"}, {}),
    ({"action": "dropequal", "source_labels": ["none"], "target_label": "none2"}, None),
    ({"action": "hashmod", "source_labels": ["c"], "target_label": "d", "modulus": 1000}, {"d": "976"}),
    ({"action": "hashmod", "source_labels": ["a", "b"], "target_label": "d", "modulus": 2**63 - 1}, KEPT),
    ({"action": "labelmap", "regex": "__meta_x_(.+)", "replacement": "m_$1"}, {"m_one": "1", "m_two": "2"}),
    ({"action": "labeldrop", "regex": "(a|__meta.*)"}, {"a": "", "__meta_x_one": "", "__meta_x_two": ""}),
    ({"action": "labelkeep", "regex": "a|b"}, {"c": "", "__meta_x_one": "", "__meta_x_two": ""}),
    ({"action": "uppercase", "source_labels": ["a", "b"], "target_label": "d"}, {"d": "FOO;BAR"}),
    ({"action": "lowercase", "source_labels": ["d"], "target_label": "a"}, {"a": ""}),
    ({"source_labels": ["a"], "target_label": "with.dots"}, {"with.dots": "foo"}),
    ({"source_labels": ["a"], "regex": "(?i)FOO", "target_label": "d", "replacement": "i"}, {"d": "i"}),
]


@pytest.mark.parametrize(("rule", "changes"), CASES, ids=range(len(CASES)))
def test_actions(rule: dict[str, object], changes: dict[str, str] | None) -> None:
    found = run([rule])
    if changes is None:
        assert found is None
    elif changes is not KEPT:
        assert found == {name: value for name, value in {**LABELS, **changes}.items() if value}


def test_case_goes_letter_by_letter() -> None:
    rules = [{"action": "uppercase", "source_labels": ["a"], "target_label": "d"}]
    assert run(rules, {"a": "straße é"}) == {"a": "straße é", "d": "STRAßE É"}


def test_newlines_match_and_rules_run_in_order() -> None:
    rules = [
        {"source_labels": ["a"], "regex": "x.y", "target_label": "b", "replacement": "1"},
        {"action": "keep", "source_labels": ["b"], "regex": "1"},
        {"action": "labeldrop", "regex": "b"},
    ]
    assert run(rules, {"a": "x\ny"}) == {"a": "x\ny"}


REFUSED: list[tuple[dict[str, object], str]] = [
    ({"action": "what"}, "action: unknown relabel action"),
    ({"action": "hashmod", "target_label": "a"}, "modulus: "),
    ({"source_labels": ["a"]}, "target_label: replace needs one"),
    ({"regex": "(", "target_label": "a"}, "regex: invalid regular expression"),
    ({"regex": "a(?=b)", "target_label": "a"}, "regex: invalid regular expression"),
    ({"action": "lowercase", "target_label": "a", "replacement": "x"}, "replacement: cannot be set"),
    ({"action": "labelmap", "replacement": ""}, "replacement: "),
    ({"action": "labeldrop", "regex": "x", "source_labels": ["a"]}, "source_labels: labeldrop takes only regex"),
    ({"action": "keepequal", "target_label": "a", "regex": "x"}, "regex: keepequal takes only"),
    ({"target_label": "a", "nope": 1}, "nope: no such field"),
    ({"target_label": "a", "modulus": -1}, "modulus: a whole number"),
    ({"target_label": "a", "source_labels": "a"}, "source_labels: a list of texts"),
]


@pytest.mark.parametrize(("rule", "reason"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_refused(rule: dict[str, object], reason: str) -> None:
    with pytest.raises(BadData) as caught:
        run([rule])
    assert str(caught.value).startswith(f"scrape_config.metric_relabel_configs[0].{reason}")


def test_legacy_names() -> None:
    settings = {"job_name": "j", "metric_name_validation_scheme": "legacy"}
    for label, works in (("with.dots", False), ("a${1}", True), ("a$1.b", False)):
        rules = [{"source_labels": ["a"], "target_label": label}]
        if works:
            parse_job({**settings, "relabel_configs": rules})
        else:
            with pytest.raises(BadData):
                parse_job({**settings, "relabel_configs": rules})


def test_hostile_patterns_cost_nothing() -> None:
    rules = [{"source_labels": ["a"], "regex": "(a*)*b", "target_label": "d", "replacement": "x"}]
    assert run(rules, {"a": "a" * 100_000}) == {"a": "a" * 100_000}
