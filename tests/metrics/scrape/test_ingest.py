"""A target's scrapes, one after the other, into a storage in memory: what is stored, marked stale, counted."""

from __future__ import annotations

import pytest

from styr.metrics.model.errors import Unavailable
from styr.metrics.model.samples import Appender
from styr.metrics.scrape.buffers import Body, Buffers
from styr.metrics.scrape.config import ScrapeConfig, parse_job
from styr.metrics.scrape.ingest import Ingest, Outcome
from styr.metrics.scrape.lines import Scratch
from styr.metrics.scrape.target import discovered, make_target
from tests.metrics.scrape.appender import Memory


class Scraped:
    """One target; each `scrape` is 1 s after the one before."""

    def __init__(self, media: str = "text", **settings: object) -> None:
        self.config: ScrapeConfig = parse_job({"job_name": "j", **settings})
        self.memory = Memory()
        self.media, self.t = media, 0
        self._buffers = Buffers()
        target = make_target(self.config, discovered(self.config, {"__address__": "h:1"}, {}))
        assert target is not None
        self.target = target
        self.ingest = Ingest(target, self.config, self.memory, self._buffers, Scratch())

    def use(self, appender: Appender) -> None:
        """Another storage than the memory."""
        self.ingest = Ingest(self.target, self.config, appender, self._buffers, Scratch())

    def body(self, data: bytes) -> Body:
        return self._buffers.body(data)

    def scrape(self, body: bytes | str | None) -> Outcome:
        self.t += 1000
        if body is None:
            return self.ingest.fail(self.t, "no answer", lambda: 0.5)
        data = body.encode() if isinstance(body, str) else body
        return self.ingest.scrape(self._buffers.body(data), self.media, self.t, lambda: 0.5)

    def reports(self) -> dict[str, float]:
        names = ("up", "scrape_samples_scraped", "scrape_samples_post_metric_relabeling", "scrape_series_added")
        return {name: self.memory.series(name)[-1][1] for name in names}


def test_the_second_scrape_of_the_same_series_is_a_hit() -> None:
    scraped = Scraped()
    assert not scraped.scrape('# TYPE a counter\na{x="1"} 1\na{x="2"} 2\n').hit
    outcome = scraped.scrape('# TYPE a counter\na{x="1"} 1\na{x="2"} 3.5\n')
    assert outcome.hit
    assert outcome.scraped == outcome.kept == 2
    assert scraped.memory.series("a", x="1") == [(1000, 1.0), (2000, 1.0)]
    assert scraped.memory.series("a", x="2") == [(1000, 2.0), (2000, 3.5)]
    assert scraped.memory.layouts == 1
    assert scraped.memory.series("scrape_series_added") == [(1000, 2.0), (2000, 0.0)]
    assert scraped.memory.series("up", job="j", instance="h:1")[-1] == (2000, 1.0)
    assert scraped.memory.series("scrape_duration_seconds")[-1] == (2000, 0.5)


def test_series_that_come_go_and_move() -> None:
    scraped = Scraped()
    scraped.scrape("a 1\nb 2\nc 3\n")
    scraped.scrape("c 4\nnew 5\na 6\n")
    assert scraped.memory.last() == {"a": 6.0, "b": "stale", "c": 4.0, "new": 5.0}
    assert scraped.memory.series("b") == [(1000, 2.0), (2000, "stale")]
    assert scraped.memory.series("scrape_series_added")[-1] == (2000, 1.0)
    assert scraped.scrape("c 4\nnew 7\na 6\n").hit
    assert scraped.memory.last() == {"a": 6.0, "b": "stale", "c": 4.0, "new": 7.0}
    scraped.scrape("b 1\nc 4\nnew 7\na 6\n")
    assert scraped.memory.last() == {"a": 6.0, "b": 1.0, "c": 4.0, "new": 7.0}


def test_a_failed_scrape_marks_every_series_once_and_the_next_goes_on() -> None:
    scraped = Scraped()
    scraped.scrape("a 1\nb 2\n")
    scraped.scrape(None)
    scraped.scrape(None)
    assert scraped.scrape("a 1\nb 3\n").hit
    assert scraped.memory.series("a") == [(1000, 1.0), (2000, "stale"), (4000, 1.0)]
    assert scraped.memory.series("b") == [(1000, 2.0), (2000, "stale"), (4000, 3.0)]
    assert [value for _, value in scraped.memory.series("up")] == [1.0, 0.0, 0.0, 1.0]
    assert scraped.memory.series("scrape_series_added")[-1] == (4000, 0.0)


