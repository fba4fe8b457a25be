"""Which jobs the pool gets: those of files and of objects together, each with its discoveries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from styr.metrics.config import load, read
from styr.metrics.jobs import Jobs
from styr.metrics.model.errors import BadData
from styr.metrics.scrape.config import ScrapeConfig
from styr.metrics.scrape.discovery import Discovery, Group, Static
from styr.metrics.web.scraping import ScrapeTargets
from tests.metrics.web.fakes import FixedClock


class Pool:
    applied: list[tuple[ScrapeConfig, list[Discovery]]]

    def apply(self, jobs: Any) -> None:
        self.applied = jobs


def world(*configs: ScrapeConfig) -> tuple[Jobs, Pool, ScrapeTargets]:
    pool: Any = Pool()
    jobs = Jobs(pool, FixedClock(), configs, Path("/nowhere"))
    return jobs, pool, ScrapeTargets(pool, jobs.relabelling)


def test_jobs_of_files_win_over_those_of_objects() -> None:
    jobs, pool, targets = world(ScrapeConfig("a", interval=1000), ScrapeConfig("b"))
    jobs.apply_objects([ScrapeConfig("a", interval=2000), ScrapeConfig("c")])
    assert {config.job: config.interval for config, _ in pool.applied} == {"a": 1000, "b": 60_000, "c": 60_000}
    assert set(jobs.relabelling()) == {"a", "b", "c"}
    assert targets.relabel_steps("c", {"x": "1"}) == []


def test_a_discovery_that_is_not_understood_leaves_the_others() -> None:
    group = Group("static", [{"__address__": "a:1"}])
    jobs, pool, _ = world(ScrapeConfig("a", static=(group,), kubernetes_sd=("{}",)))
    jobs.apply()
    assert pool.applied[0][1] == [Static((group,))]
    jobs.kubernetes = lambda text: Static([Group(text)])
    jobs.apply()
    assert len(pool.applied[0][1]) == 2


def test_relabelling_step_by_step() -> None:
    document = {
        "scrape_configs": [
            {
                "job_name": "a",
                "static_configs": [{"targets": ["a:1"]}],
                "relabel_configs": [
                    {"source_labels": ["x"], "target_label": "y"},
                    {"source_labels": ["y"], "regex": "1", "action": "drop"},
                    {"target_label": "z", "replacement": "never"},
                ],
            }
        ]
    }
    config = read(document, Path())
    jobs, _, targets = world(*config.jobs)
    jobs.apply()
    steps = targets.relabel_steps("a", {"x": "1", "empty": ""})
    assert [(labels, keep) for _, labels, keep in steps] == [((("x", "1"), ("y", "1")), True), ((), False), ((), False)]
    assert steps[1][0]["action"] == "drop"
    with pytest.raises(BadData):
        targets.relabel_steps("b", {})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("global: []", "global"),
        ("remote_write: [{url: 'http://x'}]", "remote_write"),
        ("rule_files: x", "rule_files"),
        ("otlp: {translation_strategy: x}", "translation_strategy"),
        ("otlp: {promote_resource_attributes: 5}", "promote_resource_attributes"),
        ("a: &a [*a]", "unknown"),
        ("global: {evaluation_interval: x}", "evaluation_interval"),
        ("[]", "config"),
        ("\0", "YAML"),
    ],
)
def test_a_wrong_configuration_names_the_field(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "p.yml"
    file.write_text(text)
    with pytest.raises(BadData, match=told):
        load(file)


def test_a_whole_configuration(tmp_path: Path) -> None:
    file = tmp_path / "p.yml"
    (tmp_path / "r.yml").write_text("groups: [{name: g, rules: [{record: a, expr: up}]}]")
    file.write_text(
        "global: {evaluation_interval: 30s, external_labels: {site: x}, query_log_file: q.log}\n"
        "rule_files: ['*.yml.none', 'r.yml']\n"
        "storage: {tsdb: {out_of_order_time_window: 10m}}\n"
        "otlp: {translation_strategy: NoTranslation, promote_resource_attributes: [a]}\n"
    )
    found = load(file)
    assert (found.interval, found.external_labels, found.query_log) == (30_000, (("site", "x"),), "q.log")
    assert (found.groups[0].interval, found.out_of_order_window) == (30_000, 600_000)
    assert found.otlp.promote == {"a"}
    empty = tmp_path / "empty.yml"
    empty.write_text("")
    assert load(empty).jobs == ()
