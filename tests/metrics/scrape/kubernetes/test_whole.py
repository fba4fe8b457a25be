"""From objects to what is scraped: discovery, the monitor's rules, relabelling: addresses and labels of samples in the end."""

from __future__ import annotations

from collections.abc import Iterable

from styr.kinds.resources import Object
from styr.metrics.scrape.config import parse_job
from styr.metrics.scrape.discovery import Group
from styr.metrics.scrape.kubernetes import annotations, endpoints, nodes, pods
from styr.metrics.scrape.kubernetes.credentials import Keys
from styr.metrics.scrape.kubernetes.jobs import Job
from styr.metrics.scrape.kubernetes.monitors import pod_monitor, service_monitor
from styr.metrics.scrape.kubernetes.probes import probe
from styr.metrics.scrape.kubernetes.scrapeconfigs import scrape_config
from styr.metrics.scrape.target import discovered, make_target
from tests.metrics.scrape.kubernetes.objects import node, pod, service, slice
from tests.metrics.scrape.kubernetes.test_monitors import PROBE, SCRAPE, monitor
from tests.metrics.scrape.kubernetes.test_targets import around


def scraped(job: Job, groups: Iterable[Group]) -> dict[str, dict[str, str]]:
    """URL -> labels of its samples."""
    config = parse_job(job.document())
    found = {}
    for group in (*config.static, *groups):
        for own in group.targets:
            target = make_target(config, discovered(config, own, group.labels))
            if target is not None:
                found[target.url] = dict(target.labels)
    return found


def keys() -> Keys:
    return Keys(lambda resource, namespace, name: None, "default")


def process_slice(service_: Object, *extra: Object) -> Group:
    return endpoints.group(slice(port=41234), around(service_, pod(real={8080: 41234, 9100: 41235}), *extra))


def test_a_service_monitor_scrapes_the_real_port_with_the_usual_labels():
    (job,) = service_monitor(monitor({"port": "http", "path": "/m"}), keys())
    assert scraped(job, [process_slice(service())]) == {
        "http://10.0.0.7:41234/m": {
            "job": "web",
            "namespace": "default",
            "service": "web",
            "pod": "web-1",
            "container": "main",
            "endpoint": "http",
            "instance": "10.0.0.7:41234",
        }
    }


def test_a_target_port_by_its_declared_number_finds_the_port_behind_no_service():
    (job,) = service_monitor(monitor({"targetPort": 9100}), keys())
    assert list(scraped(job, [process_slice(service())])) == ["http://10.0.0.7:41235/metrics"]


def test_a_service_that_is_not_selected_is_not_scraped():
    (job,) = service_monitor(monitor(selector={"matchLabels": {"app": "other"}}), keys())
    assert scraped(job, [process_slice(service())]) == {}
    (job,) = service_monitor(monitor(selector={"matchExpressions": [{"key": "gone", "operator": "Exists"}]}), keys())
    assert scraped(job, [process_slice(service())]) == {}


def test_a_pod_that_is_over_is_left_out_unless_it_is_wanted():
    over = pods.group(pod(phase="Succeeded"))
    (job,) = pod_monitor(monitor({"port": "http"}), keys())
    assert scraped(job, [over]) == {}
    (job,) = pod_monitor(monitor({"port": "http", "filterRunning": False}), keys())
    assert len(scraped(job, [over])) == 1


def test_a_pod_monitor_scrapes_the_pod():
    (job,) = pod_monitor(monitor({"portNumber": 9100}, jobLabel="app", podTargetLabels=["app"]), keys())
    assert scraped(job, [pods.group(pod(real={9100: 555}))]) == {
        "http://10.0.0.7:555/metrics": {
            "job": "web",
            "namespace": "default",
            "pod": "web-1",
            "container": "main",
            "endpoint": "9100",
            "app": "web",
            "instance": "10.0.0.7:555",
        }
    }


def test_annotations_of_a_pod_are_enough():
    said = {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": "8080",
        "prometheus.io/path": "/stats",
        "prometheus.io/scheme": "https",
    }
    job, _ = annotations.jobs()
    found = pods.group(pod(real={8080: 41234}, annotations=said, labels={"styr.dev/app": "web"}))
    assert scraped(job, [found]) == {
        "https://10.0.0.7:41234/stats": {
            "job": "kubernetes-pods",
            "namespace": "default",
            "pod": "web-1",
            "app": "web",
            "instance": "10.0.0.7:41234",
        }
    }
    assert scraped(job, [pods.group(pod())]) == {}


def test_annotations_of_a_service_are_enough():
    _, job = annotations.jobs()
    said = service(annotations={"prometheus.io/scrape": "true", "prometheus.io/port": "9100"})
    found = scraped(job, [process_slice(said)])
    assert "http://10.0.0.7:41235/metrics" in found
    assert found["http://10.0.0.7:41235/metrics"]["service"] == "web"
    assert scraped(job, [process_slice(service())]) == {}


def test_a_probe_asks_the_prober():
    (job,) = probe(PROBE, keys())
    assert scraped(job, []) == {
        "http://127.0.0.1:9115/probe?module=http_2xx&target=http%3A%2F%2Fa%241": {
            "job": "site",
            "namespace": "default",
            "team": "x",
            "instance": "http://a$1",
        }
    }


def test_a_scrape_config_maps_labels_of_nodes():
    (job,) = scrape_config(SCRAPE, keys())
    found = scraped(job, [nodes.group(node())])
    assert found["http://127.0.0.1:1/metrics"] == {"job": "other", "a": "b", "instance": "127.0.0.1:1"}
    assert found["http://127.0.0.1:10250/metrics"] == {"job": "other", "instance": "n1", "zone": "a"}
