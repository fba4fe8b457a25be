"""Some hundred generated queries against a real Prometheus; `python -m tests.metrics.promql.differential` runs thousands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from styr.metrics.model.errors import MetricsError
from styr.metrics.promql.engine import Engine, Settings
from styr.metrics.promql.features import EXPERIMENTAL
from styr.metrics.promql.parser import parse
from tests.metrics.promql import differential, peer
from tests.metrics.promql.generate import Generator, mutate

pytestmark = pytest.mark.needs("prometheus", "promtool")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[peer.Peer]:
    folder: Path = tmp_path_factory.mktemp("peer")
    with peer.running(folder / "prometheus", peer.dataset(1)) as running:
        yield running


def test_the_same_answers_to_the_bit(other: peer.Peer) -> None:
    held = peer.memory(peer.dataset(1))
    report = differential.run(other, Engine(lambda: held, Settings(features=EXPERIMENTAL)), 400, 11)
    assert report.different == []
    assert report.exact > 300


@pytest.mark.slow
def test_thousands_of_answers(other: peer.Peer) -> None:
    held = peer.memory(peer.dataset(1))
    report = differential.run(other, Engine(lambda: held, Settings(features=EXPERIMENTAL)), 2000, 12)
    assert report.different == []


def test_the_same_texts_are_refused_with_the_same_words(other: peer.Peer) -> None:
    random = Random(5)
    generator = Generator(random, experimental=True)
    for i in range(400):
        text = generator.expression(3)
        if i % 4:
            text = mutate(random, text)
        answer = other.ask("parse_query", query=text)
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
