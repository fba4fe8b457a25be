"""Plays every case with every client of this machine, and writes what they did: `recorded/*.jsonl` and docs/clients.md.

    python -m tests.conformance.clients.report [--only CLIENT] [--case TEXT] [--missing] [--page] [--into DIR]

`--only` takes a part of a client's name (`kubectl 1.37`), `--case` a part of a case's; `--missing` plays what has no recording
yet; `--page` plays nothing and writes the page alone; `--into` writes the recordings elsewhere, and no page. A case is recorded
when it passes and its recording can be replayed; one that fails is taken out, and told.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from styr.cli.demo.platform import Platform
from styr.plane.folder import Folder
from tests.conformance.clients import page, recorded, transcript
from tests.conformance.clients.families import FAMILIES, Family, Player
from tests.conformance.clients.recorder import recording
from tests.conformance.clients.replay import replay
from tests.conformance.clients.scene import scene

DEFAULT = recorded.FOLDER


async def record(
    folder: Folder, player: Player, case: str, cache: Path
) -> tuple[list[transcript.Line], list[transcript.Line]]:
    """The lines of a case that passes, and those of discovery; replayed once. Raises what the case or the replay raises."""
    with tempfile.TemporaryDirectory() as work:
        async with (
            recording(folder, Path(work)) as (recorder, kubeconfig),
            scene(folder, Path(work), kubeconfig) as stage,
        ):
            stage.record = recorder.entries.append
            await asyncio.wait_for(player.play(case, stage, cache), 120)
            token = folder.token.read_text().strip()
            found, asked = transcript.lines(recorder.entries, stage.namespace, stage.node, token)
    with tempfile.TemporaryDirectory() as work:
        async with scene(folder, Path(work)) as stage:
            await replay(found, folder, stage)
    return found, asked


async def play(folder: Folder, family: Family, args: argparse.Namespace, cache: Path) -> int:
    """Returns the number of cases that failed."""
    failed = 0
    for player in family.here():
        if args.only and args.only not in player.name:
            continue
        discovery: dict[str, transcript.Line] = {}
        for case in player.cases:
            found = recorded.load(family.name)
            have = any(each.case == case and player.name in each.clients for each in found)
            if args.case not in case or (args.missing and have):
                continue
            try:
                lines, asked = await record(folder, player, case, cache / player.name)
                found = recorded.add(found, player.name, case, lines)
                discovery |= {str(line[:3]): line for line in asked}
            except Exception as error:
                failed += 1
                found = recorded.without(found, player.name, case)
                print(f"--- {player.name}: {case}\n{type(error).__name__}: {str(error)[:1200]}", flush=True)
            recorded.save(family.name, found, family.cases())
        if discovery and not args.case and not args.missing:
            found = recorded.add(recorded.load(family.name), player.name, recorded.DISCOVERY, list(discovery.values()))
            recorded.save(family.name, found, family.cases())
    return failed


async def main(args: argparse.Namespace) -> int:
    failed = 0
    if not args.page:
        with tempfile.TemporaryDirectory() as work:
            styr = Platform(Path(work))
            await styr.styr("up", "--detach", "--port", "0", "--without-metrics")
            try:
                for family in FAMILIES:
                    failed += await play(styr.folder, family, args, Path(work) / "caches")
            finally:
                await styr.styr("down")
    if args.into == DEFAULT:
        page.PATH.write_text(page.text())
    return 1 if failed else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="CLIENT")
    parser.add_argument("--case", default="", metavar="TEXT")
    parser.add_argument("--missing", action="store_true")
    parser.add_argument("--page", action="store_true")
    parser.add_argument("--into", type=Path, default=recorded.FOLDER, metavar="DIR")
    arguments = parser.parse_args()
    recorded.FOLDER = arguments.into
    sys.exit(asyncio.run(main(arguments)))
