"""What one part of the storage (the head, a block) found for a query: label sets, and where the chunks of each series lie.

Made by `head` and `block`; `select.py` merges several into one `model.samples.Selection` and decodes. Pure data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from styr.metrics.model.frame import LabelFrame

XOR, HISTOGRAM, FLOAT_HISTOGRAM, XOR2, HISTOGRAM_ST, FLOAT_HISTOGRAM_ST = 1, 2, 3, 4, 5, 6
"""Chunk encodings, numbered as in the files. The last three can hold start timestamps; Prometheus writes them where it is told
to, Styr only reads and copies them."""
FLOATS = (XOR, XOR2)


@dataclass(slots=True)
class ChunkSet:
    """Series i of `frame` has the chunks `offsets[i]:offsets[i + 1]`, sorted by (`mint`, `maxt`). Chunk c is
    `segments[segment[c]][position[c]:position[c] + length[c]]`: its data without length, encoding byte and checksum.

    Segments are memory maps or copies. Behind a chunk 8 more bytes are readable, except behind the last of a file, where there
    are the 4 of its checksum: decoders that load ahead look at the end. They stay valid as long as the set lives. `mint`,
    `maxt` (inclusive, ms) bound the samples of a chunk; `deleted` maps a series to the time ranges (inclusive) that tombstones
    took out of it.
    """

    frame: LabelFrame
    offsets: NDArray[np.int64]
    segment: NDArray[np.int32]
    position: NDArray[np.int64]
    length: NDArray[np.int64]
    encoding: NDArray[np.uint8]
    mint: NDArray[np.int64]
    maxt: NDArray[np.int64]
    segments: Sequence[NDArray[np.uint8]]
    deleted: Mapping[int, Sequence[tuple[int, int]]] = field(default_factory=dict)
