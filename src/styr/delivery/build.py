"""From a plan to layers: dependencies installed by uv (or pip) in a Pod, once per lock; the tests run in another Pod.

Called by `push`. A layer is a virtual environment keyed by everything that went into it; half-built ones are never used:
the marker comes last, and one builder at a time holds the layer's lock. Installing may reach the network and gets the
machine's settings for package indexes; tests and apps get none of them. Nothing gets a credential of the platform.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import platform
import random as random_module
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from styr.delivery import pods, python
from styr.delivery.dependencies import Dependencies
from styr.delivery.detect import Plan
from styr.delivery.files import Files
from styr.delivery.images import Images
from styr.delivery.interpreters import Interpreter, find_interpreters
from styr.delivery.report import Flood, Report
from styr.delivery.tree import Limits
from styr.kinds import meta
from styr.kinds.resources import Object
from styr.kit.clock import Clock

if TYPE_CHECKING:
    from styr.client.client import Client

BUILDER = "1"
"""Part of every layer's key: raise it when the way of building changes."""

_PASSED_ON = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
_PIP_TO_UV = {
    "PIP_INDEX_URL": "UV_DEFAULT_INDEX",
    "PIP_EXTRA_INDEX_URL": "UV_INDEX",
    "PIP_FIND_LINKS": "UV_FIND_LINKS",
    "PIP_CERT": "SSL_CERT_FILE",
}
_SUMMARIES = (
    re.compile(
        r"^=*\s*((?:\d+ (?:passed|failed|errors?|skipped|xfailed|xpassed|warnings?|deselected)(?:, )?)+.*?)\s*=*$"
    ),
    re.compile(r"^(Ran \d+ tests? in .*)$"),
)


class BuildError(Exception):
    """The push is refused; the text says what failed and what to do.

    BuildError
    └── TestsFailed
    """


class TestsFailed(BuildError):
    __test__ = False


@dataclass(frozen=True, slots=True)
class Source:
    """The pushed files, already checked: `folder` holds them, read-only by agreement; `tree` is git's name of them."""

    app: Object
    tree: str
    folder: Path
    files: Files


@dataclass(frozen=True, slots=True)
class TestResult:
    """`summary` is the runner's own last word. `seconds` is 0 when nothing ran."""

    __test__ = False

    command: str = ""
    passed: bool = True
    seconds: float = 0.0
    summary: str = "no tests found"


