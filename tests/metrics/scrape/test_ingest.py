"""A target's scrapes, one after the other, into a storage in memory: what is stored, marked stale, counted."""

from __future__ import annotations

import pytest

from styr.metrics.scrape.buffers import Buffers
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
