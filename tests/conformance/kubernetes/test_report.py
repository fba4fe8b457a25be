"""The report says what the tests and the list say, and leaves nothing out."""

from __future__ import annotations

import pytest

from tests.conformance.kubernetes import listing, report
from tests.conformance.kubernetes.listing import find


def test_every_behaviour_stands_once_and_the_page_is_up_to_date() -> None:
    assert report.page() == report.PAGE.read_text(), "run: python -m tests.conformance.kubernetes.report"


def test_a_marker_names_exactly_one_behaviour() -> None:
    assert find(("Namespace patching",)).file == "test/e2e/apimachinery/namespace.go"
    with pytest.raises(LookupError):
        find(("ValidatingAdmissionPolicy",))
    with pytest.raises(LookupError):
        find(("No such behaviour",))


def test_names_in_the_suite_are_unique() -> None:
    names = [each.codename for each in listing.behaviours()]
    assert len(set(names)) == len(names) == 462
