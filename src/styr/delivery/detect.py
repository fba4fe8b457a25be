"""From the files of a repository to what to install, what to run and what to test, pure.

Precedence, and which rule won is told to the pusher: the App's spec > `[tool.styr]` in pyproject.toml > Procfile > detection.
Called by `push` with a `Files` (a reader of the pushed tree); reads nothing else. Documented in docs/push.md.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from styr.delivery import python

ENTRY_FILES = ("main.py", "app.py", "start.py", "server.py", "bot.py", "hello.py", "wsgi.py", "asgi.py")
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

_SMOKE = re.compile(r"/[!-~]{0,1999}")
_MAX_COMMAND = 9_000
"""Characters; a Release holds 10,000."""
_MAX_PARSED = 512 * 1024
_SETTINGS = {"command", "test", "smoke", "python"}
_PROCFILE = re.compile(r"^([A-Za-z0-9_-]+)\s*:\s*(.+?)\s*$")


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
    project = _toml(files, "pyproject.toml")
    settings = _settings(project)
    runtime, development = _dependencies(files, project)
    command, rule, notes = _command(files, settings, overrides)
    if len(command) > _MAX_COMMAND:
        raise DetectError(
            f"{rule}: the command has {len(command):,} characters; put it into a script of the repository"
        )
    runtime = _with_server(runtime, command, rule)
    test, test_rule, needs_pytest = _tests(files, settings, overrides, runtime, development)
    wanted, python_rule = _python(files, project, settings)
    return Plan(
        command=command,
        command_rule=rule,
        dependencies=runtime,
        test=test,
        test_rule=test_rule,
        test_dependencies=_test_dependencies(runtime, development, needs_pytest) if test else None,
        python=wanted,
        python_rule=python_rule,
        smoke=settings.get("smoke", ""),
        notes=notes,
    )


def _toml(files: Files, path: str) -> dict[str, Any]:
    try:
        return tomllib.loads(files.read(path))
    except tomllib.TOMLDecodeError as error:
        raise DetectError(f"{path} is not valid TOML: {error}") from None


def _table(parent: Mapping[str, Any], *names: str) -> dict[str, Any]:
    for name in names:
        found = parent.get(name, {})
        if not isinstance(found, dict):
            raise DetectError(f"pyproject.toml: [{'.'.join(names)}] must be a table")
        parent = found
    return dict(parent)


def _strings(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise DetectError(f"pyproject.toml: {where} must be a list")
    return tuple(item for item in value if isinstance(item, str))


def _settings(project: Mapping[str, Any]) -> dict[str, str]:
    settings = _table(project, "tool", "styr")
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


# What to install


def _dependencies(files: Files, project: Mapping[str, Any]) -> tuple[Dependencies, Dependencies | None]:
    """(runtime, what development adds or None)."""
    declared = _table(project, "project")
    groups = tuple(name for name in DEV_GROUPS if name in _table(project, "dependency-groups"))
    extras = tuple(name for name in DEV_GROUPS if name in _table(declared, "optional-dependencies"))
    if "uv.lock" in files and "pyproject.toml" in files:
        copies = ("pyproject.toml", "uv.lock")
        runtime = Dependencies("uv.lock", lock=True, copies=copies)
        added = Dependencies("uv.lock", lock=True, copies=copies, groups=groups, extras=extras)
        return runtime, added if groups or extras else _development_file(files)
    if "requirements.txt" in files:
        return _requirements(files, "requirements.txt"), _development_file(files)
    if "dependencies" in declared or groups or extras:
        runtime = Dependencies("pyproject.toml", _strings(declared.get("dependencies", []), "[project] dependencies"))
        lines = [
            line for name in groups for line in _strings(_table(project, "dependency-groups")[name], f"group {name}")
        ]
        for name in extras:
            lines += _strings(_table(declared, "optional-dependencies")[name], f"extra {name}")
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
        metadata = _script(files, path)
        if metadata is not None:
            found = metadata.get("dependencies", [])
            return Dependencies(f"the script metadata of {path}", _strings(found, f"{path}: dependencies"))
    names = sorted(_imports(files))
    wanted = dict.fromkeys(item for name in names for item in KNOWN_IMPORTS.get(name, ()))
    found = [name for name in names if KNOWN_IMPORTS.get(name)]
    return Dependencies(f"the imports ({', '.join(found)})" if found else "no dependencies", tuple(wanted))


def _script(files: Files, path: str) -> dict[str, Any] | None:
    try:
        return python.script_metadata(files.read(path))
    except ValueError as error:
        raise DetectError(f"{path}: its script metadata is not valid TOML: {error}") from None


def _imports(files: Files, *, tests: bool = False) -> set[str]:
    """Top-level modules imported by the Python files (those of tests, or all others) that are neither the
    repository's own nor the standard library's."""
    own = {PurePosixPath(path).parts[0].removesuffix(".py") for path in files.paths}
    own |= {PurePosixPath(path).parts[1].removesuffix(".py") for path in files.paths if path.startswith("src/")}
    found: set[str] = set()
    for path in sorted(files.paths):
        if path.endswith(".py") and _is_test(path) == tests and path.count("/") <= 3:
            found |= _imports_of(files.read(path))
    return {name for name in found if name not in own and name not in sys.stdlib_module_names}


def _imports_of(source: str) -> set[str]:
    if len(source) > _MAX_PARSED:
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


def _names(*sources: Dependencies | None) -> set[str]:
    return {python.requirement_name(line) for source in sources if source for line in source.requirements}


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
        tree = ast.parse(source[:_MAX_PARSED])
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


def _with_server(runtime: Dependencies, command: str, rule: str) -> Dependencies:
    """A server that detection chose is installed even if nobody declared it (a lock cannot be looked into: uv adds nothing
    when it is there already)."""
    server = command.split()[0] if command.split() else ""
    if not rule.startswith("detection") or server not in ("uvicorn", "gunicorn") or server in _names(runtime):
        return runtime
    return Dependencies(
        runtime.source,
        (*runtime.requirements, server),
        runtime.lock,
        runtime.groups,
        runtime.extras,
        runtime.copies,
        runtime.local,
    )


# What to test


def _is_test(path: str) -> bool:
    name = PurePosixPath(path).name
    return (
        name.startswith("test_")
        or name.endswith("_test.py")
        or path.startswith(("tests/", "test/"))
        or name == "conftest.py"
    )


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
    declared = "pytest" in _names(runtime, development)
    locked = runtime.lock and 'name = "pytest"' in files.read("uv.lock")
    if declared or locked:
        return "python -m pytest -q", "pytest (declared)", False
    if any("unittest" in _imports_of(files.read(path)) for path in found) and "pytest" not in _imports(
        files, tests=True
    ):
        folder = next((name for name in ("tests", "test") if any(path.startswith(f"{name}/") for path in found)), ".")
        pattern = ' -p "*test*.py"' if not any(PurePosixPath(path).name.startswith("test") for path in found) else ""
        return f"python -m unittest discover -s {folder}{pattern}", "unittest", False
    return "python -m pytest -q", "pytest (the tests need it; declare it to choose its version)", True


def _test_dependencies(runtime: Dependencies, development: Dependencies | None, pytest: bool) -> Dependencies | None:
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


# Which Python


def _python(files: Files, project: Mapping[str, Any], settings: Mapping[str, str]) -> tuple[str, str]:
    """(specifier, where it was found); ("", "") for any."""
    pinned = next(
        (line.strip() for line in files.read(".python-version").splitlines() if line.strip()[:1] not in ("", "#")), ""
    )
    required = _table(project, "project").get("requires-python", "")
    script = next((found for path in ENTRY_FILES if (found := _script(files, path)) is not None), {})
    for wanted, rule in (
        (settings.get("python", ""), "[tool.styr] python"),
        (pinned, ".python-version"),
        (required, "requires-python"),
        (script.get("requires-python", ""), "the script metadata"),
    ):
        if wanted:
            try:
                python.satisfies((3, 11), str(wanted))
            except ValueError as error:
                raise DetectError(f"{rule}: {error}") from None
            return str(wanted), rule
    return "", ""
