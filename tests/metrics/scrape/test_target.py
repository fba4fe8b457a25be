"""From what discovery found to a target: labels, URL, times, and what makes none."""

from __future__ import annotations

from typing import Any

import pytest

from styr.metrics.scrape.config import parse_job
from styr.metrics.scrape.target import Target, TargetError, discovered, make_target


def made(found: dict[str, str], common: dict[str, str] | None = None, **settings: Any) -> Target | None:
    config = parse_job({"job_name": "j", **settings})
    return make_target(config, discovered(config, found, common or {}))


def label(name: str, value: str) -> list[dict[str, str]]:
    return [{"target_label": name, "replacement": value}]


def test_defaults() -> None:
    target = made({"__address__": "h:1", "__meta_x": "1", "zone": "own"}, {"zone": "common", "rack": "2"})
    assert target is not None
    assert dict(target.labels) == {"instance": "h:1", "job": "j", "rack": "2", "zone": "own"}
    assert (target.url, target.interval, target.timeout) == ("http://h:1/metrics", 60_000, 10_000)
    assert not any(name.startswith("__meta_") for name, _ in target.steering)


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({"scheme": "https", "metrics_path": "/a b?c"}, "https://h:1/a%20b%3Fc"),
        ({"params": {"b": ["2", "3"], "a": ["x&y"]}}, "http://h:1/metrics?a=x%26y&b=2&b=3"),
        ({"params": {"a": ["1"]}, "relabel_configs": label("__param_a", "2")}, "http://h:1/metrics?a=2"),
        ({"relabel_configs": label("__param_new", "é")}, "http://h:1/metrics?new=%C3%A9"),
        ({"relabel_configs": label("__metrics_path__", "probe")}, "http://h:1/probe"),
        ({"relabel_configs": label("__address__", "[::1]:9")}, "http://[::1]:9/metrics"),
        ({"relabel_configs": label("__scheme__", "https")}, "https://h:1/metrics"),
    ],
)
def test_urls(settings: dict[str, Any], url: str) -> None:
    target = made({"__address__": "h:1"}, **settings)
    assert target is not None
    assert target.url == url


@pytest.mark.parametrize(
    ("found", "rules", "reason"),
    [
        ({}, [], "no address"),
        ({"__address__": "http://h/"}, label("x", "y"), "not a valid hostname"),
        ({"__address__": "h"}, label("__scrape_interval__", "x"), "error parsing scrape interval"),
        ({"__address__": "h"}, label("__scrape_interval__", "0s"), "interval cannot be 0"),
        ({"__address__": "h"}, label("__scrape_timeout__", "0s"), "timeout cannot be 0"),
        ({"__address__": "h"}, label("__scrape_timeout__", "2m"), "cannot be greater than scrape interval"),
        ({"__address__": "h"}, label("__scrape_native_histograms__", "maybe"), "neither true nor false"),
        ({"__address__": "h", "a": "\ud800"}, [], "invalid label value"),
    ],
)
def test_what_makes_no_target(found: dict[str, str], rules: list[dict[str, str]], reason: str) -> None:
    with pytest.raises(TargetError, match=reason):
        made(found, relabel_configs=rules)


def test_relabelling_changes_times_labels_and_may_drop() -> None:
    rules = [*label("__scrape_interval__", "5s"), *label("__scrape_timeout__", "1s500ms"), *label("instance", "other")]
    target = made({"__address__": "h"}, relabel_configs=rules)
    assert target is not None
    assert (target.interval, target.timeout, dict(target.labels)["instance"]) == (5000, 1500, "other")
    drop = [{"source_labels": ["__meta_x"], "regex": "1", "action": "drop"}]
    assert made({"__address__": "h", "__meta_x": "1"}, relabel_configs=drop) is None
    assert made({"__address__": "h", "__meta_x": "2"}, relabel_configs=drop) is not None


def test_identity_does_not_depend_on_how_often() -> None:
    slow, fast = made({"__address__": "h"}), made({"__address__": "h"}, scrape_interval="5s")
    other = made({"__address__": "h"}, metrics_path="/other")
    assert slow is not None
    assert fast is not None
    assert other is not None
    assert slow.identity == fast.identity != other.identity
    assert slow.hash == fast.hash != other.hash
