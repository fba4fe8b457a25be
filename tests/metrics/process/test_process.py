"""The metrics engine as a process: listens at once, is ready when its data is read, ends cleanly, survives SIGKILL."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cramjam
import pytest

from styr.kit.process import ProcessId, start_time
from styr.metrics.options import duration, parse, size
from tests.metrics.remote.protos import v1

TOKEN = "s3cret"


class Running:
    """One process over `folder`, and requests to it."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self.token = folder.parent / "token"
        self.token.write_text(TOKEN + "\n")
        self.log = (folder.parent / "log").open("ab")
        line = [sys.executable, "-m", "styr.metrics.process", "--data-dir", str(folder), "--port", "0"]
        self.process = subprocess.Popen(
            [*line, "--lazy-kernels", "--token-file", str(self.token), *arguments], stdout=self.log, stderr=self.log
        )
        self.port = 0

    def until_ready(self) -> None:
        deadline = time.monotonic() + 150
        record = self.folder / "process.json"
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.text()
            if record.exists():
                found = json.loads(record.read_text())
                if found["pid"] == self.process.pid:
                    self.port = found["port"]
                    return
            time.sleep(0.01)
        raise AssertionError(self.text())

    def text(self) -> str:
        return Path(self.log.name).read_text()

    def ask(
        self, path: str, *, body: bytes | None = None, credential: str = f"Bearer {TOKEN}", **headers: str
    ) -> tuple[int, Any]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if credential:
            named["authorization"] = credential
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body, named)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def write(self, value: float, t: int) -> None:
        message = v1.WriteRequest()
        series = message.timeseries.add()
        series.labels.add(name="__name__", value="acknowledged")
        series.samples.add(value=value, timestamp=t)
        body = bytes(cramjam.snappy.compress_raw(message.SerializeToString()))
        status, told = self.ask("/api/v1/write", body=body, content_type="application/x-protobuf")
        assert status == 204, told

    def values(self, expression: str) -> list[Any]:
        status, body = self.ask("/api/v1/query?query=" + urllib.request.quote(expression))  # type: ignore[attr-defined]
        assert status == 200, body
        found: list[Any] = json.loads(body)["data"]["result"]
        return found


@contextmanager
def running(folder: Path, *arguments: str) -> Iterator[Running]:
    made = Running(folder, *arguments)
    try:
        yield made
    finally:
        if made.process.poll() is None:
            made.process.kill()
            made.process.wait(30)
        made.log.close()


