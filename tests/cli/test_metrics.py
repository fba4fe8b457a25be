"""`styr metrics` against a small HTTP server with canned answers, and its offline tools on real blocks."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pytest
from click.testing import CliRunner, Result

from styr.cli.main import styr
from styr.cli.metrics import SUBCOMMANDS, command
from styr.kit.clock import SystemClock
from styr.metrics.model.labels import make
from styr.metrics.storage.db import Database
from tests.metrics.web.peer import make_block

VECTOR = {
    "resultType": "vector",
    "result": [
        {"metric": {"__name__": "up", "job": 'a "b"'}, "value": [1700000000.5, "1"]},
        {"metric": {}, "histogram": [1700000000, {"count": "4", "sum": "5.5"}]},
    ],
}
MATRIX = {
    "resultType": "matrix",
    "result": [{"metric": {"__name__": "up"}, "values": [[1700000000 + 15 * i, str(i)] for i in range(20)]}],
}
ANSWERS = {
    "query": VECTOR,
    "query_range": MATRIX,
    "labels": ["__name__", "job"],
    "label/job/values": ["a", "b"],
    "series": [{"__name__": "up", "job": "a"}],
    "targets": {
        "activeTargets": [
            {
                "scrapePool": "api",
                "scrapeUrl": "http://a:1/metrics",
                "health": "down",
                "lastError": "connection refused",
                "lastScrape": "0001-01-01T00:00:00Z",
                "lastScrapeDuration": 0.012,
            }
        ]
    },
    "rules": {
        "groups": [
            {
                "name": "g",
                "rules": [
                    {"name": "Down", "type": "alerting", "state": "firing", "health": "ok", "evaluationTime": 0.001}
                ],
            }
        ]
    },
    "alerts": {
        "alerts": [
            {
                "labels": {"alertname": "Down", "job": "a"},
                "annotations": {"summary": "a is down"},
                "state": "firing",
                "activeAt": "2023-11-14T22:13:20Z",
                "value": "1e+00",
            }
        ]
    },
}


class Canned(BaseHTTPRequestHandler):
    asked: list[tuple[str, list[tuple[str, str]], str]]

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        size = int(self.headers.get("content-length") or 0)
        query = parse_qsl(url.query) or parse_qsl(self.rfile.read(size).decode())
        self.asked.append((url.path, query, self.headers.get("authorization", "")))
        name = url.path.removeprefix("/api/v1/")
        body = {"status": "success", "data": ANSWERS.get(name), "warnings": ["careful"]}
        if dict(query).get("query") == "bad(":
            body = {"status": "error", "errorType": "bad_data", "error": "1:5: parse error: unclosed"}
        data = json.dumps(body).encode()
        self.send_response(200 if body["status"] == "success" else 400)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    Canned.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Canned)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(styr, ["metrics", *arguments])


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_every_subcommand_has_help_with_an_example(name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0
    assert f"styr metrics {name}" in result.output.split("Example:")[1]
    assert SUBCOMMANDS[name][2]


def test_a_query_as_table_json_and_csv(url: str) -> None:
    table = run("query", "up", "--url", url)
    assert table.exit_code == 0
    assert 'up{job="a \\"b\\""}' in table.output
    assert "histogram(count 4, sum 5.5)" in table.output
    assert "warning: careful" in table.output
    assert Canned.asked[0][0] == "/api/v1/query"
    data = run("query", "up", "--url", url, "-o", "json")
    assert '"resultType": "vector"' in data.output
    csv = run("query", "up", "--url", url, "-o", "csv")
    assert '__name__,job,time,value\nup,"a ""b""",1700000000.500,1\n' in csv.output


def test_a_range_as_table_and_as_chart(url: str, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    arguments = ["query", "up", "--url", url, "--token-file", str(token), "--at", "1700000300", "--range", "5m"]
    table = run(*arguments, "--step", "15")
    assert table.output.count("\nup") == 20
    path, fields, credential = Canned.asked[0]
    assert (path, credential) == ("/api/v1/query_range", "Bearer s3cret")
    assert dict(fields) == {"query": "up", "start": "1700000000.000", "end": "1700000300.000", "step": "15"}
    chart = run(*arguments, "-o", "chart")
    assert "── up  last 19, min 0, max 19" in chart.output
    assert "\x1b" not in chart.output


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["query", "bad("], "1:5: parse error: unclosed"),
        (["query", "up", "--at", "yesterday"], "neither RFC 3339 nor"),
        (["query", "up", "--range", "soon"], "no duration"),
        (["query", "up", "--range", "0"], "no duration"),
        (["query", "up", "--range", "5m", "--step", "-1"], "no duration"),
    ],
)
def test_bad_arguments_are_told_in_a_sentence(url: str, arguments: list[str], told: str) -> None:
    result = run(*arguments, "--url", url)
    assert result.exit_code != 0
    assert told in result.output
    assert "Traceback" not in result.output


