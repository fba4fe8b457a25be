"""A real git against the handler: what is accepted, what is refused, and that a refusal moves nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.delivery.world import World

HELLO = {
    "main.py": "import os\nprint(os.environ['PORT'])\n",
    "tests/test_main.py": (
        "import unittest\nclass Works(unittest.TestCase):\n    def test_it(self):\n        self.assertTrue(True)\n"
    ),
}


@pytest.fixture
async def world(tmp_path: Path):
    async with World(tmp_path) as found:
        await found.app()
        yield found


async def test_a_good_push_becomes_one_release(world: World):
    user = await world.repository(HELLO)
    code, out = await user.run("push", "-o", "detach", world.url(), "main")
    assert code == 0, out
    for line in (
        "-----> Received",
        "-----> Detected: python main.py",
        "Testing: python -m unittest",
        "Accepted as hello-r1",
    ):
        assert f"remote: {line}" in out or f"       {line}" in out or line in out, out
    [release] = world.releases()
    spec = release["spec"]
    assert spec["commit"] == await user.git("rev-parse", "HEAD") == world.tip()
    assert spec["number"] == 1
    assert spec["subject"] == "change"
    assert spec["tests"]["passed"] is True
    assert spec["tests"]["summary"].startswith("Ran 1 test")
    assert spec["pushedBy"] == "admin"
    image = world.source.images.resolve(spec["image"])
    assert image is not None
    assert (image.root / "main.py").read_text() == HELLO["main.py"]
    assert (image.layers[0] / "venv/bin/python").exists()
