"""Parts of dates in UTC. Called by `functions`. Pure; times are whole seconds since 1970."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_DAY = 86400


def seconds(v: Floats) -> Ints:
    """Cut to whole seconds; what int64 does not hold (NaN and infinities too) is its smallest number, as in Go on amd64."""
    fits = (v > -9.2e18) & (v < 9.2e18)
    return np.where(fits, np.trunc(np.where(fits, v, 0.0)), -(2.0**63)).astype(np.int64)


def _days(t: Ints) -> Ints:
    return np.floor_divide(t, _DAY)


def _civil(t: Ints) -> tuple[Ints, Ints, Ints]:
    """(year, month 1..12, day 1..31) of the proleptic Gregorian calendar, by whole-number arithmetic (Hinnant,
    "chrono-compatible low-level date algorithms")."""
    z = _days(t) + 719468
    era = np.floor_divide(z, 146097)
    doe = z - era * 146097
    yoe = (doe - doe // 1460 + doe // 36524 - doe // 146096) // 365
    doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
    mp = (5 * doy + 2) // 153
    month = np.where(mp < 10, mp + 3, mp - 9)
    year = yoe + era * 400 + (month <= 2)
    return year, month, doy - (153 * mp + 2) // 5 + 1


def _leap(year: Ints) -> NDArray[np.bool_]:
    return np.asarray(((year % 4 == 0) & (year % 100 != 0)) | (year % 400 == 0), np.bool_)


_MONTH_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], np.int64)
_BEFORE = np.concatenate([np.zeros(2, np.int64), np.cumsum(_MONTH_DAYS[1:])])


def _days_in_month(t: Ints) -> Ints:
    year, month, _ = _civil(t)
    return np.asarray(_MONTH_DAYS[month] + ((month == 2) & _leap(year)), np.int64)


def _day_of_year(t: Ints) -> Ints:
    year, month, day = _civil(t)
    return np.asarray(_BEFORE[month] + day + ((month > 2) & _leap(year)), np.int64)


def _float(part: Callable[[Ints], Ints], overflown: float) -> Callable[[Ints], Floats]:
    """`overflown` is the part of the smallest time, which Go takes for 2**63 seconds after 1970."""
    return lambda t: np.where(t == -(1 << 63), overflown, np.asarray(part(t), np.float64))


FIELDS: dict[str, Callable[[Ints], Floats]] = {
    "minute": _float(lambda t: t % 3600 // 60, 30),
    "hour": _float(lambda t: t % _DAY // 3600, 15),
    "day_of_week": _float(lambda t: (_days(t) + 4) % 7, 0),
    "day_of_month": _float(lambda t: _civil(t)[2], 4),
    "day_of_year": _float(_day_of_year, 339),
    "days_in_month": _float(_days_in_month, 31),
    "month": _float(lambda t: _civil(t)[1], 12),
    "year": _float(lambda t: _civil(t)[0], 292277026596),
}
"""By the name of the function."""
