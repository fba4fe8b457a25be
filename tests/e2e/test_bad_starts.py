"""Starts that must fail with a word that helps, and leave everything as it was."""

import asyncio
import json
import socket
import sys

import pytest

from styr.cli.demo.platform import DemoError, Platform

pytestmark = pytest.mark.timeout(120)


async def refused(platform: Platform, *arguments: str) -> str:
    with pytest.raises(DemoError) as caught:
        await platform.styr("up", *arguments)
    assert "Traceback" not in str(caught.value)
    return str(caught.value)


async def test_a_second_up_on_the_same_folder(platform):
    for arguments in ((), ("--detach",)):
        text = await refused(platform, *arguments)
        assert "in use" in text
        assert "styr status" in text
    assert "running" in await platform.styr("status")


@pytest.mark.parametrize("option", ["--port", "--api-port"])
async def test_a_port_that_is_taken(tmp_path, option):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        text = await refused(Platform(tmp_path), "--detach", option, str(taken.getsockname()[1]))
    assert f"Port {taken.getsockname()[1]}" in text if taken.fileno() > 0 else "in use" in text
    assert option in text
    assert not (tmp_path / "styr" / "envoy" / "envoy.json").exists()


async def test_a_folder_of_a_newer_version(tmp_path):
    folder = tmp_path / "styr"
    folder.mkdir()
    (folder / "VERSION").write_text(json.dumps({"format": 2, "styr": "9.9"}))
    text = await refused(Platform(tmp_path), "--detach")
    assert "newer Styr (9.9" in text
    assert "pip install -U styr" in text
    assert not (folder / "store.db").exists()


async def test_a_damaged_database(tmp_path):
    platform = Platform(tmp_path)
    await platform.styr("up", "--detach", "--port", "0")
    await platform.styr("down")
    database = platform.folder.path / "store.db"
    content = bytearray(database.read_bytes())
    content[4096:8192] = b"\xa5" * 4096
    database.write_bytes(content)
    text = await refused(platform, "--detach")
    assert "store.db" in text
    assert "damaged" in text
    assert database.read_bytes()[4096:] == bytes(content[4096:])  # the first page counts how often it was opened
    assert platform.folder.running_pid() is None


async def test_down_ends_what_a_killed_control_plane_left(tmp_path):
    platform = Platform(tmp_path)
    await platform.styr("up", "--detach", "--port", "0")
    envoy = platform.folder.path / "envoy" / "envoy.json"
    async with asyncio.timeout(20):
        while not envoy.exists():
            await asyncio.sleep(0.05)
    platform.kill()
    assert "Envoy" in await platform.styr("down")
    assert "Nothing was running" in await platform.styr("down")


async def test_following_logs_ends_with_a_word_when_the_platform_goes(tmp_path):
    """Found by hand: it ended with a traceback."""
    platform = Platform(tmp_path)
    await platform.styr("up", "--detach", "--port", "0")
    await platform.make_repository()
    following = asyncio.create_task(platform.run([sys.executable, "-m", "styr", "logs", "hello", "-f"]))
    assert (await platform.git("push", "styr", "main")).code == 0
    platform.kill()
    done = await asyncio.wait_for(following, 30)
    await platform.styr("down")
    assert done.code == 1
    assert "Traceback" not in done.output
    assert "styr up" in done.output
