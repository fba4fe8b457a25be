"""The metrics engine as a process: `python -m styr.metrics.process --data-dir DIR --port N`. Started by `styr.metrics.launch`.

It listens at once and answers `/-/healthy`, while everything else is imported and the data directory is read; then `/-/ready`
turns 200, and DIR/process.json says who and where. SIGTERM and SIGINT close cleanly: every open chunk is in a file. SIGKILL
loses nothing that was acknowledged. SIGHUP reads the configuration again. A data directory that cannot be opened ends the
process with a sentence and exit status 1.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import json
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict
from random import SystemRandom
from typing import TYPE_CHECKING, Any

from styr.kinds.transport import Handler, Request, Response, User
from styr.kit import log as logging
from styr.kit.clock import Clock, SystemClock
from styr.kit.files import write_atomic
from styr.kit.log import Log
from styr.kit.process import ProcessId
from styr.metrics.options import Options, parse
from styr.serving import http
from styr.serving.authn import ADMIN, Authenticator

if TYPE_CHECKING:
    from styr.metrics.assemble import Engine
    from styr.metrics.intake import Intake
    from styr.metrics.web.api import Api

log = Log("styr.metrics.process")

_TURN = 0.001
"""Seconds that a thread may keep the GIL from others. An answer gives it up at some eight system calls, and gets it back after
so long each time while maintenance runs: Python's own 5 ms made 40 ms of a query."""

PROTECTED = ("/api", "/federate", "/metrics", "/-/reload")
"""Prefixes that need a credential; bodies below them may be large."""


class Door:
    """What listens from the first moment on; hands on to the API when there is one."""

    def __init__(self) -> None:
        self.handler: Handler | None = None

    async def __call__(self, request: Request, /) -> Response:
        if self.handler is not None:
            return await self.handler(request)
        if request.path == "/-/healthy":
            return Response(200, b"Styr metrics is Healthy.\n")
        return Response(503, b"Service Unavailable: starting\n", {"retry-after": "1"})


def authenticator(options: Options) -> Any:
    """Token or password from the file; without a file everybody may. Raises OSError."""
    if options.token_file is None:
        return _anybody
    token = options.token_file.read_text().strip()
    if not token:
        raise OSError(f"{options.token_file} is empty: it must hold the token")
    return Authenticator({token: ADMIN})


def _anybody(_headers: Mapping[str, str], _certificate: Mapping[str, Any] | None = None) -> User:
    return ADMIN


class Process:
    """One run, from the first byte to the last."""

    def __init__(self, options: Options, clock: Clock) -> None:
        self.options, self.clock = options, clock
        self.door = Door()
        self.stopping = asyncio.Event()
        self.port = 0
        self._intake: Intake | None = None
        self._engine: Engine | None = None
        self._api: Api | None = None
        self._reloading: asyncio.Task[None] | None = None

    def reload(self) -> None:
        """SIGHUP: reads the configuration again; what is wrong with it is told in the log."""
        if self._engine is not None:
            self._reloading = asyncio.create_task(self._reload(self._engine))

    async def _reload(self, engine: Engine) -> None:
        try:
            await engine.reload()
        except Exception as error:
            _tell(error)

    async def run(self) -> int:
        """The exit status."""
        try:
            server = await http.serve(
                self.door,
                host=self.options.host,
                port=self.options.port,
                tls=None,
                authenticate=authenticator(self.options),
                streaming_prefixes=PROTECTED,
            )
        except OSError as error:
            log.error("cannot start", cause=error)
            return 1
        self.port = server.port
        log.info("listening", address=f"http://{self.options.host}:{server.port}")
        work = asyncio.create_task(self._work())
        stop = asyncio.create_task(self.stopping.wait())
        await asyncio.wait((work, stop), return_when=asyncio.FIRST_COMPLETED)
        for task in (work, stop):
            task.cancel()
        results = await asyncio.gather(work, stop, return_exceptions=True)
        await server.close()
        return await self._close(results[0])

    async def _work(self) -> None:
        """Reading the data directory and importing the rest (half a second with numba's part) go side by side: kernels leave
        the GIL."""
        room = await asyncio.to_thread(importlib.import_module, "styr.metrics.intake")
        opening = asyncio.create_task(asyncio.to_thread(room.open_intake, self.options, self.clock, SystemRandom()))
        importing = asyncio.create_task(asyncio.to_thread(importlib.import_module, "styr.metrics.assemble"))
        self._intake = intake = await opening
        intake.start()
        assemble = await importing
        self._api = assemble.api_of(assemble.parts_of(self.options, self.clock), self.options)
        self.door.handler = self._api
        self._engine = engine = assemble.Engine(intake)
        engine.install(self._api)
        # What stands now stands to the end: later collections need not look at it.
        gc.freeze()
        gc.enable()
        self._write_record()
        log.info("ready", pid=os.getpid())
        warming = None if self.options.lazy_kernels else asyncio.create_task(_compile_beside())
        try:
            await engine.run()
        finally:
            if warming is not None:
                warming.cancel()
                await asyncio.gather(warming, return_exceptions=True)

    def _write_record(self) -> None:
        who = ProcessId.of(os.getpid())
        record = {"pid": who.pid, "start": who.started, "port": self.port, **asdict(who)}
        write_atomic(self.options.data_dir / "process.json", json.dumps(record) + "\n")

    async def _close(self, failure: Any) -> int:
        """Closes the storage; 1 for a failure, which is told."""
        status = 0
        if isinstance(failure, Exception):
            _tell(failure)
            status = 1
        if self._api is not None:
            self._api.close()
        if (opened := self._engine or self._intake) is not None:
            try:
                await opened.close()
            except Exception as error:
                log.error("the storage could not be closed; the log is whole, and will be read", error)
                status = 1
            with contextlib.suppress(OSError):
                (self.options.data_dir / "process.json").unlink()
        log.info("stopped", status=status)
        return status


def _tell(failure: Exception) -> None:
    from styr.metrics.model.errors import MetricsError

    if isinstance(failure, (MetricsError, OSError)):
        log.error("cannot go on", cause=failure)
    else:
        log.error("failed", failure)


async def _compile_beside() -> None:
    from styr.metrics.warm import compile_beside

    await compile_beside()


async def serve(options: Options) -> int:
    """Until SIGTERM or SIGINT."""
    process = Process(options, SystemClock())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, process.stopping.set)
    loop.add_signal_handler(signal.SIGHUP, process.reload)
    return await process.run()


def main() -> None:
    """The way in."""
    options = parse(sys.argv[1:])
    logging.setup()
    sys.setswitchinterval(_TURN)
    gc.disable()  # Until all is imported, which makes no garbage and would be looked through a fifth of the time.
    status = asyncio.new_event_loop().run_until_complete(serve(options))
    sys.stderr.flush()
    # The storage is closed. What threads may still do (compile a kernel, end a query of nobody) is not waited for.
    os._exit(status)


if __name__ == "__main__":
    main()
