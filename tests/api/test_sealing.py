"""Secrets in the file: nothing of them in the clear in any byte of it, whatever was there before, whatever ends the attempt;
and back again with the right key only."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from styr.api.store import sealing
from styr.api.store.checks import Damaged, StoreError
from styr.api.store.commit import Store
from styr.api.store.migrations import checksum
from styr.api.store.records import ObjectKey
from styr.api.store.sealing import Key, Sealing, SealingError
from styr.api.store.snapshot import check, copy
from styr.kit.clock import SystemClock
from styr.plane import keys
from styr.plane.backup import backup
from styr.plane.folder import Folder
from styr.plane.restore import restore

SECRET = ObjectKey("secrets", "default", "db")
PLAIN = ObjectKey("configmaps", "default", "db")
TEXT = "correct-horse-battery-staple"


def stored(folder: Path, **more: Any) -> Store:
    return Store.open(
        folder / "store.db",
        SystemClock(),
        inline=True,
        sealing=Sealing(folder / "encryption.yaml", SystemClock()),
        **more,
    )


def put(key: ObjectKey, text: str) -> Any:
    return lambda txn: txn.put(key, {"metadata": {"name": key.name}, "data": {"password": text}})


def text_of(store: Store, key: ObjectKey) -> str:
    record = store.get(key)
    assert record is not None
    return str(record.decode()["data"]["password"])


def leaks(folder: Path, text: str = TEXT) -> list[str]:
    """Files of the store that hold the text, or its base64, anywhere."""
    forms = (text.encode(), base64.b64encode(text.encode())[:-4])
    files = sorted(folder.glob("store.db*"))
    assert files
    return [file.name for file in files if any(form in file.read_bytes() for form in forms)]


def rows(folder: Path) -> Iterator[tuple[str, bytes]]:
    connection = sqlite3.connect(folder / "store.db")
    try:
        yield from connection.execute("SELECT key, data FROM objects")
        yield from connection.execute("SELECT key, old FROM log WHERE old IS NOT NULL")
    finally:
        connection.close()


def configure(folder: Path, *providers: dict[str, Any], resources: tuple[str, ...] = ("secrets",)) -> None:
    content = {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": [{"resources": list(resources), "providers": list(providers)}],
    }
    path = folder / "encryption.yaml"
    path.write_text(json.dumps(content))
    path.chmod(0o600)


def provider(kind: str, *names: str, size: int = 32) -> dict[str, Any]:
    found = [{"name": name, "secret": base64.b64encode(name.encode().ljust(size, b"x")).decode()} for name in names]
    return {kind: {"keys": found}}


async def live(folder: Path, key: ObjectKey = SECRET) -> None:
    """Creates, changes, deletes, makes again, so that the log and free pages hold old ones too; large ones fill pages."""
    store = stored(folder)
    for number in range(3):
        await store.write(put(key, f"{TEXT}-{number}"))
    large = ObjectKey(key.resource, "default", "large")
    await store.write(put(large, f"{TEXT}-" * 4000))
    await store.write(lambda txn: txn.delete(large))
    await store.write(put(PLAIN, "public"))
    await store.close()


async def test_nothing_of_a_secret_is_in_the_file_its_wal_or_its_free_pages(tmp_path: Path) -> None:
    store = stored(tmp_path)
    for number in range(5):
        await store.write(put(SECRET, f"{TEXT}-{number}"))
        assert leaks(tmp_path) == []
    assert (tmp_path / "store.db-wal").exists()
    await store.write(lambda txn: txn.delete(SECRET))
    await store.write(put(PLAIN, "public"))
    await store.close()
    assert leaks(tmp_path) == []
    assert leaks(tmp_path, "public") == ["store.db"]
    key_file = tmp_path / "encryption.yaml"
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert all(
        value.startswith(b"k8s:enc:aesgcm:v1:key-") for key, value in rows(tmp_path) if key.startswith("secrets/")
    )


async def test_in_memory_and_after_a_start_all_is_as_it_was(tmp_path: Path) -> None:
    await live(tmp_path)
    store = stored(tmp_path)
    assert text_of(store, SECRET) == f"{TEXT}-2"
    window = store.window("secrets")
    told = [(change.type, change.key.name) for change in window.read(window.cursor(0))]
    assert told == [("ADDED", "db"), ("MODIFIED", "db"), ("MODIFIED", "db"), ("ADDED", "large"), ("DELETED", "large")]
    await store.close()


def test_who_has_no_secrets_pays_nothing(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from tests.api.test_sealing import *\n"
        "for name in [name for name in sys.modules if name.startswith('cryptography')]: del sys.modules[name]\n"
        "async def main():\n"
        f"    store = stored(Path({str(tmp_path)!r}))\n"
        "    await store.write(put(PLAIN, 'x'))\n"
        "    await store.close()\n"
        "    store = stored(Path({0!r}))\n".format(str(tmp_path))
        + "    await store.close()\n"
        "asyncio.run(main())\n"
        "assert not any(name.startswith('cryptography.hazmat.primitives.ciphers') for name in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    assert not (tmp_path / "encryption.yaml").exists()


async def test_a_store_in_the_clear_is_sealed_and_scrubbed_at_the_start(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store.db", SystemClock(), inline=True)
    for number in range(300):
        await store.write(put(ObjectKey("secrets", "default", f"s{number}"), f"{TEXT}-" * 20))
    for number in range(100):
        await store.write(lambda txn, number=number: txn.delete(ObjectKey("secrets", "default", f"s{number}")))
    await store.close()
    with sqlite3.connect(tmp_path / "store.db") as connection:
        connection.execute("DELETE FROM log WHERE revision < 200")  # free pages that hold texts
        connection.execute("PRAGMA user_version=2")  # as an older Styr left it
    connection.close()
    assert leaks(tmp_path)
    store = stored(tmp_path)
    assert leaks(tmp_path) == []
    assert len(store.state("secrets")) == 200
    revision = store.revision
    await store.close()
    assert leaks(tmp_path) == []
    again = stored(tmp_path)
    assert again.revision == revision
    await again.close()


_KILLED = """
import os, signal, sqlite3, sys
from pathlib import Path
from tests.api.test_sealing import stored
folder, steps = Path(sys.argv[1]), [int(sys.argv[2])]
def progress():
    steps[0] -= 1
    if steps[0] <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
