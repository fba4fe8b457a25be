"""Names of metrics, labels and units as OpenTelemetry's "Prometheus and OpenMetrics compatibility" page and Prometheus'
receiver make them. Called by `attributes` and `points`; pure. Raises BadData for a name of which nothing is left.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from styr.metrics.model.errors import BadData


class Strategy(Enum):
    """(escaped to legacy names, with unit and type suffixes), by the name it has in `otlp.translation_strategy`."""

    UNDERSCORE_WITH = "UnderscoreEscapingWithSuffixes"
    UNDERSCORE_WITHOUT = "UnderscoreEscapingWithoutSuffixes"
    UTF8_WITH = "NoUTF8EscapingWithSuffixes"
    NONE = "NoTranslation"

    @property
    def escape(self) -> bool:
        return self in (Strategy.UNDERSCORE_WITH, Strategy.UNDERSCORE_WITHOUT)

    @property
    def suffixes(self) -> bool:
        return self in (Strategy.UNDERSCORE_WITH, Strategy.UTF8_WITH)


@dataclass(frozen=True, slots=True)
class Settings:
    """The section `otlp` of prometheus.yml, with its defaults."""

    strategy: Strategy = Strategy.UNDERSCORE_WITH
    promote_all: bool = False
    promote: frozenset[str] = frozenset()
    ignore: frozenset[str] = frozenset()
    keep_identifying: bool = False
    custom_buckets: bool = False
    promote_scope: bool = False
    underscore_sanitization: bool = True
    preserve_underscores: bool = True

    def promoted(self, attribute: str) -> bool:
        return attribute not in self.ignore if self.promote_all else attribute in self.promote


_UNITS = {
    "d": "days",
    "h": "hours",
    "min": "minutes",
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
    "By": "bytes",
    "KiBy": "kibibytes",
    "MiBy": "mebibytes",
    "GiBy": "gibibytes",
    "TiBy": "tibibytes",
    "KBy": "kilobytes",
    "MBy": "megabytes",
    "GBy": "gigabytes",
    "TBy": "terabytes",
    "m": "meters",
    "V": "volts",
    "A": "amperes",
    "J": "joules",
    "W": "watts",
    "g": "grams",
    "Cel": "celsius",
    "Hz": "hertz",
    "1": "",
    "%": "percent",
}
_PER = {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year"}
_NOT_METRIC = re.compile(r"[^a-zA-Z0-9:]+")
_NOT_METRIC_OR_UNDERSCORE = re.compile(r"[^a-zA-Z0-9:_]+")
_NOT_LABEL = re.compile(r"[^a-zA-Z0-9]")


def _unit_parts(unit: str) -> tuple[str, str]:
    """(main, per) of `By/s`: `bytes`, `per_second`. Annotations in braces count for nothing."""
    main, _, per = unit.partition("/")
    main, per = main.strip(), per.strip()
    main = "" if "{" in main or "}" in main else _UNITS.get(main, main)
    per = "" if "{" in per or "}" in per else _PER.get(per, per)
    return main, f"per_{per}" if per else ""


def _cleaned(unit: str) -> str:
    return re.sub("_+", "_", re.sub(r"[^a-zA-Z0-9:]", "_", unit)).removeprefix("_")


def unit_name(unit: str) -> str:
    """For metadata: `bytes_per_second`."""
    return "_".join(filter(None, map(_cleaned, _unit_parts(unit)))).removeprefix("_").removesuffix("_")


def metric_name(name: str, unit: str, kind: str, settings: Settings) -> str:
    """`kind` is gauge, counter (a monotonic sum), or anything else."""
    if not settings.strategy.escape:
        return _with_suffixes(name, unit, kind) if settings.strategy.suffixes else name
    if settings.strategy.suffixes:
        made = "_".join(_tokens(name, unit, kind))
    else:
        made = "_".join(filter(None, _NOT_METRIC_OR_UNDERSCORE.split(name)))
    if made[:1].isdigit():
        made = "_" + made
    if not made or (made != name and not made.strip("_")):
        raise BadData(f"of the metric name {name!r} nothing is left in Prometheus' alphabet")
    return made


def _tokens(name: str, unit: str, kind: str) -> Sequence[str]:
    tokens = list(filter(None, _NOT_METRIC.split(name)))
    main, per = map(_cleaned, _unit_parts(unit))
    if main in tokens:
        main = ""
    per = "" if per == "per_" or per.removesuffix("_") in tokens else per.removesuffix("_")
    tokens += filter(None, [main.removesuffix("_") if per else main, per])
    if kind == "counter":
        tokens = [part for part in tokens if part != "total"] + ["total"]
    if unit == "1" and kind == "gauge":
        tokens = [part for part in tokens if part != "ratio"] + ["ratio"]
    return tokens


def _with_suffixes(name: str, unit: str, kind: str) -> str:
    """Nothing is escaped; suffixes that are there are not put twice."""
    tail = ""
    if unit == "1" and kind == "gauge":
        name, tail = _without(name, "ratio"), "_ratio"
    if kind == "counter":
        name, tail = _without(name, "total"), "_total"
    main, per = _unit_parts(unit)
    if per:
        name, tail = _without(name, per), f"_{per}{tail}"
    if main and not name.endswith(main):
        name += f"_{main}"
    return name + tail


def _without(name: str, suffix: str) -> str:
    return name[: -len(suffix) - 1] if name.endswith(suffix) and len(name) > len(suffix) + 1 else name


def label_name(name: str, settings: Settings) -> str:
    """Raises BadData for an empty one, and one of underscores only."""
    if not name:
        raise BadData("an attribute has no name")
    made = name
    if settings.strategy.escape:
        made = _escaped_label(name, settings.preserve_underscores)
        if made[0].isdigit():
            made = "key_" + made
        elif settings.underscore_sanitization and made.startswith("_") and not made.startswith("__"):
            made = "key" + made
    if not made.strip("_"):
        raise BadData(f"of the attribute name {name!r} nothing is left in Prometheus' alphabet")
    return made


def _escaped_label(name: str, preserve: bool) -> str:
    if preserve:
        return _NOT_LABEL.sub("_", name)
    reserved = len(name) >= 4 and name.startswith("__") and name.endswith("__")
    inner = re.sub(r"[^a-zA-Z0-9]+", "_", name[2:-2] if reserved else name)
    return f"__{inner}__" if reserved else inner
