"""Some hundred generated queries against a real Prometheus; `python -m tests.metrics.promql.differential` runs thousands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from styr.metrics.model.errors import MetricsError
from styr.metrics.model.labels import make
from styr.metrics.promql.engine import Engine, Settings
from styr.metrics.promql.features import EXPERIMENTAL
from styr.metrics.promql.functions import MATH
from styr.metrics.promql.parser import parse
from tests.metrics.promql import differential, peer
from tests.metrics.promql.generate import Generator, mutate
from tests.peers.prometheus import Peer

pytestmark = pytest.mark.needs("prometheus", "promtool")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    folder: Path = tmp_path_factory.mktemp("peer")
    with peer.running(folder / "prometheus", peer.dataset(1)) as running:
        yield running


def test_the_same_answers_to_the_bit(other: Peer) -> None:
    held = peer.memory(peer.dataset(1))
    report = differential.run(other, Engine(lambda: held, Settings(features=EXPERIMENTAL)), 400, 11)
    assert report.different == []
    assert report.exact > 300


@pytest.mark.slow
def test_thousands_of_answers(other: Peer) -> None:
    held = peer.memory(peer.dataset(1))
    report = differential.run(other, Engine(lambda: held, Settings(features=EXPERIMENTAL)), 2000, 12)
    assert report.different == []


def test_the_same_texts_are_refused_with_the_same_words(other: Peer) -> None:
    random = Random(5)
    generator = Generator(random, experimental=True)
    for i in range(400):
        text = generator.expression(3)
        if i % 4:
            text = mutate(random, text)
        answer = other.ask("parse_query", {"query": text})[1]
        wanted = answer.get("error", "").removeprefix('invalid parameter "query": ')
        try:
            parse(text, EXPERIMENTAL)
            error = ""
        except MetricsError as refused:
            error = str(refused)
        if "regexp" in wanted:
            assert "regular expression" in error
            continue
        assert error == wanted, text


def test_elementary_functions_to_the_bit(tmp_path: Path) -> None:
    random = Random(3)
    data = {
        make({"__name__": "t", "i": str(i)}): [
            ((peer.START + k * peer.STEP) * 1000, random.uniform(-1, 1) * scale) for k in range(60)
        ]
        for i, scale in enumerate([1e-3, 0.5, 1.0, 1.0, 10.0, 100.0, 1e6])
    }
    held = peer.memory(data)
    engine = Engine(lambda: held, Settings(features=EXPERIMENTAL))
    powers = ["t ^ 2", "t ^ 0.3", "abs(t) ^ -2.7", "2 ^ t", "t ^ t", "t atan2 0.3", "t % 0.7"]
    start, end = peer.START + 60, peer.START + 900
    with peer.running(tmp_path / "prometheus", data) as other:
        for text in [f"{name}(t)" for name in MATH] + powers:
            answer = other.ask("query_range", {"query": text, "start": start, "end": end, "step": 15})[1]
            result = engine.range(text, start * 1000, end * 1000, 15_000)
            assert differential.compare(differential.ours(result), differential.theirs(answer["data"])) == "", text
