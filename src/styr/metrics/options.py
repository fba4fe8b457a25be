"""The command line of the metrics process. Called by `process`; light: no numpy.

`python -m styr.metrics.process --data-dir DIR --port N ...`; `styr up` writes it. Names follow Prometheus' flags where it has
one.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, fields
from pathlib import Path

_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000, "y": 31_536_000_000}
_SIZES = {"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40, "PB": 1 << 50, "EB": 1 << 60}


@dataclass(frozen=True, slots=True)
class Options:
    """Durations in milliseconds but for `query_timeout` (seconds); sizes in bytes. 0 is no limit."""

    data_dir: Path
    port: int = 9090
    host: str = "127.0.0.1"
    config: Path | None = None
    kubeconfig: Path | None = None
    token_file: Path | None = None
    notify: Path | None = None
    retention: int = 15 * 86_400_000
    retention_size: int = 0
    out_of_order_window: int = 0
    block_duration: int = 7_200_000
    query_concurrency: int = 20
    query_timeout: float = 120.0
    query_samples: int = 50_000_000
    query_log: Path | None = None
    experimental: bool = False
    external_url: str = ""
    lazy_kernels: bool = False

    def kept(self) -> str:
        """How long, and how much, as `status/runtimeinfo` shows it: `15d or 20GB`."""
        out = []
        if self.retention:
            unit = next(name for name in ("d", "h", "m", "s", "ms") if self.retention % _UNITS[name] == 0)
            out.append(f"{self.retention // _UNITS[unit]}{unit}")
        if self.retention_size:
            unit = next(name for name in ("GB", "MB", "KB", "B") if self.retention_size % _SIZES[name] == 0)
            out.append(f"{self.retention_size // _SIZES[unit]}{unit}")
        return " or ".join(out)

    def flags(self) -> dict[str, str]:
        """As `status/flags` shows them."""
        return {field.name.replace("_", "-"): str(getattr(self, field.name)) for field in fields(self)}


def duration(text: str) -> int:
    """`1h30m` or `15d`, to milliseconds. Raises argparse.ArgumentTypeError."""
    total, digits, unit = 0, "", ""
    try:
        for char in text + "0":
            if char.isdigit() and unit:
                total, digits, unit = total + int(digits) * _UNITS[unit], "", ""
            if char.isdigit():
                digits += char
            else:
                unit += char
    except (KeyError, ValueError):
        total = 0
    if total <= 0 and text != "0" and text != "0s":
        raise argparse.ArgumentTypeError(f"{text!r} is no duration: 90s, 30m, 15d")
    return total


def size(text: str) -> int:
    """`512MB` or `20GB`, to bytes; 1 KB is 1,024. Raises argparse.ArgumentTypeError."""
    number = text.rstrip("BKMGTPE")
    try:
        return int(float(number) * _SIZES[text[len(number) :] or "B"])
    except (KeyError, ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r} is no size: 512MB, 20GB") from None


def parse(arguments: list[str]) -> Options:
    """Exits with 2, and says why, for a wrong command line."""
    parser = argparse.ArgumentParser("styr.metrics.process", description="The metrics engine of Styr.")
    add = parser.add_argument
    add("--data-dir", type=Path, required=True, help="Prometheus' data directory: WAL, blocks")
    add("--port", type=int, default=9090, help="HTTP port; 0 takes a free one")
    add("--host", default="127.0.0.1", help="address to listen on")
    add("--config", type=Path, help="prometheus.yml with scrape jobs and rule files")
    add("--kubeconfig", type=Path, help="where ServiceMonitor, PrometheusRule and the like are found")
    add(
        "--token-file",
        type=Path,
        help="bearer token, or password, that everything but /-/healthy and /-/ready asks for",
    )
    add("--notify", type=Path, help="configuration of the embedded notifier, in Alertmanager's format")
    add("--retention", type=duration, default=15 * 86_400_000, help="how long samples are kept")
    add("--retention-size", type=size, default=0, help="how many bytes of blocks are kept")
    add("--out-of-order-window", type=duration, default=0, help="how old a sample may be that comes late")
    add(
        "--block-duration",
        type=duration,
        default=7_200_000,
        help="time in a block that the head writes; 2h but in tests",
    )
    add("--query-concurrency", type=int, default=20, help="queries at a time")
    add("--query-timeout", type=duration, default=120_000, help="longest time for one query")
    add("--query-samples", type=int, default=50_000_000, help="samples that one query may hold")
    add("--query-log", type=Path, help="file for a JSON line for each query")
    add("--experimental", action="store_true", help="PromQL's experimental functions and modifiers")
    add("--lazy-kernels", action="store_true", help="compile only what is needed, also at the very first start")
    add("--external-url", default="", help="address under which people reach this engine")
    given = vars(parser.parse_args(arguments))
    given["query_timeout"] /= 1000
    return Options(**given)
