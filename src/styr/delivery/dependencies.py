"""From the files of a repository to what is installed for it, pure. Called by `detect`.

Order: uv.lock > requirements.txt > pyproject.toml > script metadata of the entry file > the imports, for a short list.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from styr.delivery import python
from styr.delivery.files import ENTRY_FILES, DetectError, Files, imports, script, strings, table

DEV_FILES = ("requirements-dev.txt", "dev-requirements.txt", "requirements-test.txt", "test-requirements.txt")
DEV_GROUPS = ("dev", "test", "tests", "testing")
KNOWN_IMPORTS: Mapping[str, tuple[str, ...]] = {
    "aiohttp": ("aiohttp",),
    "bottle": ("bottle",),
    "django": ("django", "gunicorn"),
    "fastapi": ("fastapi", "uvicorn"),
    "flask": ("flask", "gunicorn"),
    "httpbin": ("httpbin", "gunicorn"),
    "httpx": ("httpx",),
    "jinja2": ("jinja2",),
    "numpy": ("numpy",),
    "pydantic": ("pydantic",),
    "pytest": (),
    "requests": ("requests",),
    "sqlalchemy": ("sqlalchemy",),
    "starlette": ("starlette", "uvicorn"),
    "tornado": ("tornado",),
    "uvicorn": ("uvicorn",),
    "gunicorn": ("gunicorn",),
    "yaml": ("pyyaml",),
}
"""Import -> what is installed for it, used only for a repository that declares no dependencies at all."""


@dataclass(frozen=True, slots=True)
class Dependencies:
    """`source` says where they were found. With `lock` the layer comes from uv.lock; else from the `requirements` lines.
    `copies` are the files that installing needs; `local` says that it needs the whole tree."""

    source: str
    requirements: tuple[str, ...] = ()
    lock: bool = False
    groups: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    copies: tuple[str, ...] = ()
    local: bool = False


def dependencies(files: Files, project: Mapping[str, Any]) -> tuple[Dependencies, Dependencies | None]:
    """(runtime, what development adds or None)."""
    declared = table(project, "project")
    groups = tuple(name for name in DEV_GROUPS if name in table(project, "dependency-groups"))
    extras = tuple(name for name in DEV_GROUPS if name in table(declared, "optional-dependencies"))
    if "uv.lock" in files and "pyproject.toml" in files:
        copies = ("pyproject.toml", "uv.lock")
        runtime = Dependencies("uv.lock", lock=True, copies=copies)
        added = Dependencies("uv.lock", lock=True, copies=copies, groups=groups, extras=extras)
        return runtime, added if groups or extras else _development_file(files)
    if "requirements.txt" in files:
        return _requirements(files, "requirements.txt"), _development_file(files)
    if "dependencies" in declared or groups or extras:
        runtime = Dependencies("pyproject.toml", strings(declared.get("dependencies", []), "[project] dependencies"))
        lines = [
            line for name in groups for line in strings(table(project, "dependency-groups")[name], f"group {name}")
        ]
        for name in extras:
            lines += strings(table(declared, "optional-dependencies")[name], f"extra {name}")
        return runtime, Dependencies("pyproject.toml", tuple(lines)) if lines else _development_file(files)
    for other, way in (
        ("poetry.lock", "poetry export -o requirements.txt"),
        ("Pipfile", "pipenv requirements > requirements.txt"),
    ):
        if other in files:
            raise DetectError(f"{other} is not read yet. Write its contents as a requirements.txt: {way}")
    return _undeclared(files), _development_file(files)


def _development_file(files: Files) -> Dependencies | None:
    return next((_requirements(files, path) for path in DEV_FILES if path in files), None)


def _requirements(files: Files, path: str, seen: frozenset[str] = frozenset()) -> Dependencies:
    """A requirements file with its `-r` files inlined. Constraints (`-c`) stay files."""
    lines: list[str] = []
    copies: list[str] = []
    local = False
    text = files.read(path).replace("\\\n", " ")
    for line in (re.sub(r"(^|\s)#.*", "", raw).strip() for raw in text.splitlines()):
        included = re.match(r"(?:-r|--requirement|-c|--constraint)[\s=]+(\S+)", line)
        if included:
            inner = str(PurePosixPath(path).parent / included[1])
            if inner in seen or inner == path:
                continue
            if inner not in files:
                raise DetectError(f"{path} names {included[1]}, which is not in the repository")
            nested = _requirements(files, inner, seen | {path})
            if line.startswith(("-c", "--constraint")):
                copies.append(inner)
                lines.append(f"-c {inner}")
            else:
                lines += nested.requirements
                copies += nested.copies
            local = local or nested.local
        elif re.match(r"(-e|--editable)\b", line):
            raise DetectError(f"{path}: {line!r} cannot be kept: installed code is read-only. Write it without -e")
        elif line:
            local = local or re.match(r"\.{0,2}/|\.$|\.\[|.*@ file:", line) is not None
            lines.append(line)
    return Dependencies(path, tuple(lines), copies=tuple(dict.fromkeys(copies)), local=local)


def _undeclared(files: Files) -> Dependencies:
    """PEP 723 metadata of the entry file, else the table of known imports."""
    for path in ENTRY_FILES:
        metadata = script(files, path)
        if metadata is not None:
            found = metadata.get("dependencies", [])
            return Dependencies(f"the script metadata of {path}", strings(found, f"{path}: dependencies"))
    names = sorted(imports(files))
    wanted = dict.fromkeys(item for name in names for item in KNOWN_IMPORTS.get(name, ()))
    found = [name for name in names if KNOWN_IMPORTS.get(name)]
    return Dependencies(f"the imports ({', '.join(found)})" if found else "no dependencies", tuple(wanted))


def names(*sources: Dependencies | None) -> set[str]:
    return {python.requirement_name(line) for source in sources if source for line in source.requirements}


def with_server(runtime: Dependencies, command: str, rule: str) -> Dependencies:
    """A server that detection chose is installed even if nobody declared it (a lock cannot be looked into: uv adds nothing
    when it is there already)."""
    server = command.split()[0] if command.split() else ""
    if not rule.startswith("detection") or server not in ("uvicorn", "gunicorn") or server in names(runtime):
        return runtime
    return replace(runtime, requirements=(*runtime.requirements, server))


def test_dependencies(runtime: Dependencies, development: Dependencies | None, pytest: bool) -> Dependencies | None:
    added = (*(development.requirements if development else ()), *(("pytest",) if pytest else ()))
    if development is None and not added:
        return None
    return Dependencies(
        runtime.source
        if not development or development.source == runtime.source
        else f"{runtime.source} and {development.source}",
        (*runtime.requirements, *added),
        runtime.lock,
        development.groups if development else (),
        development.extras if development else (),
        tuple(dict.fromkeys((*runtime.copies, *(development.copies if development else ())))),
        runtime.local or bool(development and development.local),
    )