def test_lists(url: str) -> None:
    assert run("labels", "--url", url).output.splitlines()[-2:] == ["__name__", "job"]
    assert run("labels", "job", "--url", url, "--match", "up").output.splitlines()[-2:] == ["a", "b"]
    assert Canned.asked[-1][:2] == ("/api/v1/label/job/values", [("match[]", "up")])
    assert 'up{job="a"}' in run("series", "up", "--url", url).output
    assert "connection refused" in run("targets", "--url", url, "--down").output
    assert "firing" in run("rules", "--url", url).output
    alerts = run("alerts", "--url", url).output
    assert "a is down" in alerts
    assert '{job="a"}' in alerts


def test_nothing_there_is_told_with_the_way_out(tmp_path: Path) -> None:
    result = run("query", "up", "--data-dir", str(tmp_path))
    assert result.exit_code == 1
    assert "styr up" in result.output
    result = run("query", "up", "--url", "http://127.0.0.1:1")
    assert result.exit_code == 1
    assert "does not answer" in result.output


def test_verbs_that_ask_do_not_import_numpy(url: str) -> None:
    code = (
        "import sys; sys.argv = ['styr', 'metrics', 'query', 'up', '--url', sys.argv[1], '-o', 'json']\n"
        "from styr.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "assert not {'numpy', 'numba'} & set(sys.modules), 'imported'\n"
    )
    done = subprocess.run([sys.executable, "-c", code, url], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


OPENMETRICS = """\
# TYPE requests counter
requests_total{path="/a"} 1 1700000000
requests_total{path="/a"} 2 1700000060
requests_total{path="/b"} 5 1700000000
# EOF
"""


def test_blocks_are_made_listed_analysed_dumped_and_verified(tmp_path: Path) -> None:
    source, directory = tmp_path / "old.om", tmp_path / "data"
    source.write_text(OPENMETRICS)
    made = run("tsdb", "create-blocks-from", "openmetrics", str(source), str(directory), "--label", "site=x")
    assert made.exit_code == 0, made.output
    listed = json.loads(run("tsdb", "list", str(directory), "-o", "json").output)
    assert [(row["samples"], row["series"]) for row in listed] == [(3, 2)]
    assert "2 series" in run("tsdb", "analyze", str(directory)).output
    dumped = run("tsdb", "dump", str(directory), "--match", '{path="/a"}').output
    name = '{__name__="requests_total", path="/a", site="x"}'
    assert dumped == f"{name} 1 1700000000000\n{name} 2 1700000060000\n"
    assert run("tsdb", "dump", str(directory), "--end", "1600000000").output == ""
    assert f"{listed[0]['ulid']}  ok" in run("tsdb", "verify", str(directory)).output
    chunks = directory / listed[0]["ulid"] / "chunks" / "000001"
    damaged = bytearray(chunks.read_bytes())
    damaged[-6] ^= 1
    chunks.write_bytes(damaged)
    result = run("tsdb", "verify", str(directory))
    assert result.exit_code == 1
    assert listed[0]["ulid"] in result.output


def test_tools_say_what_is_wrong_with_their_arguments(tmp_path: Path) -> None:
    assert "no block" in run("tsdb", "analyze", str(tmp_path)).output
    assert "No blocks" in run("tsdb", "list", str(tmp_path)).output
    assert "no series selector" in run("tsdb", "dump", str(tmp_path), "--match", "1+1").output
    assert "parse error" in run("tsdb", "dump", str(tmp_path), "--match", "{").output
    bad = tmp_path / "bad.om"
    bad.write_text("a 1\n# EOF\n")
    result = run("tsdb", "create-blocks-from", "openmetrics", str(bad), str(tmp_path / "data"))
    assert result.exit_code == 1
    assert "timestamp" in result.output


def test_rule_files_and_configurations_are_checked(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yml", tmp_path / "bad.yml"
    good.write_text("groups: [{name: g, rules: [{record: a, expr: up}, {alert: B, expr: up == 0}]}]")
    bad.write_text("groups: [{name: g, rules: [{record: a, expr: 'up('}]}]")
    assert "2 rules in 1 groups" in run("check", "rules", str(good)).output
    result = run("check", "rules", str(good), str(bad))
    assert result.exit_code == 1
    assert "groups[0].rules[0].expr" in result.output
    config = tmp_path / "prometheus.yml"
    config.write_text("rule_files: [good.yml]\nscrape_configs: [{job_name: a, static_configs: [{targets: ['a:1']}]}]")
    assert "1 scrape jobs, 2 rules" in run("check", "config", str(config)).output
    config.write_text("scrape_configs: [{job_name: a, scrape_interval: never}]")
    result = run("check", "config", str(config))
    assert result.exit_code == 1
    assert "scrape_interval" in result.output
    config.write_text("nonsense: true")
    assert "'nonsense' is unknown" in run("check", "config", str(config)).output


def test_the_group_itself() -> None:
    assert command.name == "command"
    assert "query" in run("--help").output


def test_unit_tests_of_rules_run(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text("groups: [{name: g, rules: [{record: 'a:sum', expr: sum(a)}]}]")
    case = tmp_path / "test.yml"
    text = (
        "rule_files: [rules.yml]\nevaluation_interval: 1m\ntests:\n- interval: 1m\n  name: sums\n"
        "  input_series: [{series: 'a{i=\"1\"}', values: '1+1x5'}, {series: 'a{i=\"2\"}', values: '1x5'}]\n"
        "  promql_expr_test: [{expr: 'a:sum', eval_time: 2m, exp_samples: [{labels: 'a:sum', value: %d}]}]\n"
    )
    case.write_text(text % 4)
    result = run("test", "rules", str(case))
    assert (result.exit_code, "1 tests, ok" in result.output) == (0, True), result.output
    case.write_text(text % 5)
    result = run("test", "rules", str(case))
    assert result.exit_code == 1
    assert "FAILED" in result.output
    assert "0 tests" in run("test", "rules", str(case), "--run", "other").output
    assert "--run" in run("test", "rules", str(case), "--run", "(").output


def test_what_is_only_in_the_log_is_dumped_as_well(tmp_path: Path) -> None:
    database = Database.open(tmp_path, SystemClock())
    database.head.append(database.head.refs([make({"__name__": "m"})]), np.array([1_700_000_000_000]), np.array([2.5]))
    database.head.sync()
    assert run("tsdb", "dump", str(tmp_path)).output == '{__name__="m"} 2.5 1700000000000\n'
    database.close()


CLASSIC = """\
# TYPE h histogram
h_bucket{le="1.0"} 1 1700000000
h_bucket{le="+Inf"} 2 1700000000 # {trace="a"} 1.5
h_sum 2.5 1700000000
h_count 2 1700000000
h_created 1600000000 1700000000
# TYPE g gaugehistogram
g_bucket{le="+Inf"} 2 1700000000
g_gsum 2.5 1700000000
g_gcount 2 1700000000
# EOF
"""


@pytest.mark.needs("promtool")
def test_histograms_are_backfilled_as_promtool_does(tmp_path: Path) -> None:
    """OpenMetrics text knows classic ones only; they are series like any others."""
    source = tmp_path / "old.om"
    source.write_text(CLASSIC)
    made = run("tsdb", "create-blocks-from", "openmetrics", str(source), str(tmp_path / "ours"))
    assert made.exit_code == 0, made.output
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(source), str(tmp_path / "theirs")]
    subprocess.run(command, capture_output=True, timeout=120, check=True)
    ours, theirs = (run("tsdb", "dump", str(tmp_path / name)).output for name in ("ours", "theirs"))
    assert ours == theirs
    assert len(ours.splitlines()) == 8


@pytest.mark.needs("promtool")
def test_the_dump_is_promtools(tmp_path: Path) -> None:
    make_block(tmp_path / "data")
    (tmp_path / "data" / "wal").mkdir()
    mine = run("tsdb", "dump", str(tmp_path / "data")).output
    theirs = subprocess.run(
        ["promtool", "tsdb", "dump", str(tmp_path / "data")], capture_output=True, text=True, timeout=120, check=True
    ).stdout
    assert sorted(mine.splitlines()) == sorted(theirs.splitlines())
