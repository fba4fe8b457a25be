"""A crash at any step of writing, compacting, deleting or removing leaves the blocks as before or as after, and nothing else.

The steps are the calls to the operating system. At the n-th one the process "dies": that call and all later ones raise, as if
nothing after it had happened; then the directory is opened anew.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from styr.metrics.model.errors import StorageError
from styr.metrics.storage.block import catalog, compact, meta
from styr.metrics.storage.block.block import Block
from styr.metrics.storage.block.delete import delete
from styr.metrics.storage.block.snapshot import snapshot
from styr.metrics.storage.block.verify import verify
from styr.metrics.storage.block.writer import write_block
from tests.metrics.storage.block.support import RANGE, chunk_set, content, make_block, name, shifted, small, union

CALLS = ("write", "fsync", "rename", "mkdir", "unlink", "rmdir", "link")


class Killed(BaseException):
    """Not an Exception: nothing handles it."""


@contextmanager
def dying(monkeypatch: pytest.MonkeyPatch, at: int, error: Callable[[], BaseException]) -> Iterator[list[int]]:
    """From the `at`-th call on, calls raise; `[0]` counts them."""
    count = [0]
    with monkeypatch.context() as patch:
        for call in CALLS:
            real = getattr(os, call)

            def counted(*arguments: Any, _real: Any = real, **named: Any) -> Any:
                count[0] += 1
                if count[0] >= at:
                    raise error()
                return _real(*arguments, **named)

            patch.setattr(os, call, counted)
        yield count


Work = Callable[[Path], object]
PARTS = [small(4, 60), shifted(small(5, 60), RANGE), shifted(small(3, 60), 2 * RANGE)]


def prepare(root: Path) -> None:
    for i, part in enumerate(PARTS):
        make_block(root, part, i, i * RANGE, (i + 1) * RANGE)


def write(root: Path) -> object:
    part = shifted(PARTS[0], 5 * RANGE)
    return write_block(root, chunk_set(part), meta.new(name(50), 5 * RANGE, 6 * RANGE), 1000)


def compacting(root: Path) -> object:
    compact.compact(root, catalog.load(root).blocks, name(60))
    return catalog.load(root)


def deleting(root: Path) -> object:
    return delete(catalog.load(root).blocks[0], [], 0, 100_000)


def removing(root: Path) -> object:
    return catalog.remove(root, name(2))


def cleaning(root: Path) -> object:
    block = catalog.load(root).blocks[0]
    delete(block, [], 0, 100_000)
    compact.clean(root, block, name(70))
    return catalog.load(root)


def seen(root: Path) -> dict[object, Any]:
    """All samples of a directory, as they are after a start."""
    catalog.clean(root)
    loaded = catalog.load(root)
    assert not loaded.corrupt
    found: dict[object, list[Any]] = {}
    for block in loaded.blocks:
        verify(block)
        for labels, samples in content(block).items():
            found.setdefault(labels, []).extend(samples)
    assert sorted(path.name for path in root.iterdir()) == catalog.names(root)
    return {labels: sorted(samples) for labels, samples in found.items() if samples}


@pytest.mark.parametrize("work", [write, compacting, deleting, removing, cleaning])
def test_killed_at_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: Work) -> None:
    prepare(tmp_path / "0")
    before = seen(tmp_path / "0")
    with dying(monkeypatch, 1 << 30, Killed) as count:
        work(tmp_path / "0")
    steps = count[0]
    after = seen(tmp_path / "0")
    assert steps > 5
    for step in range(1, steps + 1):
        root = tmp_path / str(step)
        prepare(root)
        with dying(monkeypatch, step, Killed), pytest.raises(Killed):
            work(root)
        assert seen(root) in (before, after), f"killed at step {step} of {steps}"
        shutil.rmtree(root)


@pytest.mark.parametrize("work", [write, compacting, deleting])
def test_a_full_disk_at_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: Work) -> None:
    """The operation fails with a sentence, what was there is served, and once there is room all of it can be done again."""
    prepare(tmp_path / "0")
    before = seen(tmp_path / "0")
    with dying(monkeypatch, 1 << 30, Killed) as count:
        work(tmp_path / "0")
    after = seen(tmp_path / "0")
    for step in range(1, count[0] + 1):
        root = tmp_path / str(step)
        prepare(root)
        with dying(monkeypatch, step, lambda: OSError(errno.ENOSPC, "No space left on device")):
            try:
                work(root)
            except StorageError as error:
                assert "No space left" in str(error)  # noqa: PT017  # what is raised last may come from the clean-up
        found = seen(root)
        assert found in (before, after), f"full at step {step}"
        assert not any(block.meta.failed for block in catalog.load(root).blocks)
        done = found == after and (work is not compacting or len(catalog.names(root)) == 1)
        if not done:
            work(root)
            assert seen(root) == after
        shutil.rmtree(root)


def test_half_written_blocks_are_removed_at_the_start(tmp_path: Path) -> None:
    prepare(tmp_path)
    for suffix in (".tmp-for-creation", ".tmp-for-deletion"):
        shutil.copytree(tmp_path / name(0), tmp_path / (name(90) + suffix))
    (tmp_path / "wal").mkdir()
    (tmp_path / "notes.tmp-for-creation").mkdir()
    assert catalog.clean(tmp_path) == [name(90) + ".tmp-for-creation", name(90) + ".tmp-for-deletion"]
    assert (tmp_path / "notes.tmp-for-creation").exists()
    assert len(catalog.load(tmp_path).blocks) == 3


def test_known_blocks_are_taken_over_and_corrupt_ones_told_of(tmp_path: Path) -> None:
    prepare(tmp_path)
    first = catalog.load(tmp_path)
    (tmp_path / name(1) / "index").write_bytes(b"nonsense")
    again = catalog.load(tmp_path, {block.meta.ulid: block for block in first.blocks[:1]})
    assert again.blocks[0] is first.blocks[0]
    assert list(again.corrupt) == [name(1)]
    assert [block.meta.ulid for block in again.blocks] == [name(0), name(2)]


def test_who_only_looks_changes_nothing(tmp_path: Path) -> None:
    prepare(tmp_path)
    compact.compact(tmp_path, catalog.load(tmp_path).blocks, name(60))
    before = sorted(path.name for path in tmp_path.iterdir())
    assert [block.meta.ulid for block in catalog.load(tmp_path, look=True).blocks] == [name(60)]
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_corrupt_parent_of_a_good_block_is_removed(tmp_path: Path) -> None:
    prepare(tmp_path)
    compact.compact(tmp_path, catalog.load(tmp_path).blocks, name(60))
    (tmp_path / name(1) / "meta.json").write_bytes(b"")
    loaded = catalog.load(tmp_path)
    assert not loaded.corrupt
    assert catalog.names(tmp_path) == [name(60)]


def test_a_snapshot_is_not_touched_by_what_happens_later(tmp_path: Path) -> None:
    root, target = tmp_path / "data", tmp_path / "snapshots"
    prepare(root)
    block = catalog.load(root).blocks[0]
    copy = snapshot(block, target)
    assert os.stat(copy / "index").st_ino == os.stat(block.directory / "index").st_ino
    delete(block, [], 0, RANGE)
    catalog.remove(root, block.meta.ulid)
    assert content(Block(copy)) == union(PARTS[0])
    verify(Block(copy))


def test_a_snapshot_onto_another_disk_or_an_old_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(tmp_path / "data")
    block = catalog.load(tmp_path / "data").blocks[0]
    snapshot(block, tmp_path / "snapshots")
    with pytest.raises(StorageError, match="snapshot block"):
        snapshot(block, tmp_path / "snapshots")
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(errno.EXDEV, "Invalid cross-device link")))
    with pytest.raises(StorageError, match="same disk"):
        snapshot(block, tmp_path / "elsewhere")
    assert not list((tmp_path / "elsewhere").iterdir())
