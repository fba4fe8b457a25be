"""The machine dies: a backup taken while everything ran, a folder that is gone, and all of it back."""

import asyncio
import shutil
import sys
from contextlib import aclosing

import pytest

from styr.cli.demo.platform import Platform
from styr.client.client import Client
from styr.kinds import meta
from styr.kinds.errors import Conflict, Expired
from styr.kinds.resources import APP, CONFIG_MAP, POD
from tests.e2e.conftest import App
from tests.e2e.test_thread import version

pytestmark = pytest.mark.timeout(240)


async def test_a_machine_that_died_is_back(tmp_path):
    shop = App(Platform(tmp_path), tmp_path / "shop", "shop")
    await shop.styr("up", "--detach", "--port", "0")
    await shop.make(version("one"), {})
    assert (await shop.push()).code == 0
    client = shop.client()
    config = await client.create(CONFIG_MAP, {"metadata": {"name": "c", "namespace": "default"}, "data": {"v": "1"}})

    file = tmp_path / "backup.tar"
    assert "objects at revision" in await shop.styr("backup", str(file))

    lost = await client.update(CONFIG_MAP, {**config, "data": {"v": "2"}})  # after the backup: will never have been
    old = int(meta.resource_version(lost))
    await client.close()
    refused = await shop.run([sys.executable, "-m", "styr", "restore", str(file)])
    assert refused.code == 1
    assert "styr down" in refused.output

    await shop.styr("down")
    shutil.rmtree(shop.folder.path)
    assert "Start it: styr up" in await shop.styr("restore", str(file))
    await shop.styr("up", "--detach")
    async with asyncio.timeout(60):
        while (await _get(shop)) != b"one\n":
            await asyncio.sleep(0.1)

    client = shop.client()
    try:
        found = await client.get(CONFIG_MAP, "c", "default")
        assert found["data"] == {"v": "1"}
        assert int((await client.list(POD)).resource_version) > old * 1000
        with pytest.raises(Expired):  # a client from before starts over, it does not go on silently
            await _watch(client, old)
        with pytest.raises(Conflict):
            await client.update(CONFIG_MAP, {**lost, "data": {"v": "3"}})
        assert meta.name(await client.get(APP, "shop", "default")) == "shop"
    finally:
        await client.close()

    await shop.change(version("two"))
    pushed = await shop.push("-o", "skip-canary")  # the remote, the token and the certificate are what they were
    assert pushed.code == 0, pushed.output
    assert await _get(shop) == b"two\n"
    assert "shop-r2" in await shop.styr("releases", "shop")
    await shop.styr("down")


async def _watch(client: Client, revision: int) -> None:
    async with aclosing(client.watch(CONFIG_MAP, "default", resource_version=str(revision))) as events:
        async for _ in events:
            pass


async def _get(shop: App) -> bytes:
    try:
        return (await shop.get()).body
    except OSError:
        return b""
