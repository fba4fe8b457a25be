"""Chunks of native histograms (encodings 2 and 3; of 5 and 6 only reading), bit for bit as Prometheus writes them.

    encoder = Encoder(t, histogram)               # begins a chunk; the first histogram dictates its buckets
    cut = encoder.append(t, histogram)            # None, or the Encoder of a new chunk that this sample began
    encoder.data(), encoder.count, encoder.size   # the chunk so far
    times, histograms = decode(data, encoding)

Called by the head, by compaction and by `select`, for every chunk that is not of floats. Speed is Python's: some ten thousand
histograms in a second. Never looks at labels or files.
"""

from styr.metrics.storage.histograms.decoder import decode
from styr.metrics.storage.histograms.encoder import Encoder, encode

__all__ = ["Encoder", "decode", "encode"]