def test_one_life(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with running(folder) as engine:
        engine.until_ready()
        record = json.loads((folder / "process.json").read_text())
        assert ProcessId(record["pid"], record["start"]).alive()
        assert record["start"] == start_time(engine.process.pid)
        assert engine.ask("/-/healthy", credential="")[0] == 200
        assert engine.ask("/-/ready", credential="")[0] == 200
        for path in ("/api/v1/query?query=1", "/metrics", "/federate?match[]=up", "/api/v1/status/flags"):
            assert engine.ask(path, credential="")[0] == 401, path
            assert engine.ask(path, credential="Bearer wrong")[0] == 401, path
            assert engine.ask(path)[0] == 200, path
        basic = base64.b64encode(f"anyone:{TOKEN}".encode()).decode()
        assert engine.ask("/api/v1/query?query=1", credential=f"Basic {basic}")[0] == 200
        now = int(time.time() * 1000)
        engine.write(7.0, now)
        assert engine.values("acknowledged")[0]["value"][1] == "7"
        assert b"prometheus_tsdb_head_series 1.0" in engine.ask("/metrics")[1]
        engine.process.send_signal(signal.SIGTERM)
        assert engine.process.wait(60) == 0, engine.text()
        assert not (folder / "process.json").exists()
    with running(folder) as engine:
        engine.until_ready()
        assert engine.values("acknowledged[1h]")[0]["values"][0][1] == "7"


def test_nothing_acknowledged_is_lost_by_sigkill(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    t, count = int(time.time() * 1000) - 100_000, 0
    for _ in range(3):
        with running(folder) as engine:
            engine.until_ready()
            if count:
                values = engine.values("acknowledged[1h]")[0]["values"]
                assert [float(value) for _, value in values] == [float(i) for i in range(count)]
            for _ in range(20):
                engine.write(float(count), t + count * 100)
                count += 1
            os.kill(engine.process.pid, signal.SIGKILL)
            engine.process.wait(30)


def test_a_second_one_on_the_same_directory_says_why_it_ends(tmp_path: Path) -> None:
    with running(tmp_path / "data") as first:
        first.until_ready()
        with running(tmp_path / "data") as second:
            assert second.process.wait(60) == 1
            assert "is open in another process" in second.text()
        assert first.ask("/-/ready", credential="")[0] == 200


@pytest.mark.parametrize(
    ("config", "told"),
    [("scrape_configs: {", "is no YAML"), ("scrape_configs: [{job_name: ''}]", "job_name"), ("x: 1", "unknown")],
)
def test_a_wrong_configuration_ends_it_with_a_sentence(tmp_path: Path, config: str, told: str) -> None:
    file = tmp_path / "prometheus.yml"
    file.write_text(config)
    with running(tmp_path / "data", "--config", str(file)) as engine:
        assert engine.process.wait(60) == 1
        assert told in engine.text()
        assert "Traceback" not in engine.text()


def test_it_scrapes_itself_and_evaluates_rules(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yml"
    rules.write_text("groups: [{name: g, interval: 1s, rules: [{record: 'a:b', expr: vector(3)}]}]")
    file = tmp_path / "prometheus.yml"
    file.write_text(
        "global: {scrape_interval: 1s}\nrule_files: [rules.yml]\n"
        "scrape_configs: [{job_name: none, static_configs: [{targets: ['127.0.0.1:1']}]}]"
    )
    with running(tmp_path / "data", "--config", str(file)) as engine:
        engine.until_ready()
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (engine.values("a:b") and engine.values("up")):
            time.sleep(0.05)
        assert engine.values("a:b")[0]["value"][1] == "3"
        assert engine.values("up")[0]["value"][1] == "0"
        _, body = engine.ask("/api/v1/targets")
        assert json.loads(body)["data"]["activeTargets"][0]["health"] == "down"


def test_the_configuration_is_read_again(tmp_path: Path) -> None:
    file, rules = tmp_path / "prometheus.yml", tmp_path / "rules.yml"
    file.write_text("rule_files: [rules.yml]")
    with running(tmp_path / "data", "--config", str(file)) as engine:
        engine.until_ready()

        def groups() -> list[str]:
            found = json.loads(engine.ask("/api/v1/rules")[1])["data"]["groups"]
            return [group["name"] for group in found]

        assert groups() == []
        rules.write_text("groups: [{name: new, rules: [{record: a, expr: vector(1)}]}]")
        assert engine.ask("/-/reload", body=b"", credential="")[0] == 401
        assert engine.ask("/-/reload", body=b"") == (200, b"")
        assert groups() == ["new"]
        rules.write_text("groups: [{name: bad, rules: [{record: a, expr: 'vector('}]}]")
        status, told = engine.ask("/-/reload", body=b"")
        assert (status, b"parse error" in told) == (500, True)
        assert groups() == ["new"]
        info = json.loads(engine.ask("/api/v1/status/runtimeinfo")[1])["data"]
        assert info["reloadConfigSuccess"] is False
        rules.write_text("groups: [{name: hup, rules: [{record: a, expr: vector(1)}]}]")
        engine.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 30
        while groups() != ["hup"] and time.monotonic() < deadline:
            time.sleep(0.05)
        assert groups() == ["hup"]


def test_the_command_line(tmp_path: Path) -> None:
    found = parse(
        ["--data-dir", str(tmp_path), "--retention", "1w", "--retention-size", "2GB", "--query-timeout", "30s"]
    )
    assert (found.retention, found.retention_size, found.query_timeout) == (7 * 86_400_000, 2 << 30, 30.0)
    assert found.kept() == "7d or 2GB"
    assert duration("1h30m") == 5_400_000
    assert size("512MB") == 512 << 20
    for bad in (["--data-dir", "x", "--retention", "soon"], [], ["--data-dir", "x", "--retention-size", "many"]):
        with pytest.raises(SystemExit):
            parse(bad)
