"""Native histograms: one sample. Called by exposition, remote write, storage (chunks) and PromQL. Pure.

Field meanings: Prometheus' specification of native histograms. Bucket counts are absolute here (not deltas), also for integer
histograms; `integer` only says how storage encodes them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

UNKNOWN, RESET, NOT_RESET, GAUGE = 0, 1, 2, 3
"""Counter reset hints, numbered as on the wire."""

CUSTOM_BUCKETS = -53
"""Schema of histograms with custom bounds (NHCB)."""

Span = tuple[int, int]
"""(offset from the end of the span before, or index of the first bucket for the first; number of consecutive buckets)."""


@dataclass(slots=True)
class Histogram:
    """Schema -4..8: bucket i of base 2**(2**-schema) covers (base**(i-1), base**i]. Schema -53: `custom_values` are the upper
    bounds of the positive buckets, +Inf not included. Equal means equal in every field, bit for bit except NaN."""

    schema: int = 0
    zero_threshold: float = 0.0
    zero_count: float = 0.0
    count: float = 0.0
    sum: float = 0.0
    positive_spans: list[Span] = field(default_factory=list)
    positive_buckets: list[float] = field(default_factory=list)
    negative_spans: list[Span] = field(default_factory=list)
    negative_buckets: list[float] = field(default_factory=list)
    custom_values: list[float] = field(default_factory=list)
    counter_reset_hint: int = UNKNOWN
    integer: bool = False
