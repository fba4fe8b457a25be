"""Plays a case with one program. Called by the tests and by the report; calls the program and the scene, decides nothing."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from styr.kit.http import fetch
from tests.conformance.clients.case import Begin, Case, Do, Fetch, Gone, Has, Make, Sees, Step
from tests.conformance.clients.scene import Scene

PATIENCE = 30.0
"""Seconds for one run."""


def kubectl(program: str, scene: Scene, cache: Path) -> Player:
    """`cache` is where it keeps what it has discovered."""
    return Player(program, scene, (f"--cache-dir={cache}",))


class Player:
    """One case on one scene with one program, which gets `flags` before its own words."""

    def __init__(self, program: str, scene: Scene, flags: tuple[str, ...] = ()) -> None:
        self.program = program
        self.scene = scene
        self.flags = flags
        self.caught: tuple[str, ...] = ()
        self.begun: list[Running] = []

    async def play(self, case: Case) -> None:
        try:
            for step in case.steps:
                await self.step(step)
        finally:
            for running in self.begun:
                await running.stop()

    async def step(self, step: Step) -> None:
        match step:
            case Make(obj):
                await self.scene.make(obj)
            case Has(ref, like):
                await self.scene.has(self._filled(ref), like)
            case Gone(ref):
                await self.scene.gone(self._filled(ref))
            case Do():
                await self.do(step)
            case Begin(words, says, stdin):
                running = Running(await self._start(words, {}, stdin is not None), words)
                self.begun.append(running)
                if stdin is not None:
                    running.say(stdin)
                self.caught = await running.sees(self._filled(says)) or self.caught
            case Sees(says, ends):
                self.caught = await self.begun[-1].sees(self._filled(says), ends=ends) or self.caught
            case Fetch(url, says):
                parts = re.fullmatch(r"http://([^:/]+):(\d+)(/.*)", self._filled(url))
                assert parts, url
                answer = await fetch("GET", parts[1], int(parts[2]), parts[3], timeout=30)
                _must_say(says, answer.body.decode(errors="replace"), step)

    async def do(self, step: Do) -> None:
        for name, content in step.files.items():
            (self.scene.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.scene.folder / name).write_text(self._text(content))
            (self.scene.folder / name).chmod(0o755)
        process = await self._start(step.words, step.env, True)
        try:
            out, err = await asyncio.wait_for(process.communicate(self._text(step.stdin).encode()), PATIENCE)
        except TimeoutError:
            process.kill()
            out, err = await process.communicate()
            raise AssertionError(
                f"{self.program} {step.words}: no end after {PATIENCE:.0f} s; said\n{(out + err).decode()}"
            ) from None
        said = (out + err).decode(errors="replace")
        told = f"{self.program} {self._filled(step.words)}: code {process.returncode}\n{said}"
        assert process.returncode == step.code if step.code is not None else process.returncode != 0, told
        self.caught = _must_say(self._filled(step.says), said, told) or self.caught
        assert not step.silent or not re.search(self._filled(step.silent), said), told

    async def _start(self, words: str, env: Mapping[str, str], stdin: bool) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            self.program,
            *self.flags,
            *shlex.split(self._filled(words)),
            cwd=self.scene.folder,
            env={**environment(self.scene), **{key: self._filled(value) for key, value in env.items()}},
            stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    def _filled(self, text: str) -> str:
        for number, found in enumerate(self.caught, 1):
            text = text.replace(f"{{{number}}}", found)
        return str(self.scene.fill(text))

    def _text(self, content: Any) -> str:
        """Of a text as it is, of objects as JSON; several are a List."""
        if isinstance(content, str):
            return self._filled(content)
        if isinstance(content, list | tuple):
            content = {"apiVersion": "v1", "kind": "List", "items": content}
        return json.dumps(self.scene.fill(content), indent=1)


def environment(scene: Scene) -> dict[str, str]:
    """A user's, with this kubeconfig and nothing of the machine's own Kubernetes."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("KUBE", "HELM", "XDG_"))}
    return {**kept, "KUBECONFIG": str(scene.kubeconfig), "HOME": str(scene.folder), "NO_PROXY": "*", "TERM": "dumb"}


class Running:
    """A kubectl that goes on. Keeps all that it said."""

    def __init__(self, process: asyncio.subprocess.Process, words: str) -> None:
        self.process = process
        self.words = words
        self.said = ""
        self._from = 0
        self._news = asyncio.Event()
        self._readers = [asyncio.create_task(self._read(stream)) for stream in (process.stdout, process.stderr)]

    async def _read(self, stream: asyncio.StreamReader | None) -> None:
        assert stream is not None
        while data := await stream.read(65536):
            self.said += data.decode(errors="replace")
            self._news.set()
        self._news.set()

    def say(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode())

    async def sees(self, says: str, *, ends: bool = False) -> tuple[str, ...]:
        """Waits until it says so, after what it has said before."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not (found := re.search(says, self.said[self._from :], re.MULTILINE)):
                    assert not all(reader.done() for reader in self._readers), f"{self.words}: ended, said\n{self.said}"
                    await self._news.wait()
                    self._news.clear()
                self._from += found.end()
                if ends:
                    assert await self.process.wait() == 0, self.said
        except TimeoutError:
            raise AssertionError(f"nothing like {says!r} in\n{self.said}") from None
        return found.groups("")

    async def stop(self) -> None:
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                self.process.kill()
        await self.process.wait()
        await asyncio.gather(*self._readers)


def _must_say(says: str, said: str, told: object) -> tuple[str, ...]:
    found = re.search(says, said, re.MULTILINE)
    assert found, f"nothing like {says!r}\n{told}\n{said if str(said) not in str(told) else ''}"
    return found.groups("")
