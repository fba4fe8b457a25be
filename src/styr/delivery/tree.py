"""What may be in a pushed tree, pure. Called by `push` before anything of the tree is written to disk; reads a listing.

Git's own fsck has already refused `.git`-like names and malformed trees; the rules here hold even if it had not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MEBIBYTE = 1 << 20
_LINK_STEPS = 40
"""As many links as Linux follows before it says ELOOP."""


class TreeError(Exception):
    """The tree is refused; the text names the path, the cause and the way out."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of what one push may hold or cost. Sizes in bytes, times in seconds."""

    pack: int = 100 * MEBIBYTE
    files: int = 20_000
    expanded: int = 500 * MEBIBYTE
    path: int = 1_024
    build_seconds: int = 900
    test_seconds: int = 600
    shown_lines: int = 400
    cache: int = 2_048 * MEBIBYTE


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of `git ls-tree -r -l`. `mode` is git's (100644, 100755, 120000 link, 160000 submodule)."""

    mode: str
    oid: str
    size: int
    path: str

    @property
    def is_link(self) -> bool:
        return self.mode == "120000"

    @property
    def is_executable(self) -> bool:
        return self.mode == "100755"


def parse(listing: bytes) -> list[Entry]:
    """The entries of `git ls-tree -r -z -l --full-tree`. Raises `TreeError` for a path that is not UTF-8."""
    entries = []
    for line in listing.split(b"\0"):
        if not line:
            continue
        facts, _, raw = line.partition(b"\t")
        mode, _kind, oid, size = facts.decode("ascii").split()
        try:
            path = raw.decode("utf-8")
        except UnicodeDecodeError:
            raise TreeError(f"the path {raw!r} is not UTF-8: rename it (git mv) and push again") from None
        entries.append(Entry(mode, oid, int(size) if size.isdigit() else 0, path))
    return entries


def check(entries: Sequence[Entry], limits: Limits) -> None:
    """Names, kinds, count and expanded size. Raises `TreeError`."""
    if not entries:
        raise TreeError("this commit has no files: add your app (git add .), commit, and push again")
    if len(entries) > limits.files:
        raise TreeError(
            f"{len(entries):,} files, the limit is {limits.files:,}: leave generated files out (.gitignore)"
        )
    total = sum(entry.size for entry in entries)
    if total > limits.expanded:
        raise TreeError(
            f"the files take {total / MEBIBYTE:.0f} MB when unpacked, the limit is {limits.expanded / MEBIBYTE:.0f} MB: "
            "keep data out of the repository"
        )
    for entry in entries:
        _check_entry(entry, limits)


def _check_entry(entry: Entry, limits: Limits) -> None:
    path = entry.path
    if entry.mode == "160000":
        raise TreeError(f"{path} is a submodule, which Styr does not fetch: copy its files into the repository")
    if len(path.encode()) > limits.path:
        raise TreeError(f"a path is longer than {limits.path} bytes: {path[:80]}...")
    for part in path.split("/"):
        if part in ("", ".", "..") or part.lower() == ".git":
            raise TreeError(f"{path!r} has the component {part!r}, which could reach outside the tree: rename it")
        if len(part.encode()) > 255:
            raise TreeError(f"a file name is longer than 255 bytes: {part[:80]}...")
    if any(ord(char) < 32 or ord(char) == 127 for char in path):
        raise TreeError(f"the path {path!r} has a control character: rename it")


def check_links(links: Mapping[str, str]) -> None:
    """`links` maps the path of each symbolic link to its target. Every link, followed through the others, must stay in
    the tree: comparing texts is not enough, since `a/..` is not the root when `a` is itself a link. Raises `TreeError`."""
    for path in links:
        if not _stays_inside(path, links):
            raise TreeError(
                f"{path} is a symbolic link to {links[path]!r}, outside the repository: replace it by the file itself"
            )


def _stays_inside(path: str, links: Mapping[str, str]) -> bool:
    done: list[str] = []
    todo = path.split("/")[::-1]
    steps = 0
    while todo:
        part = todo.pop()
        if part in ("", "."):
            continue
        if part == "..":
            if not done:
                return False
            done.pop()
            continue
        done.append(part)
        target = links.get("/".join(done))
        if target is None:
            continue
        steps += 1
        if target.startswith("/") or "\0" in target or steps > _LINK_STEPS:
            return False
        done.pop()
        todo.extend(target.split("/")[::-1])
    return True
