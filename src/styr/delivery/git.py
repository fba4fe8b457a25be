"""The machine's `git`, run with settings and an environment of our own: nothing of the user's or the machine's
configuration, of the repository's own hooks, or of a filter takes part. Called by `source`, `push` and `landing`.
Never decides what is accepted.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from styr.delivery.tree import Entry, Limits, TreeError, check, check_links, parse

ZERO = "0" * 40
_LENIENT = ("badTimezone", "missingSpaceBeforeDate", "zeroPaddedFilemode")
"""Blemishes in the history of many old, honest repositories; harmless to us."""


class GitError(Exception):
    """git failed; the text is its own."""


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", "/usr/local/bin:/usr/bin:/bin"),
        "HOME": "/nonexistent",
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ATTR_NOSYSTEM": "1",
        **(extra or {}),
    }


def command(repository: Path, *arguments: str, settings: Mapping[str, str] | None = None) -> list[str]:
    flags = [word for key, value in (settings or {}).items() for word in ("-c", f"{key}={value}")]
    return ["git", *flags, f"--git-dir={repository}", *arguments]


def receive_settings(hooks: Path, limits: Limits) -> dict[str, str]:
    """What a push must obey. On the command line, so that no file of the repository can say otherwise."""
    return {
        "core.hooksPath": str(hooks),
        "transfer.fsckObjects": "true",
        "receive.fsckObjects": "true",
        "receive.maxInputSize": str(limits.pack),
        "receive.denyDeletes": "true",
        "receive.denyNonFastForwards": "false",
        "receive.denyCurrentBranch": "ignore",
        "receive.advertisePushOptions": "true",
        "receive.advertiseAtomic": "true",
        "receive.autogc": "false",
        "receive.updateServerInfo": "false",
        "transfer.hideRefs": "refs/styr",
        **{f"receive.fsck.{name}": "warn" for name in _LENIENT},
    }


async def run(
    repository: Path, *arguments: str, stdin: bytes = b"", extra: Mapping[str, str] | None = None, timeout: float = 60
) -> bytes:
    """Runs one git command to its end. Raises `GitError` with its stderr."""
    process = await asyncio.create_subprocess_exec(
        *command(repository, *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(extra),
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(timeout):
            out, err = await process.communicate(stdin)
    finally:
        await stop(process)
    if process.returncode:
        raise GitError(f"git {arguments[0]} failed in {repository}: {err.decode(errors='replace').strip()}")
    return out


async def stop(process: asyncio.subprocess.Process, grace: float = 5.0) -> None:
    """Ends a process and its group: SIGTERM first, so that git removes its quarantine, then SIGKILL."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await process.wait()


async def ensure(repository: Path, branch: str) -> None:
    """Makes the bare repository if it is not there, and points its HEAD at the branch that deploys."""
    if not (repository / "HEAD").exists():
        repository.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        await run(repository, "init", "--quiet", "--bare", "--template=", f"--initial-branch={branch}")
    elif (repository / "HEAD").read_text().strip() != f"ref: refs/heads/{branch}":
        await run(repository, "symbolic-ref", "HEAD", f"refs/heads/{branch}")


async def tip(repository: Path, branch: str) -> str:
    """The commit the branch points at; "" when there is none."""
    try:
        return (
            (await run(repository, "rev-parse", "--verify", "--quiet", f"refs/heads/{branch}^{{commit}}"))
            .decode()
            .strip()
        )
    except GitError:
        return ""


async def subject(repository: Path, commit: str, extra: Mapping[str, str]) -> tuple[str, str]:
    """(tree id, first line of the message) of a commit. Raises `GitError` when it is no commit."""
    out = await run(repository, "log", "-1", "--no-show-signature", "--format=%T%x00%s", commit, "--", extra=extra)
    tree, _, line = out.decode(errors="replace").partition("\0")
    return tree.strip(), line.strip()[:200]


async def entries(repository: Path, commit: str, limits: Limits, extra: Mapping[str, str]) -> list[Entry]:
    """The checked listing of a commit's tree. Raises `TreeError`, `GitError`."""
    found = parse(await run(repository, "ls-tree", "-r", "-z", "-l", "--full-tree", commit, extra=extra))
    check(found, limits)
    links = [entry for entry in found if entry.is_link]
    for entry in links:
        if entry.size > limits.path:
            raise TreeError(f"the target of the symbolic link {entry.path} is {entry.size} bytes long")
    targets = {}
    async for entry, content in blobs(repository, links, extra):
        targets[entry.path] = content.decode("utf-8", "surrogateescape")
    check_links(targets)
    return found


async def blobs(
    repository: Path, wanted: Sequence[Entry], extra: Mapping[str, str]
) -> AsyncIterator[tuple[Entry, bytes]]:
    """The contents of the entries, in order, as they are stored: no attribute or filter is applied."""
    if not wanted:
        return
    process = await asyncio.create_subprocess_exec(
        *command(repository, "cat-file", "--batch", "--buffer"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=environment(extra),
        start_new_session=True,
    )
    assert process.stdin
    assert process.stdout
    feeder = asyncio.create_task(_ask(process.stdin, wanted))
    try:
        for entry in wanted:
            header = (await process.stdout.readline()).decode().split()
            if len(header) != 3 or header[1] != "blob":
                raise GitError(f"{entry.path}: its contents ({entry.oid}) are missing from the push")
            content = await process.stdout.readexactly(int(header[2]))
            await process.stdout.readexactly(1)
            yield entry, content
    finally:
        feeder.cancel()
        await asyncio.gather(feeder, return_exceptions=True)
        await stop(process)


async def _ask(stdin: asyncio.StreamWriter, wanted: Sequence[Entry]) -> None:
    for entry in wanted:
        stdin.write(f"{entry.oid}\n".encode())
        await stdin.drain()
    stdin.close()


async def export(repository: Path, wanted: Sequence[Entry], destination: Path, extra: Mapping[str, str]) -> None:
    """Writes checked entries into a fresh directory. Links come last and nothing is written through one."""
    destination.mkdir(parents=True)  # noqa: ASYNC240 (one call, on a local disk)
    links: list[tuple[Path, bytes]] = []
    async for entry, content in blobs(repository, wanted, extra):
        path = destination / entry.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if entry.is_link:
            links.append((path, content))
            continue
        descriptor = os.open(
            path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o755 if entry.is_executable else 0o644
        )
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    for path, target in links:
        os.symlink(target, bytes(path))
