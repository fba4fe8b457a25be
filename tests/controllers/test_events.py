from __future__ import annotations

from typing import Any

import pytest

from styr.controllers.events import AT_ONCE, KEPT_SECONDS, LOOK_SECONDS, last_time, plan
from styr.kinds.resources import Object
from tests.controllers.objects import EPOCH, stamp


def event(name: str, **fields: Any) -> Object:
    return {"metadata": {"name": name, "creationTimestamp": stamp()}, **fields}


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({}, 0),
        ({"lastTimestamp": stamp(60), "eventTime": None}, 60),
        ({"eventTime": "2027-01-15T08:00:30.500000Z"}, 30.5),
        ({"series": {"lastObservedTime": stamp(90)}, "lastTimestamp": stamp(60)}, 90),
        ({"lastTimestamp": "yesterday"}, 0),
    ],
)
def test_when_it_last_happened(fields: dict[str, Any], seconds: float) -> None:
    assert last_time(event("e", **fields)) - EPOCH == pytest.approx(seconds)


def test_only_what_is_an_hour_old_goes() -> None:
    events = [event("new", lastTimestamp=stamp(10)), event("old"), {"metadata": {"name": "timeless"}}]
    old, wait = plan(events, EPOCH + KEPT_SECONDS)
    assert [one["metadata"]["name"] for one in old] == ["timeless", "old"]
    assert wait == LOOK_SECONDS
    assert plan(events, EPOCH + KEPT_SECONDS + 10)[0] == [events[2], events[1], events[0]]


def test_a_flood_is_cleared_in_portions() -> None:
    old, wait = plan([event(str(number)) for number in range(AT_ONCE + 1)], EPOCH + KEPT_SECONDS)
    assert (len(old), wait) == (AT_ONCE, 1)
