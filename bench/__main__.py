"""`python -m bench NAME [--short] [--json]`: runs one benchmark and prints its figures.

Each module of this folder with a `run` is a benchmark: `async def run(short: bool) -> dict` returns `figures` (name ->
number, units in the name), and `peer` and `ratio` where there is a peer measured in the same run. `--list` names them.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import pkgutil
import sys
from typing import Any

import bench


def names() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(bench.__path__) if not module.name.startswith("_"))


def text(report: dict[str, Any]) -> str:
    """The figures for people, one a line."""
    lines = []
    for section in ("figures", "peer", "ratio"):
        values = report.get(section)
        if values:
            lines.append(f"{section}:")
            items = values.items() if isinstance(values, dict) else [("", values)]
            lines += [f"  {key:<48} {value}" for key, value in items]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("name", nargs="?", choices=names(), metavar="NAME")
    parser.add_argument("--list", action="store_true", help="name the benchmarks")
    parser.add_argument("--short", action="store_true", help="a run of seconds, for CI")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    arguments = parser.parse_args()
    if arguments.list or not arguments.name:
        print("\n".join(names()))
        return 0
    module = importlib.import_module(f"bench.{arguments.name}")
    report = asyncio.run(module.run(arguments.short))
    print(json.dumps({"name": arguments.name, **report}) if arguments.json else text(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
