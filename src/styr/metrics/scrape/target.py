"""One target: from what discovery found, through relabelling, to an address with labels. Called by `pool`; pure.

The rules are those of Prometheus' scrape/target.go: labels beginning with `__` steer the scrape and do not reach the
samples."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import quote, quote_plus

from styr.metrics.model.labels import Labels, make
from styr.metrics.scrape.config import ScrapeConfig
from styr.metrics.scrape.discovery import ADDRESS, META
from styr.metrics.scrape.fields import duration_text, parse_duration
from styr.metrics.scrape.relabel import relabel

INTERVAL, TIMEOUT = "__scrape_interval__", "__scrape_timeout__"
SCHEME, PATH, PARAM = "__scheme__", "__metrics_path__", "__param_"
CONVERT, CLASSIC, NATIVE = (
    "__convert_classic_histograms_to_nhcb__",
    "__always_scrape_classic_histograms__",
    "__scrape_native_histograms__",
)
_TRUE, _FALSE = ("1", "t", "T", "TRUE", "true", "True"), ("0", "f", "F", "FALSE", "false", "False")


class TargetError(ValueError):
    """A target that cannot be scraped as it was found and relabelled; the others of its group can."""


@dataclass(frozen=True)
class Target:
    """`labels` are those of its samples; `steering` all that begin with `__` but `__meta_`. Times in ms."""

    labels: Labels
    steering: Labels
    url: str
    interval: int
    timeout: int

    @property
    def identity(self) -> tuple[Labels, str]:
        """Two targets with the same would write the same series from the same page: one of them is enough."""
        return self.labels, self.url

    @cached_property
    def hash(self) -> int:
        """64 bits, the same in every process."""
        digest = hashlib.blake2b(repr(self.identity).encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big")

    def flag(self, name: str, default: bool) -> bool:
        value = dict(self.steering).get(name, "")
        return value in _TRUE if value else default


def discovered(config: ScrapeConfig, own: Mapping[str, str], common: Mapping[str, str]) -> dict[str, str]:
    """A target's labels before relabelling."""
    labels = {name: value for name, value in {**common, **own}.items() if value}
    defaults = {
        "job": config.job,
        INTERVAL: duration_text(config.interval),
        TIMEOUT: duration_text(config.timeout),
        PATH: config.path,
        SCHEME: config.scheme,
        CONVERT: "true" if config.convert_classic else "false",
        CLASSIC: "true" if config.classic_histograms else "false",
        NATIVE: "true" if config.native_histograms else "false",
        **{PARAM + name: values[0] for name, values in config.params if values},
    }
    for name, value in defaults.items():
        if value and name not in labels:
            labels[name] = value
    return labels


def make_target(config: ScrapeConfig, before: Mapping[str, str]) -> Target | None:
    """The target that discovered labels become, None when relabelling drops it. Raises TargetError."""
    labels = dict(before)
    if not relabel(config.relabel, labels):
        return None
    address = labels.get(ADDRESS, "")
    if not address:
        raise TargetError("no address")
    if "/" in address:
        raise TargetError(f"{address!r} is not a valid hostname")
    interval, timeout = _time(labels, INTERVAL, "interval"), _time(labels, TIMEOUT, "timeout")
    if timeout > interval:
        raise TargetError(
            f"scrape timeout cannot be greater than scrape interval ({labels[TIMEOUT]!r} > {labels[INTERVAL]!r})"
        )
    for name in (CONVERT, CLASSIC, NATIVE):
        if labels.get(name) and labels[name] not in (*_TRUE, *_FALSE):
            raise TargetError(f"{name}: {labels[name]!r} is neither true nor false")
    labels.setdefault("instance", address)
    _check_text(labels)
    public = make((name, value) for name, value in labels.items() if not name.startswith("__"))
    if not public:
        return None
    steering = make(
        (name, value) for name, value in labels.items() if name.startswith("__") and not name.startswith(META)
    )
    return Target(public, steering, _url(config, labels), interval, timeout)


def _check_text(labels: Mapping[str, str]) -> None:
    for name, value in labels.items():
        try:
            name.encode()
            value.encode()
        except UnicodeEncodeError:
            raise TargetError(f"invalid label value for {name!r}: {value!r}") from None


def _time(labels: Mapping[str, str], name: str, word: str) -> int:
    try:
        value = parse_duration(labels.get(name, ""))
    except ValueError as error:
        raise TargetError(f"error parsing scrape {word}: {error}") from None
    if value == 0:
        raise TargetError(f"scrape {word} cannot be 0")
    return value


def _url(config: ScrapeConfig, labels: Mapping[str, str]) -> str:
    params = {name: list(values) for name, values in config.params}
    for name, value in labels.items():
        if name.startswith(PARAM):
            values = params.setdefault(name[len(PARAM) :], [""])
            values[:1] = [value]
    query = "&".join(
        f"{quote_plus(name)}={quote_plus(value)}" for name, values in sorted(params.items()) for value in values
    )
    path = quote(labels.get(PATH, ""), safe="/:@!$&'()*+,;=~-._")
    if path and not path.startswith("/"):
        path = "/" + path
    return f"{labels.get(SCHEME, '')}://{labels[ADDRESS]}{path}" + (f"?{query}" if query else "")
