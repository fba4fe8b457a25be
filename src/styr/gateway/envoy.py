"""The Envoy process: started, adopted, watched, restarted, stopped.

Called by `gateway`. Calls `bootstrap`, `admin`. Envoy runs in a session of its own and outlives the control
plane: SIGKILL of Styr leaves it serving its last configuration, and the next start adopts it, by pid and start time and
by a handshake on its admin socket. Only `stop()` ends it. Never tells Envoy any route: that is `xds`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import resource
import shutil
import signal
import stat
import subprocess
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from styr.gateway import admin
from styr.gateway.bootstrap import bootstrap
from styr.gateway.protos import GatewayError
from styr.kit.clock import Clock
from styr.kit.files import write_atomic
from styr.kit.log import Log
from styr.kit.process import ProcessId

log = Log("styr.gateway.envoy")

_LONGEST_SOCKET = 100
"""A Unix socket's path must fit into 108 bytes (104 on macOS) with its terminating zero."""


class EnvoyDied(GatewayError):
    """Envoy was started and ended at once. The message carries the end of its log."""


class PortTaken(GatewayError):
    """Another program listens on the gateway's port."""


@dataclass(frozen=True, slots=True)
class EnvoyFiles:
    """Where one Envoy keeps things. `run` holds the sockets: `data` itself, or a short folder when that path is too long."""

    data: Path
    run: Path
    xds: Path = field(init=False)
    admin: Path = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "xds", self.run / "xds.sock")
        object.__setattr__(self, "admin", self.run / "admin.sock")

    @classmethod
    def prepare(cls, data: Path) -> EnvoyFiles:
        """Makes the folders, mode 0700. Raises GatewayError when another user holds the short one."""
        data = data.absolute()
        _private(data)
        run = data
        if len(os.fsencode(data / "admin.sock")) > _LONGEST_SOCKET:
            base = os.environ.get("XDG_RUNTIME_DIR") or "/tmp"  # noqa: S108 made 0700 and checked below
            if len(base) > 60:
                base = "/tmp"  # noqa: S108
            run = Path(base) / f"styr-{os.getuid()}-{hashlib.sha256(os.fsencode(data)).hexdigest()[:12]}"
            _private(run)
        return cls(data, run)


def _private(path: Path) -> None:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise GatewayError(f"{path} belongs to another user or is no folder; remove it and run `styr up` again")
    if status.st_mode & 0o077:
        path.chmod(0o700)


