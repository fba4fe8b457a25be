"""The program git runs as pre-receive and post-receive hook. Stands alone: only the standard library, no import of Styr.

It inherits one end of a socket pair (`STYR_HOOK_FD`), sends what git told it as one JSON line, prints every "out" that
comes back, and ends with the code of "exit". When the other end goes away it refuses the push: nothing moves.
"""

import contextlib
import json
import os
import socket
import sys


def question(hook: str) -> dict[str, object]:
    options = int(os.environ.get("GIT_PUSH_OPTION_COUNT") or 0)
    return {
        "hook": hook,
        "updates": [line.split(" ", 2) for line in sys.stdin.read().splitlines()],
        "options": [os.environ.get(f"GIT_PUSH_OPTION_{number}", "") for number in range(options)],
        "quarantine": {
            name: os.environ[name]
            for name in ("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_QUARANTINE_PATH")
            if name in os.environ
        },
    }


def main(hook: str) -> int:
    asked = question(hook)
    plane = socket.socket(fileno=int(os.environ["STYR_HOOK_FD"]))
    with contextlib.suppress(OSError), plane, plane.makefile("rb") as answers:
        plane.sendall(json.dumps(asked).encode() + b"\n")
        for line in answers:
            answer = json.loads(line)
            if "exit" in answer:
                return int(answer["exit"])
            sys.stdout.write(answer["out"])
            sys.stdout.flush()
    if hook == "pre-receive":
        sys.stdout.write(
            "styr: the control plane stopped during this push; nothing was changed. Start it, push again: styr up\n"
        )
    else:
        sys.stdout.write("styr: the control plane stopped; the release goes on when it is back: styr up\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
