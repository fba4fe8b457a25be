"""`styr restore`: a data folder from the file of a backup, on this machine or another, whole or not at all.

Called by `cli.restore`. Everything is unpacked and checked beside the folder and takes its place by a rename. Calls
`archive`, `api.store`. Never starts anything.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from styr.api.store.checks import StoreError
from styr.api.store.commit import Store, Txn
from styr.api.store.sealing import Sealing
from styr.api.store.snapshot import check
from styr.api.store.sqlite import Database
from styr.delivery.landing import APP_LABEL
from styr.gateway import envoy
from styr.kinds import meta
from styr.kit.clock import Clock, parse_rfc3339
from styr.kit.files import sync_folder, write_atomic
from styr.metrics import launch
from styr.node.registration import LEASE_NAMESPACE
from styr.plane.archive import FIRST, BackupError, Progress, read_manifest, unpack
from styr.plane.backup import STORE
from styr.plane.folder import Folder, FolderError

MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Restored:
    """`revision` is where the store goes on; `aside` where what was there before is kept, if anything was; `moved` the
    folder that the backup was made of, if it was another."""

    folder: Path
    made: str
    objects: int
    backup_revision: int
    revision: int
    aside: Path | None
    moved: str


def restore(
    folder: Folder, file: Path, clock: Clock, *, force: bool = False, progress: Progress = lambda _: None
) -> Restored:
    """Raises BackupError; the folder is then what it was. Killed at any moment it leaves what was there, in its place or
    (between two renames, with `force`) under the name of `aside`."""
    target = Folder(folder.path.resolve())
    try:
        manifest = read_manifest(file)
        target.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _free(target, force), _staging(target) as staging:
            unpack(file, staging, progress)
            revision = _prepare(staging, file, manifest, clock)
            moved = str(manifest["folder"]) if manifest["folder"] != str(target.path) else ""
            if moved:
                _forget_dependencies(staging)
            os.sync()  # one wait for all of it: a file at a time takes minutes where apps have many dependencies
            aside = _swap(staging, target.path, clock)
        made, objects = str(manifest["made"]), int(manifest["objects"])
        return Restored(target.path, made, objects, manifest["revision"], revision, aside, moved)
    except OSError as error:
        raise BackupError(
            f"restore {file} to {target.path}: {error}; nothing was changed. Is there room, and may you write beside that "
            "folder?"
        ) from None
    except (StoreError, FolderError, KeyError, ValueError, TypeError) as error:
        raise BackupError(f"restore {file}: {error}; nothing was changed") from None


@contextmanager
def _free(folder: Folder, force: bool) -> Iterator[None]:
    """While this lasts no `styr up` starts on a folder that is there. Raises BackupError."""
    path = folder.path
    if not path.exists():
        yield
        return
    descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupError(f"restore to {path}: Styr is running on it. Stop it first: styr down") from None
        if envoy.recorded(path / "envoy") is not None or launch.recorded(path) is not None:
            raise BackupError(f"restore to {path}: apps still run on it. Stop them first: styr down")
        if not force and set(os.listdir(path)) - {"lock"}:
            raise BackupError(
                f"restore to {path}: there is data in it. Name another folder (--data-dir DIR), or replace it, the old "
                "one being kept beside it: styr restore --force FILE"
            )
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _staging(target: Folder) -> Iterator[Path]:
    """An empty folder on the target's disk, gone afterwards unless it was renamed; what a killed restore left goes too."""
    path = target.restoring
    path.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupError(f"restore to {target.path}: another `styr restore` is doing so; wait for it") from None
        for left in list(path.iterdir()):
            _remove(left)
        try:
            yield path
        finally:
            if path.exists() and os.path.samestat(path.stat(), os.fstat(descriptor)):
                _remove(path)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    """Also folders that their owner may not write into, as layers of images can be."""
    if path.is_dir() and not path.is_symlink():
        for parent, _, _ in os.walk(path):
            os.chmod(parent, 0o700)
        shutil.rmtree(path)
    else:
        path.unlink()


