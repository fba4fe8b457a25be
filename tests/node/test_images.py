"""Containers whose image is a release: files copied anew at every start, layers to read, OCI's rule for commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from styr.kinds.seams import Image
from styr.node.environment import ConfigError, command, expand
from tests.node.world import container, phase, shell, world

REFERENCE = "styr.dev/app/hello@sha256:1234"


class Store:
    def __init__(self, image: Image) -> None:
        self.image = image

    def resolve(self, reference: str, /) -> Image | None:
        return self.image if reference == REFERENCE else None


def image(folder: Path) -> Image:
    (folder / "root").mkdir()
    (folder / "root" / "app.txt").write_text("the app\n")
    (folder / "root" / "link").symlink_to("app.txt")
    (folder / "layer").mkdir()
    (folder / "layer" / "lib.txt").write_text("a library\n")
    entry = (
        "/bin/sh",
        "-c",
        "cat app.txt link $LAYER/lib.txt; echo $0; echo x >> app.txt; echo x > $LAYER/new; exit 1",
    )
    env = {"LAYER": str(folder / "layer"), "COLOUR": "of the image"}
    return Image("sha256:1234", folder / "root", (folder / "layer",), env, entry, ("an-argument",))


async def test_a_release_runs_from_its_image(tmp_path: Path) -> None:
    made = image(tmp_path)
    async with world(tmp_path / "data", images=Store(made)) as w:
        await w.run("i", container={"image": REFERENCE, "command": None}, spec={"restartPolicy": "Always"})
        found = await w.until("i", lambda p: container(p)["restartCount"] == 1 and "waiting" in container(p)["state"])
        assert container(found)["imageID"] == "sha256:1234"
        for number in (0, 1):
            lines = w.log(found, number=number).splitlines()
            assert lines[:4] == ["the app", "the app", "a library", "an-argument"]
    assert (made.root / "app.txt").read_text() == "the app\n"


async def test_an_ended_pod_keeps_its_log_alone(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.run("e", *shell("echo x > big; echo out"))
        found = await w.until("e", phase("Succeeded"))
        assert sorted(path.name for path in w.pod_folder(found).iterdir()) == ["containers", "state.json"]
        assert w.log(found) == "out\n"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, ("entry", "cmd")),
        ({"args": ["a"]}, ("entry", "a")),
        ({"command": ["c"]}, ("c",)),
        ({"command": ["c", "$(X)"], "args": ["$$(X)", "$(Y)"]}, ("c", "1", "$(X)", "$(Y)")),
    ],
)
def test_command_and_args(spec: dict[str, list[str]], expected: tuple[str, ...]) -> None:
    made = Image("d", Path("/"), entrypoint=("entry",), command=("cmd",))
    assert command(spec, made, {"X": "1"}) == expected


def test_nothing_to_run() -> None:
    with pytest.raises(ConfigError, match="command"):
        command({"name": "web"}, None, {})


def test_expansion_is_not_repeated() -> None:
    assert expand("$(A) $$(A) $(B", {"A": "$(A)"}) == "$(A) $(A) $(B"
