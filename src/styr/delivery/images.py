"""The content-addressed store of what was built: layers (directories), and manifests named by their own sha256.

    DIR/images/layers/deps-HASH/venv   installed dependencies, keyed by everything that went into them
    DIR/images/layers/app-TREE/        the files of one git tree
    DIR/images/layers/NAME.ok          the layer is whole; one without it is never used
    DIR/images/manifests/HEX.json      {"config": OCI image config fields, "layers": [...]}
    DIR/images/cache/                  uv's and pip's downloads, shared

`Images` is the `ImageStore` that `plane` hands to `node`. `build` fills it, `source` collects what nothing refers to.
Never runs anything.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from styr.kinds.seams import Image
from styr.kit.files import write_atomic

MEDIA_TYPE = "application/vnd.styr.image.v1+json"
_REFERENCE = re.compile(r"styr\.dev/app/[a-z0-9]([-a-z0-9./]*[a-z0-9])?@sha256:([0-9a-f]{64})")


def reference(app: str, digest: str) -> str:
    """What stands in a container's `image`."""
    return f"styr.dev/app/{app}@{digest}"


class Images:
    """`ImageStore` on a folder. Everything in it can be rebuilt by pushing again."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.layers = root / "layers"
        self.manifests = root / "manifests"
        self.cache = root / "cache"
        self._known: dict[str, Image] = {}

    def prepare(self) -> None:
        for folder in (self.layers, self.manifests, self.cache):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def resolve(self, name: str, /) -> Image | None:
        """The image, or None when the reference is none of ours or a part of it is missing or damaged."""
        match = _REFERENCE.fullmatch(name)
        if not match:
            return None
        image = self._known.get(match[2]) or self._read(match[2])
        if image is None or not all(layer.is_dir() for layer in (image.root, *image.layers)):
            return None
        self._known[match[2]] = image
        return image

    def _read(self, digest: str) -> Image | None:
        try:
            content = (self.manifests / f"{digest}.json").read_bytes()
            if hashlib.sha256(content).hexdigest() != digest:
                return None
            manifest = json.loads(content)
            config = manifest["config"]
            *lower, top = (self.layers / layer["name"] for layer in manifest["layers"])
            lower += [Path(path) for path in manifest["host"]]
            return Image(
                digest=f"sha256:{digest}",
                root=top,
                layers=tuple(lower),
                env=dict(item.split("=", 1) for item in config["Env"]),
                entrypoint=tuple(config["Entrypoint"]),
                command=tuple(config["Cmd"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(
        self,
        *,
        layers: Iterable[str],
        env: Mapping[str, str],
        command: Iterable[str],
        labels: Mapping[str, str],
        host: Iterable[Path] = (),
    ) -> str:
        """Stores a manifest and returns its digest. `layers` are names from the bottom up, the app's files last; `host`
        are folders of the machine that it reads (a Python of the user's own). The same parts give the same digest. Raises
        OSError."""
        config: dict[str, Any] = {
            "Env": [f"{key}={value}" for key, value in sorted(env.items())],
            "Entrypoint": [],
            "Cmd": list(command),
            "Labels": dict(sorted(labels.items())),
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": MEDIA_TYPE,
            "config": config,
            "layers": [{"name": name} for name in layers],
            "host": [str(path) for path in host],
        }
        content = json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
        digest = hashlib.sha256(content).hexdigest()
        write_atomic(self.manifests / f"{digest}.json", content)
        return f"sha256:{digest}"

    def layer(self, name: str) -> Path:
        return self.layers / name

    def is_whole(self, name: str) -> bool:
        return (self.layers / f"{name}.ok").exists() and (self.layers / name).is_dir()

    def touch(self, name: str) -> None:
        """Notes that the layer is in use now, which keeps it from being collected."""
        with contextlib.suppress(OSError):
            os.utime(self.layers / f"{name}.ok")

    def seal(self, name: str, facts: Mapping[str, Any]) -> None:
        """Marks the layer as whole. Everything in it must have been written before."""
        write_atomic(self.layers / f"{name}.ok", json.dumps(dict(facts)).encode())

    def discard(self, name: str) -> None:
        (self.layers / f"{name}.ok").unlink(missing_ok=True)
        shutil.rmtree(self.layers / name, ignore_errors=True)

    @contextlib.contextmanager
    def try_lock(self, name: str) -> Iterator[bool]:
        """Yields whether nobody else builds this layer now; then it is ours until the block ends."""
        descriptor = os.open(self.layers / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(descriptor)

    def trim_cache(self, limit: int) -> bool:
        """Empties the cache of downloads when it holds more than `limit` bytes. Only while nobody installs."""
        if _size(self.cache) <= limit:
            return False
        shutil.rmtree(self.cache, ignore_errors=True)
        self.cache.mkdir(exist_ok=True, mode=0o700)
        return True

    def collect(
        self, keep: Callable[[str], bool], now: float, *, idle: float = 7 * 86_400, young: float = 3_600
    ) -> int:
        """Removes manifests for which `keep(digest)` is false and layers that no manifest names and nobody used for
        `idle` seconds (an app's files: `young`). Nothing younger than `young` seconds goes. Returns how many went."""
        gone = 0
        named: set[str] = set()
        for file in list(self.manifests.glob("*.json")):
            if keep(f"sha256:{file.stem}") or now - _modified(file) < young:
                with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                    named |= {layer["name"] for layer in json.loads(file.read_bytes())["layers"]}
                continue
            file.unlink(missing_ok=True)
            self._known.pop(file.stem, None)
            gone += 1
        for folder in [path for path in self.layers.iterdir() if path.is_dir() and path.name not in named]:
            marker = folder.with_name(f"{folder.name}.ok")
            limit = idle if folder.name.startswith("deps-") and marker.exists() else young
            if now - _modified(marker if marker.exists() else folder) < limit:
                continue
            with self.try_lock(folder.name) as mine:
                if mine:
                    self.discard(folder.name)
                    gone += 1
        return gone


def _size(folder: Path) -> int:
    return sum(entry.lstat().st_size for entry in folder.rglob("*") if entry.is_file())


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
