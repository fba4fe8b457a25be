"""What a tree may hold."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as some

from styr.delivery.tree import Entry, Limits, TreeError, check, check_links, parse


def test_parse():
    listing = b"100755 blob aa     12\tbin/run\x00120000 blob bb      3\ta b\x00160000 commit cc       -\tsub\x00"
    run, link, module = parse(listing)
    assert (run.path, run.size, run.is_executable) == ("bin/run", 12, True)
    assert link.is_link
    assert (module.mode, module.size) == ("160000", 0)
    with pytest.raises(TreeError, match="not UTF-8"):
        parse(b"100644 blob aa 1\t\xff\x00")


@pytest.mark.parametrize(
    ("mode", "path", "words"),
    [
        ("160000", "lib", "submodule"),
        ("100644", "a/.GIT/config", "could reach outside"),
        ("100644", "a/../b", "could reach outside"),
        ("100644", "a//b", "could reach outside"),
        ("100644", "a\nb", "control character"),
        ("100644", "x" * 256, "longer than 255"),
        ("100644", "/".join(["x" * 200] * 6), "longer than 1024"),
    ],
)
def test_refused_entries(mode: str, path: str, words: str):
    with pytest.raises(TreeError, match=words):
        check([Entry(mode, "aa", 1, path)], Limits())


@pytest.mark.parametrize(
    "links",
    [
        {"a": "b"},
        {"a/b": "../c"},
        {"a": "."},
        {"x/y/l": "../.."},
        {"a": "b", "b": "c/d"},
    ],
)
def test_links_that_stay(links: dict[str, str]):
    check_links(links)


@pytest.mark.parametrize(
    "links",
    [
        {"a": "/etc"},
        {"a": ".."},
        {"a/b": "../../c"},
        {"a": "a"},
        {"a": "b", "b": "a"},
        # `x/l` is the root, so `x/l/..` is outside although the text normalises to `x`.
        {"x/l": "..", "k": "x/l/.."},
        {"x/y/z/l": "../../..", "k": "x/y/z/l/../etc"},
    ],
)
def test_links_that_leave(links: dict[str, str]):
    with pytest.raises(TreeError, match="symbolic link"):
        check_links(links)


@given(some.dictionaries(some.text("ab/", min_size=1, max_size=6), some.text("ab./", max_size=12), max_size=6))
def test_any_links_get_an_answer(links: dict[str, str]):
    with contextlib.suppress(TreeError):
        check_links(links)
