"""A real platform for a test module: `styr up` in a temporary folder, stopped at the end."""

import asyncio
import os
from pathlib import Path

import pytest

from styr.cli.demo.platform import Platform


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    """One Styr for all tests of a module; each test brings its own app."""
    made = Platform(tmp_path_factory.mktemp("styr"))
    asyncio.run(made.styr("up", "--detach", "--port", "0"))
    yield made
    asyncio.run(made.styr("down"))
    assert made.folder.running_pid() is None


@pytest.fixture
def app(platform, tmp_path):
    """A factory of apps: `await app("name", {"main.py": "..."})` is a linked repository with one commit."""

    async def make(name: str, files: dict[str, str], **spec: object) -> "App":
        made = App(platform, tmp_path / name, name)
        await made.make(files, spec)
        return made

    return make


os.environ.setdefault("STYR_WITHOUT_METRICS", "1")
"""These tests are of the platform; those of the metrics process ask for it."""


class App(Platform):
    """One more repository on the same Styr."""

    def __init__(self, platform: Platform, repository: Path, name: str) -> None:
        super().__init__(platform.folder.path.parent)
        self.repository = repository
        self.name = name

    async def make(self, files: dict[str, str], spec: dict[str, object]) -> None:
        self.repository.mkdir()
        await self.write(files)
        for arguments in (
            ("init", "-q", "-b", "main"),
            ("config", "user.name", "T"),
            ("config", "user.email", "t@localhost"),
        ):
            assert (await self.git(*arguments)).code == 0
        assert (await self.git("add", "-A")).code == 0
        assert (await self.git("commit", "-q", "-m", "First")).code == 0
        await self.styr("link", self.name)
        if spec:
            from styr.kinds.resources import APP

            client = self.client()
            await client.patch(APP, self.name, "default", {"spec": spec})
            await client.close()

    async def write(self, files: dict[str, str]) -> None:
        for path, text in files.items():
            file = self.repository / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    async def change(self, files: dict[str, str], subject: str = "Change") -> None:
        await self.write(files)
        assert (await self.git("add", "-A")).code == 0
        assert (await self.git("commit", "-q", "-m", subject)).code == 0

    async def push(self, *options: str):
        """`git push` attached: returns when the release has its verdict, with all that the pusher saw."""
        return await asyncio.wait_for(self.git("push", *options, "styr", "main"), 120)

    async def get(self, path: str = "/"):
        """A user's request through Envoy."""
        from styr.kit.http import fetch

        return await fetch("GET", "127.0.0.1", self.port, path, host_header=f"{self.name}.localhost", timeout=10)


def pytest_collection_modifyitems(items):
    """`needs_index`: the test builds an app with packages from the package index. In CI it always runs."""
    wanted = os.environ.get("CI") == "true" or os.environ.get("STYR_TEST_INDEX") == "1"
    for item in items:
        if item.get_closest_marker("needs_index") and not wanted:
            item.add_marker(pytest.mark.skip(reason="needs the package index: set STYR_TEST_INDEX=1"))
