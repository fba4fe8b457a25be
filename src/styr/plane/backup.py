"""`styr backup`: everything of a data folder that cannot be made again, in one file, while the platform runs.

Called by `cli.backup`. Calls `api.store.snapshot` (the store, at one revision) and `archive`. Asks nothing of the running
platform and changes nothing in its folder (a reader of SQLite may leave an empty WAL beside the store). What is in the
file, and in which order: docs/formats/backup.md.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from styr.api.store import sealing
from styr.api.store.checks import StoreError
from styr.api.store.snapshot import copy
from styr.kit.clock import Clock, rfc3339
from styr.kit.files import sync_folder
from styr.plane.archive import BackupError, Progress, Writer
from styr.plane.folder import Folder
from styr.plane.keys import sealed_with
from styr.version import __version__

STORE = "store.db"
MADE_AGAIN = frozenset(
    {
        "lock", "kubeconfig", "log", "node", "envoy", "metrics", "images/cache", "images/work",
        STORE, f"{STORE}.lock", f"{STORE}-wal", f"{STORE}-shm",
    }
)  # fmt: skip
"""What a start makes again, or what belongs to this machine alone. All else goes along, so that nothing is forgotten which
a later Styr puts into its folder. The store goes along as a copy."""


@dataclass(frozen=True, slots=True)
class Backup:
    """What was written. `made` is RFC 3339."""

    file: Path
    bytes: int
    members: int
    revision: int
    objects: int
    made: str


def backup(folder: Folder, file: Path, clock: Clock, progress: Progress = lambda _: None) -> Backup:
    """Replaces `file` once all is on the disk; until then, and when it fails, what was there stays. Raises BackupError."""
    file = file.expanduser().absolute()
    if file.resolve().is_relative_to(folder.path.resolve()):
        raise BackupError(
            f"back up to {file}: that is inside the data folder; name a file outside, best on another disk"
        )
    if not (folder.path / STORE).exists():
        raise BackupError(f"back up {folder.path}: no Styr has been started on it; name the right one: --data-dir DIR")
    partial = file.with_name(f"{file.name}.partial")
    copied = file.with_name(f"{file.name}.partial.db")
    try:
        with _alone(partial) as out:
            try:
                copied.unlink(missing_ok=True)  # of one that was killed
                done = _write(folder, file, out, copied, clock, progress)
                os.replace(partial, file)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise
            finally:
                copied.unlink(missing_ok=True)
        sync_folder(file.parent)
    except (StoreError, OSError) as error:
        raise BackupError(
            f"back up {folder.path} to {file}: {error}; nothing was written. Is there room on that disk, and may you "
            "write there?"
        ) from None
    return done


def _alone(partial: Path) -> BinaryIO:
    """The file that becomes the backup, empty and ours alone. Raises BackupError, OSError."""
    out = open(os.open(partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600), "wb")  # noqa: SIM115
    try:
        fcntl.flock(out, fcntl.LOCK_EX | fcntl.LOCK_NB)
        ours = os.path.samestat(os.fstat(out.fileno()), partial.stat())  # or it has just become somebody's backup
    except (BlockingIOError, FileNotFoundError):
        ours = False
    if not ours:
        out.close()
        raise BackupError(f"back up to {partial}: another `styr backup` is writing it; wait for that one")
    os.fchmod(out.fileno(), 0o600)
    out.truncate()
    return out


def _write(folder: Folder, file: Path, out: BinaryIO, copied: Path, clock: Clock, progress: Progress) -> Backup:
    made = rfc3339(clock.time())
    # The store comes first: what its objects name (commits, images) was there before them, and is copied after.
    facts = copy(folder.path / STORE, copied, lambda: progress(0))
    manifest = {
        "made": made, "styr": __version__, "revision": facts.revision, "objects": facts.objects,
        "store": facts.format, "folder": str(folder.path.resolve()),
    }  # fmt: skip
    writer = Writer(out, manifest, progress)
    writer.add(STORE, copied)
    for name, path in members(folder.path):
        writer.add(name, path)
    _check_keys(folder, copied)
    writer.finish()
    out.flush()
    os.fsync(out.fileno())
    size = os.fstat(out.fileno()).st_size
    return Backup(file, size, len(writer.entries) - 2, facts.revision, facts.objects, made)


def _check_keys(folder: Folder, copied: Path) -> None:
    """Does the file of keys that went along open what is in the copy? Keys may have been dropped between the two."""
    used = set(sealed_with(copied))
    held = {key.name for group in sealing.read_file(folder.encryption) or () for key in group.keys if key is not None}
    if used - held:
        raise BackupError(
            f"back up {folder.path}: keys of encryption went away meanwhile ({', '.join(sorted(used - held))}); try again"
        )


def members(folder: Path) -> Iterator[tuple[str, Path]]:
    """(name, path) of all that goes along, a folder before what is in it."""
    yield from _below(folder, "")


def _below(folder: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    try:
        entries = sorted(os.scandir(folder), key=_order(folder))
    except FileNotFoundError:
        return
    for entry in entries:
        name = f"{prefix}{entry.name}"
        if name in MADE_AGAIN or _in_the_making(name, Path(entry.path)):
            continue
        yield name, Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            yield from _below(Path(entry.path), f"{name}/")


def _order(folder: Path) -> Callable[[os.DirEntry[str]], tuple[bool, bool, str]]:
    """By name; in a repository what points comes before what is pointed at: refs, then the file that git packs them into,
    then objects, which are only ever added (Styr's repositories are never repacked by themselves)."""
    repository = folder.name.endswith(".git")
    return lambda entry: (
        repository and entry.name == "objects",
        repository and entry.name == "packed-refs",
        entry.name,
    )


def _in_the_making(name: str, path: Path) -> bool:
    """Layers without their mark, pushes that are not accepted yet, and files on their way to being renamed."""
    parts = name.split("/")
    if parts[:2] == ["images", "layers"] and len(parts) == 3 and path.is_dir():
        return not path.with_name(f"{path.name}.ok").exists()
    last = parts[-1]
    if parts[0] == "git":
        return last.startswith(("incoming-", "tmp_objdir-", "tmp_obj_")) or last.endswith(".lock")
    return parts[:2] == ["images", "layers"] and len(parts) == 3 and last.endswith(".lock")
