"""Anything at all as an expression, and well-formed ones on values of any shape: an answer or one of our errors, soon."""

from __future__ import annotations

import json
import random
import time
from contextlib import suppress
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from styr.cel.environment import PER_CALL
from styr.cel.errors import CelError
from tests.cel.expressions import ENVIRONMENT, VARIABLES, Generator

_MARKS = "[ ] ( ) { } , : ? + - * / % ! == < in && || . .. [? {? @ ` # // ''' r' b' \\n \\u00e9 é 😀"
_WORDS = "self n s l w m .a .? 'x' \"y\" 1 2u 1.5 0x true null .all( .map( x has( optional.of( .optMap("
PIECES = (*_MARKS.split(" "), *_WORDS.split(" "), ".sort()", ".join(", ".matches(", ".format(", "type(", "\x00", " ")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def attempt(text: str, value: Any) -> None:
    began = time.monotonic()
    with suppress(CelError):
        ENVIRONMENT.compile(text).run(PER_CALL, *([value] * len(VARIABLES)))
    assert time.monotonic() - began < 10


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.sampled_from(PIECES), max_size=24), JSON)
def test_pieces_in_any_order(pieces: list[str], value: Any) -> None:
    attempt(" ".join(pieces), value)
    attempt("".join(pieces), value)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.text(max_size=60))
def test_any_text(text: str) -> None:
    attempt(text, {})


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**32), JSON)
def test_well_formed_expressions_on_values_of_any_shape(seed: int, value: Any) -> None:
    """Also where the values are not of the declared types."""
    generator = Generator(seed)
    attempt(generator.any(3), value)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**32))
def test_well_formed_expressions_with_a_part_taken_out(seed: int) -> None:
    text = Generator(seed).any(3)
    chosen = random.Random(seed)
    start = chosen.randrange(len(text))
    attempt(text[:start] + text[start + chosen.randrange(1, 6) :], json.loads('{"a": [1]}'))
