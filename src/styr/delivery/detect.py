"""From the files of a repository to what to install, what to run and what to test, pure.

Precedence, and which rule won is told to the pusher: the App's spec > `[tool.styr]` in pyproject.toml > Procfile > detection.
Called by `push` with a `Files` (a reader of the pushed tree); reads nothing else. Documented in docs/push.md.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from styr.delivery import python
from styr.delivery.dependencies import Dependencies, dependencies, names, test_dependencies, with_server
from styr.delivery.files import (
    ENTRY_FILES,
    MAX_PARSED,
    DetectError,
    Files,
    imports,
    imports_of,
    script,
    table,
    toml,
)

_SMOKE = re.compile(r"/[!-~]{0,1999}")
_MAX_COMMAND = 9_000
"""Characters; a Release holds 10,000."""
_SETTINGS = {"command", "test", "smoke", "python"}
_PROCFILE = re.compile(r"^([A-Za-z0-9_-]+)\s*:\s*(.+?)\s*$")


@dataclass(frozen=True, slots=True)
class Plan:
    """What `build` needs to know. `command` and `test` are shell lines; `test` is "" when there is nothing to run.
    `test_dependencies` is None when the tests need nothing beyond the runtime's."""

    command: str
    command_rule: str
    dependencies: Dependencies
    test: str = ""
    test_rule: str = ""
    test_dependencies: Dependencies | None = None
    python: str = ""
    python_rule: str = ""
    smoke: str = ""
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the App's spec says; it wins over everything in the repository."""

    command: str = ""
    test: str = ""
    skip_tests: bool = False


def detect(files: Files, overrides: Overrides | None = None) -> Plan:
    """Raises `DetectError`."""
    overrides = overrides or Overrides()
    project = toml(files, "pyproject.toml")
    settings = _settings(project)
    runtime, development = dependencies(files, project)
    command, rule, notes = _command(files, settings, overrides)
    if len(command) > _MAX_COMMAND:
        raise DetectError(
            f"{rule}: the command has {len(command):,} characters; put it into a script of the repository"
        )
    runtime = with_server(runtime, command, rule)
    test, test_rule, needs_pytest = _tests(files, settings, overrides, runtime, development)
    wanted, python_rule = _python(files, project, settings)
    return Plan(
        command=command,
        command_rule=rule,
        dependencies=runtime,
        test=test,
        test_rule=test_rule,
        test_dependencies=test_dependencies(runtime, development, needs_pytest) if test else None,
        python=wanted,
        python_rule=python_rule,
        smoke=settings.get("smoke", ""),
        notes=notes,
    )


def _settings(project: Mapping[str, Any]) -> dict[str, str]:
    settings = table(project, "tool", "styr")
    for name, value in settings.items():
        if name not in _SETTINGS:
            raise DetectError(
                f"pyproject.toml: [tool.styr] has the unknown key {name!r}; known: {', '.join(sorted(_SETTINGS))}"
            )
        if not isinstance(value, str) or not value.strip() or "\n" in value:
            raise DetectError(f'pyproject.toml: [tool.styr] {name} must be one line of text, such as {name} = "..."')
    if not _SMOKE.fullmatch(settings.get("smoke", "/")):
        raise DetectError('pyproject.toml: [tool.styr] smoke is a path, such as smoke = "/health"')
    return settings


# What to run


def _command(files: Files, settings: Mapping[str, str], overrides: Overrides) -> tuple[str, str, tuple[str, ...]]:
    """(shell line, which rule won, notes)."""
    if overrides.command:
        return overrides.command, "the App's spec.command", ()
    if "command" in settings:
        return settings["command"], "[tool.styr] command", ()
    processes = procfile(files.read("Procfile"))
    if "web" in processes:
        others = sorted(set(processes) - {"web", "release"})
        notes = tuple(f"Procfile: {name!r} is not started: only web is supported yet" for name in others)
        if "release" in processes:
            notes += ("Procfile: 'release' is not run yet: run migrations yourself before you push",)
        return processes["web"], "Procfile web", notes
    if "Procfile" in files:
        raise DetectError("the Procfile has no web process. Add a line such as: web: gunicorn app:app")
    return (*_detected_command(files), ())


def procfile(text: str) -> dict[str, str]:
    """Process name -> command line. Raises `DetectError` for a line that is neither."""
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _PROCFILE.match(line)
        if not match:
            raise DetectError(f"Procfile line {number} is not `name: command`: {line.strip()[:80]!r}")
        found[match[1]] = match[2]
    return found


