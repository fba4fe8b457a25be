"""The launcher's one loop: signals, the app's output into its log, and clients that are attached.

Called by `launcher.py`, which loads it as the plain module `pump`: it imports built-in modules only. Never waits for Styr:
the log is written whoever listens. An attached client that does not read holds up the app, as in Kubernetes, and so does a
full log pipe.

The log is Kubernetes' (CRI): `TIME stdout|stderr F|P TEXT`, P for a part of a line that goes on in the stream's next entry.
What came in one read has one time. docs/formats/log.md has the format, and that of the attach socket.
"""

from __future__ import annotations

import posix
import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHUNK = 64 << 10
MAX_CLIENTS = 16
MAX_FRAME = 1 << 20
STDIN, STDOUT, STDERR, RESIZE, CLOSE = 0, 1, 2, 4, 255
"""What a frame of the attach socket holds."""
WELCOME = bytes((STDIN, 0, 0, 0, 0))
"""Said once the token was right: from here on nothing is missed."""
PATIENCE = 5.0
"""Seconds that attached clients get for what they have not read when the app has ended."""
_NAMES = {STDOUT: b"stdout", STDERR: b"stderr"}
_SIGNAL_SIZE = 128


class Log:
    """A file that is renamed to `.1` when it is longer than `cap`; the older `.1` goes."""

    def __init__(self, path: str, cap: int) -> None:
        self._path, self._cap = path, cap
        self._second, self._text = -1, b""
        self._torn = False
        """The last write did not reach its end: the disk is full."""
        self._open()

    def _open(self) -> None:
        self._file = posix.open(self._path, posix.O_WRONLY | posix.O_APPEND | posix.O_CREAT | posix.O_CLOEXEC, 0o600)
        self._size = posix.fstat(self._file).st_size

    def write(self, stream: int, data: bytes) -> None:
        """A full disk loses what does not fit, and never stops the app."""
        entries = self.entries(stream, data, time.time_ns())
        if self._torn:
            entries = b"\n" + entries
        try:
            while entries:
                done = posix.write(self._file, entries)
                self._size += done
                entries = entries[done:]
                self._torn = bool(entries)
            if self._size > self._cap:
                self._rotate()
        except OSError:
            self._torn = True

    def entries(self, stream: int, data: bytes, now: int) -> bytes:
        second, fraction = divmod(now, 1_000_000_000)
        if second != self._second:
            self._second, self._text = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)).encode()
        head = b"%b.%09dZ %b " % (self._text, fraction, _NAMES[stream])
        whole, newline, part = data.rpartition(b"\n")
        full = head + b"F "
        lines = full + whole.replace(b"\n", b"\n" + full) + b"\n" if newline else b""
        return lines + head + b"P " + part + b"\n" if part else lines

    def _rotate(self) -> None:
        posix.rename(self._path, self._path + ".1")
        posix.close(self._file)
        self._open()


