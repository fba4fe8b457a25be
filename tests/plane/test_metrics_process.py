"""The metrics process under plane's hand: started, adopted, started again, replaced, stopped. A stand-in answers its HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from styr.kinds.seams import QueryFailed
from styr.kit.clock import SystemClock
from styr.metrics import invocation, launch
from styr.metrics.ask import read_answer

STAND_IN = """
import http.server, json, sys
port = int(sys.argv[sys.argv.index("--port") + 1])
token = open(sys.argv[sys.argv.index("--token-file") + 1]).read().strip()
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.headers["authorization"] == "Bearer " + token else 401)
        self.end_headers()
    def do_POST(self):
        asked = self.rfile.read(int(self.headers["content-length"])).decode()
        good = {"status": "success", "data": {"resultType": "vector", "result": [{"metric": {"a": "b"}, "value": [1, "2.5"]}]}}
        bad = {"status": "error", "errorType": "bad_data", "error": "1:1: parse error: unexpected end of input"}
        body = json.dumps(bad if "bad" in asked else good).encode()
        self.send_response(400 if "bad" in asked else 200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", port), Answer).serve_forever()
"""


def free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Quick(SystemClock):
    """Waits a hundredth: delays of restarts are not what these tests wait for."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / 100)


@pytest.fixture
def settings(tmp_path: Path):
    (tmp_path / "token").write_text("secret\n")
    yield invocation.Settings(tmp_path, free(), 6443, program=(sys.executable, "-c", STAND_IN))
    launch.stop_metrics(tmp_path)


async def until(condition) -> None:
    async with asyncio.timeout(20):
        while not await condition():
            await asyncio.sleep(0.01)


async def test_it_is_started_and_asked(settings):
    engine = launch.Engine(settings, "secret", Quick())
    await engine.start()
    assert engine.running
    await until(engine.ask.ready)
    assert await engine.query("up") == [({"a": "b"}, 2.5)]
    with pytest.raises(QueryFailed, match="refused: 1:1: parse error"):
        await engine.query("bad")
    await engine.close()


async def test_another_control_plane_adopts_it(settings):
    first = launch.Engine(settings, "secret", Quick())
    await first.start()
    await until(first.ask.ready)
    await first.close()
    second = launch.Engine(settings, "secret", Quick())
    await second.start()
    assert second.adopted
    assert second.identity == first.identity


async def test_other_settings_replace_it(settings, tmp_path):
    first = launch.Engine(settings, "secret", Quick())
    await first.start()
    second = launch.Engine(
        invocation.Settings(tmp_path, settings.port, 7443, program=settings.program), "secret", Quick()
    )
    await second.start()
    assert not first.running
    assert second.running
    assert not second.adopted


@pytest.mark.parametrize("adopted", [False, True])
async def test_a_killed_one_is_started_again(settings, adopted):
    engine = launch.Engine(settings, "secret", Quick())
    await engine.start()
    await until(engine.ask.ready)
    if adopted:
        engine = launch.Engine(settings, "secret", Quick())
        await engine.start()
        assert engine.adopted
    before = engine.identity
    task = asyncio.create_task(engine.supervise())
    os.kill(before.pid, signal.SIGKILL)

    async def back() -> bool:
        return engine.restarts == 1 and engine.identity != before and await engine.ask.ready()

    await until(back)
    assert launch.recorded(settings.data_dir) == engine.identity
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert engine.running, "the process outlives its supervisor"


async def test_one_that_ends_at_once_is_tried_with_growing_pauses(tmp_path):
    slept: list[float] = []

    class Counting(Quick):
        async def sleep(self, seconds: float) -> None:
            slept.append(seconds)
            if len([pause for pause in slept if pause > 0.5]) >= 3:
                await asyncio.get_running_loop().create_future()
            await asyncio.sleep(0)

    engine = launch.Engine(invocation.Settings(tmp_path, free(), 1, program=("false",)), "", Counting())
    await engine.start()
    task = asyncio.create_task(engine.supervise())

    async def tried() -> bool:
        return 4.0 in slept

    await until(tried)
    task.cancel()
    assert [pause for pause in slept if pause > 0.5] == [1.0, 2.0, 4.0]


async def test_stopping_works_from_the_folder_alone(settings):
    engine = launch.Engine(settings, "secret", Quick())
    await engine.start()
    assert await asyncio.to_thread(launch.stop_metrics, settings.data_dir)
    assert not engine.running
    assert not await asyncio.to_thread(launch.stop_metrics, settings.data_dir)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"pid": 1}', '{"pid": "x", "started": 2}', '{"pid":1,"started":1}']
)
def test_a_damaged_record_names_nobody(tmp_path, text):
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "process.json").write_text(text)
    assert launch.recorded(tmp_path) is None
    assert launch.stop_metrics(tmp_path) is False


