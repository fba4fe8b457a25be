"""Alerts to Alertmanagers: batches, queues, retries, and a real one that takes them."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from styr.kit.clock import SystemClock
from styr.metrics.model.errors import BadData
from styr.metrics.model.labels import Labels, make
from styr.metrics.rules.notify.alertmanager import Alertmanagers, Target
from styr.metrics.rules.notify.targets import read_targets, relabel_configs
from styr.metrics.rules.outgoing import Outgoing, labelled
from tests.metrics.rules.notify.kit import EPOCH, Peer
from tests.peers.prometheus import beside, free_port, running


def outgoing(name: str, now: float = EPOCH, resolved: bool = False, **labels: str) -> Outgoing:
    at = int(now * 1000)
    ends = at - 1000 if resolved else at + 240_000
    return Outgoing(
        make({"alertname": name, **labels}), (("s", "x"),), at - 60_000, ends, "http://styr/graph?g0.expr=up"
    )


class Quick(SystemClock):
    """Pauses between tries take no time."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0 if seconds < 4 else seconds)


async def test_what_is_sent() -> None:
    async with Peer() as peer:
        managers = Alertmanagers(Quick())
        await managers.apply([Target(f"{peer.url}/am/")])
        managers.send(labelled([outgoing("A", job="own")], make({"cluster": "eu", "job": "external"}), None))
        await managers.close()
        line, headers, sent = peer.requests[0]
        assert line == "POST /am/api/v2/alerts HTTP/1.1"
        assert headers["content-type"] == "application/json"
        assert sent == [
            {
                "labels": {"alertname": "A", "cluster": "eu", "job": "own"},
                "annotations": {"s": "x"},
                "startsAt": "2027-01-15T07:59:00Z",
                "endsAt": "2027-01-15T08:04:00Z",
                "generatorURL": "http://styr/graph?g0.expr=up",
            }
        ]


async def test_all_get_all_in_batches_and_one_that_fails_is_counted() -> None:
    async with Peer() as good, Peer(script=[500] * 9) as bad:
        managers = Alertmanagers(Quick())
        await managers.apply([Target(good.url), Target(bad.url)])
        managers.send([outgoing(f"A{i}") for i in range(600)])
        await managers.close()
        assert [len(sent) for _, _, sent in good.requests] == [256, 256, 88]
        counters = managers.counters
        assert (counters[good.url].sent, counters[good.url].dropped) == (600, 0)
        assert (counters[bad.url].sent, counters[bad.url].dropped, counters[bad.url].errors) == (0, 600, 1800)
        assert counters[bad.url].last_error == "unexpected status code 500: ok"


async def test_a_flapping_one_gets_it_at_the_next_try_and_a_refusal_ends_it() -> None:
    async with Peer(script=["close", 503, 200, 400]) as peer:
        managers = Alertmanagers(Quick())
        await managers.apply([Target(peer.url)])
        managers.send([outgoing("A")])
        while managers.counters[peer.url].sent < 1:
            await asyncio.sleep(0.01)
        managers.send([outgoing("B")])
        await managers.close()
        assert len(peer.requests) == 4
        assert managers.counters[peer.url].dropped == 1


async def test_a_full_queue_drops_the_oldest() -> None:
    async with Peer(script=["hang"]) as peer:
        managers = Alertmanagers(Quick(), most_queue=10)
        await managers.apply([Target(peer.url, timeout=60_000)])
        managers.send([outgoing("first")])
        while not peer.requests:
            await asyncio.sleep(0.01)
        managers.send([outgoing(f"A{i}") for i in range(8)])
        managers.send([outgoing(f"B{i}") for i in range(15)])
        assert managers.queued[peer.url] == 10
        assert managers.counters[peer.url].dropped == 13
        await managers.close(grace=0.05)
        assert managers.counters[peer.url].dropped == 23


def test_labels_of_the_server_and_relabelling() -> None:
    def relabel(labels: Labels) -> Labels | None:
        return None if dict(labels)["alertname"] == "B" else make({**dict(labels), "new": "1"})

    found = labelled([outgoing("A", job="own"), outgoing("B")], make({"job": "x", "site": "eu"}), relabel)
    assert [dict(a.labels) for a in found] == [{"alertname": "A", "job": "own", "site": "eu", "new": "1"}]
    assert labelled([outgoing("A")], (), lambda labels: ()) == []


async def test_targets_that_stay_keep_their_queue() -> None:
    async with Peer() as one, Peer() as two:
        managers = Alertmanagers(Quick())
        await managers.apply([Target(one.url), Target(two.url)])
        counters = managers.counters[one.url]
        await managers.apply([Target(one.url)])
        assert managers.counters == {one.url: counters}
        managers.send([outgoing("A")])
        await managers.close()
        assert (len(one.requests), len(two.requests)) == (1, 0)