@pytest.mark.parametrize("broken", ["a 5\nb\n", "a 5\nb 2 x\n", "a 5\n{\n", "a 5\n# TYPE b what\n", 'a 5\nb{x="\n'])
def test_a_body_with_an_error_is_refused_as_a_whole(broken: str) -> None:
    scraped = Scraped()
    scraped.scrape("a 1\nb 2\n")
    outcome = scraped.scrape(broken)
    assert "line 2" in outcome.error
    assert scraped.memory.last() == {"a": "stale", "b": "stale"}
    scraped.scrape("a 1\nb 2\n")
    assert scraped.memory.series("a") == [(1000, 1.0), (2000, "stale"), (3000, 1.0)]


def test_labels_of_the_target_win_unless_they_are_honoured() -> None:
    body = 'a{job="own",exported_instance="e",instance="i",x="1"} 1\n'
    scraped = Scraped()
    scraped.scrape(body)
    labels = next(each for each in scraped.memory.samples if ("__name__", "a") in each)
    assert dict(labels) == {
        "__name__": "a",
        "job": "j",
        "instance": "h:1",
        "exported_job": "own",
        "exported_instance": "e",
        "exported_exported_instance": "i",
        "x": "1",
    }
    scraped = Scraped(honor_labels=True)
    scraped.scrape(body)
    labels = next(each for each in scraped.memory.samples if ("__name__", "a") in each)
    assert dict(labels) == {"__name__": "a", "job": "own", "instance": "i", "exported_instance": "e", "x": "1"}


def test_dropped_series_are_counted_and_not_stored() -> None:
    rules = [{"source_labels": ["__name__"], "regex": "b.*", "action": "drop"}]
    scraped = Scraped(metric_relabel_configs=rules)
    for value in (1, 2):
        scraped.scrape(f"a {value}\nb {value}\nbb 1\n")
        counts = scraped.reports()
        assert (counts["scrape_samples_scraped"], counts["scrape_samples_post_metric_relabeling"]) == (3.0, 1.0)
    assert scraped.memory.last() == {"a": 2.0}


LIMITS = [
    ({"sample_limit": 2}, "a 1\nb 2\nc 3\n", "sample limit exceeded"),
    ({"label_limit": 3}, 'a{x="1"} 1\n', "label_limit exceeded (metric: a, number of labels: 4, limit: 3)"),
    ({"label_name_length_limit": 8}, 'a{x12345678="1"} 1\n', "label_name_length_limit exceeded"),
    ({"label_value_length_limit": 5}, 'a{x="123456"} 1\n', "label_value_length_limit exceeded"),
    ({}, 'a{x="1",x="2"} 1\n', "label name 'x' is not unique"),
    ({"metric_name_validation_scheme": "legacy"}, '{"a.b"} 1\n', "invalid metric name or label names"),
    (
        {"metric_relabel_configs": [{"regex": "__name__", "action": "labeldrop"}]},
        "a 1\n",
        "missing metric name (__name__ label)",
    ),
]


@pytest.mark.parametrize(("settings", "body", "reason"), LIMITS, ids=range(len(LIMITS)))
def test_what_breaks_a_limit_is_refused_as_a_whole(settings: dict[str, object], body: str, reason: str) -> None:
    scraped = Scraped(**settings)
    scraped.scrape("q 1\n" if "labeldrop" not in str(settings) else "")
    assert reason in scraped.scrape("q 1\n" + body).error
    assert scraped.memory.last() == ({"q": "stale"} if "labeldrop" not in str(settings) else {})
    assert scraped.memory.series("up")[-1][1] == 0.0
    assert len(scraped.memory.names) <= 6 + 1


def test_a_label_bomb_makes_no_series() -> None:
    scraped = Scraped(sample_limit=10)
    bomb = "".join(f'a{{x="{number}"}} 1\n' for number in range(5000))
    assert scraped.scrape(bomb).error == "sample limit exceeded"
    assert len(scraped.memory.names) == 5
    counts = scraped.reports()
    assert (counts["scrape_samples_scraped"], counts["scrape_samples_post_metric_relabeling"]) == (5000.0, 5000.0)


