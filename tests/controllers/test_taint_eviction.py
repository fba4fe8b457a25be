from __future__ import annotations

import pytest

from styr.controllers.taint_eviction import patience
from styr.kinds.resources import Object
from tests.controllers.objects import pod

TAINT: Object = {"key": "k", "value": "v", "effect": "NoExecute"}


def tolerating(*tolerations: Object) -> Object:
    found = pod("p")
    found["spec"]["tolerations"] = list(tolerations)
    return found


@pytest.mark.parametrize(
    ("tolerations", "taints", "expected"),
    [
        ([], [], None),
        ([], [TAINT], 0.0),
        ([], [{**TAINT, "effect": "NoSchedule"}], None),
        ([{"key": "k", "operator": "Exists"}], [TAINT], None),
        ([{"operator": "Exists"}], [TAINT], None),
        ([{"key": "k", "value": "other"}], [TAINT], 0.0),
        ([{"key": "k", "value": "v", "tolerationSeconds": 5}], [TAINT], 5.0),
        ([{"key": "k", "value": "v", "tolerationSeconds": -5}], [TAINT], 0.0),
        ([{"key": "k", "operator": "Exists", "tolerationSeconds": 5}], [TAINT, {**TAINT, "key": "other"}], 0.0),
        (
            [
                {"key": "k", "operator": "Exists", "tolerationSeconds": 9},
                {"operator": "Exists", "tolerationSeconds": 3},
            ],
            [TAINT],
            3.0,
        ),
    ],
)
def test_how_long_a_pod_may_stay(tolerations: list[Object], taints: list[Object], expected: float | None) -> None:
    node = {"metadata": {"name": "n"}, "spec": {"taints": taints}}
    assert patience(tolerating(*tolerations), node) == expected
