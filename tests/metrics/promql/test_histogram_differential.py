"""Native histograms against a real Prometheus: `histogram_differential`, some hundred queries of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.metrics.promql.histogram_differential import compare


@pytest.mark.needs("prometheus")
def test_histograms_are_those_of_prometheus_to_the_bit(tmp_path: Path) -> None:
    report = compare(tmp_path, count=400, seed=3)
    assert report.different == []
    assert report.exact > 200