@dataclass(slots=True)
class Builder:
    """`uv` is the path of its binary, None to use pip. `environ` is the machine's environment (settings of indexes)."""

    client: Client
    clock: Clock
    random: random_module.Random
    images: Images
    limits: Limits
    uv: str | None
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    installing: int = 0
    """Builds that use the cache of downloads now."""
    _interpreters: list[Interpreter] | None = None

    # Python

    async def interpreter(self, plan: Plan) -> Interpreter:
        """The first Python of this machine that the plan accepts; our own if it can be. Raises `BuildError`."""
        own = Interpreter(Path(getattr(sys, "_base_executable", sys.executable)), tuple(sys.version_info[:3]))
        if not plan.python or python.satisfies(own.version, plan.python):
            return own
        if self._interpreters is None:
            self._interpreters = await asyncio.to_thread(find_interpreters, self.environ.get("PATH", os.defpath))
        for found in self._interpreters:
            if python.satisfies(found.version, plan.python):
                return found
        have = ", ".join(sorted({str(own), *map(str, self._interpreters)}))
        raise BuildError(
            f"{plan.python_rule} asks for Python {plan.python}, which this machine does not have (it has {have}). "
            f"Install it so that `python3.N` is on the PATH of `styr up`, or widen {plan.python_rule}."
        )

    # Layers

    def layer_name(self, source: Source, wanted: Dependencies, interpreter: Interpreter) -> str:
        """Everything that decides what is installed goes into the name."""
        parts: list[object] = [BUILDER, "uv" if self.uv else "pip", sys.platform, platform.machine(), str(interpreter)]
        parts += [str(interpreter.path), wanted.requirements, wanted.lock, wanted.groups, wanted.extras]
        parts += [(path, source.files.read(path)) for path in wanted.copies]
        parts.append(source.tree if wanted.local else "")
        return f"deps-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]}"

    async def dependencies(
        self, source: Source, wanted: Dependencies, interpreter: Interpreter, report: Report, title: str
    ) -> str:
        """The name of a whole layer that holds them. Raises `BuildError`."""
        name = self.layer_name(source, wanted, interpreter)
        short = name.removeprefix("deps-")[:8]
        from_where = f"{title} from {wanted.source}" if wanted.lock or wanted.requirements else "Nothing to install"
        if self.images.is_whole(name):
            self.images.touch(name)
            await report.step(f"{from_where}: cached (unchanged, {short})")
            return name
        await report.step(f"{from_where}: making a layer with {'uv' if self.uv else 'pip'} (new: {short})")
        waited = False
        while True:
            with self.images.try_lock(name) as mine:
                if self.images.is_whole(name):
                    return name
                if mine:
                    await self._install(source, wanted, interpreter, name, report)
                    return name
            if not waited:
                await report.detail("another push is installing the same; waiting for it")
                waited = True
            await self.clock.sleep(0.2)

    async def _install(
        self, source: Source, wanted: Dependencies, interpreter: Interpreter, name: str, report: Report
    ) -> None:
        layer, inputs = self.images.layer(name), self.images.layer(f"{name}.inputs")
        self.images.discard(name)
        shutil.rmtree(inputs, ignore_errors=True)
        layer.mkdir(parents=True)
        settings = self._index_settings()
        try:
            self._write_inputs(source, wanted, inputs)
            step = pods.Step(
                source.app,
                "build",
                ("/bin/sh", "-euc", self.script(wanted, interpreter, layer / "venv")),
                inputs,
                _time_limit(source.app, "build", self.limits.build_seconds),
                (layer, inputs, self.images.cache),
                settings,
                self._tools(interpreter, settings),
            )
            self.installing += 1
            try:
                ended = await self._run(step, report)
            finally:
                self.installing -= 1
            if ended.code != 0:
                reason = f"exit code {ended.code}" if ended.code is not None else ended.reason
                raise BuildError(
                    f"installing the dependencies failed: {reason}. All output: {_log_command(source, ended)}"
                )
            self.images.seal(name, {"source": wanted.source, "requirements": list(wanted.requirements)})
        except BaseException:
            self.images.discard(name)
            raise
        finally:
            shutil.rmtree(inputs, ignore_errors=True)
        await report.detail(f"installed in {report.elapsed()}")

    def _write_inputs(self, source: Source, wanted: Dependencies, folder: Path) -> None:
        if wanted.local:
            shutil.copytree(source.folder, folder, symlinks=True)
        else:
            folder.mkdir()
            for path in wanted.copies:
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_text(source.files.read(path))
        (folder / ".styr-requirements.txt").write_text("".join(f"{line}\n" for line in wanted.requirements))

    def script(self, wanted: Dependencies, interpreter: Interpreter, venv: Path) -> str:
        """The shell script of the build pod."""
        target, base = shlex.quote(str(venv)), shlex.quote(str(interpreter.path))
        if not self.uv:
            return self._pip_script(wanted, target, base)
        uv = shlex.quote(self.uv)
        lines = [f"{uv} venv --quiet --no-project --no-config --python {base} {target}"]
        if wanted.lock:
            groups = "".join(f" --group {shlex.quote(name)}" for name in wanted.groups)
            extras = "".join(f" --extra {shlex.quote(name)}" for name in wanted.extras)
            lines.append(
                f"UV_PROJECT_ENVIRONMENT={target} {uv} sync --frozen --no-default-groups --no-install-project "
                f"--compile-bytecode --no-progress --python {base}{groups}{extras}"
            )
        if wanted.requirements:
            lines.append(
                f"{uv} pip install --no-progress --compile-bytecode --python {target}/bin/python -r .styr-requirements.txt"
            )
        return "\n".join(lines)

    def _pip_script(self, wanted: Dependencies, target: str, base: str) -> str:
        if wanted.lock:
            raise BuildError("uv.lock needs uv, which is not there: pip install uv, then `styr down` and `styr up`")
        lines = [f"{base} -m venv {target}"]
        if wanted.requirements:
            lines.append(f"{target}/bin/python -m pip install --disable-pip-version-check -r .styr-requirements.txt")
        return "\n".join(lines)

    def _index_settings(self) -> dict[str, str]:
        """How the machine reaches a package index: proxies, certificates, pip's and uv's own variables."""
        found = {
            key: value
            for key, value in self.environ.items()
            if key.upper() in _PASSED_ON or key.startswith(("PIP_", "UV_"))
        }
        for old, new in _PIP_TO_UV.items():
            if old in found:
                found.setdefault(new, found[old])
        drop = ("UV_PROJECT_ENVIRONMENT", "UV_PYTHON", "PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_REQUIRE_VIRTUALENV")
        cache = self.images.cache
        return {key: value for key, value in found.items() if key not in drop} | {
            "UV_CACHE_DIR": str(cache / "uv"),
            "PIP_CACHE_DIR": str(cache / "pip"),
            "UV_NO_PROGRESS": "1",
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_LINK_MODE": "copy",
            "PATH": "/usr/local/bin:/usr/bin:/bin",
        }

    def _tools(self, interpreter: Interpreter, settings: Mapping[str, str]) -> tuple[Path, ...]:
        """What installing reads and no pod sees by itself: uv, another Python, local folders of wheels."""
        wheels = re.split(r"[,\s]+", settings.get("UV_FIND_LINKS", ""))
        local = [Path(place) for place in wheels if place.startswith("/")]
        return tuple(
            path for path in (*([Path(self.uv)] if self.uv else []), *interpreter.reads, *local) if path.exists()
        )

    # Tests

    async def test(
        self, source: Source, plan: Plan, interpreter: Interpreter, layer: str, report: Report, scratch: Path
    ) -> TestResult:
        """Runs the repository's own tests on a copy of its files. Raises `TestsFailed`, `BuildError`."""
        if not plan.test:
            words = plan.test_rule or "no tests found (tests/ or test_*.py would run here)"
            await report.step(f"Not testing: {words}")
            return TestResult(summary=words)
        await report.step(f"Testing: {plan.test}  [{plan.test_rule}]")
        await asyncio.to_thread(shutil.copytree, source.folder, scratch, symlinks=True)
        self.images.touch(layer)
        started, summary = self.clock.monotonic(), ""

        def remember(line: str) -> None:
            nonlocal summary
            summary = next((found[1][:500] for pattern in _SUMMARIES if (found := pattern.match(line))), summary)

        environment = runtime_environment(self.images.layer(layer), source.files)
        command = ("/bin/sh", "-c", plan.test)
        step = pods.Step(
            source.app,
            "test",
            command,
            scratch,
            _time_limit(source.app, "tests", self.limits.test_seconds),
            (scratch,),
            environment,
            (self.images.layer(layer), *interpreter.reads),
        )
        ended = await self._run(step, report, remember)
        took = self.clock.monotonic() - started
        if ended.code == 5 and plan.test_rule != "[tool.styr] test":
            await report.detail("the runner collected no tests: going on without")
            return TestResult(plan.test, True, round(took, 2), "no tests collected")
        if ended.code is None:
            raise BuildError(f"the tests were stopped: {ended.reason}. All output: {_log_command(source, ended)}")
        if ended.code:
            raise TestsFailed(
                f"the tests failed ({summary or f'exit code {ended.code}'}). All output: {_log_command(source, ended)}"
            )
        await report.detail(f"passed in {report.elapsed()}")
        return TestResult(plan.test, True, round(took, 2), summary or "exit code 0")

    async def _run(
        self, step: pods.Step, report: Report, remember: Callable[[str], None] = lambda line: None
    ) -> pods.Ended:
        async def show(line: str) -> None:
            await report.detail(line)

        flood = Flood(show, self.limits.shown_lines, seen=remember)
        ended = await pods.run(self.client, self.clock, self.random, step, flood.feed)
        await flood.finish(f"kubectl logs -n {meta.namespace(step.app)} {ended.pod}")
        return ended


