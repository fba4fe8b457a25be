from __future__ import annotations

from typing import Any

import pytest

from styr.client.apply import covers, difference


@pytest.mark.parametrize(
    ("want", "have", "patch"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, {}),
        ({"a": 1}, {"a": 2}, {"a": 1}),
        ({"a": 1}, None, {"a": 1}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3, "d": 4}}, {"a": {"c": 2}}),
        ({"a": None}, {"a": 1}, {"a": None}),
        ({"a": None}, {}, {}),
        ({"a": [{"x": 1}]}, {"a": [{"x": 1, "defaulted": True}]}, {}),
        ({"a": [{"x": 1}]}, {"a": [{"x": 1}, {"x": 2}]}, {"a": [{"x": 1}]}),
        ({"a": []}, {}, {}),
        ({"a": []}, {"a": [1]}, {"a": []}),
        ({"a": {}}, {}, {"a": {}}),
        ({"a": "8080"}, {"a": 8080}, {"a": "8080"}),
        ({"a": True}, {"a": 1}, {"a": True}),
        ({"a": "text"}, {"a": ["t", "e", "x", "t"]}, {"a": "text"}),
    ],
)
def test_the_smallest_patch(want: dict[str, Any], have: dict[str, Any] | None, patch: dict[str, Any]) -> None:
    assert difference(want, have) == patch


def test_lists_are_compared_item_by_item() -> None:
    assert covers([{"a": 1, "b": 2}, 3], [{"a": 1}, 3])
    assert not covers([1, 2], [2, 1])
