"""What is a quantity to the API is one to whoever calculates with it, however large."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from styr.api.builtin import quantity
from styr.kinds import quantities

DIGITS = st.text("0123456789", min_size=1, max_size=120)
SUFFIX = st.sampled_from(["", "m", "k", "Ei", "n"]) | st.integers(-999, 999).map(lambda exponent: f"e{exponent}")


@given(DIGITS, st.none() | DIGITS, SUFFIX)
def test_what_is_written_is_read(whole: str, part: str | None, suffix: str) -> None:
    text = whole + (f".{part}" if part is not None else "") + suffix
    try:
        canonical = quantity.canonical(text)
    except quantity.QuantityError:
        return
    value = quantities.parse(canonical)
    assert quantities.parse(quantity.rounded(canonical)) >= value
    assert quantities.parse(quantity.add(canonical, canonical)) >= value
    quantities.show(value)


def test_a_number_that_json_may_hold() -> None:
    assert quantities.parse(quantity.canonical("1e308")) == Fraction(10) ** 308
