"""Objects that are encrypted in the file: which, with which key, and back again. Called by `sqlite` for every row that it
writes or reads; in memory everything is plain, so lists and watches do not pay.

The settings are Kubernetes' EncryptionConfiguration (apiserver.config.k8s.io/v1) in `DIR/encryption.yaml`. Without the file
Secrets are sealed all the same: with a key that is made, and the file with it, when the first one is written. The first
provider of a resource writes, all read. A sealed row begins with `k8s:enc:KIND:v1:KEY:`, which no JSON does; its key in the
store is bound to it, so that no row can pass for another. `cryptography` is imported at the first such row.

    SealingError (StoreError)    a row's key is not there, or the file cannot be used
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from styr.api.store.checks import Damaged, StoreError
from styr.kit.clock import Clock
from styr.kit.files import write_atomic
from styr.kit.log import Log

log = Log("styr.api.store")

VERSION, KIND = "apiserver.config.k8s.io/v1", "EncryptionConfiguration"
MARK = b"k8s:enc:"
_NONCE = 12
_BLOCK = 16
_DEPTH = 16
"""Levels of nesting in the settings; they need seven."""


class SealingError(StoreError):
    """See the module."""


@dataclass(frozen=True, slots=True)
class Key:
    """`kind` is aesgcm or aescbc. `secret` is 16, 24 or 32 bytes."""

    kind: str
    name: str
    secret: bytes

    @property
    def prefix(self) -> bytes:
        return MARK + f"{self.kind}:v1:{self.name}:".encode()

    def seal(self, place: str, data: bytes) -> bytes:
        return self.prefix + _SEAL[self.kind](self.secret, place.encode(), data)

    def open(self, place: str, sealed: bytes) -> bytes:
        """Raises ValueError for what this key did not seal, for this place."""
        return _OPEN[self.kind](self.secret, place.encode(), sealed[len(self.prefix) :])


def _gcm_seal(secret: bytes, place: bytes, data: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(_NONCE)
    return nonce + AESGCM(secret).encrypt(nonce, data, place)


def _gcm_open(secret: bytes, place: bytes, sealed: bytes) -> bytes:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return AESGCM(secret).decrypt(sealed[:_NONCE], sealed[_NONCE:], place)
    except InvalidTag:
        raise ValueError("it is not what was sealed") from None


def _cbc(secret: bytes, start: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    return Cipher(algorithms.AES(secret), modes.CBC(start))


def _cbc_seal(secret: bytes, place: bytes, data: bytes) -> bytes:
    start = os.urandom(_BLOCK)
    padding = _BLOCK - len(data) % _BLOCK
    encryptor = _cbc(secret, start).encryptor()
    return bytes(start + encryptor.update(data + bytes([padding]) * padding) + encryptor.finalize())


def _cbc_open(secret: bytes, place: bytes, sealed: bytes) -> bytes:
    if len(sealed) < 2 * _BLOCK or len(sealed) % _BLOCK:
        raise ValueError("it is cut off")
    decryptor = _cbc(secret, sealed[:_BLOCK]).decryptor()
    plain = bytes(decryptor.update(sealed[_BLOCK:]) + decryptor.finalize())
    padding = plain[-1]
    if not 1 <= padding <= _BLOCK or plain[-padding:] != bytes([padding]) * padding:
        raise ValueError("it is not what was sealed")
    return plain[:-padding]


_SEAL: dict[str, Callable[[bytes, bytes, bytes], bytes]] = {"aesgcm": _gcm_seal, "aescbc": _cbc_seal}
_OPEN: dict[str, Callable[[bytes, bytes, bytes], bytes]] = {"aesgcm": _gcm_open, "aescbc": _cbc_open}
_REFUSED = {
    "secretbox": "secretbox is not supported (no library of ours has XSalsa20): use aesgcm",
    "kms": "kms is not supported: there is no plugin to ask; use aesgcm",
}


@dataclass(frozen=True, slots=True)
class Group:
    """One entry of `resources`. `keys` None stands for identity, in its place."""

    resources: tuple[str, ...]
    keys: tuple[Key | None, ...]

    def covers(self, resource: str) -> bool:
        """`resource` as the store names it: `secrets`, `deployments.apps`."""
        plural, _, group = resource.partition(".")
        return any(each in (resource, f"*.{group}", "*.*") and plural for each in self.resources)


DEFAULT_RESOURCES = ("secrets",)


def _kind(stored: bytes) -> str:
    return stored[len(MARK) : len(MARK) + 20].decode(errors="replace").partition(":")[0]


def key_name(stored: bytes) -> str:
    """Of the key that a sealed row names; its first 200 bytes do."""
    return stored[:200].decode(errors="replace").partition(":v1:")[2].partition(":")[0]


class Sealing:
    """`path` is the file of the settings. Methods are called on the store's thread, `follow` on any."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self._clock = clock
        self._stamp: tuple[int, int] | None = None
        self._groups: tuple[Group, ...] = ()
        self._writers: dict[str, Key | None] = {}
        self._absent = True
        self._read()

    def follow(self) -> bool:
        """Reads the file again when it has changed; True when other rules hold now. A file that cannot be used is told in the
        log, and what was there holds."""
        if self._look() == self._stamp:
            return False
        try:
            self._read()
        except SealingError as error:
            log.error("the settings of encryption cannot be used; those before hold", cause=error)
            self._stamp = self._look()
            return False
        return True

    def seal(self, place: str, data: bytes) -> bytes:
        """The bytes for the file. Raises SealingError, OSError when a first key cannot be made."""
        key = self._writer(place.partition("/")[0])
        return data if key is None else key.seal(place, data)

    def open(self, place: str, stored: bytes) -> bytes:
        """The bytes of the object. Raises SealingError, Damaged."""
        if not stored.startswith(MARK):
            return stored
        kind, name = _kind(stored), key_name(stored)
        candidates = [key for key in self._keys() if (key.kind, key.name) == (kind, name)]
        if not candidates:
            raise SealingError(
                f"read {place}: it is sealed with the {kind} key {name!r}, which {self.path} does not hold; put that file "
                "(or the key in it) back as it was, for example from a backup"
            )
        for key in candidates:
            try:
                return key.open(place, stored)
            except ValueError:
                continue
        raise Damaged(
            f"read {place}: it cannot be opened with the key {name!r}: the key is another one, or the row was changed"
        )

    def is_current(self, place: str, stored: bytes) -> bool:
        """Is it stored as it would be written now?"""
        resource = place.partition("/")[0]
        if self._absent and resource in DEFAULT_RESOURCES:
            return False
        key = self._writer(resource)
        return stored.startswith(key.prefix) if key is not None else not stored.startswith(MARK)

    def _writer(self, resource: str) -> Key | None:
        if self._absent and resource in DEFAULT_RESOURCES:
            self._make()
        if resource not in self._writers:
            group = next((group for group in self._groups if group.covers(resource)), None)
            self._writers[resource] = group.keys[0] if group is not None else None
        return self._writers[resource]

    def _keys(self) -> Iterator[Key]:
        return (key for group in self._groups for key in group.keys if key is not None)

    def _make(self) -> None:
        add_key(self.path, self._clock)
        self._read()

    def _look(self) -> tuple[int, int] | None:
        try:
            found = self.path.stat()
            return found.st_mtime_ns, found.st_ino
        except OSError:
            return None

    def _read(self) -> None:
        stamp = self._look()
        groups = read_file(self.path)
        self._groups, self._writers = groups or (), {}
        self._absent, self._stamp = groups is None, stamp