class _Client:
    """Attached, or on the way: it must name the token first."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.known = False
        self.heard = b""
        self.unread = b""


class Pump:
    """`outputs` maps descriptors to streams; `stdin` is -1 without one, and the terminal's descriptor when the app has one.
    `once`: the input ends with that of a client. `accept` takes a client from the listener, `resize` tells a terminal its
    columns and rows."""

    def __init__(
        self, signals: int, log: Log | None = None, outputs: dict[int, int] | None = None, stdin: int = -1, *,
        once: bool = False, listener: int = -1, token: bytes = b"",
        accept: Callable[[int], int] | None = None, resize: Callable[[int, int, int], None] | None = None,
    ) -> None:  # fmt: skip
        self._signals, self._log, self._outputs, self._stdin = signals, log, outputs or {}, stdin
        self._terminal, self._once, self._accept, self._resize = stdin in self._outputs, once, accept, resize
        self._listener, self._token = listener, token
        self._clients: dict[int, _Client] = {}
        self._input = b""
        """What clients typed and the app has not taken."""
        self._closing = False

    def turn(self, seconds: float | None) -> list[int]:
        """Waits until something happens, sees to it, and returns the signals that came."""
        poll = select.poll()
        for descriptor, events in self._wanted().items():
            poll.register(descriptor, events)
        signals: list[int] = []
        for descriptor, _ in poll.poll(None if seconds is None else max(0, int(seconds * 1000))):
            if descriptor == self._signals:
                signals += _signals(descriptor)
            else:
                self._ready(descriptor)
        return signals

    def _wanted(self) -> dict[int, int]:
        """What to wait for: no output while a client has not read the last one, nothing typed while the app does not take
        it."""
        wanted = {self._signals: select.POLLIN}
        if self._listener >= 0:
            wanted[self._listener] = select.POLLIN
        for descriptor, client in self._clients.items():
            wanted[descriptor] = (select.POLLOUT if client.unread else 0) | (0 if self._input else select.POLLIN)
        if not any(client.unread for client in self._clients.values()):
            wanted |= dict.fromkeys(self._outputs, select.POLLIN)
        if self._input and self._stdin >= 0:
            wanted[self._stdin] = wanted.get(self._stdin, 0) | select.POLLOUT
        return wanted

    def _ready(self, descriptor: int) -> None:
        if descriptor in self._outputs:
            self._read_output(descriptor)
        elif descriptor == self._listener:
            self._take_client()
        elif (client := self._clients.get(descriptor)) is not None:
            self._serve(client)
        if descriptor == self._stdin and self._input:
            self._feed()

    # the app's output

    def _read_output(self, descriptor: int) -> bool:
        """False when there is no more of it for now."""
        try:
            data = posix.read(descriptor, CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            data = b""  # a terminal that nobody has open any more
        if not data:
            del self._outputs[descriptor]
            posix.close(descriptor)
            if descriptor == self._stdin:
                self._stdin, self._input = -1, b""
            return False
        stream = self._outputs[descriptor]
        if self._log is not None:
            self._log.write(stream, data)
        frame = bytes((stream,)) + len(data).to_bytes(4, "big") + data
        for client in list(self._clients.values()):
            if client.known:
                client.unread += frame
                self._flush(client)
        return True

    def finish(self) -> None:
        """After the app's last process: the rest of its output, for its log and for whoever is attached."""
        for descriptor in list(self._outputs):
            while self._read_output(descriptor):
                pass
        deadline = time.monotonic() + PATIENCE
        while behind := [client for client in self._clients.values() if client.unread]:
            left = deadline - time.monotonic()
            poll = select.poll()
            for client in behind:
                poll.register(client.descriptor, select.POLLOUT)
            if left <= 0 or not poll.poll(int(left * 1000)):
                return
            for client in behind:
                self._flush(client)

    # its input

    def _feed(self) -> None:
        try:
            self._input = self._input[posix.write(self._stdin, self._input) :]
        except BlockingIOError:
            return
        except OSError:
            self._input = b""
            self._close_stdin()
        if self._closing and not self._input:
            self._close_stdin()

    def _close_stdin(self) -> None:
        if self._stdin >= 0 and not self._terminal:
            posix.close(self._stdin)
            self._stdin = -1

    # clients

    def _take_client(self) -> None:
        assert self._accept is not None
        try:
            descriptor = self._accept(self._listener)
        except OSError:
            return
        if len(self._clients) >= MAX_CLIENTS:
            posix.close(descriptor)
            return
        posix.set_blocking(descriptor, False)
        self._clients[descriptor] = _Client(descriptor)

    def _serve(self, client: _Client) -> None:
        if client.unread and not self._flush(client):
            return
        try:
            data = posix.read(client.descriptor, CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(client)
            return
        client.heard += data
        for kind, body in self._frames(client):
            self._heard(kind, body)

    def _frames(self, client: _Client) -> Iterator[tuple[int, bytes]]:
        if not client.known:
            size = len(self._token)
            if len(client.heard) < size:
                return
            if client.heard[:size] != self._token:
                self._drop(client)
                return
            client.known, client.heard = True, client.heard[size:]
            client.unread += WELCOME
            self._flush(client)
        while len(client.heard) >= 5:
            size = int.from_bytes(client.heard[1:5], "big")
            if size > MAX_FRAME:
                self._drop(client)
                return
            if len(client.heard) < 5 + size:
                return
            kind, body, client.heard = client.heard[0], client.heard[5 : 5 + size], client.heard[5 + size :]
            yield kind, body

    def _heard(self, kind: int, body: bytes) -> None:
        if kind == STDIN and self._stdin >= 0 and not self._closing:
            self._input += body
            self._feed()
        elif kind == CLOSE and self._once:
            self._closing = True
            if not self._input:
                self._close_stdin()
        elif kind == RESIZE and self._resize is not None and self._terminal and len(body) == 4 and self._stdin >= 0:
            self._resize(self._stdin, int.from_bytes(body[:2], "big"), int.from_bytes(body[2:], "big"))

    def _flush(self, client: _Client) -> bool:
        """False when the client has gone, or takes no more for now."""
        try:
            client.unread = client.unread[posix.write(client.descriptor, client.unread) :]
        except BlockingIOError:
            return False
        except OSError:
            self._drop(client)
            return False
        return not client.unread

    def _drop(self, client: _Client) -> None:
        if self._clients.pop(client.descriptor, None) is not None:
            posix.close(client.descriptor)


def _signals(descriptor: int) -> list[int]:
    """Their numbers: the first word of each struct signalfd_siginfo."""
    try:
        data = posix.read(descriptor, _SIGNAL_SIZE * 16)
    except BlockingIOError:
        return []
    return [int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), _SIGNAL_SIZE)]
