"""The keys of a data folder, for `styr keys`: which there are, another one, away with old ones. Works on files, whether Styr
runs or not: a running one follows them (tokens at once, encryption within seconds), a stopped one reads them when it starts.

Called by `cli.keys`. Calls `api.authn.keys` and `api.store.sealing`.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from styr.api.authn.keys import SigningKeys
from styr.api.pki import Pki
from styr.api.store import sealing
from styr.api.store.checks import StoreError
from styr.kinds.errors import ApiError
from styr.kit.clock import Clock
from styr.plane.folder import Folder

STORE = "store.db"


class KeysError(Exception):
    """The text says what to do."""


@dataclass(frozen=True, slots=True)
class Known:
    """One key. `uses` is what it is for now: `signs`, `verifies`, `seals`, `opens`; `rows` how many rows it seals."""

    purpose: str
    name: str
    uses: str
    rows: int | None = None


def known(folder: Folder, clock: Clock) -> list[Known]:
    """Newest first, tokens before encryption. Raises KeysError."""
    tokens = _token_files(folder)
    found = [Known("tokens", path.name, "verifies" if index else "signs") for index, path in enumerate(tokens)]
    rows = sealed_with(folder.path / STORE)
    for group in _groups(folder):
        for index, key in enumerate(group.keys):
            if key is not None:
                use = "opens" if index else f"seals {', '.join(group.resources)}"
                found.append(Known("encryption", key.name, use, rows.get(key.name, 0)))
    return found


def rotate_tokens(folder: Folder, clock: Clock) -> str:
    """The name of the new key, which signs from now on; what older ones signed is good as long as their files are there."""
    try:
        path = SigningKeys(_pki(folder).tokens, clock).rotate()
    except ApiError as error:
        raise KeysError(error.message) from None
    assert path is not None
    return path.name


def drop_tokens(folder: Folder) -> list[str]:
    """Takes every key of tokens away but the newest: what they signed is refused from now on."""
    old = _token_files(folder)[1:]
    for path in old:
        path.unlink(missing_ok=True)
    return [path.name for path in old]


def rotate_encryption(folder: Folder, clock: Clock) -> str:
    """The name of the new key, which seals from now on. Raises KeysError."""
    try:
        return sealing.add_key(folder.encryption, clock)
    except (StoreError, OSError) as error:
        raise KeysError(f"make a key in {folder.encryption}: {error}") from None


def drop_encryption(folder: Folder) -> list[str]:
    """Takes old keys of encryption away. Raises KeysError while a row needs one."""
    rows = sealed_with(folder.path / STORE)
    first = {group.keys[0].name for group in _groups(folder) if group.keys and group.keys[0] is not None}
    needed = {name: count for name, count in rows.items() if name not in first}
    if needed:
        shown = ", ".join(f"{name} ({count} rows)" for name, count in sorted(needed.items()))
        raise KeysError(f"keys that are still needed: {shown}. `styr up` seals everything anew; then try again.")
    try:
        return sealing.drop_old_keys(folder.encryption)
    except (StoreError, OSError) as error:
        raise KeysError(f"drop old keys from {folder.encryption}: {error}") from None


def sealed_with(store: Path) -> Counter[str]:
    """How many rows of a store each key seals, by the key's name. Raises KeysError."""
    found: Counter[str] = Counter()
    if not store.exists():
        return found
    connection = sqlite3.connect(f"{store.absolute().as_uri()}?mode=ro", uri=True, timeout=10.0)
    mark = sealing.MARK
    try:
        for table, column in (("objects", "data"), ("log", "old")):
            sql = f"SELECT substr({column}, 1, 200) FROM {table} WHERE substr({column}, 1, ?) = ?"  # noqa: S608 - ours
            for (head,) in connection.execute(sql, (len(mark), mark)):
                found[sealing.key_name(head)] += 1
    except sqlite3.Error as error:
        raise KeysError(f"read {store}: {error}") from None
    finally:
        connection.close()
    return found


def _groups(folder: Folder) -> tuple[sealing.Group, ...]:
    try:
        return sealing.read_file(folder.encryption) or ()
    except StoreError as error:
        raise KeysError(str(error)) from None


def _pki(folder: Folder) -> Pki:
    return Pki(folder.path / "pki")


def _token_files(folder: Folder) -> list[Path]:
    return sorted(_pki(folder).tokens.glob("*.key"), reverse=True)