def runtime_environment(layer: Path, files: Files) -> dict[str, str]:
    """What an app and its tests see. `src` is on the path of repositories in that layout: their own package is not
    installed, since its files come with the app's layer."""
    venv = layer / "venv"
    environment = {
        "VIRTUAL_ENV": str(venv),
        "PATH": f"{venv}/bin:/usr/local/bin:/usr/bin:/bin",
        "PYTHONUNBUFFERED": "1",
        "LANG": "C.UTF-8",
    }
    if any(path.startswith("src/") and path.endswith(".py") for path in files.paths):
        environment["PYTHONPATH"] = "src"
    return environment


def shell_command(line: str) -> str:
    """A shell line to be run by `sh -c`. The shell steps aside where it can, so that SIGTERM reaches the app itself."""
    simple = not re.search(r"[;&|<>(){}\n]", line) and not re.match(r"\s*(?:\w+=|exec\b|cd\b|\.\s|export\b)", line)
    return f"exec {line}" if simple else line


def _time_limit(app: Object, what: str, default: int) -> int:
    """`spec.build.timeoutSeconds` or `spec.tests.timeoutSeconds` of the App."""
    return int(((app.get("spec") or {}).get(what) or {}).get("timeoutSeconds") or default)


def _log_command(source: Source, ended: pods.Ended) -> str:
    return f"kubectl logs -n {meta.namespace(source.app)} {ended.pod}"
