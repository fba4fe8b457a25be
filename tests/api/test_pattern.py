"""Patterns from strangers: the same answers as `re`, in linear time."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from styr.api.pattern import PatternError, compile_pattern

DNS = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
PATTERNS = [
    DNS,
    r"^(a|b)*c$",
    r"(ab+)+",
    r"^(\d{1,3}\.){3}\d{1,3}$",
    r"^([^,]+,)*[^,]*$",
    r"a(b|c)?d*e*",
    r"^([hH]ttps?)?(x|y)+",
    r"(?i)^(ab)*$",
    r"^$|^(a.)*$",
]


@pytest.mark.parametrize("pattern", PATTERNS)
@settings(max_examples=50, deadline=None)
@given(text=st.text("abcdehHtpsxy019.,-", max_size=12))
def test_agrees_with_re(pattern: str, text: str) -> None:
    expected = re.search(pattern, text, re.ASCII) is not None
    assert compile_pattern(pattern)(text) is expected


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"^(a+)+$", "a" * 50_000 + "!"),
        (r"^(a|a)*$", "a" * 50_000 + "!"),
        (r"(x+x+)+y", "x" * 50_000),
        (DNS, "a-" * 30_000),
    ],
)
def test_catastrophic_patterns_take_linear_time(pattern: str, text: str) -> None:
    start = time.process_time()
    assert compile_pattern(pattern)(text) is False
    assert time.process_time() - start < 2.0


@pytest.mark.parametrize("pattern", ["(", "a{2,1}", r"(a)\1", "(?=a)b", "a" * 5000, "((a{100}){100}){100}"])
def test_what_cannot_be_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError):
        compile_pattern(pattern)
