"""One push, end to end, as a user drives it: the verbs, the verdicts, the ways back."""

import asyncio
import json
import sys

import pytest

from styr.cli.demo.platform import DemoError

APP = """\
import os, signal, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        body = b"VERSION\\n"
        print("asked for", self.path, flush=True)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


def version(text: str) -> dict[str, str]:
    return {"main.py": APP.replace("VERSION", text), "Procfile": "web: python main.py\n"}


async def test_push_look_and_take_back(app):
    shop = await app("shop", version("one"))
    first = await shop.push()
    assert first.code == 0, first.output
    assert "shop-r1" in first.output
    assert (await shop.get()).body == b"one\n"

    listed = json.loads(await shop.styr("apps", "-o", "json"))
    mine = next(entry for entry in listed if entry["metadata"]["name"] == "shop")
    assert mine["status"]["url"] == f"http://shop.localhost:{shop.port}"
    assert mine["status"]["stable"] == "shop-r1"

    await shop.change(version("two"), "Two")
    second = await shop.push("-o", "skip-canary")
    assert second.code == 0, second.output
    assert (await shop.get()).body == b"two\n"

    assert "asked for /" in await shop.styr("logs", "shop")
    table = await shop.styr("releases", "shop")
    assert table.index("shop-r2") < table.index("shop-r1")
    assert "shop-r1" in await shop.styr("why", "shop-r1") or "nothing to compare" in await shop.styr("why", "shop-r1")

    back = await shop.styr("rollback", "shop", "--reason", "wrong prices")
    assert "wrong prices" in back
    assert (await shop.get()).body == b"one\n"


async def test_a_rolled_back_commit_is_remembered(app):
    memory = await app("memory", version("one"))
    assert (await memory.push()).code == 0
    await memory.change(version("two"), "Two")
    assert (await memory.push("-o", "skip-canary")).code == 0
    await memory.styr("rollback", "memory", "--reason", "no good")
    bad = (await memory.git("rev-parse", "HEAD")).output.strip()
    await memory.git("commit", "-q", "--amend", "-m", "Two, with other words")
    assert (await memory.git("push", "--force", "-o", "detach", "styr", "main")).code == 0
    refused = await memory.git("push", "--force", "styr", f"{bad}:main")
    assert refused.code != 0
    assert "no good" in refused.output
    assert "-o retry" in refused.output
    assert (await memory.git("push", "--force", "-o", "retry", "-o", "detach", "styr", f"{bad}:main")).code == 0


async def test_rollback_with_nothing_before_says_so(app):
    only = await app("only", version("one"))
    assert (await only.push()).code == 0
    with pytest.raises(DemoError, match="no earlier promoted release"):
        await only.styr("rollback", "only")
    assert (await only.get()).body == b"one\n"


async def test_logs_follow_over_releases(app, platform):
    chatty = await app("chatty", version("one"))
    assert (await chatty.push()).code == 0
    following = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "styr",
        "logs",
        "chatty",
        "-f",
        "--data-dir",
        str(platform.folder.path),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        await chatty.get("/before")
        await _line(following.stdout, b"asked for /before")
        await chatty.change(version("two"), "Two")
        assert (await chatty.push("-o", "skip-canary")).code == 0
        await chatty.get("/after")
        line = await _line(following.stdout, b"asked for /after")
        assert line.startswith(b"[chatty-r2] ")
    finally:
        following.terminate()
        await following.wait()


async def _line(stream, wanted: bytes) -> bytes:
    async with asyncio.timeout(20):
        while wanted not in (line := await stream.readline()):
            assert line, "the log ended"
    return line
