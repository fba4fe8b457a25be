"""The file of a backup: a plain tar that any tar reads, with a list of what must be in it. Called by `backup` and `restore`;
knows nothing of what the files mean. Format: docs/formats/backup.md.

    styr-backup.json    first: what this is, as JSON
    ...                 regular files, folders, symbolic links, by their names below the data folder
    styr-backup.list    last: the SHA-256 of what follows in it, and a JSON list of every member before

A file cut short has no list; one that was changed does not agree with it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

FIRST, LAST = "styr-backup.json", "styr-backup.list"
FORMAT = 1
_CHUNK = 1 << 20
_SYNC_EVERY = 4 << 20
"""Bytes. One sync of everything at the end would keep the disk busy for seconds, and the server's writes waiting."""
_MAX_MANIFEST = 1 << 20

Progress = Callable[[int], None]
"""Called with the bytes done so far."""
Entry = tuple[str, str, int, int, str]
"""Name, "f", "d" or "l", mode, size, and the SHA-256 of a file or the target of a link."""


class BackupError(Exception):
    """A backup cannot be taken or restored. The text names the operation, the file, the cause and the way out."""


class Writer:
    """Writes an archive to a file. Raises OSError from every method."""

    def __init__(self, file: BinaryIO, manifest: dict[str, Any], progress: Progress) -> None:
        self.entries: list[Entry] = []
        self.bytes = 0
        self._progress = progress
        self._out = file
        self._synced = 0
        self._tar = tarfile.open(fileobj=file, mode="w|", format=tarfile.GNU_FORMAT)  # noqa: SIM115 - closed by `finish`
        self._content(FIRST, json.dumps({"format": FORMAT, **manifest}).encode())

    def _content(self, name: str, content: bytes) -> None:
        info = self._info(name, 0o600, len(content))
        self._tar.addfile(info, io.BytesIO(content))
        self.entries.append((name, "f", 0o600, len(content), hashlib.sha256(content).hexdigest()))

    def _info(
        self, name: str, mode: int, size: int = 0, kind: bytes = tarfile.REGTYPE, mtime: float = 0
    ) -> tarfile.TarInfo:
        info = tarfile.TarInfo(name)
        info.mode, info.size, info.type, info.mtime = mode, size, kind, int(mtime)
        return info

    def add(self, name: str, path: Path) -> bool:
        """One file, folder or link; False for what is gone meanwhile or is none of these (a socket)."""
        try:
            found = path.lstat()
            mode = stat.S_IMODE(found.st_mode)
            if stat.S_ISREG(found.st_mode):
                return self._file(name, path)
            if stat.S_ISLNK(found.st_mode):
                info = self._info(name, mode, kind=tarfile.SYMTYPE)
                info.linkname = os.readlink(path)
                entry = (name, "l", mode, 0, info.linkname)
            elif stat.S_ISDIR(found.st_mode):
                info, entry = self._info(name, mode, kind=tarfile.DIRTYPE), (name, "d", mode, 0, "")
            else:
                return False
        except FileNotFoundError:
            return False
        self._tar.addfile(info)
        self.entries.append(entry)
        return True

    def _file(self, name: str, path: Path) -> bool:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
            found = os.fstat(file.fileno())
            mode = stat.S_IMODE(found.st_mode)
            reader = _Reader(file, self._tell)
            self._tar.addfile(self._info(name, mode, found.st_size, mtime=found.st_mtime), reader)
            self.entries.append((name, "f", mode, found.st_size, reader.digest.hexdigest()))
        return True

    def _tell(self, size: int) -> None:
        self.bytes += size
        if self.bytes - self._synced >= _SYNC_EVERY:
            self._synced = self.bytes
            self._out.flush()
            os.fdatasync(self._out.fileno())
        self._progress(self.bytes)

    def finish(self) -> None:
        body = json.dumps(self.entries).encode()
        self._content(LAST, hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
        self._tar.close()


class _Reader(io.RawIOBase):
    """What tarfile reads from: counts and hashes what goes by."""

    def __init__(self, file: BinaryIO, tell: Progress) -> None:
        self._file, self._tell = file, tell
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        content = self._file.read(size)
        self.digest.update(content)
        self._tell(len(content))
        return content


def read_manifest(file: Path) -> dict[str, Any]:
    """What the archive says of itself. Raises BackupError for what is no backup or of a newer format, OSError."""
    try:
        with file.open("rb") as opened, tarfile.open(fileobj=opened, mode="r|") as tar:
            info = tar.next()
            content = tar.extractfile(info) if info is not None and info.name == FIRST else None
            manifest = json.loads(content.read(_MAX_MANIFEST)) if content is not None else None
            found, revision = int(manifest["format"]), int(manifest["revision"])  # type: ignore[index]
    except (tarfile.TarError, ValueError, TypeError, KeyError, EOFError) as error:
        raise BackupError(f"restore {file}: this is not a backup of Styr, or it is damaged ({error})") from None
    if found > FORMAT:
        raise BackupError(
            f"restore {file}: its format is {found}, this Styr knows {FORMAT}; install the newer one: pip install -U styr"
        )
    assert manifest is not None
    return {**manifest, "format": found, "revision": revision}


def unpack(file: Path, folder: Path, progress: Progress) -> None:
    """Unpacks everything into an empty folder and compares it with the list. Links are made when all else is there and
    agrees, so that nothing is ever written through one. Raises BackupError, OSError; what was unpacked then stays."""
    entries: list[Entry] = []
    links: list[tuple[Path, str]] = []
    modes: list[tuple[Path, int]] = []
    last: bytes | None = None
    try:
        with file.open("rb") as opened, tarfile.open(fileobj=opened, mode="r|") as tar:
            while last is None and (info := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined]  # tarfile keeps every one, for a listing nobody asks for
                if info.name == LAST:
                    content = tar.extractfile(info)
                    last = content.read() if content is not None else b""
                    break
                entries.append(_member(tar, info, folder, links, modes))
                progress(opened.tell())
        if last is None:
            raise _damaged(file, "its end is missing")
        _compare(file, entries, last)
    except (tarfile.TarError, EOFError, ValueError, FileExistsError, NotADirectoryError, OverflowError) as error:
        raise _damaged(file, str(error)) from None
    for path, target in links:
        os.symlink(target, path)
    for path, mode in reversed(modes):
        path.chmod(mode)


def _member(
    tar: tarfile.TarFile,
    info: tarfile.TarInfo,
    folder: Path,
    links: list[tuple[Path, str]],
    modes: list[tuple[Path, int]],
) -> Entry:
    """Raises ValueError for what a backup never holds."""
    name, mode = info.name, info.mode & 0o777
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\0" in name:
        raise ValueError(f"a member is named {name!r}")
    path = folder.joinpath(*parts)
    if info.issym():
        links.append((path, info.linkname))
        return name, "l", info.mode, 0, info.linkname
    if info.isdir():
        path.mkdir(mode=0o700)
        modes.append((path, mode))
        return name, "d", info.mode, 0, ""
    content = tar.extractfile(info) if info.isreg() else None
    if content is None:
        raise ValueError(f"{name!r} is neither file nor folder nor link")
    digest = hashlib.sha256()
    size = 0
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as out:
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
            out.write(chunk)
            size += len(chunk)
        os.fchmod(out.fileno(), mode)
        os.utime(out.fileno(), (info.mtime, info.mtime))
    return name, "f", info.mode, size, digest.hexdigest()


def _compare(file: Path, entries: list[Entry], last: bytes) -> None:
    head, _, body = last.partition(b"\n")
    if hashlib.sha256(body).hexdigest().encode() != head:
        raise _damaged(file, "its list is not what was written")
    wanted = [tuple(entry) for entry in json.loads(body)]
    if wanted == entries:
        return
    wrong = next((b for a, b in zip(entries, wanted, strict=False) if a != b), None)
    raise _damaged(file, f"{wrong[0] if wrong else 'a member'} is not what was written")


def _damaged(file: Path, cause: str) -> BackupError:
    return BackupError(f"restore {file}: the backup is damaged ({cause}); nothing was changed. Use another copy of it")
