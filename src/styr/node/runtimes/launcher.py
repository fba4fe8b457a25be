"""The small program between the node and an app: starts it in its sandbox, stays its parent, writes down how it ended.

Run as `python -I -S -E launcher.py`, by `process.py`, with a length-prefixed marshalled dict on stdin. It starts nothing before
the dict is whole, so a node killed halfway leaves nothing behind. It outlives the node. As a child subreaper it becomes
the parent of everything the app leaves behind, also of what daemonised, and so can kill all of it without ever naming a
pid that is not its own child. It imports only built-in modules: about 9 MB resident, 3 MB of it its own.

Signals: SIGTERM is passed on to the app's process group; SIGUSR1 kills everything at once.
The exit file, written atomically after the last process is gone: `CODE SIGNAL SECONDS-SINCE-1970 ERROR`.

A command that somebody runs in a container (`kubectl exec`) has a launcher of its own, which is tied to the node: it gets
descriptors instead of a log, tells the exit through one as soon as the command has ended, and dies with the node. What the
command left in the background lives on below it, until the node ends it with the container.
Never logs, never opens a socket, never reads the environment.
"""

from __future__ import annotations

import _ctypes
import errno
import marshal
import posix
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from typing import Any, NoReturn

    from styr.node.runtimes.pump import Pump
else:
    import _signal as signal  # without the enums of `signal`: half the start

EXEC_FAILED = 128
"""The exit code that Kubernetes reports when a container could not be started (reason StartError)."""

_PR_SET_PDEATHSIG = 1
_PR_SET_SECCOMP = 22
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_MODE_FILTER = 2
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_O_PATH = 0o10000000
_TIOCSCTTY, _TIOCSWINSZ = 0x540E, 0x5414
_NONBLOCK, _CLOEXEC = 0o4000, 0o2000000

_HANDLED = (signal.SIGCHLD, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP, signal.SIGINT)


class _Long(_ctypes._SimpleCData):  # type: ignore[type-arg]
    _type_ = "l"


class _Pointer(_ctypes._SimpleCData):  # type: ignore[type-arg]
    _type_ = "P"


class _Function(_ctypes.CFuncPtr):
    _flags_ = _ctypes.FUNCFLAG_CDECL | _ctypes.FUNCFLAG_USE_ERRNO
    _restype_ = _Long


_libc = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]  # None: what is linked already


def _symbol(name: str) -> Any:
    return _Function(_ctypes.dlsym(_libc, name))


def _call(function: Any, what: str, *args: Any) -> int:
    """A libc call with every argument as a machine word (bytes as their address). Raises OSError."""
    words = [_Pointer(_address(arg)) if isinstance(arg, bytes) else _Long(arg) for arg in args]
    result = function(*words)
    value = int(getattr(result, "value", result))
    if value < 0:
        number = _ctypes.get_errno()
        raise OSError(number, f"{what}: {posix.strerror(number)}")
    return value


def _address(data: bytes) -> int:
    return (
        id(data) + bytes.__basicsize__ - 1
    )  # CPython keeps the bytes at the end of the object; `data` outlives the call


def prctl(what: str, option: int, *args: Any) -> int:
    return _call(_symbol("prctl"), what, option, *(*args, 0, 0, 0, 0)[:4])


def landlock_abi() -> int:
    """The version of Landlock that the kernel offers; 0 for none."""
    try:
        return _call(_symbol("syscall"), "landlock", _LANDLOCK_CREATE, 0, 0, 1)
    except OSError:
        return 0


def restrict(ruleset: bytes, rules: list[tuple[str, int]]) -> None:
    """Puts this process in a Landlock domain. `ruleset` is a struct landlock_ruleset_attr of the kernel's size; a rule is
    a path and the rights below it. A path that is not there is left out. Needs no_new_privs."""
    syscall = _symbol("syscall")
    domain = _call(syscall, "landlock_create_ruleset", _LANDLOCK_CREATE, ruleset, len(ruleset), 0)
    for path, rights in rules:
        try:
            place = posix.open(path, _O_PATH | posix.O_CLOEXEC)
        except OSError:
            continue
        if posix.fstat(place).st_mode & 0o170000 != 0o040000:
            rights &= _FILE_RIGHTS
        beneath = rights.to_bytes(8, sys.byteorder) + place.to_bytes(4, sys.byteorder)
        _call(syscall, f"landlock_add_rule {path}", _LANDLOCK_ADD, domain, 1, beneath, 0)
        posix.close(place)
    _call(syscall, "landlock_restrict_self", _LANDLOCK_RESTRICT, domain, 0)
    posix.close(domain)


_FILE_RIGHTS = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15
"""execute, write_file, read_file, truncate, ioctl_dev: the rights that a rule on a file (not a folder) may hold."""


