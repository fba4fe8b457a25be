"""Deleted samples are gone, for us and for promtool, before the block is rewritten and after."""

from __future__ import annotations

from pathlib import Path

import pytest

from styr.metrics.model.matchers import Matcher
from styr.metrics.storage.block import catalog, compact, meta
from styr.metrics.storage.block.block import Block
from styr.metrics.storage.block.delete import delete
from styr.metrics.storage.block.verify import verify
from tests.metrics.storage.block.support import (
    RANGE,
    content,
    dump,
    make_block,
    name,
    numbers,
    small,
    union,
    without,
)

CASES = [
    ([Matcher("=", "__name__", "metric_1")], 100_000, 2_000_000),
    ([Matcher("=~", "mode", "idle|user")], 0, RANGE),
    ([Matcher("!=", "mode", "idle")], 1_800_000, 1_800_000 + 14_999),
    ([Matcher("=", "instance", "nothing")], 0, RANGE),
    ([], 4_000_000, 1 << 60),
]


@pytest.mark.parametrize(("matchers", "low", "high"), CASES)
def test_deleted_samples_are_gone_before_and_after_the_rewrite(
    tmp_path: Path, matchers: list[Matcher], low: int, high: int
) -> None:
    data = small(12)
    make_block(tmp_path, data)
    (block,) = catalog.load(tmp_path).blocks
    delete(block, matchers, low, high)
    delete(block, matchers, low + 5, low + 10)
    want = union(without(data, matchers, low, high))
    for each in (block, Block(block.directory)):
        assert {k: v for k, v in content(each).items() if v} == want
        assert each.meta == block.meta
    if block.tombstones:
        assert compact.clean(tmp_path, block, name(5)) is not None
        (cleaned,) = catalog.load(tmp_path).blocks
        verify(cleaned)
        assert content(cleaned) == want
        assert not cleaned.tombstones
        assert cleaned.meta.parents == (block.meta.of(),)


@pytest.mark.needs("promtool")
@pytest.mark.parametrize(("matchers", "low", "high"), CASES)
def test_promtool_sees_what_is_deleted(tmp_path: Path, matchers: list[Matcher], low: int, high: int) -> None:
    data = small(12)
    block = make_block(tmp_path, data)
    delete(block, matchers, low, high)
    assert dict(sorted(numbers(dump(tmp_path)).items(), key=str)) == union(without(data, matchers, low, high))


def test_a_block_of_which_all_is_deleted_goes(tmp_path: Path) -> None:
    block = make_block(tmp_path, small(5))
    assert delete(block, [], 0, RANGE) == 5
    assert compact.compact(tmp_path, [block], name(7)) is None
    assert meta.read(block.directory).deletable
    assert catalog.load(tmp_path).blocks == []
    assert not list(tmp_path.iterdir())
