"""The store: only whole things are used, and what nothing refers to goes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from styr.delivery.images import Images, reference


@pytest.fixture
def images(tmp_path: Path) -> Images:
    store = Images(tmp_path / "images")
    store.prepare()
    return store


def layer(images: Images, name: str, age: float = 0) -> str:
    folder = images.layer(name)
    folder.mkdir()
    (folder / "file").write_text(name)
    images.seal(name, {})
    for path in (images.layers / f"{name}.ok", folder):
        os.utime(path, (1_000_000 - age, 1_000_000 - age))
    return name


def store(images: Images, *layers: str, age: float = 0, **env: str) -> str:
    digest = images.write(layers=layers, env=env, command=("run", "it"), labels={})
    file = images.manifests / f"{digest.removeprefix('sha256:')}.json"
    os.utime(file, (1_000_000 - age, 1_000_000 - age))
    return digest


def test_an_image_is_found_by_its_digest(images: Images):
    digest = store(images, layer(images, "deps-a"), layer(images, "app-b"), PATH="/x=y")
    found = images.resolve(reference("hello", digest))
    assert found is not None
    assert (found.digest, found.command, found.env) == (digest, ("run", "it"), {"PATH": "/x=y"})
    assert (found.root / "file").read_text() == "app-b"
    assert [path.name for path in found.layers] == ["deps-a"]
    assert store(images, "deps-a", "app-b", PATH="/x=y") == digest


@pytest.mark.parametrize(
    "name",
    ["", "nginx", "styr.dev/host", "styr.dev/app/hello", "styr.dev/app/hello@sha256:" + "0" * 64, "styr.dev/app/../x"],
)
def test_other_references(images: Images, name: str):
    assert images.resolve(name) is None


def test_a_damaged_manifest_or_a_missing_layer_is_no_image(images: Images):
    digest = store(images, layer(images, "app-b"))
    file = images.manifests / f"{digest.removeprefix('sha256:')}.json"
    content = file.read_bytes()
    file.write_bytes(content + b" ")
    assert images.resolve(reference("a", digest)) is None
    file.write_bytes(content)
    assert images.resolve(reference("a", digest)) is not None
    images.discard("app-b")
    assert images.resolve(reference("a", digest)) is None


def test_a_layer_without_its_mark_is_not_whole(images: Images):
    images.layer("deps-a").mkdir()
    assert not images.is_whole("deps-a")
    images.seal("deps-a", {})
    assert images.is_whole("deps-a")


def test_one_builder_at_a_time(images: Images):
    with images.try_lock("deps-a") as first, images.try_lock("deps-a") as second:
        assert (first, second) == (True, False)
    with images.try_lock("deps-a") as third:
        assert third


def test_collection(images: Images):
    kept = store(images, layer(images, "deps-kept", 10**6), layer(images, "app-kept", 10**6), age=10**6)
    young = store(images, layer(images, "app-young", 10**6), age=10)
    old = store(images, layer(images, "deps-recent", 86_400), layer(images, "app-old", 10**5), age=10**5)
    layer(images, "deps-unused", 10**6)
    gone = images.collect(lambda digest: digest == kept, 1_000_000.0)
    assert gone == 3
    assert images.resolve(reference("a", kept))
    assert images.resolve(reference("a", young))
    assert images.resolve(reference("a", old)) is None
    left = {path.name for path in images.layers.iterdir() if path.is_dir()}
    assert left == {"deps-kept", "app-kept", "app-young", "deps-recent"}


def test_the_cache_is_bounded(images: Images):
    (images.cache / "uv").mkdir()
    (images.cache / "uv" / "wheel").write_bytes(b"x" * 1000)
    assert not images.trim_cache(1000)
    assert images.trim_cache(999)
    assert list(images.cache.iterdir()) == []
