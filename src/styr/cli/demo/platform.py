"""A Styr in a temporary folder, driven the way a user drives one: by the command line and by git.

Called by `steps` and by the end-to-end tests; runs `python -m styr` and `git` as subprocesses.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from styr.client.client import Client
from styr.client.transport import HttpsTransport
from styr.plane.folder import Folder

SAMPLE = Path(__file__).with_name("sample")


class DemoError(Exception):
    """A command of the demo failed. The text holds the command and what it printed."""


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended. `output` is stdout and stderr in the order they came."""

    code: int
    output: str


class Platform:
    """One Styr on `root/styr` and one git repository in `root/hello`."""

    def __init__(self, root: Path) -> None:
        self.folder = Folder(root / "styr")
        self.repository = root / "hello"
        self.env = {
            **{key: value for key, value in os.environ.items() if not key.startswith("GIT_")},
            "STYR_DATA_DIR": str(self.folder.path),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
        }

    @property
    def port(self) -> int:
        return self.folder.state().gateway_port

    async def styr(self, *arguments: str) -> str:
        """A verb's output. Raises DemoError."""
        done = await self.run([sys.executable, "-m", "styr", *arguments])
        if done.code:
            raise DemoError(f"styr {' '.join(arguments)} failed with {done.code}:\n{done.output}")
        return done.output

    async def git(self, *arguments: str, say: Callable[[str], None] | None = None) -> Done:
        return await self.run(["git", *arguments], say=say)

    async def run(self, command: list[str], *, say: Callable[[str], None] | None = None) -> Done:
        """Runs it in the repository; each line of output is also handed to `say` as it comes."""
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=self.repository if self.repository.exists() else None,
            env=self.env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        assert process.stdout is not None
        lines = []
        async for raw in process.stdout:
            line = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", raw.decode(errors="replace")).rstrip()
            lines.append(line)
            if say and line:
                say(line)
        return Done(await process.wait(), "\n".join(lines))

    async def make_repository(self, *, sample: bool = True) -> None:
        """The sample app, or what already stands in `repository`, with one commit on `main`, linked to this Styr."""
        if sample:
            shutil.copytree(SAMPLE, self.repository, ignore=shutil.ignore_patterns("__pycache__"))
        for arguments in (
            ("init", "-q", "-b", "main"),
            ("config", "user.name", "Demo"),
            ("config", "user.email", "demo@localhost"),
        ):
            await self._must("git", *arguments)
        await self.commit("Greetings")
        await self.styr("link", "hello")

    async def commit(self, subject: str, replacements: dict[str, str] | None = None) -> str:
        """Changes `main.py` by text, commits, returns the commit."""
        source = self.repository / "main.py"
        text = source.read_text()
        for old, new in (replacements or {}).items():
            if old not in text:
                raise DemoError(f"main.py does not contain {old!r}")
            text = text.replace(old, new)
        source.write_text(text)
        await self._must("git", "add", "-A")
        await self._must("git", "commit", "-q", "-m", subject)
        return (await self.git("rev-parse", "HEAD")).output.strip()

    async def _must(self, *command: str) -> None:
        done = await self.run(list(command))
        if done.code:
            raise DemoError(f"{' '.join(command)} failed:\n{done.output}")

    def client(self) -> Client:
        return Client(HttpsTransport.from_kubeconfig(self.folder.require_kubeconfig()), user_agent="styr-demo")

    def kill(self) -> int:
        """SIGKILL to the control plane; returns the pid that died."""
        pid = self.folder.running_pid()
        if pid is None:
            raise DemoError("the control plane does not run")
        os.kill(pid, signal.SIGKILL)
        return pid
