"""Backup and restore of a data folder: what is in it, while it is written, on full disks, killed, damaged, hostile."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from styr.api.store.commit import Store
from styr.api.store.records import ObjectKey
from styr.api.store.snapshot import check
from styr.api.store.window import WindowPassed
from styr.cli.main import styr
from styr.kit.clock import LoopClock, SystemClock
from styr.plane.archive import LAST, BackupError
from styr.plane.backup import backup
from styr.plane.folder import Folder, FolderError
from styr.plane.restore import restore
from tests.api.store_files import format_1


class At(LoopClock):
    def __init__(self, now: float) -> None:
        self.now = now

    def time(self) -> float:
        return self.now


NOW = At(1_700_000_000.25)


def key(name: str, resource: str = "things") -> ObjectKey:
    return ObjectKey(resource, "ns", name)


def put(name: str, value: object = 0, resource: str = "things"):
    return lambda txn: txn.put(key(name, resource), {"metadata": {"name": name}, "value": value})


def write(path: Path, *functions) -> None:
    async def work() -> None:
        store = Store.open(path, SystemClock(), inline=True)
        for function in functions:
            await store.write(function)
        await store.close()

    asyncio.run(work())


def fill(path: Path) -> Folder:
    """A data folder as a few days leave it."""
    folder = Folder(path).open()
    folder.write_state(api_port=1, gateway_port=2, metrics_port=3, pid=os.getpid(), start=7)
    write(path / "store.db", *(put(f"n{number}", "x" * 500) for number in range(60)))
    for name, content in {
        "token": "secret",
        "pki/ca.key": "key",
        "kubeconfig": "made again",
        "prometheus.yml": "{}",
        "log/styr.log": "gone",
        "node/pods/u1/state.json": "{}",
        "metrics/data/wal/1": "gone",
        "git/a.git/HEAD": "ref: refs/heads/main",
        "git/a.git/refs/heads/main": "c0ffee",
        "git/a.git/objects/c0/ffee": "blob" * 1000,
        "git/a.git/objects/incoming-1/x": "gone",
        "git/a.git/packed-refs": "",
        "images/layers/deps-1/venv/bin/tool": "#!",
        "images/layers/deps-1.ok": "{}",
        "images/layers/half/x": "gone",
        "images/layers/deps-1.lock": "",
        "images/cache/big": "gone",
        "later/keys.json": "a room of a later Styr",
    }.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    (path / "images/layers/deps-1/venv/bin/python").symlink_to("/usr/bin/python3")
    (path / "images/layers/deps-1/venv/bin/tool").chmod(0o755)
    (path / "images/layers/deps-1/venv").chmod(0o555)
    os.mkfifo(path / "pipe")
    folder.close()
    return folder


KEPT = {
    "VERSION", "token", "pki/ca.key", "prometheus.yml", "state.json", "later/keys.json", "store.db",
    "git/a.git/HEAD", "git/a.git/refs/heads/main", "git/a.git/objects/c0/ffee", "git/a.git/packed-refs",
    "images/layers/deps-1/venv/bin/tool", "images/layers/deps-1/venv/bin/python", "images/layers/deps-1.ok",
}  # fmt: skip


LAYER = {name for name in KEPT if "deps-1" in name}


def files(path: Path) -> set[str]:
    return {str(found.relative_to(path)) for found in path.rglob("*") if not found.is_dir() or found.is_symlink()}


def contents(path: Path) -> dict[str, bytes]:
    return {name: (path / name).read_bytes() for name in files(path) if (path / name).is_file()}


@pytest.fixture
def folder(tmp_path: Path):
    made = fill(tmp_path / "data")
    yield made
    for parent, _, _ in os.walk(tmp_path):
        os.chmod(parent, 0o700)


@pytest.fixture
def taken(folder: Folder, tmp_path: Path) -> Path:
    return backup(folder, tmp_path / "b.tar", NOW).file


def test_all_that_cannot_be_made_again_comes_back(folder: Folder, taken: Path, tmp_path: Path) -> None:
    assert taken.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.tar", "data"]
    old = folder.path.rename(tmp_path / "old")
    done = restore(folder, taken, At(NOW.now + 60))
    new = folder.path
    assert files(new) == KEPT
    assert new.stat().st_mode & 0o777 == 0o700
    for name in KEPT - {"store.db", "state.json", "images/layers/deps-1/venv/bin/python"}:
        assert (new / name).read_bytes() == (old / name).read_bytes(), name
    assert os.readlink(new / "images/layers/deps-1/venv/bin/python") == "/usr/bin/python3"
    assert (new / "images/layers/deps-1/venv/bin/tool").stat().st_mode & 0o777 == 0o755
    assert (new / "images/layers/deps-1/venv").stat().st_mode & 0o777 == 0o555
    state = folder.state()
    assert (state.api_port, state.gateway_port, state.metrics_port, state.pid, state.start) == (1, 2, 3, 0, 0)
    assert (done.objects, done.backup_revision, done.aside, done.moved) == (60, 60, None, "")
    assert check(new / "store.db").objects == 60
    folder.open().close()


def test_dependencies_do_not_move_to_another_folder(folder: Folder, taken: Path, tmp_path: Path) -> None:
    """Their scripts name the old one; a build that found them would take them for good."""
    new = Folder(tmp_path / "elsewhere" / "new")
    assert restore(new, taken, At(NOW.now + 60)).moved == str(folder.path)
    assert files(new.path) == KEPT - LAYER
    assert not list((new.path / "images" / "layers").iterdir())
    result = CliRunner().invoke(styr, ["restore", str(taken), "--data-dir", str(tmp_path / "n")])
    assert f"--data-dir {folder.path}" in result.output


def test_pointers_are_copied_before_what_they_point_to(taken: Path) -> None:
    with tarfile.open(taken) as tar:
        names = [name for name in tar.getnames() if not name.endswith(".git")]
    assert names[:2] == ["styr-backup.json", "store.db"]
    assert names[-1] == LAST
    order = [names.index(f"git/a.git/{name}") for name in ("refs/heads/main", "packed-refs", "objects/c0/ffee")]
    assert order == sorted(order)


async def test_taken_while_it_is_written_it_is_of_one_revision(folder: Folder, tmp_path: Path) -> None:
    store = Store.open(folder.path / "store.db", SystemClock())
    stop = False

    def both(value: int):
        def write(txn):
            txn.put(key("left"), {"metadata": {}, "value": value})
            return txn.put(key("right"), {"metadata": {}, "value": value})

        return write

    async def writer() -> None:
        value = 0
        while not stop:
            value += 1
            await store.write(both(value))
            await store.write(put(f"w{value % 50}", "y" * 2000))

    task = asyncio.create_task(writer())
    seen = []
    for number in range(4):
        done = await asyncio.to_thread(backup, folder, tmp_path / "b.tar", SystemClock())
        seen.append(done.revision)
        new = Folder(tmp_path / f"new{number}")
        restored = await asyncio.to_thread(restore, new, done.file, SystemClock())
        copy = Store.open(new.path / "store.db", SystemClock(), inline=True)
        left, right = copy.get(key("left")), copy.get(key("right"))
        assert left is None or left.decode()["value"] == right.decode()["value"]
        newest = max(record.revision for record in copy.state("things").values())
        assert newest == restored.backup_revision == done.revision
        await copy.close()
    stop = True
    await task
    assert seen == sorted(set(seen))
    assert store.revision > seen[-1]
    await store.close()


def test_what_a_killed_server_left_in_its_wal_is_in_the_backup(folder: Folder, tmp_path: Path) -> None:
    program = f"""