def _detected_command(files: Files) -> tuple[str, str]:
    if "manage.py" in files:
        module = next(
            (path for path in sorted(files.paths) if path.endswith("/wsgi.py") and path.count("/") == 1), None
        )
        if module:
            return f"gunicorn {module[:-3].replace('/', '.')}:application", f"detection: Django ({module})"
    for path in ENTRY_FILES:
        if path in files:
            return _command_of(path, files.read(path))
    raise DetectError(
        'cannot tell what to run. Write a Procfile (web: COMMAND), or in pyproject.toml: [tool.styr] command = "COMMAND", '
        f"or name the file {' or '.join(ENTRY_FILES[:2])}. The command must listen on $PORT."
    )


def _command_of(path: str, source: str) -> tuple[str, str]:
    module = path.removesuffix(".py")
    for framework, makers, command in (
        ("FastAPI", ("FastAPI",), "uvicorn {} --host 127.0.0.1 --port $PORT"),
        ("Starlette", ("Starlette",), "uvicorn {} --host 127.0.0.1 --port $PORT"),
        ("Flask", ("Flask",), "gunicorn {} --bind 127.0.0.1:$PORT"),
    ):
        variable = _made_by(source, makers)
        if variable:
            return command.format(f"{module}:{variable}"), f"detection: {framework} in {path}"
    return f"python {path}", f"detection: {path}"


def _made_by(source: str, makers: Sequence[str]) -> str:
    """The module-level variable that holds `Maker(...)`, unless the file starts its own server when run."""
    try:
        tree = ast.parse(source[:MAX_PARSED])
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""
    for node in tree.body:
        if isinstance(node, ast.Assign):
            target: ast.expr = node.targets[0]
        elif isinstance(node, ast.AnnAssign):
            target = node.target
        else:
            continue
        if not isinstance(node.value, ast.Call):
            continue
        function = node.value.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        if name in makers and isinstance(target, ast.Name):
            return target.id
    return ""


# What to test


def _tests(
    files: Files,
    settings: Mapping[str, str],
    overrides: Overrides,
    runtime: Dependencies,
    development: Dependencies | None,
) -> tuple[str, str, bool]:
    """(shell line, rule, must pytest be added to what is installed)."""
    if overrides.skip_tests:
        return "", "the App's spec.tests.skip", False
    if overrides.test:
        return overrides.test, "the App's spec.tests.command", False
    if "test" in settings:
        return settings["test"], "[tool.styr] test", False
    found = [
        path
        for path in sorted(files.paths)
        if path.endswith(".py") and (PurePosixPath(path).name.startswith("test_") or path.endswith("_test.py"))
    ]
    if not found:
        return "", "", False
    declared = "pytest" in names(runtime, development)
    locked = runtime.lock and 'name = "pytest"' in files.read("uv.lock")
    if declared or locked:
        return "python -m pytest -q", "pytest (declared)", False
    if any("unittest" in imports_of(files.read(path)) for path in found) and "pytest" not in imports(files, tests=True):
        folder = next((name for name in ("tests", "test") if any(path.startswith(f"{name}/") for path in found)), ".")
        pattern = ' -p "*test*.py"' if not any(PurePosixPath(path).name.startswith("test") for path in found) else ""
        return f"python -m unittest discover -s {folder}{pattern}", "unittest", False
    return "python -m pytest -q", "pytest (the tests need it; declare it to choose its version)", True


# Which Python


def _python(files: Files, project: Mapping[str, Any], settings: Mapping[str, str]) -> tuple[str, str]:
    """(specifier, where it was found); ("", "") for any."""
    pinned = next(
        (line.strip() for line in files.read(".python-version").splitlines() if line.strip()[:1] not in ("", "#")), ""
    )
    required = table(project, "project").get("requires-python", "")
    block = next((found for path in ENTRY_FILES if (found := script(files, path)) is not None), {})
    for wanted, rule in (
        (settings.get("python", ""), "[tool.styr] python"),
        (pinned, ".python-version"),
        (required, "requires-python"),
        (block.get("requires-python", ""), "the script metadata"),
    ):
        if wanted:
            try:
                python.satisfies((3, 11), str(wanted))
            except ValueError as error:
                raise DetectError(f"{rule}: {error}") from None
            return str(wanted), rule
    return "", ""
