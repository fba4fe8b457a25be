"""A run guided by coverage: `python -m tests.fuzz server --seconds 60`, or all targets in turn. Needs the extra `fuzz`.

A find is printed with its input, and the run ends with status 1; put the input into a test of the reader at fault.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import atheris  # type: ignore[import-not-found, import-untyped, unused-ignore]

with atheris.instrument_imports(include=["styr.api", "styr.cel", "styr.serving", "styr.kinds"]):
    from tests.fuzz.targets import TARGETS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", nargs="?", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args()
    if options.target is None:
        runs = [[sys.executable, "-m", "tests.fuzz", name, "--seconds", str(options.seconds)] for name in TARGETS]
        return max(subprocess.run(run).returncode for run in runs)
    target = TARGETS[options.target]
    with tempfile.TemporaryDirectory(prefix="styr-fuzz-") as folder:
        for number, seed in enumerate(target.seeds):
            (Path(folder) / f"seed{number}").write_bytes(seed)
        limits = [f"-max_total_time={options.seconds}", "-timeout=10", "-rss_limit_mb=2048", "-max_len=8192"]
        atheris.Setup([sys.argv[0], *limits, f"-artifact_prefix={folder}/", "-print_final_stats=1", folder], target.run)
        print(f"{options.target}: {options.seconds} s", flush=True)
        atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
