"""resourceVersion in queries: "" is the newest, "0" any, a number at least (or exactly) that one."""

from __future__ import annotations

from styr.api.call import Call
from styr.kinds.errors import BadRequest, Timeout


def parse_version(text: str, where: str) -> int:
    """0 for "" and "0". Raises BadRequest."""
    if text in ("", "0"):
        return 0
    if not (text.isascii() and text.isdigit()) or len(text) > 19 or int(text) >= 1 << 63:
        raise BadRequest(f'{where}: Invalid value: "{text[:60]}": must be a resourceVersion that this server gave out')
    return int(text)


def check_not_future(call: Call, revision: int) -> None:
    """A revision that is yet to come is not waited for. Raises Timeout, as the real server does."""
    current = call.core.store.revision
    if revision > current:
        cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
        raise Timeout(
            f"Too large resource version: {revision}, current: {current}",
            details={"causes": [cause], "retryAfterSeconds": 1},
        )