def read_file(path: Path) -> tuple[Group, ...] | None:
    """The settings; None when there is no such file. Raises SealingError."""
    try:
        raw = path.read_bytes()
        if path.stat().st_mode & 0o077:
            log.warning("the keys of encryption can be read by others: chmod 600", file=path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SealingError(f"read {path}: {error.strerror}") from None
    faults: list[str] = []
    found = _groups(_parse(raw, path), faults)
    if faults:
        raise SealingError(f"{path}: {'; '.join(faults[:16])}")
    return found


def _parse(raw: bytes, path: Path) -> dict[str, Any]:
    try:
        if len(raw) > 1 << 20:
            raise ValueError("it is larger than 1 MiB")
        # Ours is JSON, which is YAML: then a start need not import the latter.
        found = msgspec.json.decode(raw) if raw[:1] == b"{" else _from_yaml(raw)
    except (ValueError, RecursionError) as error:
        raise SealingError(f"{path} is neither JSON nor YAML: {str(error)[:300] or 'it is too deep'}") from None
    if not isinstance(found, dict) or found.get("apiVersion") != VERSION or found.get("kind") != KIND:
        raise SealingError(f"{path} must be of kind {KIND} in {VERSION}")
    return found


def _from_yaml(raw: bytes) -> Any:
    import yaml

    depth = 0
    try:
        for event in yaml.parse(raw, yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise ValueError("it has aliases: write them out")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEPTH:
                raise ValueError("it is too deep")
        return yaml.safe_load(raw)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None


def _write(path: Path, obj: Mapping[str, Any]) -> None:
    # A link stays one: somebody keeps the keys outside the folder, and so outside its backups.
    write_atomic(path.resolve(), json.dumps(obj, indent=2) + "\n")


def _groups(obj: Mapping[str, Any], faults: list[str]) -> tuple[Group, ...]:
    entries = obj.get("resources")
    if not isinstance(entries, list) or not entries:
        faults.append("resources: Required value: at least one is needed")
        return ()
    return tuple(_group(entry, f"resources[{index}]", faults) for index, entry in enumerate(entries))


def _group(entry: Any, path: str, faults: list[str]) -> Group:
    entry = entry if isinstance(entry, dict) else {}
    resources, providers = entry.get("resources"), entry.get("providers")
    if not isinstance(resources, list) or not resources or not all(isinstance(one, str) and one for one in resources):
        faults.append(f"{path}.resources: Required value: names of resources")
        resources = []
    if not isinstance(providers, list) or not providers:
        faults.append(f"{path}.providers: Required value: at least one is needed")
        providers = []
    keys: list[Key | None] = []
    for index, provider in enumerate(providers):
        keys += _provider(provider, f"{path}.providers[{index}]", faults)
    return Group(tuple(resources), tuple(keys))


def _provider(provider: Any, path: str, faults: list[str]) -> list[Key | None]:
    if not isinstance(provider, dict) or len(provider) != 1:
        faults.append(f"{path}: exactly one of aesgcm, aescbc and identity must be given")
        return []
    ((kind, settings),) = provider.items()
    if kind == "identity":
        return [None]
    if kind not in _SEAL:
        faults.append(f"{path}: {_REFUSED.get(kind, f'{kind!r} is no provider: aesgcm, aescbc and identity are')}")
        return []
    entries = settings.get("keys") if isinstance(settings, dict) else None
    if not isinstance(entries, list) or not entries:
        faults.append(f"{path}.{kind}.keys: Required value: at least one is needed")
        return []
    found = (_key(kind, entry, f"{path}.{kind}.keys[{index}]", faults) for index, entry in enumerate(entries))
    return [key for key in found if key is not None]


def _key(kind: str, entry: Any, path: str, faults: list[str]) -> Key | None:
    entry = entry if isinstance(entry, dict) else {}
    name, coded = entry.get("name"), entry.get("secret")
    if (
        not isinstance(name, str)
        or not 0 < len(name) < 100
        or ":" in name
        or not name.isprintable()
        or not name.isascii()
    ):
        faults.append(f"{path}.name: a name without colons is needed")
        return None
    try:
        secret = base64.b64decode(coded if isinstance(coded, str) else "", validate=True)
    except binascii.Error:
        secret = b""
    if len(secret) not in (16, 24, 32):
        faults.append(f"{path}.secret: Invalid value: REDACTED: 16, 24 or 32 bytes in base64 are needed")
        return None
    return Key(kind, name, secret)


def add_key(path: Path, clock: Clock) -> str:
    """Puts a new aesgcm key first, in each group that has keys; makes the file when there is none. Returns the key's name.
    Raises SealingError for a file that cannot be used, OSError."""
    stamp = datetime.fromtimestamp(clock.time(), UTC).strftime("%Y%m%d-%H%M%S-%f")
    key = {"name": f"key-{stamp}", "secret": base64.b64encode(os.urandom(32)).decode()}
    groups: list[Any] = [{"resources": list(DEFAULT_RESOURCES), "providers": [{"identity": {}}]}]
    if read_file(path) is not None:
        groups = _parse(path.read_bytes(), path)["resources"]
    for group in groups:
        if group["providers"][0] == {"identity": {}} and len(groups) > 1:
            continue  # what is to be plain stays plain
        first = group["providers"][0]
        if "aesgcm" in first:
            first["aesgcm"]["keys"].insert(0, key)
        else:
            group["providers"].insert(0, {"aesgcm": {"keys": [key]}})
    content = {"apiVersion": VERSION, "kind": KIND, "resources": groups}
    _write(path, content)
    return key["name"]


def drop_old_keys(path: Path) -> list[str]:
    """Leaves of each provider that writes its first key only. Only when nothing is sealed with the others any more. Returns the
    names of those that went. Raises SealingError, OSError."""
    if read_file(path) is None:
        return []
    obj = _parse(path.read_bytes(), path)
    gone: list[str] = []
    for group in obj["resources"]:
        for position, provider in enumerate(group["providers"]):
            for settings in provider.values():
                if isinstance(settings, dict) and settings.get("keys"):
                    kept = settings["keys"][: 1 if position == 0 else 0]
                    gone += [key["name"] for key in settings["keys"] if key not in kept]
                    settings["keys"] = kept
        group["providers"] = [
            one for one in group["providers"] if "identity" in one or next(iter(one.values()))["keys"]
        ]
    if gone:
        _write(path, obj)
    return list(dict.fromkeys(gone))