def _prepare(staging: Path, file: Path, manifest: dict[str, Any], clock: Clock) -> int:
    """Checks what was unpacked and makes a start of it. Returns the store's new revision."""
    (staging / FIRST).unlink()
    Folder(staging).check_version()
    facts = check(staging / STORE)
    if (facts.revision, facts.objects) != (manifest["revision"], manifest["objects"]):
        raise BackupError(f"restore {file}: its store is not the one that it was made with; nothing was changed")
    revision = new_revision(facts.revision, str(manifest["made"]), clock)
    database = Database(staging / STORE)
    try:
        database.restart(revision)
    finally:
        database.close()
    revision = asyncio.run(_forget_machine(staging / STORE, clock))
    (staging / f"{STORE}.lock").unlink()
    if (
        staging / "state.json"
    ).exists():  # the ports stay, so that remotes stay true; the process was another machine's
        state = Folder(staging).state()
        write_atomic(staging / "state.json", json.dumps({"api_port": state.api_port, "gateway_port": state.gateway_port,
                                                         "metrics_port": state.metrics_port}))  # fmt: skip
    return revision


def _forget_dependencies(staging: Path) -> None:
    """Virtual environments hold the path of their folder in every script: elsewhere they do not run, and a build that found
    them would use them. The next push makes them again."""
    for layer in (staging / "images" / "layers").glob("deps-*"):
        _remove(layer)


def new_revision(old: int, made: str, clock: Clock) -> int:
    """The time in microseconds since 1970: more than any server can have given out, even after the backup was taken,
    since each counts up from such a time (or from 0) by one a write, which is slower than a microsecond. Raises
    BackupError when this machine's clock is behind the backup's."""
    now = clock.time()
    revision = int(now * MICROSECONDS)
    if now < parse_rfc3339(made) or revision <= old:
        raise BackupError(
            f"restore: the backup was made at {made}, and this machine's clock says "
            f"{datetime.fromtimestamp(now, UTC):%Y-%m-%dT%H:%M:%SZ}: set it right first, or revisions could be given out "
            "twice; nothing was changed"
        )
    return revision


async def _forget_machine(path: Path, clock: Clock) -> int:
    sealing = Sealing(Folder(path.parent).encryption, clock)
    store = Store.open(path, clock, inline=True, sealing=sealing)
    try:
        await store.write(forget_machine)
        return store.revision
    finally:
        await store.close()


def forget_machine(txn: Txn) -> None:
    """No pod of the backup runs here, and the node may have another name: nodes register themselves again, pods that
    something controls are made again, others are placed again. Pods that had finished stay as what they became."""
    for key, _ in list(txn.list("nodes")):
        txn.delete(key)
    for key, _ in list(txn.list("leases.coordination.k8s.io", LEASE_NAMESPACE)):
        txn.delete(key)
    for key, record in list(txn.list("pods")):
        pod = record.decode()
        metadata, status = meta.metadata(pod), pod.get("status") or {}
        if metadata.get("deletionTimestamp") is None and status.get("phase") in ("Succeeded", "Failed"):
            continue
        owned = any(owner.get("controller") for owner in metadata.get("ownerReferences") or ())
        # Pods of delivery's builds wait for a push that is no more.
        if owned or metadata.get("deletionTimestamp") or APP_LABEL in (metadata.get("labels") or {}):
            txn.delete(key)
        elif pod["spec"].pop("nodeName", None):
            pod["status"] = {"phase": "Pending", **{k: v for k, v in status.items() if k == "qosClass"}}
            txn.put(key, pod)


def _swap(staging: Path, target: Path, clock: Clock) -> Path | None:
    aside = None
    if target.exists():
        if set(os.listdir(target)) - {"lock"}:
            stamp = datetime.fromtimestamp(clock.time(), UTC).strftime("%Y%m%dT%H%M%SZ")
            aside = target.with_name(f"{target.name}.before-restore-{stamp}")
            os.rename(target, aside)
        else:
            (target / "lock").unlink(missing_ok=True)
    try:
        os.rename(staging, target)
    except OSError:
        if aside is not None and not target.exists():
            os.rename(aside, target)
        raise
    sync_folder(target.parent)
    return aside