def filter_syscalls(program: bytes) -> None:
    """Installs a seccomp program (struct sock_filter[]). Needs no_new_privs."""
    header = (len(program) // 8).to_bytes(8, sys.byteorder) if sys.byteorder == "little" else b""
    prctl("seccomp", _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, header + _address(program).to_bytes(8, sys.byteorder))


def main() -> int:
    spec = _read_spec()
    if spec is None:
        return 3
    signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
    posix.umask(0o077)
    app, error = 0, ""
    try:
        if spec["node"]:
            _tie(spec["node"])
        prctl("subreaper", _PR_SET_CHILD_SUBREAPER, 1)
        streams, pump = _plumb(spec)
        app, error = _start(spec, streams)
    except OSError as failure:
        error = str(failure)
    if app:
        _detach()
        status = _supervise(app, spec["timeout"], pump)
        code, number = (0, posix.WTERMSIG(status)) if posix.WIFSIGNALED(status) else (posix.WEXITSTATUS(status), 0)
        code = code if not number else 128 + number
    else:
        code, number = EXEC_FAILED, 0
    if spec["report"] >= 0:
        posix.write(spec["report"], _exit_line(code, number, error))
        posix.close(spec["report"])
        if app:
            _outlive_background(pump)
    _kill_children()
    if app:
        pump.finish()
    if spec["exit"]:
        _write_exit(spec["exit"], _exit_line(code, number, error))
    return 0


def _plumb(spec: dict[str, Any]) -> tuple[tuple[int, int, int], Pump]:
    """What becomes the app's input, output and error, and the loop that holds their other ends."""
    # Beside this file; not in a package here, where only built-in modules are loaded.
    sys.path.append(__file__.rpartition("/")[0])
    import pump  # type: ignore[import-not-found]

    signals = _call(_symbol("signalfd"), "signalfd", -1, _mask(_HANDLED), _NONBLOCK | _CLOEXEC)
    if spec["stdio"]:
        for descriptor in (*spec["stdio"], spec["report"]):
            posix.set_inheritable(descriptor, False)
        return tuple(spec["stdio"]), pump.Pump(signals)
    if spec["terminal"]:
        ours, theirs = posix.openpty()
        streams, outputs, stdin = (theirs, theirs, theirs), {ours: 1}, ours
    else:
        (out, out_end), (err, err_end) = posix.pipe(), posix.pipe()
        theirs, stdin = posix.pipe() if spec["stdin"] else (posix.open("/dev/null", posix.O_RDWR | posix.O_CLOEXEC), -1)
        streams, outputs = (theirs, out_end, err_end), {out: 1, err: 2}
    for descriptor in {*outputs, stdin} - {-1}:
        posix.set_blocking(descriptor, False)
    if spec["listener"] >= 0:
        posix.set_inheritable(spec["listener"], False)
    log = pump.Log(spec["log"], spec["log_cap"])
    return streams, pump.Pump(
        signals, log, outputs, stdin if spec["stdin"] or spec["terminal"] else -1,
        once=spec["once"], listener=spec["listener"], token=spec["token"], accept=_accept, resize=_resize,
    )  # fmt: skip


def _mask(signals: tuple[int, ...]) -> bytes:
    """A sigset_t."""
    return sum(1 << (number - 1) for number in signals).to_bytes(128, sys.byteorder)


def _accept(listener: int) -> int:
    return _call(_symbol("accept4"), "accept", listener, 0, 0, _CLOEXEC)


def _resize(terminal: int, columns: int, rows: int) -> None:
    size = b"".join(number.to_bytes(2, sys.byteorder) for number in (rows, columns, 0, 0))
    _call(_symbol("ioctl"), "window size", terminal, _TIOCSWINSZ, size)


def _tie(node: int) -> None:
    """The kernel kills everything here (SIGUSR1, blocked until we wait for it) when the node ends, however it ends."""
    prctl("pdeathsig", _PR_SET_PDEATHSIG, signal.SIGUSR1)
    if posix.getppid() != node:
        posix._exit(1)


def _outlive_background(pump: Pump) -> None:
    """Until nothing is left that the command started, or the node has had enough."""
    while True:
        _reap(0)
        if not _children():
            return
        if {signal.SIGUSR1, signal.SIGTERM}.intersection(pump.turn(None)):
            return


def _read_spec() -> dict[str, Any] | None:
    data = b""
    while chunk := posix.read(0, 1 << 16):
        data += chunk
    size = int.from_bytes(data[:8], "big")
    return marshal.loads(data[8:]) if size and len(data) == size + 8 else None  # noqa: S302 - from the node alone


def _start(spec: dict[str, Any], streams: tuple[int, int, int]) -> tuple[int, str]:
    """(pid, "") of the app after its exec, or (0, why not)."""
    reader, writer = posix.pipe()
    parent = posix.getpid()
    app = posix.fork()
    if app == 0:
        _become(spec, streams, writer, parent)
    posix.close(writer)
    for stream in set(streams):
        posix.close(stream)
    message = b""
    while chunk := posix.read(reader, 4096):
        message += chunk
    posix.close(reader)
    if not message:
        return app, ""
    posix.waitpid(app, 0)
    return 0, message.decode("utf-8", "replace")


def _become(spec: dict[str, Any], streams: tuple[int, int, int], writer: int, parent: int) -> NoReturn:
    """In the child: the app, or an error on the pipe."""
    try:
        posix.setsid()
        prctl("pdeathsig", _PR_SET_PDEATHSIG, signal.SIGKILL)
        if posix.getppid() != parent:
            posix._exit(1)
        for target, source in enumerate(streams):
            posix.dup2(source, target)
        if spec["terminal"]:
            _call(_symbol("ioctl"), "controlling terminal", 0, _TIOCSCTTY, 0)
        posix.umask(spec["umask"])
        posix.chdir(spec["cwd"])
        _limit(spec)
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        _exec(spec["argv"], spec["env"])
    except BaseException as error:
        posix.write(writer, f"{spec['argv'][0]}: {error}".encode()[:4000])
    posix._exit(127)


def _limit(spec: dict[str, Any]) -> None:
    if spec["rlimits"]:
        import resource

        for what, soft, hard in spec["rlimits"]:
            resource.setrlimit(what, (soft, hard))
    prctl("no_new_privs", _PR_SET_NO_NEW_PRIVS, 1)
    if spec["ruleset"]:
        terminal = [(posix.ttyname(0), spec["terminal_rights"])] if spec["terminal"] else []
        restrict(spec["ruleset"], spec["rules"] + terminal)
    if spec["seccomp"]:
        filter_syscalls(spec["seccomp"])


def _exec(argv: list[str], env: dict[str, str]) -> NoReturn:
    """As execvp does: a name without a slash is looked for in the app's PATH. Raises the most telling error."""
    name = argv[0]
    places = [name] if "/" in name else [f"{folder or '.'}/{name}" for folder in env.get("PATH", "").split(":")]
    found: OSError | None = None
    for place in places:
        try:
            posix.execve(place, argv, env)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                found = found or error
    raise found or OSError(errno.ENOENT, "no such program" if "/" in name else "no such program in PATH")


def _detach() -> None:
    nothing = posix.open("/dev/null", posix.O_RDWR)
    for target in (0, 1, 2):
        posix.dup2(nothing, target)
    posix.chdir("/")


def _supervise(app: int, timeout: float, pump: Pump) -> int:
    """Waits for the app; returns its wait status. The app is reaped here alone, so its pid and group stay its own."""
    deadline = time.monotonic() + timeout if timeout else None
    while True:
        left = None if deadline is None else max(0.001, deadline - time.monotonic())
        for number in pump.turn(left):
            if number == signal.SIGTERM:
                _signal_group(app, signal.SIGTERM)
            elif number == signal.SIGUSR1:
                _signal_group(app, signal.SIGKILL)
            elif number == signal.SIGCHLD and (status := _reap(app)) is not None:
                return status
        if deadline is not None and time.monotonic() >= deadline:
            deadline = None
            posix.kill(app, signal.SIGKILL)


def _signal_group(app: int, number: int) -> None:
    try:
        posix.killpg(app, number)
    except OSError:
        posix.kill(app, number)


def _reap(app: int) -> int | None:
    """Takes in whoever has ended; the wait status of the app when it is among them."""
    ended = None
    while True:
        try:
            pid, status = posix.waitpid(-1, posix.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        if pid == app:
            ended = status


def _kill_children() -> None:
    """Until nobody is left: killing a child hands its own children to us. Only our own unreaped children are named, so no
    pid can have been given to somebody else."""
    while True:
        for pid in _children():
            try:  # noqa: SIM105 - contextlib costs memory
                posix.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        try:
            pid, _ = posix.waitpid(-1, posix.WNOHANG)
            if pid == 0:
                time.sleep(0.002)
        except ChildProcessError:
            return


def _children() -> list[int]:
    me = posix.getpid()
    try:
        return [int(pid) for pid in _slurp(f"/proc/self/task/{me}/children").split()]
    except OSError:
        return [int(name) for name in posix.listdir("/proc") if name.isdigit() and _parent(name) == me]


def _parent(pid: str) -> int:
    try:
        return int(_slurp(f"/proc/{pid}/stat").rpartition(b")")[2].split()[1])
    except (OSError, IndexError):
        return 0


def _slurp(path: str) -> bytes:
    file = posix.open(path, posix.O_RDONLY)
    try:
        data = b""
        while chunk := posix.read(file, 1 << 16):
            data += chunk
        return data
    finally:
        posix.close(file)


def _exit_line(code: int, number: int, error: str) -> bytes:
    return f"{code} {number} {time.time():.6f} {' '.join(error.split())}\n".encode()


def _write_exit(path: str, line: bytes) -> None:
    try:
        file = posix.open(path + ".new", posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC, 0o600)
        posix.write(file, line)
        posix.close(file)
        posix.rename(path + ".new", path)
    except OSError:
        pass  # the pod's folder is gone or the disk is full: the node then reports an unknown exit


if __name__ == "__main__":
    posix._exit(main())