def test_timestamps_of_the_target() -> None:
    scraped = Scraped()
    scraped.scrape("a 1 500\nb 1\n")
    scraped.scrape("a 2 700\nb 1\n")
    scraped.scrape("a 2 700\nb 1\n")
    outcome = scraped.scrape("a 1 600\nb 2\n")
    assert outcome.hit
    assert outcome.out_of_order == 1
    assert scraped.memory.series("a") == [(500, 1.0), (700, 2.0)]
    scraped.scrape("b 1\n")
    assert scraped.memory.series("a")[-1] == (700, 2.0)  # no marker: its time is the target's affair
    assert scraped.scrape("a 5 99999999\nb 1\n").out_of_bounds == 1
    assert scraped.memory.series("b")[-1] == (6000, 1.0)


def test_timestamps_may_be_tracked_or_ignored() -> None:
    scraped = Scraped(track_timestamps_staleness=True)
    scraped.scrape("a 1 500\nb 1\n")
    scraped.scrape("b 1\n")
    assert scraped.memory.series("a") == [(500, 1.0), (2000, "stale")]
    scraped.scrape("a 1 2500\nb 1\n")
    scraped.scrape(None)
    assert scraped.memory.series("a")[-2:] == [(2500, 1.0), (4000, "stale")]
    scraped = Scraped(honor_timestamps=False)
    scraped.scrape("a 1 500\n")
    scraped.scrape("a 1 500\n")
    assert scraped.memory.series("a") == [(1000, 1.0), (2000, 1.0)]


def test_a_series_that_gets_or_loses_its_timestamp() -> None:
    scraped = Scraped()
    scraped.scrape("a 1\n")
    scraped.scrape("a 1 1500\n")
    scraped.scrape("a 2\n")
    assert scraped.memory.series("a") == [(1000, 1.0), (1500, 1.0), (2000, "stale"), (3000, 2.0)]


def test_exemplars_with_and_without_a_time() -> None:
    scraped = Scraped("openmetrics")
    for exemplar in ('# {t="1"} 5 1.5', '# {t="2"} 6', '# {t="2"} 6', '# {t="3"} 7 2.5'):
        scraped.scrape(f"# TYPE a counter\na_total 1 {exemplar}\n# EOF\n")
    found = [(dict(each.labels)["t"], each.value, each.t) for _, each in scraped.memory.exemplars]
    assert found == [("1", 5.0, 1500), ("2", 6.0, 2000), ("3", 7.0, 2500)]
    assert scraped.ingest.metadata["a"].type == "counter"


def test_metadata_follows_the_target() -> None:
    scraped = Scraped()
    scraped.scrape("# HELP a one\n# TYPE a gauge\na 1\n")
    scraped.scrape("# HELP a two\n# TYPE a gauge\na 1\n")
    assert scraped.memory.metadata["a"].help == "two"
    assert scraped.memory.metadata["a"].type == "gauge"
    assert scraped.memory.layouts == 1


def test_extra_reports() -> None:
    scraped = Scraped(extra_scrape_metrics=True, sample_limit=9)
    scraped.scrape("a 1\n")
    assert scraped.memory.series("scrape_timeout_seconds") == [(1000, 10.0)]
    assert scraped.memory.series("scrape_sample_limit") == [(1000, 9.0)]
    assert scraped.memory.series("scrape_body_size_bytes") == [(1000, 4.0)]


def test_a_target_cannot_forge_its_own_health() -> None:
    scraped = Scraped()
    scraped.scrape("up 5\na 1\n")
    assert scraped.memory.series("up") == [(1000, 1.0)]


def test_references_are_asked_for_again_when_storage_says_so() -> None:
    scraped = Scraped()
    scraped.scrape("a 1\nb 1\n")
    scraped.memory.forget(next(each for each in scraped.memory.names if ("__name__", "a") in each))
    assert not scraped.scrape("a 2\nb 2\n").hit
    assert scraped.scrape("a 3\nb 3\n").hit
    assert scraped.memory.last() == {"a": 3.0, "b": 3.0}


def test_the_end_of_other_series_disturbs_nobody() -> None:
    scraped = Scraped()
    scraped.scrape("a 1\n")
    scraped.memory.refs([(("__name__", "other"),)])
    scraped.memory.forget((("__name__", "other"),))
    assert scraped.scrape("a 2\n").hit
    assert scraped.memory.layouts == 1


