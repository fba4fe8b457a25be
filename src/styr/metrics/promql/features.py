"""What of PromQL is switched on. Passed to the parser and the engine by whoever starts them. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Features:
    """The defaults are Prometheus 3.14's without any `--enable-feature`; each field names its feature there."""

    experimental_functions: bool = False
    """promql-experimental-functions: functions marked experimental, limitk, limit_ratio."""
    duration_expressions: bool = True
    """promql-duration-expr: arithmetic and step() in the place of a duration."""
    extended_ranges: bool = False
    """promql-extended-range-selectors: `anchored` and `smoothed`."""
    fill: bool = False
    """promql-binop-fill-modifiers: `fill`, `fill_left`, `fill_right`."""
    delayed_name_removal: bool = False
    """promql-delayed-name-removal: the metric name goes at the end; until then it can be matched and relabelled."""
    type_and_unit: bool = False
    """type-and-unit-labels: `__type__` and `__unit__` go where the metric name goes."""
    start_timestamps: bool = False
    """use-start-timestamps: start timestamps tell counter resets to `rate` and its like."""

    @classmethod
    def all(cls) -> Features:
        return cls(True, True, True, True, True, True, True)


DEFAULT = Features()
EXPERIMENTAL = Features(
    experimental_functions=True, duration_expressions=True, extended_ranges=True, fill=True, delayed_name_removal=False
)
"""All of the language, with evaluation as it is by default."""