import asyncio, os, sys
sys.path[:0] = {sys.path!r}
from tests.plane.test_backup import Store, SystemClock, put
async def work():
    store = Store.open({str(folder.path / "store.db")!r}, SystemClock())
    await store.write(put("last"))
    os.kill(os.getpid(), 9)
asyncio.run(work())
"""
    assert subprocess.run([sys.executable, "-c", program]).returncode == -signal.SIGKILL
    assert (folder.path / "store.db-wal").stat().st_size > 0
    assert backup(folder, tmp_path / "b.tar", NOW).revision == 61


async def test_no_revision_is_ever_given_out_twice(tmp_path: Path) -> None:
    """The old server goes on after the backup; the backup is then restored twice, each time with a life of its own."""
    first = Folder(tmp_path / "one").open()
    given: set[int] = set()

    async def live(path: Path, writes: int) -> None:
        store = Store.open(path / "store.db", SystemClock(), inline=True)
        for value in range(writes):
            revision = (await store.write(put(f"n{value % 7}", value))).revision
            assert revision not in given
            given.add(revision)
        await store.close()

    await live(first.path, 20)
    done = backup(first, tmp_path / "b.tar", NOW)
    await live(first.path, 200)
    for number in range(2):
        old = max(given)
        new = Folder(tmp_path / f"again{number}")
        restored = await asyncio.to_thread(restore, new, done.file, At(NOW.now + number + 1))
        assert old < restored.revision < 2**53
        store = Store.open(new.path / "store.db", SystemClock(), inline=True)
        for seen in (1, 20, 220, old):
            with pytest.raises(WindowPassed):  # the watch of a client from before: 410
                store.window("things").cursor(seen)
            with pytest.raises(WindowPassed):
                store.view("things", seen)
        await store.close()
        await live(new.path, 200)
    first.close()


@pytest.mark.parametrize("behind", [1.0, 3600.0, 1_700_000_000.0])
def test_a_clock_that_is_behind_the_backup_is_refused(taken: Path, tmp_path: Path, behind: float) -> None:
    with pytest.raises(BackupError, match=r"clock says .* set it right"):
        restore(Folder(tmp_path / "new"), taken, At(NOW.now - behind))
    assert not (tmp_path / "new").exists()


def test_what_belonged_to_the_old_machine_is_forgotten(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "data").open()
    on = {"nodeName": "old", "containers": []}
    owner = {"ownerReferences": [{"controller": True, "kind": "ReplicaSet", "name": "rs", "uid": "1"}]}
    running, done = {"phase": "Running", "podIP": "127.0.0.1", "qosClass": "Burstable"}, {"phase": "Succeeded"}

    def pod(name: str, status: dict, **metadata: object):
        return lambda txn: txn.put(
            key(name, "pods"), {"metadata": {"name": name, **metadata}, "spec": dict(on), "status": status}
        )

    write(
        folder.path / "store.db",
        lambda txn: txn.put(ObjectKey("nodes", "", "old"), {"metadata": {"name": "old"}}),
        lambda txn: txn.put(ObjectKey("leases.coordination.k8s.io", "kube-node-lease", "old"), {"metadata": {}}),
        pod("owned", running, **owner),
        pod("bare", running),
        pod("done", done),
        pod("going", running, deletionTimestamp="2026-01-01T00:00:00Z"),
        pod("build", running, labels={"styr.dev/app": "a"}),
        put("kept"),
    )
    folder.close()
    new = Folder(tmp_path / "new")
    restore(new, backup(folder, tmp_path / "b.tar", NOW).file, At(NOW.now + 1))
    store = Store.open(new.path / "store.db", SystemClock(), inline=True)
    assert not store.state("nodes")
    assert not store.state("leases.coordination.k8s.io")
    pods = {name: record.decode() for (_, name), record in store.state("pods").items()}
    assert set(pods) == {"bare", "done"}
    assert "nodeName" not in pods["bare"]["spec"]
    assert pods["bare"]["status"] == {"phase": "Pending", "qosClass": "Burstable"}
    assert pods["done"]["spec"]["nodeName"] == "old"
    assert store.get(key("kept")) is not None
    asyncio.run(store.close())


def test_an_older_store_is_backed_up_and_brought_forward(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "data").open()
    format_1(folder.path / "store.db", objects=5)
    folder.close()
    new = Folder(tmp_path / "new")
    restore(new, backup(folder, tmp_path / "b.tar", NOW).file, At(NOW.now + 1))
    assert check(new.path / "store.db").format == 3
    assert check(new.path / "store.db").objects == 5


# Refused


def test_a_folder_with_data_is_kept_unless_forced(folder: Folder, taken: Path, tmp_path: Path) -> None:
    before = contents(folder.path)
    with pytest.raises(BackupError, match=r"there is data in it.*--force"):
        restore(folder, taken, At(NOW.now + 1))
    assert contents(folder.path) == before
    done = restore(folder, taken, At(NOW.now + 1), force=True)
    assert done.aside is not None
    assert contents(done.aside) == before
    assert files(folder.path) == KEPT


def test_a_folder_in_use_is_refused_even_when_forced(folder: Folder, taken: Path) -> None:
    folder.open()
    with pytest.raises(BackupError, match=r"running.*styr down"):
        restore(folder, taken, At(NOW.now + 1), force=True)
    folder.close()


def test_an_empty_folder_is_taken(taken: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "lock").touch()
    restore(Folder(tmp_path / "empty"), taken, At(NOW.now + 1))
    assert files(tmp_path / "empty") == KEPT - LAYER


def test_a_backup_inside_the_folder_or_of_nothing_is_refused(folder: Folder, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="inside the data folder"):
        backup(folder, folder.path / "b.tar", NOW)
    with pytest.raises(BackupError, match="no Styr has been started"):
        backup(Folder(tmp_path / "none"), tmp_path / "b.tar", NOW)
    with pytest.raises(BackupError, match="No such file"):
        backup(folder, tmp_path / "no" / "b.tar", NOW)
    assert not (tmp_path / "none").exists()


def test_a_damaged_store_does_not_replace_a_good_backup(folder: Folder, taken: Path) -> None:
    good = taken.read_bytes()
    store = folder.path / "store.db"
    store.write_bytes(store.read_bytes().replace(b"x" * 500, b"x" * 250 + b"y" + b"x" * 249, 1))
    with pytest.raises(BackupError, match=r"data/store.db: things/ns/n\d+ is not what was written"):
        backup(folder, taken, NOW)
    assert taken.read_bytes() == good
    assert sorted(path.name for path in taken.parent.iterdir()) == ["b.tar", "data"]


def refused(taken: Path, content: bytes, tmp_path: Path) -> str:
    file = tmp_path / "bad.tar"
    file.write_bytes(content)
    with pytest.raises(BackupError) as caught:
        restore(Folder(tmp_path / "new"), file, At(NOW.now + 1))
    assert not [path for path in tmp_path.iterdir() if "new" in path.name]
    return str(caught.value)


def test_a_backup_cut_short_anywhere_is_refused(taken: Path, tmp_path: Path) -> None:
    content = taken.read_bytes()
    end = content.rindex(b"]]") + 2  # zeros follow
    for size in [0, 1, 100, *range(512, end, 4099), end - 600, end - 1]:
        assert "damaged" in refused(taken, content[:size], tmp_path)


def test_a_flipped_bit_anywhere_is_refused(taken: Path, tmp_path: Path) -> None:
    """In every header and every member; only the zeros that fill up blocks stand for nothing."""
    content = taken.read_bytes()
    with tarfile.open(taken) as tar:
        places = [(info.offset, 512) for info in tar] + [(info.offset_data, info.size) for info in tar if info.size]
    places = [place for start, size in places for place in {start, start + size // 3, start + size - 1}]
    for place in places:
        flipped = bytearray(content)
        flipped[place] ^= 1
        assert "damaged" in refused(taken, bytes(flipped), tmp_path), place


@pytest.mark.parametrize("content", [b"", b"no tar" * 1000, b"\0" * 10240, b"SQLite format 3\0" * 100])
def test_what_is_no_backup_is_refused(taken: Path, tmp_path: Path, content: bytes) -> None:
    assert "not a backup of Styr" in refused(taken, content, tmp_path)


def archive(*members: tuple[tarfile.TarInfo, bytes], manifest: dict | None = None) -> bytes:
    """Whole by its own list, whatever is in it."""
    out, entries = io.BytesIO(), []
    first = json.dumps(
        manifest or {"format": 1, "revision": 1, "objects": 0, "made": "2020-01-01T00:00:00Z", "folder": "/x"}
    ).encode()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for info, content in ((tarfile.TarInfo("styr-backup.json"), first), *members):
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
            kind = "l" if info.issym() else "d" if info.isdir() else "f"
            digest = info.linkname if info.issym() else "" if info.isdir() else hashlib.sha256(content).hexdigest()
            entries.append([info.name, kind, info.mode, info.size, digest])
        body = json.dumps(entries).encode()
        body = hashlib.sha256(body).hexdigest().encode() + b"\n" + body
        last = tarfile.TarInfo(LAST)
        last.size = len(body)
        tar.addfile(last, io.BytesIO(body))
    return out.getvalue()


def info(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    return made


@pytest.mark.parametrize(
    "members",
    [
        [(info("/etc/passwd2"), b"x")],
        [(info("../outside"), b"x")],
        [(info("a/../../outside"), b"x")],
        [(info("a", tarfile.SYMTYPE, ".."), b""), (info("a/outside"), b"x")],
        [(info("a", tarfile.LNKTYPE, "/etc/passwd"), b"")],
        [(info("a", tarfile.CHRTYPE), b"")],
        [(info("a", tarfile.FIFOTYPE), b"")],
        [(info("a"), b"1"), (info("a"), b"2")],
        [(info("a"), b"1"), (info("a/b"), b"2")],
        [],
        [(info("store.db"), b"no database")],
        [(info("VERSION"), b'{"format": 99}')],
    ],
)
def test_hostile_archives_touch_nothing(taken: Path, tmp_path: Path, members) -> None:
    refused(taken, archive(*members), tmp_path)
    assert not (tmp_path / "outside").exists()


def test_a_newer_backup_says_so(taken: Path, tmp_path: Path) -> None:
    text = refused(taken, archive(manifest={"format": 2, "revision": 1}), tmp_path)
    assert "pip install -U styr" in text


# Full disks and SIGKILL

_CHILD = """
import os, resource, signal, sys
import importlib
from pathlib import Path
from styr.kit.clock import SystemClock
from styr.plane.archive import BackupError
from styr.plane.folder import Folder
import styr.plane.backup, styr.plane.restore
verb, folder, file, point, limit = sys.argv[1:]
if point:
    where, when, nth = point.split(":")
    owner, _, name = where.rpartition(".")
    try:
        owner = importlib.import_module(owner)
    except ImportError:
        module, _, cls = owner.rpartition(".")
        owner = getattr(importlib.import_module(module), cls)
    real, left = getattr(owner, name), int(nth)
    def killed(*arguments, **options):
        global left
        left -= 1
        if left == 0 and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*arguments, **options)
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    setattr(owner, name, killed)
if int(limit):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
try:
    if verb == "backup":
        styr.plane.backup.backup(Folder(Path(folder)), Path(file), SystemClock())
    else:
        styr.plane.restore.restore(Folder(Path(folder)), Path(file), SystemClock(), force=True)