def test_styrs_own_parts_are_static_targets(tmp_path):
    jobs = {
        job["job_name"]: job
        for job in invocation.self_targets(invocation.Settings(tmp_path, 9090, 6443))["scrape_configs"]
    }
    assert set(jobs) == {"styr", "envoy", "styr-metrics"}
    assert jobs["styr"]["static_configs"] == [{"targets": ["127.0.0.1:6443"]}]
    assert jobs["styr"]["tls_config"]["ca_file"] == str(tmp_path / "pki" / "ca.crt")
    assert jobs["envoy"]["metrics_path"] == "/metrics/envoy"
    assert "secret" not in json.dumps(jobs), "the token stands in its own file only"


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"", "something else"),
        (b"[]", "something else"),
        (b'{"status":"success"}', "something else"),
        (b'{"status":"success","data":{"resultType":"matrix","result":[]}}', "a matrix"),
        (b'{"status":"success","data":{"resultType":"string","result":[1,"x"]}}', "a string"),
        (
            b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"histogram":[1,{}]}]}}',
            "native histogram",
        ),
        (
            b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"x"]}]}}',
            "something else",
        ),
    ],
)
def test_what_is_no_number_is_refused(body, what):
    with pytest.raises(QueryFailed, match=what):
        read_answer(200, body)


def test_a_scalar_is_one_sample_without_labels():
    assert read_answer(200, b'{"status":"success","data":{"resultType":"scalar","result":[1,"NaN"]}}')[0][0] == {}


def test_a_users_prometheus_yml_adds_to_what_styr_scrapes(tmp_path):
    (tmp_path / "prometheus.yml").write_text(
        "global: {scrape_interval: 5s, external_labels: {site: a}}\n"
        "scrape_configs: [{job_name: mine, static_configs: [{targets: ['127.0.0.1:1']}]}]\n"
        "rule_files: [rules/*.yml, /etc/rules.yml]\n"
    )
    document = invocation.configuration(invocation.Settings(tmp_path, 9090, 6443))
    assert [job["job_name"] for job in document["scrape_configs"]] == ["styr", "envoy", "styr-metrics", "mine"]
    assert document["global"] == {
        "scrape_interval": "5s",
        "evaluation_interval": "15s",
        "external_labels": {"site": "a"},
    }
    assert document["rule_files"] == [str(tmp_path / "rules/*.yml"), "/etc/rules.yml"]


@pytest.mark.parametrize("text", ["a: [", "- a", "scrape_configs: {a: b}", "global: 7", "rule_files: x", "\x00"])
def test_a_file_that_is_no_configuration_is_named(tmp_path, text):
    (tmp_path / "prometheus.yml").write_text(text)
    with pytest.raises(invocation.ConfigError, match=r"prometheus\.yml is no"):
        invocation.configuration(invocation.Settings(tmp_path, 9090, 6443))


def test_an_empty_file_adds_nothing(tmp_path):
    settings = invocation.Settings(tmp_path, 9090, 6443)
    (tmp_path / "prometheus.yml").write_text("# later\n")
    assert invocation.configuration(settings) == invocation.self_targets(settings)


def test_a_users_alertmanager_yml_is_handed_on_and_a_change_of_it_replaces_the_process(tmp_path):
    settings = invocation.Settings(tmp_path, 9090, 6443)
    assert "--notify" not in invocation.command(settings)
    (tmp_path / "alertmanager.yml").write_text("route: {receiver: a}\n")
    line = invocation.command(settings)
    assert line[-2:] == ["--notify", str(tmp_path / "alertmanager.yml")]
    assert invocation.fingerprint(line, {}, b"a") != invocation.fingerprint(line, {}, b"b")
