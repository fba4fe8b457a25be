"""What every `Runtime` promises. An implementation inherits `RuntimeContract` in a test class and gives `make`.

class TestProcess(RuntimeContract):
    def make(self) -> Runtime: return ProcessRuntime()
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from styr.node.entries import Reader, Wanted
from styr.node.runtimes.base import Handle, Launch, Runtime, RuntimeFailed


class RuntimeContract:
    def make(self) -> Runtime:
        raise NotImplementedError

    @pytest.fixture
    def runtime(self) -> Runtime:
        return self.make()

    async def run(self, runtime: Runtime, folder: Path, *argv: str, **env: str) -> tuple[int, int, str]:
        launch = launch_in(folder, *argv, **env)
        handle = runtime.start(launch, lambda _: None)
        end = await asyncio.wait_for(runtime.wait(handle, launch.exit), 20)
        assert not runtime.alive(handle)
        return end.code, end.signal, end.error or said(launch)

    async def test_output_and_code(self, runtime: Runtime, tmp_path: Path) -> None:
        assert await self.run(runtime, tmp_path, "/bin/sh", "-c", "echo out; echo err >&2; exit 5") == (
            5,
            0,
            "out\nerr\n",
        )

    async def test_a_signal_is_told(self, runtime: Runtime, tmp_path: Path) -> None:
        code, number, _ = await self.run(runtime, tmp_path, "/bin/sh", "-c", "kill -15 $$")
        assert (code, number) == (143, 15)

    async def test_exactly_the_given_environment(self, runtime: Runtime, tmp_path: Path) -> None:
        _, _, text = await self.run(runtime, tmp_path, "/usr/bin/env", A="1", B="x=y z\u00e9")
        assert sorted(text.splitlines()) == ["A=1", "B=x=y z\u00e9"]

    async def test_the_working_directory(self, runtime: Runtime, tmp_path: Path) -> None:
        assert (await self.run(runtime, tmp_path, "/bin/sh", "-c", "pwd -P"))[2].strip() == str(tmp_path.resolve())

    async def test_a_program_that_is_not_there(self, runtime: Runtime, tmp_path: Path) -> None:
        code, number, error = await self.run(runtime, tmp_path, "no-such-program", PATH="/usr/bin:/bin")
        assert (code, number) == (128, 0)
        assert "no-such-program" in error

    async def test_the_handle_is_recorded_before_the_app_runs(self, runtime: Runtime, tmp_path: Path) -> None:
        launch, seen = launch_in(tmp_path, "/bin/sh", "-c", "echo x"), []

        def record(handle: Handle) -> None:
            time.sleep(0.05)
            seen.append((handle, launch.log.exists()))

        handle = runtime.start(launch, record)
        await runtime.wait(handle, launch.exit)
        assert seen == [(handle, False)]

    async def test_a_record_that_fails_starts_nothing(self, runtime: Runtime, tmp_path: Path) -> None:
        launch = launch_in(tmp_path, "/bin/sh", "-c", "touch ran")

        def full(_: Handle) -> None:
            raise OSError(28, "No space left on device")

        with pytest.raises((OSError, RuntimeFailed)):
            runtime.start(launch, full)
        await self.run(runtime, tmp_path, "/bin/sh", "-c", "exit 0")
        assert not (tmp_path / "ran").exists()

    async def test_terminate_asks(self, runtime: Runtime, tmp_path: Path) -> None:
        script = "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.02; done"
        launch = launch_in(tmp_path, "/bin/sh", "-c", script, PATH="/usr/bin:/bin")
        handle = runtime.start(launch, lambda _: None)
        await until(lambda: launch.log.exists() and said(launch) == "up\n")
        runtime.terminate(handle)
        end = await asyncio.wait_for(runtime.wait(handle, launch.exit), 20)
        assert end.code == 3
        assert said(launch, "stdout") == "up\nbye\n"

    async def test_kill_ends_all_that_it_left_behind(self, runtime: Runtime, tmp_path: Path) -> None:
        script = "trap '' TERM; (setsid sh -c 'trap \"\" TERM; echo $$ > child; sleep 1000' &) ; sleep 1000"
        launch = launch_in(tmp_path, "/bin/sh", "-c", script, PATH="/usr/bin:/bin")
        handle = runtime.start(launch, lambda _: None)
        child = tmp_path / "child"
        await until(lambda: child.exists() and child.read_text())
        assert runtime.alive(handle)
        await asyncio.wait_for(runtime.kill(handle, tmp_path), 20)
        assert not Path(f"/proc/{child.read_text().strip()}").exists()
        assert (await runtime.wait(handle, launch.exit)).code == 137

    async def test_another_instance_takes_over(self, runtime: Runtime, tmp_path: Path) -> None:
        launch = launch_in(tmp_path, "/bin/sh", "-c", "sleep 0.2; exit 9")
        handle = runtime.start(launch, lambda _: None)
        other = self.make()
        assert other.alive(handle)
        assert (await asyncio.wait_for(other.wait(handle, launch.exit), 20)).code == 9

    async def test_ending_what_has_ended(self, runtime: Runtime, tmp_path: Path) -> None:
        launch = launch_in(tmp_path, "/bin/sh", "-c", "exit 0")
        handle = runtime.start(launch, lambda _: None)
        await runtime.wait(handle, launch.exit)
        runtime.terminate(handle)
        await runtime.kill(handle, tmp_path)
        assert await runtime.sweep(tmp_path) == 0

    async def test_a_nul_is_refused(self, runtime: Runtime, tmp_path: Path) -> None:
        with pytest.raises(RuntimeFailed, match="NUL"):
            runtime.start(launch_in(tmp_path, "/bin/echo", "a\0b"), lambda _: None)

    async def test_many_at_once(self, runtime: Runtime, tmp_path: Path) -> None:
        async def one(number: int) -> int:
            folder = tmp_path / str(number)
            folder.mkdir()
            return (await self.run(runtime, folder, "/bin/sh", "-c", f"exit {number}"))[0]

        assert await asyncio.gather(*map(one, range(12))) == list(range(12))


def launch_in(folder: Path, *argv: str, **env: str) -> Launch:
    return Launch(argv, env, folder, folder / "app.log", folder / "app.exit", writable=(folder,))


def said(launch: Launch, stream: str = "") -> str:
    """What it wrote; between the two streams no order is promised."""
    lines = launch.log.read_bytes().split(b"\n")[:-1]
    return Reader(Wanted(stream=stream.encode())).text(lines).decode()


async def until(test: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not test():
        assert time.monotonic() < deadline, "it never happened"
        await asyncio.sleep(0.02)