def test_a_storage_that_refuses_raises_and_the_next_scrape_starts_anew() -> None:
    scraped = Scraped()
    scraped.scrape("a 1\n")
    scraped.memory.fail = Unavailable("the disk is full")
    with pytest.raises(Unavailable):
        scraped.scrape("a 2\n")
    scraped.memory.fail = None
    scraped.scrape("a 3\n")
    assert scraped.memory.series("a") == [(1000, 1.0), (3000, 3.0)]


def test_the_end_of_a_target() -> None:
    scraped = Scraped()
    scraped.scrape("a 1\nb 1 5\n")
    scraped.ingest.end(2000)
    assert scraped.memory.last() == {"a": "stale", "b": 1.0}
    assert scraped.memory.series("up") == [(1000, 1.0), (2000, "stale")]


def test_new_lines_get_the_type_of_their_family() -> None:
    scraped = Scraped()
    scraped.scrape('# TYPE h histogram\nh_bucket{le="1"} 1\nh_count 1\n# TYPE g gauge\ng{le="1"} 1\n')
    scraped.scrape(
        '# TYPE h histogram\nh_bucket{le="1"} 1\nh_bucket{le="2"} 1\nh_count 1\n# TYPE g gauge\ng{le="1"} 1\ng{le="2"} 1\n'
    )
    assert set(scraped.memory.last()) == {*("h_bucket le=1.0", "h_bucket le=2.0", "h_count", "g le=1", "g le=2")}


def test_a_page_that_was_parsed_beside_the_loop() -> None:
    page = "".join(f'a{{n="{number}"}} {number}\n' for number in range(30_000)).encode()
    scraped, plain = Scraped(), Scraped()
    body = scraped.body(page)
    assert scraped.ingest.is_large(body)
    prepared = scraped.ingest.prepare(page, "text")
    assert prepared is not None
    assert sum(1 for _ in prepared.register(scraped.memory, 0)) == 15
    scraped.t = 1000
    assert scraped.ingest.scrape(body, "text", 1000, lambda: 0.5, prepared).added == 30_000
    plain.scrape(page)
    assert scraped.memory.samples == plain.memory.samples
    assert not scraped.ingest.is_large(scraped.body(page))
    assert scraped.scrape(page).hit
    assert scraped.ingest.prepare(b"broken\n", "text") is None
    scraped.ingest.reconfigure(scraped.target, parse_job({"job_name": "j", "metric_relabel_configs": DROP_ALL}))
    assert scraped.ingest.scrape(scraped.body(page), "text", 3000, lambda: 0.5, prepared).kept == 0


def test_a_page_parsed_beside_the_loop_makes_no_series_beyond_the_limit() -> None:
    page = "".join(f'a{{n="{number}"}} {number}\n' for number in range(30_000)).encode()
    scraped = Scraped(sample_limit=29_999)
    prepared = scraped.ingest.prepare(page, "text")
    assert prepared is not None
    assert list(prepared.register(scraped.memory, 29_999)) == []
    outcome = scraped.ingest.scrape(scraped.body(page), "text", 1000, lambda: 0.5, prepared)
    assert outcome.error == "sample limit exceeded"
    assert set(scraped.memory.last()) == set()


def test_series_made_before_others_went_are_made_again() -> None:
    page = "".join(f'a{{n="{number}"}} {number}\n' for number in range(5000)).encode()
    scraped = Scraped()
    prepared = scraped.ingest.prepare(page, "text")
    assert prepared is not None
    steps = prepared.register(scraped.memory, 0)
    next(steps)
    scraped.memory.generation += 1
    assert sum(1 for _ in steps) == 2
    prepared.refs[:] = 0  # nobody looks at them
    assert scraped.ingest.scrape(scraped.body(page), "text", 1000, lambda: 0.5, prepared).added == 5000
    assert len(scraped.memory.last()) == 5000


DROP_ALL = [{"source_labels": ["__name__"], "regex": "a", "action": "drop"}]


def test_a_line_of_a_hundred_megabytes() -> None:
    scraped = Scraped(label_value_length_limit=1000)
    scraped.scrape("a 1\n")
    assert "label_value_length_limit" in scraped.scrape(b'a 1\nb{x="' + b"y" * 100_000_000 + b'"} 1\n').error
    assert scraped.scrape("a 1\n").error == ""
    assert scraped.memory.last() == {"a": 1.0}
