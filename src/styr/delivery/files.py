"""The pushed files as detection reads them: contents, TOML tables, script metadata, imports. Pure.

Called by `detect` and `dependencies`. Whatever a file holds, the answer is a value or a `DetectError` in words.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from styr.delivery import python

ENTRY_FILES = ("main.py", "app.py", "start.py", "server.py", "bot.py", "hello.py", "wsgi.py", "asgi.py")
"""Where an app may begin, in the order of preference."""
MAX_PARSED = 512 * 1024
"""Characters of source that are parsed; more is taken for generated code."""


class DetectError(Exception):
    """What to do cannot be told from the files; the text says what to write where."""


class Files:
    """Paths of the pushed tree and a reader of their contents. `read` returns "" for a file that is not there."""

    def __init__(self, paths: Sequence[str], read: Callable[[str], str]) -> None:
        self.paths = frozenset(paths)
        self._read = read

    def __contains__(self, path: str) -> bool:
        return path in self.paths

    def read(self, path: str) -> str:
        return self._read(path) if path in self.paths else ""


def toml(files: Files, path: str) -> dict[str, Any]:
    try:
        return tomllib.loads(files.read(path))
    except tomllib.TOMLDecodeError as error:
        raise DetectError(f"{path} is not valid TOML: {error}") from None


def table(parent: Mapping[str, Any], *names: str) -> dict[str, Any]:
    for name in names:
        found = parent.get(name, {})
        if not isinstance(found, dict):
            raise DetectError(f"pyproject.toml: [{'.'.join(names)}] must be a table")
        parent = found
    return dict(parent)


def strings(value: Any, where: str) -> tuple[str, ...]:
    """A list of requirements. Raises `DetectError` for what is none, such as `{include-group = ...}`: a lock knows those."""
    if not isinstance(value, list):
        raise DetectError(f"pyproject.toml: {where} must be a list")
    for item in value:
        if not isinstance(item, str):
            raise DetectError(
                f"pyproject.toml: {where} holds {item!r}. Only texts are read without a lock: run `uv lock`"
            )
    return tuple(value)


def is_test(path: str) -> bool:
    name = PurePosixPath(path).name
    return (
        name.startswith("test_")
        or name.endswith("_test.py")
        or path.startswith(("tests/", "test/"))
        or name == "conftest.py"
    )


def script(files: Files, path: str) -> dict[str, Any] | None:
    try:
        return python.script_metadata(files.read(path))
    except ValueError as error:
        raise DetectError(f"{path}: its script metadata is not valid TOML: {error}") from None


def imports(files: Files, *, tests: bool = False) -> set[str]:
    """Top-level modules imported by the Python files (those of tests, or all others) that are neither the
    repository's own nor the standard library's."""
    own = {PurePosixPath(path).parts[0].removesuffix(".py") for path in files.paths}
    own |= {PurePosixPath(path).parts[1].removesuffix(".py") for path in files.paths if path.startswith("src/")}
    found: set[str] = set()
    for path in sorted(files.paths):
        if path.endswith(".py") and is_test(path) == tests and path.count("/") <= 3:
            found |= imports_of(files.read(path))
    return {name for name in found if name not in own and name not in sys.stdlib_module_names}


def imports_of(source: str) -> set[str]:
    if len(source) > MAX_PARSED:
        return set()
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found
