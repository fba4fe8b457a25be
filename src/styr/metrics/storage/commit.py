"""Group commit: one thread that syncs the write-ahead log for all who wait. Called by `head`; calls what it is given.

The policy: `Appender.commit` returns when everything appended before the call is on the disk (fdatasync). Whoever calls while a
sync runs waits for the next one, together with all others: under load there is one sync at a time and every commit costs at
most two. Nothing is synced without a commit except when a segment is full, at a checkpoint and at the close.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future

from styr.metrics.model.errors import MetricsError, Unavailable


class Committer:
    """`request` may be called from any thread."""

    def __init__(self, sync: Callable[[], None]) -> None:
        self._sync = sync
        self._waiting: list[Future[None]] = []
        self._wake = threading.Condition()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def request(self) -> Future[None]:
        """Done after the next sync that begins; its exception is Unavailable when the disk refuses."""
        future: Future[None] = Future()
        with self._wake:
            if self._stopping:
                future.set_exception(Unavailable("the storage is closed"))
                return future
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="wal-sync", daemon=True)
                self._thread.start()
            self._waiting.append(future)
            self._wake.notify()
        return future

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._waiting and not self._stopping:
                    self._wake.wait()
                waiting, self._waiting = self._waiting, []
                if not waiting:
                    return
            self._answer(waiting)

    def _answer(self, waiting: list[Future[None]]) -> None:
        failed: Exception | None = None
        try:
            self._sync()
        except MetricsError as error:
            failed = Unavailable(str(error))
        except Exception as error:
            failed = error
        for future in waiting:
            if not future.set_running_or_notify_cancel():
                continue
            if failed is None:
                future.set_result(None)
            else:
                future.set_exception(failed)

    def stop(self) -> None:
        """Answers who waits, then ends the thread."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
            thread = self._thread
        if thread is not None:
            thread.join()