class Envoy:
    """One Envoy. `start()` once, then `supervise()` as a task; `identity` names the process that now runs."""

    def __init__(
        self, binary: Path, files: EnvoyFiles, clock: Clock, *, concurrency: int = 2, log_limit: int = 10 << 20
    ) -> None:
        self.binary = binary
        self.files = files
        self.clock = clock
        self.concurrency = concurrency
        self.log_limit = log_limit
        self.identity: ProcessId | None = None
        self.adopted = False
        self.restarts = 0
        self._child: subprocess.Popen[bytes] | None = None
        self._stopping = False

    @property
    def running(self) -> bool:
        return self.identity is not None and self.identity.alive()

    @property
    def epoch(self) -> str:
        """Changes when another process, whose counters start from zero, takes over. Empty when none runs."""
        return f"{self.identity.pid}-{self.identity.started}" if self.identity is not None else ""

    async def start(self) -> None:
        """Adopts the Envoy of an earlier run, or starts one. Returns when its admin socket answers. Raises `EnvoyDied`."""
        wanted = json.dumps(bootstrap(self.files.xds, self.files.admin), indent=1, sort_keys=True)
        command = self._command()
        fingerprint = hashlib.sha256((wanted + "\0".join(command)).encode()).hexdigest()
        if await self._adopt(fingerprint):
            return
        write_atomic(self.files.data / "bootstrap.json", wanted)
        await self._spawn(command, fingerprint)

    def _command(self) -> list[str]:
        return [
            str(self.binary),
            *("--config-path", str(self.files.data / "bootstrap.json")),
            *("--concurrency", str(self.concurrency)),
            *("--log-path", str(self.files.data / "envoy.log")),
            *("--log-level", "warning"),
            *("--drain-time-s", "5"),
            "--disable-hot-restart",
        ]

    async def _adopt(self, fingerprint: str) -> bool:
        old = recorded(self.files.data)
        if old is None:
            return False
        record = json.loads((self.files.data / "envoy.json").read_text())
        if record.get("fingerprint") == fingerprint and await self._answers():
            self.identity, self.adopted = old, True
            log.info("adopted Envoy", pid=old.pid)
            return True
        log.warning("Envoy has other settings or does not answer: replacing it", pid=old.pid)
        await self._end(old)
        return False

    async def _answers(self) -> bool:
        with contextlib.suppress(OSError, ValueError):
            info = await admin.call_json(self.files.admin, "/server_info", timeout=3.0)
            return isinstance(info, dict) and info.get("state") in ("LIVE", "INITIALIZING", "PRE_INITIALIZING")
        return False

    async def _spawn(self, command: list[str], fingerprint: str) -> None:
        self.files.admin.unlink(missing_ok=True)
        with (self.files.data / "envoy.stderr").open("wb") as errors:
            self._child = subprocess.Popen(  # noqa: ASYNC220 a fork and exec, about 2 ms
                command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, start_new_session=True, cwd="/"
            )
        _raise_file_limit(self._child.pid)
        self.identity, self.adopted = ProcessId.of(self._child.pid), False
        write_atomic(self.files.data / "envoy.json", json.dumps({**asdict(self.identity), "fingerprint": fingerprint}))
        deadline = self.clock.monotonic() + 20.0
        while not await self._answers():
            if self._child.poll() is not None or self.clock.monotonic() > deadline:
                code = self._child.poll()
                await self._end(self.identity)
                raise EnvoyDied(
                    f"Envoy did not start (exit status {code}): {self._last_words()}; see {self.files.data / 'envoy.log'}"
                )
            await self.clock.sleep(0.01)

    def _last_words(self) -> str:
        for name in ("envoy.stderr", "envoy.log"):
            with contextlib.suppress(OSError):
                lines = (self.files.data / name).read_bytes()[-4000:].decode(errors="replace").strip().splitlines()
                if lines:
                    return lines[-1][:500]
        return "it wrote nothing"

    async def supervise(self) -> None:
        """Until cancelled: starts Envoy again when it ends (0.1 s, doubling to 10 s), keeps its log small."""
        delay, healthy_since = 0.1, self.clock.monotonic()
        while not self._stopping:
            await self.clock.sleep(0.25)
            if self._child is not None:
                self._child.poll()
            if self.running:
                if self.clock.monotonic() - healthy_since > 30:
                    delay = 0.1
                await self._rotate()
                continue
            log.error("Envoy ended; starting it again", after=f"{delay:.1f}s")
            await self.clock.sleep(delay)
            delay = min(delay * 2, 10.0)
            self.restarts += 1
            try:
                await self.start()
            except (GatewayError, OSError) as error:
                log.error("Envoy could not be started again", cause=error)
            healthy_since = self.clock.monotonic()

    async def _rotate(self) -> None:
        path = self.files.data / "envoy.log"
        with contextlib.suppress(OSError, ValueError):
            if path.stat().st_size > self.log_limit:
                os.replace(path, path.with_suffix(".log.1"))
                await admin.call(self.files.admin, "/reopen_logs", method="POST")

    async def stop(self) -> None:
        """Ends Envoy: SIGTERM, after 5 s SIGKILL. Only for `styr down`; open connections are cut."""
        self._stopping = True
        if self.identity is not None:
            await self._end(self.identity)
        (self.files.data / "envoy.json").unlink(missing_ok=True)
        if self.files.run != self.files.data:
            shutil.rmtree(self.files.run, ignore_errors=True)

    async def _end(self, target: ProcessId) -> None:
        target.signal(signal.SIGTERM)
        deadline = self.clock.monotonic() + 5.0
        while target.alive():
            if self._child is not None and self._child.pid == target.pid and self._child.poll() is not None:
                break
            if self.clock.monotonic() > deadline:
                target.signal(signal.SIGKILL)
            await self.clock.sleep(0.01)
        if self._child is not None and self._child.pid == target.pid:
            self._child.poll()


def _raise_file_limit(pid: int) -> None:
    """Each proxied connection costs two descriptors; the usual soft limit of 1,024 would be felt."""
    if hasattr(resource, "prlimit"):
        with contextlib.suppress(OSError, ValueError):
            _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (min(hard, 65536) if hard > 0 else 65536, hard))


def recorded(data: Path) -> ProcessId | None:
    """The Envoy that `DIR/envoy/envoy.json` names, if it runs."""
    try:
        record = json.loads((data / "envoy.json").read_text())
        found = ProcessId(int(record["pid"]), int(record["started"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if found.alive() else None


def stop_envoy(data_dir: Path) -> bool:
    """For `styr down` when no control plane runs: ends the Envoy of this data folder. False when none ran. Blocks for at
    most 7 s."""
    data = data_dir / "envoy"
    target = recorded(data)
    if target is not None:
        for number, seconds in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 2.0)):
            target.signal(number)
            deadline = time.monotonic() + seconds
            while target.alive() and time.monotonic() < deadline:
                time.sleep(0.01)
            if not target.alive():
                break
    (data / "envoy.json").unlink(missing_ok=True)
    return target is not None