real = sqlite3.connect
def connect(*args, **more):
    connection = real(*args, **more)
    connection.set_progress_handler(progress, 200)
    return connection
sqlite3.connect = connect
stored(folder)
"""


@pytest.mark.parametrize("steps", [1, 40, 120, 200, 300, 400, 800])
async def test_sealing_that_is_killed_is_finished_by_the_next_start(tmp_path: Path, steps: int) -> None:
    store = Store.open(tmp_path / "store.db", SystemClock(), inline=True)
    for number in range(100):
        await store.write(put(ObjectKey("secrets", "default", f"s{number}"), f"{TEXT}-{number}"))
    await store.close()
    ended = subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path), str(steps)], capture_output=True, text=True)
    assert ended.returncode in (-signal.SIGKILL, 0), ended
    store = stored(tmp_path)
    texts = {text_of(store, ObjectKey("secrets", "default", f"s{number}")) for number in range(100)}
    assert texts == {f"{TEXT}-{number}" for number in range(100)}
    await store.close()
    assert leaks(tmp_path) == []


async def test_keys_rotate_while_it_runs(tmp_path: Path) -> None:
    seals = Sealing(tmp_path / "encryption.yaml", SystemClock())
    store = Store.open(tmp_path / "store.db", SystemClock(), inline=True, sealing=seals)
    for number in range(100):
        await store.write(put(ObjectKey("secrets", "default", f"s{number}"), f"{TEXT}-{number}"))
    folder = Folder(tmp_path)
    assert not seals.follow()
    (old,) = keys.sealed_with(tmp_path / "store.db")
    new = keys.rotate_encryption(folder, SystemClock())
    with pytest.raises(keys.KeysError, match="still needed"):
        keys.drop_encryption(folder)
    assert seals.follow()
    revision = store.revision
    await store.reseal()
    await store._drain  # type: ignore[misc]
    assert store.revision == revision  # nothing that a client sees
    assert set(keys.sealed_with(tmp_path / "store.db")) == {new}
    assert [key.uses for key in keys.known(folder, SystemClock())] == ["seals secrets", "opens"]
    assert keys.drop_encryption(folder) == [old]
    assert seals.follow()
    await store.write(put(SECRET, TEXT))
    await store.close()
    again = stored(tmp_path)
    assert text_of(again, SECRET) == TEXT
    assert text_of(again, ObjectKey("secrets", "default", "s7")) == f"{TEXT}-7"
    await again.close()


@pytest.mark.parametrize(
    ("providers", "marks"),
    [
        ((provider("aesgcm", "one", size=16),), b"k8s:enc:aesgcm:v1:one:"),
        ((provider("aescbc", "one", "two"),), b"k8s:enc:aescbc:v1:one:"),
        ((provider("aescbc", "two"), provider("aesgcm", "one")), b"k8s:enc:aescbc:v1:two:"),
        (({"identity": {}}, provider("aesgcm", "one")), b'{"metadata"'),
    ],
)
async def test_settings_of_ones_own(tmp_path: Path, providers: Any, marks: bytes) -> None:
    configure(tmp_path, provider("aesgcm", "one", size=16), provider("aescbc", "one", "two"))
    await live(tmp_path)
    both = [*providers, provider("aesgcm", "one", size=16), provider("aescbc", "one", "two")]
    configure(tmp_path, *both)
    store = stored(tmp_path)
    assert text_of(store, SECRET) == f"{TEXT}-2"
    await store.close()
    assert all(value.startswith(marks) for key, value in rows(tmp_path) if key.startswith("secrets/"))
    assert all(value.startswith(b"{") for key, value in rows(tmp_path) if key.startswith("configmaps/"))


@pytest.mark.parametrize(
    ("resources", "covered"),
    [
        (("secrets",), {"secrets"}),
        (("*.",), {"secrets", "configmaps"}),
        (("*.apps",), {"deployments.apps"}),
        (("*.*",), {"secrets", "configmaps", "deployments.apps", "widgets.example.com"}),
        (("widgets.example.com", "configmaps"), {"widgets.example.com", "configmaps"}),
    ],
)
def test_which_resources(tmp_path: Path, resources: tuple[str, ...], covered: set[str]) -> None:
    configure(tmp_path, provider("aesgcm", "one"), resources=resources)
    seals = Sealing(tmp_path / "encryption.yaml", SystemClock())
    every = ("secrets", "configmaps", "deployments.apps", "widgets.example.com")
    assert {name for name in every if seals.seal(f"{name}/a/b", b"{}") != b"{}"} == covered


async def test_a_lost_or_wrong_key_stops_the_start_in_words(tmp_path: Path) -> None:
    await live(tmp_path)
    path = tmp_path / "encryption.yaml"
    saved = path.read_bytes()
    path.unlink()
    with pytest.raises(SealingError, match=r"which .*encryption.yaml does not hold; put that file"):
        stored(tmp_path)
    assert not path.exists()  # no new key in its place
    name = json.loads(saved)["resources"][0]["providers"][0]["aesgcm"]["keys"][0]["name"]
    configure(tmp_path, provider("aesgcm", name))
    with pytest.raises(Damaged, match="cannot be opened with the key"):
        stored(tmp_path)
    with pytest.raises(SealingError, match="no keys were handed in"):
        Store.open(tmp_path / "store.db", SystemClock(), inline=True)
    path.write_bytes(saved)
    store = stored(tmp_path)
    assert text_of(store, SECRET) == f"{TEXT}-2"
    await store.close()


async def test_no_row_passes_for_another(tmp_path: Path) -> None:
    store = stored(tmp_path)
    await store.write(put(SECRET, TEXT))
    await store.write(put(ObjectKey("secrets", "other", "db"), "mine"))
    await store.close()
    with sqlite3.connect(tmp_path / "store.db") as connection:
        (data,) = connection.execute("SELECT data FROM objects WHERE key='secrets/default/db'").fetchone()
        connection.execute(
            "UPDATE objects SET data=?, crc=? WHERE key='secrets/other/db'",
            (data, checksum("secrets/other/db", 2, data)),
        )
    connection.close()
    with pytest.raises(Damaged, match="cannot be opened"):
        stored(tmp_path)


async def test_a_key_that_cannot_be_made_refuses_the_write_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = stored(tmp_path)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sealing, "write_atomic", full)
    with pytest.raises(Exception, match="make a key") as caught:
        await store.write(put(SECRET, TEXT))
    assert getattr(caught.value, "status_code", 0) == 507
    await store.write(put(PLAIN, "public"))
    monkeypatch.undo()
    await store.write(put(SECRET, TEXT))
    assert text_of(store, SECRET) == TEXT
    await store.close()
    assert leaks(tmp_path) == []


async def test_a_copy_is_checked_without_keys_and_a_backup_carries_them(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "data").open()
    await live(folder.path)
    copy(folder.path / "store.db", tmp_path / "copy.db")
    assert check(tmp_path / "copy.db").objects == 2
    assert TEXT.encode() not in (tmp_path / "copy.db").read_bytes()
    done = backup(folder, tmp_path / "b.tar", SystemClock())
    folder.close()
    assert TEXT.encode() not in done.file.read_bytes()
    new = Folder(tmp_path / "new")
    await asyncio.to_thread(restore, new, done.file, SystemClock())
    store = stored(new.path)
    assert text_of(store, SECRET) == f"{TEXT}-2"
    await store.close()
    assert leaks(new.path) == []


async def test_keys_kept_elsewhere_stay_there(tmp_path: Path) -> None:
    away = tmp_path / "away"
    away.mkdir()
    folder = Folder(tmp_path / "data").open()
    folder.encryption.symlink_to(away / "keys.json")
    await live(folder.path)
    keys.rotate_encryption(folder, SystemClock())
    assert folder.encryption.is_symlink()
    assert len(sealing.read_file(away / "keys.json")[0].keys) == 3  # type: ignore[index]
    store = stored(folder.path)
    assert text_of(store, SECRET) == f"{TEXT}-2"
    await store.close()
    folder.close()


ONE = {"name": "a", "secret": base64.b64encode(b"x" * 32).decode()}


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        (None, "resources: Required value"),
        ([], "resources: Required value"),
        ([3], "resources.0..resources: Required value"),
        ([{"resources": ["secrets"]}], "providers: Required value"),
        ([{"resources": ["secrets"], "providers": [{}]}], "exactly one of"),
        ([{"resources": ["secrets"], "providers": [{"rot13": {}}]}], "no provider"),
        ([{"resources": ["secrets"], "providers": [{"secretbox": {"keys": [ONE]}}]}], "secretbox is not supported"),
        ([{"resources": ["secrets"], "providers": [{"kms": {}}]}], "kms is not supported"),
        ([{"resources": ["secrets"], "providers": [{"aesgcm": {}}]}], "keys: Required value"),
        ([{"resources": ["secrets"], "providers": [{"aesgcm": {"keys": [{"name": "a:b"}]}}]}], "without colons"),
        (
            [{"resources": ["secrets"], "providers": [{"aesgcm": {"keys": [{"name": "a", "secret": "QUJD"}]}}]}],
            "REDACTED",
        ),
        ([{"resources": ["secrets"], "providers": [{"aesgcm": {"keys": [{"name": "a", "secret": 3}]}}]}], "REDACTED"),
    ],
)
def test_settings_that_are_refused_by_field(tmp_path: Path, groups: Any, words: str) -> None:
    content = {"apiVersion": sealing.VERSION, "kind": sealing.KIND, "resources": groups}
    (tmp_path / "encryption.yaml").write_text(json.dumps(content))
    with pytest.raises(SealingError, match=words) as caught:
        Sealing(tmp_path / "encryption.yaml", SystemClock())
    assert "QUJD" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "kind: X", "[" * 100_000, "{", '{"a":' * 5000, "a: &a [*a]", "\x00", "- 1"])
def test_files_that_are_none_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "encryption.yaml").write_text(text)
    with pytest.raises(StoreError):
        Sealing(tmp_path / "encryption.yaml", SystemClock())


def test_yaml_is_read_and_a_broken_change_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "encryption.yaml"
    path.write_text(
        f"apiVersion: {sealing.VERSION}\nkind: {sealing.KIND}\nresources:\n- resources: [secrets]\n"
        f"  providers:\n  - aesgcm:\n      keys:\n      - name: mine\n        secret: {ONE['secret']}\n"
    )
    seals = Sealing(path, SystemClock())
    sealed = seals.seal("secrets/a/b", b"{}")
    assert sealed.startswith(b"k8s:enc:aesgcm:v1:mine:")
    path.write_text("nonsense: [")
    assert not seals.follow()
    assert not seals.follow()
    assert seals.open("secrets/a/b", sealed) == b"{}"
    path.write_text(
        json.dumps(
            {
                "apiVersion": sealing.VERSION,
                "kind": sealing.KIND,
                "resources": [{"resources": ["secrets"], "providers": [{"aesgcm": {"keys": [ONE]}}, {"identity": {}}]}],
            }
        )
    )  # fmt: skip assert seals.follow()
    sealing_name = sealing.add_key(path, SystemClock())
    assert seals.follow()
    assert sealing.key_name(seals.seal("secrets/a/b", b"{}")) == sealing_name


@given(st.binary(max_size=500), st.sampled_from(["aesgcm", "aescbc"]), st.binary(max_size=100))
def test_what_is_sealed_comes_back_and_anything_else_is_refused(data: bytes, kind: str, noise: bytes) -> None:
    key = Key(kind, "k", b"0" * 32)
    sealed = key.seal("secrets/a/b", data)
    assert key.open("secrets/a/b", sealed) == data
    assert key.seal("secrets/a/b", data) != sealed
    if kind == "aesgcm":
        with pytest.raises(ValueError):
            key.open("secrets/a/c", sealed)
        with pytest.raises(ValueError):
            key.open("secrets/a/b", sealed[:-1])
        with pytest.raises(ValueError):
            key.open("secrets/a/b", key.prefix + noise)