except BackupError as error:
    sys.exit(f"refused: {error}")
"""


def child(verb: str, folder: Path, file: Path, *, point: str = "", limit: int = 0) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-c", _CHILD, verb, str(folder), str(file), point, str(limit)]
    return subprocess.run(line, capture_output=True, text=True)


@pytest.mark.parametrize("limit", [1, 5_000, 20_000, 60_000])
def test_a_full_disk_leaves_the_older_backup_and_nothing_half(folder: Folder, taken: Path, limit: int) -> None:
    good = taken.read_bytes()
    ended = child("backup", folder.path, taken, limit=limit)
    assert ended.stderr.startswith("refused: back up"), ended.stderr
    assert "nothing was written" in ended.stderr
    assert taken.read_bytes() == good
    assert sorted(path.name for path in taken.parent.iterdir()) == ["b.tar", "data"]


@pytest.mark.parametrize("limit", [1, 3_000, 20_000, 60_000])
def test_a_full_disk_leaves_the_older_folder_and_nothing_half(folder: Folder, taken: Path, limit: int) -> None:
    before = contents(folder.path)
    ended = child("restore", folder.path, taken, limit=limit)
    assert ended.stderr.startswith("refused: restore"), ended.stderr
    assert contents(folder.path) == before
    assert sorted(path.name for path in taken.parent.iterdir()) == ["b.tar", "data"]


@pytest.mark.parametrize(
    "point",
    [
        "styr.plane.backup.copy:before:1",
        "styr.api.store.snapshot.check:before:1",
        "styr.plane.backup.copy:after:1",
        "styr.plane.archive.Writer.add:after:5",
        "styr.plane.archive.Writer.finish:after:1",
        "os.replace:before:1",
        "os.replace:after:1",
        "styr.plane.backup.sync_folder:before:1",
    ],
)
def test_a_killed_backup_leaves_a_whole_file(folder: Folder, taken: Path, tmp_path: Path, point: str) -> None:
    write(folder.path / "store.db", put("later"))
    assert child("backup", folder.path, taken, point=point).returncode == -signal.SIGKILL
    done = restore(Folder(tmp_path / "new"), taken, SystemClock())
    assert done.backup_revision in (60, 61)
    assert backup(folder, taken, NOW).revision == 61  # and the next one takes away what that left
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.tar", "data", "new"]


@pytest.mark.parametrize(
    ("point", "state"),
    [
        ("styr.plane.archive._member:after:3", "old"),
        ("styr.plane.restore.unpack:after:1", "old"),
        ("styr.api.store.sqlite.Database.restart:after:1", "old"),
        ("os.sync:before:1", "old"),
        ("os.sync:after:1", "old"),
        ("styr.plane.restore._swap:before:1", "old"),
        ("os.rename:after:1", "aside"),
        ("os.rename:before:2", "aside"),
        ("os.rename:after:2", "new"),
        ("styr.plane.restore.sync_folder:after:1", "new"),
    ],
)
def test_a_killed_restore_leaves_one_or_the_other(folder: Folder, tmp_path: Path, point: str, state: str) -> None:
    taken = backup(folder, tmp_path / "b.tar", SystemClock()).file
    before = contents(folder.path)
    assert child("restore", folder.path, taken, point=point).returncode == -signal.SIGKILL
    asides = list(tmp_path.glob("data.before-restore-*"))
    if state == "old":
        assert contents(folder.path) == before
        assert not asides
    else:
        assert contents(asides[0]) == before
        assert folder.path.exists() == (state == "new")
    if state == "new":
        assert files(folder.path) == KEPT
    elif state == "aside":  # a start would otherwise make an empty platform of it
        with pytest.raises(FolderError, match="was interrupted"):
            Folder(folder.path).open()
        assert not folder.path.exists()
    restore(folder, taken, At(SystemClock().time() + 100), force=True)  # and the next one goes through, and cleans up
    assert files(folder.path) == KEPT
    assert not (tmp_path / ".data.restoring").exists()


def test_the_verbs_say_what_they_did(folder: Folder, tmp_path: Path) -> None:
    run, file = CliRunner(), str(tmp_path / "c.tar")
    result = run.invoke(styr, ["backup", file, "--data-dir", str(folder.path)])
    assert result.exit_code == 0, result.output
    assert "60 objects at revision 60" in result.output
    assert f"styr restore {file}" in result.output
    result = run.invoke(styr, ["backup", file, "--data-dir", str(folder.path), "-o", "json"])
    assert json.loads(result.output)["revision"] == 60
    result = run.invoke(styr, ["restore", file, "--data-dir", str(folder.path)])
    assert result.exit_code == 1
    assert "--force" in result.output
    result = run.invoke(styr, ["restore", "--force", file, "--data-dir", str(folder.path)])
    assert result.exit_code == 0, result.output
    assert "What was there before" in result.output
    result = run.invoke(styr, ["restore", file, "--data-dir", str(tmp_path / "n"), "-o", "json"])
    assert json.loads(result.output)["backupRevision"] == 60
