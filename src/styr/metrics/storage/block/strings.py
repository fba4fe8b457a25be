"""Many strings out of a map at once. Called by `index` and `offsettable`. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from styr.metrics.model.errors import Corrupt

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]


def decode(data: Bytes, starts: Ints, ends: Ints, file: str) -> list[str]:
    """`data[starts[i]:ends[i]]` as text; the bounds are in `data`, and close together they cost little. Raises Corrupt when one
    is not UTF-8."""
    if not len(starts):
        return []
    low = int(starts.min())
    blob = data[low : int(ends.max())].tobytes()
    bounds = zip((starts - low).tolist(), (ends - low).tolist(), strict=True)
    if blob.isascii():  # One decoding for all; slices of it are as long in characters as in bytes.
        text = blob.decode("ascii")
        return [text[start:end] for start, end in bounds]
    try:
        return [blob[start:end].decode() for start, end in bounds]
    except UnicodeDecodeError as error:
        raise Corrupt(f"a name or value is not UTF-8: {error}", file, low) from None
