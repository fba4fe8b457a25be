"""A short run of fuzz_openapi.py: a custom group, whose kinds have every sort of schema, and a few built-in ones."""

from __future__ import annotations

import pytest

from tests.api.fuzz_openapi import fuzzing


@pytest.mark.parametrize(
    ("name", "examples"),
    [
        ("apis/stable.example.com/v1", 6),
        ("apis/coordination.k8s.io/v1", 6),
        ("apis/authorization.k8s.io/v1", 6),
        ("apis/apiextensions.k8s.io/v1", 3),
    ],
)
def test_requests_made_up_from_the_documents(name: str, examples: int) -> None:
    with fuzzing() as fuzz:
        fuzz.run(name, examples, number=1)
        assert fuzz.requests > examples
        assert set(fuzz.answers) & {200, 201}
        assert set(fuzz.answers) & {400, 404, 415, 422}
