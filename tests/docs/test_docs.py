"""Documentation that cannot go stale unnoticed: links, generated pages, leftovers."""

import re
from pathlib import Path

import pytest

from docs.generate import HERE, PAGES
from styr.cli.main import VERBS

ROOT = Path(__file__).parents[2]
PAGES_OF_PEOPLE = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
SOURCES = sorted([*ROOT.glob("src/**/*.py"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("bench/*.py"), *ROOT.glob("*.md")])


@pytest.mark.parametrize("page", PAGES_OF_PEOPLE, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("name", PAGES)
def test_reference_pages_are_up_to_date(name: str) -> None:
    assert (HERE / name).read_text() == PAGES[name](), "run: python -m docs.generate"


def test_every_page_of_docs_is_linked_from_the_readme_or_another_page() -> None:
    text = "".join(page.read_text() for page in PAGES_OF_PEOPLE)
    for page in ROOT.glob("docs/*.md"):
        assert page.name in text


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_in_the_reference(verb: str) -> None:
    assert f"## styr {verb}\n" in (HERE / "cli.md").read_text()


def test_nothing_was_left_for_later() -> None:
    words = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")
    found = [str(path.relative_to(ROOT)) for path in SOURCES if words.search(path.read_text())]
    assert found == []


def test_no_path_of_a_machine_stands_in_the_tree() -> None:
    found = [str(path.relative_to(ROOT)) for path in SOURCES if re.search(r"/(root|home)/[a-z.]", path.read_text())]
    assert found == []
