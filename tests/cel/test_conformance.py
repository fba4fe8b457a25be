"""The published conformance tests of the language: all that apply to Kubernetes pass."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.cel import conformance


@pytest.mark.needs("go")
@pytest.mark.timeout(300)
def test_the_published_conformance_tests_pass() -> None:
    results = list(conformance.results())
    failed = [f"{name}: {why}" for name, result, why in results if result == "fails"]
    assert not failed, "\n".join(failed)
    assert Counter(result for _, result, _ in results)["passes"] >= 1100
