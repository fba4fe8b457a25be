"""Scraping into storage, whole server: samples per CPU-second, bytes written and memory, beside Prometheus and VictoriaMetrics.

20 targets x 5,000 series every second (then the same with gzip, and 200 targets x 500 series); each server alone, one after
the other. Ours waits for the disk after every round of scrapes (fdatasync), the peers do not. The full run measures ten minutes
each with blocks of five minutes, so that head cuts are in it; the short one measures 10 seconds and 2,000 series a target.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from bench._metrics import Prometheus, Server, Styr, Targets, Usage, disk_bytes, installed, warm_kernels

FIVE_MINUTE_BLOCKS = {
    "styr": ("--block-duration", "5m"),
    "prometheus": ("--storage.tsdb.min-block-duration=5m", "--storage.tsdb.max-block-duration=5m"),
}


def measure(kind: type[Server], folder: Path, targets: Targets, seconds: float, warm_up: float) -> dict[str, float]:
    """One server alone on the targets. Samples are counted by the targets."""
    flags = FIVE_MINUTE_BLOCKS.get(kind.name, ()) if seconds >= 300 else ()
    with kind(folder, targets.config(), *flags) as server:
        server.start()
        time.sleep(warm_up)
        before, samples = server.usage(), targets.samples()
        time.sleep(seconds)
        after, scraped = server.usage(), targets.samples() - samples
        report = rates(before, after, scraped, seconds, targets.targets * targets.series)
        server.stop()
        if seconds >= 300:
            report["disk_bytes_total_after_stop"] = disk_bytes(folder)
        return report


def rates(before: Usage, after: Usage, samples: int, seconds: float, series: int) -> dict[str, float]:
    cpu = after.cpu - before.cpu
    return {
        "samples_per_cpu_second": round(samples / cpu) if cpu else 0,
        "samples_per_second": round(samples / seconds),
        "cpu_percent": round(100 * cpu / seconds, 1),
        "written_bytes_per_sample": round((after.written - before.written) / max(1, samples), 2),
        "rss_mb": round(after.rss, 1),
        "rss_bytes_per_series": round(after.rss * 1024 * 1024 / series),
    }


async def run(short: bool) -> dict[str, Any]:
    warm_kernels()
    seconds, warm_up = (10.0, 6.0) if short else (600.0, 30.0)
    cases: dict[str, tuple[int, int, tuple[str, ...]]] = {
        "plain": (20, 2000 if short else 5000, ()),
        "gzip": (20, 2000 if short else 5000, ("--gzip",)),
        "small": (200, 200 if short else 500, ()),
    }
    figures: dict[str, float] = {}
    peer: dict[str, float] = {}
    ratio: dict[str, float] = {}
    for case, (targets, series, flags) in cases.items():
        long = seconds if case == "plain" else min(seconds, 60.0)
        with tempfile.TemporaryDirectory(prefix="styr-bench-") as root, Targets(targets, series, *flags) as site:
            ours = measure(Styr, Path(root) / "styr", site, long, warm_up)
            figures |= {f"{case}_{name}": value for name, value in ours.items()}
            for kind in installed():
                theirs = measure(kind, Path(root) / kind.name, site, long, warm_up)
                peer |= {f"{kind.name}_{case}_{name}": value for name, value in theirs.items()}
                if kind is Prometheus and theirs["samples_per_cpu_second"]:
                    ratio[f"{case}_samples_per_cpu_second"] = round(
                        ours["samples_per_cpu_second"] / theirs["samples_per_cpu_second"], 2
                    )
    return {"figures": figures, "peer": peer, "ratio": ratio}
