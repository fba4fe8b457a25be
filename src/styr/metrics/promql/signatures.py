"""Every function of PromQL: its arguments' and its result's types. Called by the parser, the evaluator and the HTTP API. Pure.

Source: Prometheus 3.14, promql/parser/functions.go (facts) and its documentation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Type = Literal["scalar", "vector", "matrix", "string"]

_LETTERS: dict[str, Type] = {"s": "scalar", "v": "vector", "m": "matrix", "t": "string"}


@dataclass(frozen=True, slots=True)
class Function:
    """`variadic`: 0 means exactly `args`; n > 0 that the last of `args` may be missing or come up to n times; -1 any number of
    times."""

    name: str
    args: tuple[Type, ...]
    returns: Type
    variadic: int = 0
    experimental: bool = False


def _table(lines: str) -> dict[str, Function]:
    """A line: `arguments result variadic names...`; arguments and result as letters of `_LETTERS`, `-` for none; a name with
    `!` is experimental."""
    functions = {}
    for line in lines.strip().splitlines():
        args, returns, variadic, *names = line.split()
        types = tuple(_LETTERS[letter] for letter in args if letter != "-")
        for name in names:
            plain = name.rstrip("!")
            functions[plain] = Function(plain, types, _LETTERS[returns], int(variadic), name.endswith("!"))
    return functions


FUNCTIONS = _table(
    """
- s 0 pi time end! range! start! step!
s v 0 vector
ss s 0 max_of! min_of!
v s 0 scalar
v v 0 abs absent acos acosh asin asinh atan atanh ceil cos cosh deg exp floor ln log10 log2 rad sgn sin sinh sqrt tan tanh
v v 0 histogram_avg histogram_count histogram_sum histogram_stddev histogram_stdvar sort sort_desc timestamp start_timestamp!
v v 1 days_in_month day_of_month day_of_week day_of_year hour minute month year
vs v 1 round
vs v 0 clamp_max clamp_min
vss v 0 clamp
vv v 1 info!
vt v -1 sort_by_label! sort_by_label_desc!
vttt v -1 label_join
vtttt v 0 label_replace
sv v 0 histogram_quantile
ssv v 0 histogram_fraction
vtss v 9 histogram_quantiles!
m v 0 absent_over_time avg_over_time changes count_over_time delta deriv first_over_time idelta increase irate last_over_time
m v 0 max_over_time min_over_time present_over_time rate resets stddev_over_time stdvar_over_time sum_over_time mad_over_time!
m v 0 ts_of_first_over_time! ts_of_last_over_time! ts_of_max_over_time! ts_of_min_over_time!
ms v 0 predict_linear
mss v 0 double_exponential_smoothing!
sm v 0 quantile_over_time
"""
)
