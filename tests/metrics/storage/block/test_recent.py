"""What a block remembers is what it would read, for every time range, and stays within its budget."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np

from styr.metrics.model.labels import make
from styr.metrics.model.matchers import Matcher
from styr.metrics.storage.block.block import Block
from styr.metrics.storage.block.index import Found
from styr.metrics.storage.block.recent import Recent
from tests.metrics.storage.block.support import Data, make_block

STEP = 15_000


def block(root: Path) -> Block:
    """Series of different spans, with a chunk for every ten samples."""
    chance = random.Random(1)
    data: Data = {}
    for number in range(40):
        first = chance.randrange(200)
        count = chance.randrange(1, 60)
        labels = make({"__name__": "m", "i": str(number), "half": str(number % 2)})
        data[labels] = [(STEP * (first + k), float(k)) for k in range(count)]
    return make_block(root, data, 10)


def plain(found: Found) -> list[object]:
    arrays = (found.ids, found.chunk_at, found.refs, found.mints, found.maxts)
    return [found.frame.all_labels(), *(each.tolist() for each in arrays)]


def test_a_second_answer_is_what_reading_gives(tmp_path: Path) -> None:
    made = block(tmp_path)
    matchers = [Matcher("=", "half", "1")]
    everything = made.find(matchers)
    assert made.find(matchers).frame is everything.frame
    chance = random.Random(2)
    for _ in range(300):
        start = STEP * chance.randrange(-10, 280)
        end = start + STEP * chance.randrange(60)
        assert plain(made.find(matchers, start, end)) == plain(made.index.series(everything.ids, start, end))


def test_two_blocks_are_never_confused(tmp_path: Path) -> None:
    one = make_block(tmp_path / "one", {make({"a": "1"}): [(0, 1.0)]})
    two = make_block(tmp_path / "two", {make({"a": "2"}): [(0, 1.0)]})
    matchers = [Matcher("=~", "a", ".+")]
    for _ in range(2):
        assert [b.find(matchers).frame.all_labels() for b in (one, two)] == [[(("a", "1"),)], [(("a", "2"),)]]


def test_the_budget_is_kept(tmp_path: Path) -> None:
    found = block(tmp_path).find([Matcher("=", "half", "0")])
    one = Recent()
    one.put("x", found)
    recent = Recent(budget=3 * one.size, most=one.size)
    for key in "abc":
        recent.put(key, found)
    assert recent.get("a") is found
    recent.put("d", found)
    assert [key for key in "abcd" if recent.get(key) is not None] == ["a", "c", "d"]
    assert recent.size == 3 * one.size
    larger = Recent(budget=3 * one.size, most=one.size - 1)
    larger.put("x", found)
    assert (larger.get("x"), larger.size) == (None, 0)


def test_what_is_remembered_is_not_what_a_query_gets_to_change(tmp_path: Path) -> None:
    made = block(tmp_path)
    matchers = [Matcher("=", "__name__", "m")]
    before = plain(made.find(matchers))
    part = made.find(matchers, 0, STEP)
    part.mints += 1
    assert part.frame.size < len(np.unique(made.find(matchers).ids))
    assert plain(made.find(matchers)) == before
