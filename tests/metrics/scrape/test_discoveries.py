"""Targets from files and from HTTP servers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from styr.kit.clock import SystemClock
from styr.metrics.model.errors import BadData
from styr.metrics.scrape.config import FileSd, HttpSd, parse_job
from styr.metrics.scrape.discoveries import discoveries
from styr.metrics.scrape.discovery import ADDRESS, Group, Static
from styr.metrics.scrape.file_sd import FileDiscovery
from styr.metrics.scrape.http_sd import HttpDiscovery
from tests.metrics.scrape.test_fetch import Server, page, serving


class Told:
    """What a discovery has published, as it stands."""

    def __init__(self) -> None:
        self.groups: dict[str, Group] = {}
        self._changed = asyncio.Event()

    def publish(self, groups: Sequence[Group]) -> None:
        for group in groups:
            self.groups[group.source] = group
        self._changed.set()

    async def change(self) -> None:
        async with asyncio.timeout(10):
            await self._changed.wait()
        self._changed.clear()

    def addresses(self) -> list[str]:
        return sorted(each[ADDRESS] for group in self.groups.values() for each in group.targets)


async def test_files_are_read_again_when_they_change(tmp_path: Path) -> None:
    told = Told()
    (tmp_path / "a.json").write_text(json.dumps([{"targets": ["a:1", "b:1"], "labels": {"x": "1"}}]))
    (tmp_path / "b.yml").write_text("- targets: ['c:1']\n")
    config = FileSd(("*.json", "b.yml"), refresh_interval=20)
    task = asyncio.create_task(FileDiscovery(config, tmp_path, SystemClock()).run(told.publish))
    await told.change()
    assert told.addresses() == ["a:1", "b:1", "c:1"]
    group = told.groups[f"{tmp_path}/a.json:0"]
    assert group.labels == {"x": "1", "__meta_filepath": f"{tmp_path}/a.json"}
    (tmp_path / "a.json").write_text("[{]")
    (tmp_path / "b.yml").write_text("- targets: ['d:1']\n- targets: ['e:1']\n")
    await told.change()
    assert told.addresses() == ["a:1", "b:1", "d:1", "e:1"]
    (tmp_path / "b.yml").unlink()
    await told.change()
    assert told.addresses() == ["a:1", "b:1"]
    task.cancel()


async def test_a_server_of_targets() -> None:
    told = Told()
    answers = iter(
        [
            [{"targets": ["a:1"]}, {"targets": ["b:1"], "labels": {"x": "1"}}],
            "broken",
            [{"targets": ["c:1"]}],
        ]
    )
    last = b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"

    def answer(head: bytes) -> bytes:
        document = next(answers, None)
        if document is None:
            return last
        return page(json.dumps(document).encode()).replace(b"text/plain", b"application/json; charset=utf-8")

    async with serving(Server(answer)) as server:
        url = f"http://127.0.0.1:{server.port}/targets"
        task = asyncio.create_task(HttpDiscovery(HttpSd(url, refresh_interval=20), SystemClock()).run(told.publish))
        await told.change()
        assert told.addresses() == ["a:1", "b:1"]
        assert told.groups[f"{url}:1"].labels == {"x": "1", "__meta_url": url}
        await told.change()
        assert told.addresses() == ["c:1"]
        assert b"X-Prometheus-Refresh-Interval-Seconds: 0.02" in server.requests[0]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_what_a_job_wants(tmp_path: Path) -> None:
    job = parse_job(
        {
            "job_name": "j",
            "static_configs": [{"targets": ["a:1"]}],
            "file_sd_configs": [{"files": ["x.json"]}],
            "http_sd_configs": [{"url": "http://h/"}],
            "kubernetes_sd_configs": [{"role": "pod"}],
        }
    )
    clock = SystemClock()
    with pytest.raises(BadData, match="needs a Kubernetes API"):
        discoveries(job, clock, tmp_path)
    roles: list[object] = []

    def kubernetes(config: object) -> Static:
        roles.append(config)
        return Static(())

    found = discoveries(job, clock, tmp_path, kubernetes)
    assert [type(each).__name__ for each in found] == ["Static", "FileDiscovery", "HttpDiscovery", "Static"]
    assert roles == ['{"role": "pod"}']
    assert found[:3] == discoveries(job, clock, tmp_path, kubernetes)[:3]
