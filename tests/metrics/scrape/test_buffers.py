"""Buffers that go round: as many are kept as are needed at once."""

from __future__ import annotations

import numpy as np

from styr.metrics.scrape.buffers import Buffers


def test_a_buffer_comes_back_to_the_next_taker_of_its_size() -> None:
    buffers = Buffers()
    one = buffers.take(5000)
    assert len(one) >= 5000
    buffers.give(one)
    assert buffers.waiting == len(one)
    assert buffers.take(4900) is one
    assert buffers.waiting == 0
    assert buffers.take(50_000) is not one


def test_buffers_that_nobody_needs_any_more_are_let_go() -> None:
    buffers = Buffers()
    crowd = [buffers.take(100_000) for _ in range(20)]
    for each in crowd:
        buffers.give(each)
    size = len(crowd[0])
    assert buffers.waiting == 20 * size
    for _ in range(600):
        for each in [buffers.take(100_000), buffers.take(100_000)]:
            buffers.give(each)
    assert buffers.waiting == 2 * size


def test_a_size_that_is_asked_for_no_more_goes_whole() -> None:
    buffers = Buffers()
    buffers.give(buffers.take(1 << 20))
    for _ in range(600):
        buffers.give(buffers.take(100))
    assert buffers.waiting == len(buffers.take(100))


def test_a_lot_of_them_is_not_kept_at_all() -> None:
    buffers = Buffers()
    for _ in range(5):
        buffers.give(np.empty(16 << 20, np.uint8))
    assert buffers.waiting == 32 << 20
