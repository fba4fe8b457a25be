"""Every target of the fuzzer over mutated seeds, a moment each; the long run is `python -m tests.fuzz`. What it finds becomes a
test of the reader at fault."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS


@st.composite
def mutated(draw: st.DrawFn, seeds: tuple[bytes, ...]) -> bytes:
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 8)))
        data[start:end] = draw(st.binary(max_size=6) | st.sampled_from([b"null", b"1e999", b"-1", b"[]", b'""', b"{}"]))
    return bytes(data)


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_it_refuses_or_takes_what_it_is_thrown(name: str) -> None:
    target = TARGETS[name]

    @settings(max_examples=150, deadline=None)
    @given(mutated(target.seeds))
    def throw(data: bytes) -> None:
        target.run(data)

    throw()
