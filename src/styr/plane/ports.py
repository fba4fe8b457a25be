"""Which port: the one that was asked for, the one of last time, a free one. Called by `plane.up` and `plane.alone`."""

from __future__ import annotations

import socket

from styr.plane.control import StartError


def free_port(preferred: int = 0) -> int:
    """A port that can be bound on loopback now: the preferred one, or any. Raises OSError for a preferred one in use."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", preferred))
        port: int = probe.getsockname()[1]
        return port


def choose_port(asked: int | None, last: int, default: int, option: str) -> int:
    """Raises StartError when the port that was asked for, or that remotes and kubeconfigs already name, is taken. `option` is
    what chooses another: the command with its flag."""
    wanted = last if asked is None else asked
    try:
        return free_port(wanted or (default if asked is None else 0))
    except OSError as error:
        if asked is None and not last:
            return free_port()
        why = "in use by another program" if error.errno == 98 else error.strerror
        raise StartError(
            f"Port {wanted} on 127.0.0.1 is {why}. Free it, or choose another: `{option} PORT` (0 for any free one)."
        ) from None


def free_port_near(last: int) -> int:
    """The port of last time if it is still free, else any: nothing but bookmarks names it."""
    try:
        return free_port(last)
    except OSError:
        return free_port()
