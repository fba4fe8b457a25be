"""Numbers that may be percentages, as rolling updates and disruption budgets have them. Called by their rules; pure."""

from __future__ import annotations

from styr.api.faults import names
from styr.api.faults.causes import Faults, each, invalid, not_negative

Share = int | str


def share(path: str, value: Share) -> Faults:
    """Not negative, or a percentage."""
    if isinstance(value, str):
        yield from each(path, value, names.percent(value))
    else:
        yield from not_negative(path, value)


def at_most_all(path: str, value: Share) -> Faults:
    if isinstance(value, str) and not names.percent(value) and int(value[:-1]) > 100:
        yield invalid(path, value, "must not be greater than 100%")


def number(value: Share) -> int:
    """Its number, 0 where it is neither."""
    if isinstance(value, int):
        return value
    plain = value.removesuffix("%")
    return int(plain) if plain.isascii() and plain.isdigit() else 0
