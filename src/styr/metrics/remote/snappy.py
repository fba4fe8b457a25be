"""Bodies compressed with snappy's block format, in both directions. Called by `write` and `read`; calls cramjam.

A block says first how long it will be: what says too much is refused before a byte of it is made.
"""

from __future__ import annotations

from typing import Any

import cramjam

from styr.metrics.model.errors import BadData

MAX_DECODED = 32 << 20
"""Bytes of a message, decompressed; Prometheus' limit."""
MAX_RATIO = 128
"""No snappy block expands more than about 22 times; a header that claims more lies."""


class TooLarge(BadData):
    """HTTP 413."""


def compress(data: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(data))


def decompress(data: bytes, limit: int = MAX_DECODED) -> Any:
    """A buffer. Raises BadData for what is no snappy block, `TooLarge` for more than `limit` bytes."""
    try:
        length = cramjam.snappy.decompress_raw_len(data)
        if length > limit:
            raise TooLarge(f"the decompressed message would have {length} bytes; at most {limit} are taken")
        if length > MAX_RATIO * len(data):
            raise BadData(f"the snappy block claims {length} bytes from {len(data)}, which none can hold")
        return cramjam.snappy.decompress_raw(data)
    except cramjam.DecompressionError as error:
        raise BadData(f"the body is no snappy block: {error}") from None
