"""Blocks of samples from elsewhere, and what blocks are made of, against promtool doing the same."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from styr.kit.clock import SystemClock
from styr.metrics.model.labels import Labels, make
from styr.metrics.model.matchers import Matcher
from styr.metrics.storage.block import catalog, ulid
from styr.metrics.storage.block.analyze import Analysis, analyze
from styr.metrics.storage.block.backfill import create_blocks
from styr.metrics.storage.block.verify import verify
from tests.metrics.storage.block import support
from tests.metrics.storage.block.support import RANGE, content, dump, make_block, numbers, promtool, small, union


def shuffled(data: support.Data) -> Iterator[tuple[Labels, int, float]]:
    rows = [(labels, t, float(v)) for labels, samples in data.items() for t, v in samples]  # type: ignore[arg-type]
    random.Random(8).shuffle(rows)
    yield from rows


def test_samples_in_any_order_over_several_blocks(tmp_path: Path) -> None:
    data = small(10, 1500)
    numbers_of = count()
    made = create_blocks(tmp_path, shuffled(data), lambda: support.name(next(numbers_of)))
    assert [(m.mint, m.maxt) for m in made] == [(i * RANGE, (i + 1) * RANGE) for i in range(4)]
    found: dict[object, list[tuple[int, object]]] = {}
    for block in catalog.load(tmp_path).blocks:
        verify(block)
        for labels, samples in content(block).items():
            found.setdefault(labels, []).extend(samples)
    assert found == union(data)


def test_longer_blocks_times_before_1970_and_more_labels(tmp_path: Path) -> None:
    rows = [(make({"a": "b"}), t, float(t)) for t in (-1, -3 * RANGE, 0, 3 * RANGE - 1, 3 * RANGE)]
    numbers_of = count()
    made = create_blocks(
        tmp_path, rows, lambda: support.name(next(numbers_of)), longest=8 * 3_600_000, extra={"site": "x", "a": "c"}
    )
    assert [(m.mint, m.maxt) for m in made] == [(i * 3 * RANGE, (i + 1) * 3 * RANGE) for i in (-1, 0, 1)]
    assert catalog.load(tmp_path).blocks[0].chunks([]).frame.all_labels() == [make({"a": "c", "site": "x"})]


def test_of_the_same_time_the_first_stays_and_nothing_makes_nothing(tmp_path: Path) -> None:
    key = make({"a": "b"})
    assert create_blocks(tmp_path, [], lambda: support.name(0)) == []
    create_blocks(tmp_path, [(key, 5, 1.0), (key, 5, 2.0), (key, 4, 3.0)], lambda: support.name(0))
    (block,) = catalog.load(tmp_path).blocks
    assert content(block) == union({key: [(4, 3.0), (5, 1.0)]})


@pytest.mark.needs("promtool")
def test_promtool_dumps_what_was_backfilled(tmp_path: Path) -> None:
    data = small(6, 700)
    numbers_of = count()
    create_blocks(tmp_path, shuffled(data), lambda: support.name(next(numbers_of)))
    assert dict(sorted(numbers(dump(tmp_path)).items(), key=str)) == union(data)


def test_names_rise_with_the_clock() -> None:
    made = ulid.names(SystemClock(), random.Random(1))
    first, second = made(), made()
    assert first != second
    assert ulid.is_ulid(first)
    assert abs(ulid.time_of(first) - ulid.time_of(second)) < 10_000
    assert ulid.make((1 << 48) - 1, b"\xff" * 10) == "7ZZZZZZZZZZZZZZZZZZZZZZZZZ"
    assert ulid.make(1, bytes(10)) > ulid.make(0, b"\xff" * 10)
    with pytest.raises(ValueError, match="48 bits"):
        ulid.make(1 << 48, bytes(10))
    assert not ulid.is_ulid("8ZZZZZZZZZZZZZZZZZZZZZZZZZ")
    assert not ulid.is_ulid(first.lower())


def churning(tmp_path: Path) -> support.Block:
    data = small(60, 200)
    for number, (labels, samples) in enumerate(sorted(data.items())):
        data[labels] = samples[number % 7 * 20 : 200 - number % 5 * 10]
    return make_block(tmp_path, data)


@pytest.mark.needs("promtool")
@pytest.mark.parametrize("selector", ["", '{mode="idle"}'])
def test_analysis_is_that_of_promtool(tmp_path: Path, selector: str) -> None:
    block = churning(tmp_path)
    (tmp_path / "wal").mkdir()
    options = [f"--match={selector}"] if selector else []
    told = promtool("tsdb", "analyze", *options, "--limit=1000", tmp_path, block.meta.ulid)
    found = analyze(block, [Matcher("=", "mode", "idle")] if selector else [], 1000)
    numbers_told = dict(re.findall(r"^([A-Z][^:\n]*): (\d+)$", told, re.M))
    assert int(numbers_told["Label names"]) == found.label_names
    assert int(numbers_told["Postings (unique label pairs)"]) == found.label_pairs
    assert int(numbers_told["Postings entries (total label pairs)"]) == found.postings
    assert int(numbers_told.get("Matched series", numbers_told["Total Series"])) == found.series
    lists = r"^([^\n:]+):\n((?:\d+ .*(?:\n|$)(?:(?!\d+ |\n).+\n)*)+)"  # Values may go over several lines.
    parts = dict(re.findall(lists, told, re.M))
    assert rows(parts["Label pairs most involved in churning"]) == lines(found.churning_pairs)
    assert rows(parts["Label names most involved in churning"]) == lines(found.churning_names)
    assert rows(parts["Most common label pairs"]) == lines(found.common_pairs)
    assert rows(parts["Label names with highest cumulative label value length"]) == lines(found.value_bytes)
    assert rows(parts["Highest cardinality labels"]) == lines(found.cardinality)
    assert rows(parts["Highest cardinality metric names"]) == lines(found.metrics)


def rows(body: str) -> list[str]:
    return sorted(body.splitlines())


def lines(counts: list[tuple[int, str]]) -> list[str]:
    return sorted(line for number, key in counts for line in f"{number} {key}".splitlines())


def test_analysis_of_few(tmp_path: Path) -> None:
    found = analyze(churning(tmp_path), [], 2)
    assert isinstance(found, Analysis)
    assert [len(each) for each in (found.churning_pairs, found.cardinality, found.metrics)] == [2, 2, 2]
    assert analyze(churning(tmp_path / "b"), [Matcher("=", "mode", "none")]).series == 0