def test_the_alerting_section() -> None:
    section = {
        "alert_relabel_configs": [{"action": "drop"}],
        "alertmanagers": [
            {
                "scheme": "https",
                "path_prefix": "/am/",
                "timeout": "3s",
                "basic_auth": {"username": "me", "password": "pw"},
                "static_configs": [{"targets": ["a:1", "b:2"]}],
            },
            {"static_configs": [{"targets": ["a:9093"]}, {"targets": ["a:9093"]}]},
        ],
    }
    found = read_targets(section)
    assert [(t.url, t.timeout, t.access.username) for t in found] == [
        ("https://a:1/am", 3000, "me"),
        ("https://b:2/am", 3000, "me"),
        ("http://a:9093", 10_000, ""),
    ]
    assert relabel_configs(section) == [{"action": "drop"}]
    assert read_targets(None) == []


@pytest.mark.parametrize(
    ("group", "said"),
    [
        ({"kubernetes_sd_configs": []}, "alerting.alertmanagers[0].kubernetes_sd_configs: unknown or not honoured"),
        ({"scheme": "ftp"}, "alertmanagers[0].scheme: 'ftp' is neither http nor https"),
        ({"api_version": "v1"}, "alertmanagers[0].api_version: only v2 is spoken"),
        ({"static_configs": [{"targets": [5]}]}, "static_configs[0].targets[0]: must be HOST:PORT"),
        ({"static_configs": [{"targets": ["http://x"]}]}, "static_configs[0].targets[0]: "),
    ],
)
def test_wrong_alerting_sections(group: dict[str, Any], said: str) -> None:
    with pytest.raises(BadData) as raised:
        read_targets({"alertmanagers": [group]})
    assert said in str(raised.value)


@pytest.mark.needs("prometheus-alertmanager")
async def test_a_real_alertmanager_takes_them(tmp_path: Path) -> None:
    async with Peer() as hook:
        config = (
            "route: {receiver: r, group_wait: 100ms, group_interval: 1s, group_by: [alertname]}\n"
            f"receivers: [{{name: r, webhook_configs: [{{url: '{hook.url}/'}}]}}]\n"
        )
        (tmp_path / "am.yml").write_text(config)
        port = free_port()
        command = [
            *_command(),
            f"--config.file={tmp_path / 'am.yml'}",
            f"--storage.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ]
        clock = SystemClock()
        managers, external = Alertmanagers(clock), make({"cluster": "eu"})
        try:
            async with beside(running(command, port, tmp_path / "log")) as real:
                await managers.apply([Target(real.url)])
                managers.send(
                    labelled([outgoing("A", clock.time(), host="é"), outgoing("B", clock.time())], external, None)
                )
                await _until(lambda: _told(hook, 2))
                managers.send(labelled([outgoing("A", clock.time(), resolved=True, host="é")], external, None))
                await _until(lambda: _told(hook, 3))
                assert (managers.counters[real.url].sent, hook.requests[-1][2]["status"]) == (
                    3,
                    "resolved",
                )
                ours = {each["labels"]["alertname"]: each for _, _, sent in hook.requests for each in sent["alerts"]}
                assert ours["A"]["labels"] == {"alertname": "A", "cluster": "eu", "host": "é"}
                assert ours["B"]["generatorURL"] == "http://styr/graph?g0.expr=up"
                left = json.loads((await asyncio.to_thread(real.send, "GET", "/api/v2/alerts"))[1])
                assert [each["labels"]["alertname"] for each in left] == ["B"]
                _same_fingerprints(left)
        finally:
            await managers.close()


def _command() -> list[str]:
    """Debian's program reads templates from /usr/share. Unpacked elsewhere, it gets a /usr/share of its own, which holds only
    them."""
    program = Path(shutil.which("prometheus-alertmanager") or "")
    if Path("/usr/share/prometheus/alertmanager/default.tmpl").exists():
        return [str(program)]
    share = program.resolve().parents[1] / "share/prometheus/alertmanager"
    script = (
        "mount -t tmpfs none /usr/share && mkdir /usr/share/prometheus"
        f' && ln -s {share} /usr/share/prometheus/alertmanager && exec "$0" "$@"'
    )
    return ["unshare", "-rm", "sh", "-c", script, str(program)]


def _same_fingerprints(shown: list[dict[str, Any]]) -> None:
    from styr.metrics.rules.notify.alert import fingerprint

    assert [each["fingerprint"] for each in shown] == [fingerprint(make(each["labels"])) for each in shown]


async def _told(hook: Peer, count: int) -> bool:
    return len(hook.requests) >= count


async def _until(true: Any) -> None:
    async with asyncio.timeout(30):
        while not await true():
            await asyncio.sleep(0.05)
