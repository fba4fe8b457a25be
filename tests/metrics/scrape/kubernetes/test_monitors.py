"""Monitors to jobs: rules in prometheus-operator's order, credentials from Secrets, and promtool's word on the result."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from typing import Any

import pytest

from styr.kinds.resources import CONFIG_MAP, SECRET, Object, Resource
from styr.metrics.model.errors import BadData
from styr.metrics.scrape.config import parse_job
from styr.metrics.scrape.kubernetes.annotations import jobs as annotated
from styr.metrics.scrape.kubernetes.credentials import Keys, Refused
from styr.metrics.scrape.kubernetes.jobs import Job, Role, read_role
from styr.metrics.scrape.kubernetes.monitors import pod_monitor, service_monitor
from styr.metrics.scrape.kubernetes.probes import probe
from styr.metrics.scrape.kubernetes.scrapeconfigs import scrape_config

SECRETS = {"auth": {"user": "u", "password": "p", "token": "t"}, "binary": {"x": None}}


def read(resource: Resource, namespace: str, name: str) -> Object | None:
    if resource == CONFIG_MAP:
        return {"data": {"ca": "-----BEGIN CERTIFICATE-----"}} if name == "ca" else None
    found = SECRETS.get(name) if namespace == "default" else None
    if found is None:
        return None
    return {
        "data": {
            key: base64.b64encode(b"\xff\xfe" if value is None else value.encode()).decode()
            for key, value in found.items()
        }
    }


def keys() -> Keys:
    return Keys(read, "default")


def monitor(endpoint: dict[str, Any] | None = None, **spec: Any) -> Object:
    endpoints = [{"port": "http"} if endpoint is None else endpoint]
    return {
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "endpoints": endpoints,
            "podMetricsEndpoints": endpoints,
            **spec,
        },
    }


def rules(job: Job) -> list[tuple[str, ...]]:
    """Each rule in short: what it looks at, what for, what it does."""
    found = []
    for rule in job.config["relabel_configs"]:
        sources = ",".join(name.removeprefix("__meta_kubernetes_") for name in rule.get("source_labels", ()))
        outcome = rule.get("target_label") or rule.get("action", "")
        found.append((sources, rule.get("regex", rule.get("replacement", "")), outcome))
    return found


def test_a_service_monitor_is_what_prometheus_operator_makes_of_it():
    spec = {"jobLabel": "tier.x", "targetLabels": ["app"], "podTargetLabels": ["a/b"]}
    own = [{"sourceLabels": ["pod"], "regex": "(.*)", "targetLabel": "x", "action": "Replace"}]
    (job,) = service_monitor(monitor({"port": "http", "relabelings": own}, **spec), keys())
    assert job.name == "serviceMonitor/default/web/0"
    assert job.roles == (Role("endpointslice", ("default",)),)
    reference = "endpointslice_address_target_kind,endpointslice_address_target_name"
    assert rules(job) == [
        ("job", "", "__tmp_prometheus_job_name"),
        ("service_label_app,service_labelpresent_app", "(web);true", "keep"),
        ("endpointslice_port_name", "http", "keep"),
        (reference, "Node;(.*)", "node"),
        (reference, "Pod;(.*)", "pod"),
        ("namespace", "", "namespace"),
        ("service_name", "", "service"),
        ("pod_name", "", "pod"),
        ("pod_container_name", "", "container"),
        ("pod_phase", "(Failed|Succeeded)", "drop"),
        ("service_label_app", "(.+)", "app"),
        ("pod_label_a_b", "(.+)", "a_b"),
        ("service_name", "", "job"),
        ("service_label_tier_x", "(.+)", "job"),
        ("", "http", "endpoint"),
        ("pod", "(.*)", "x"),
    ]


def test_a_pod_monitor_is_what_prometheus_operator_makes_of_it():
    (job,) = pod_monitor(monitor({"portNumber": 9100}, namespaceSelector={"any": True}), keys())
    assert job.name == "podMonitor/default/web/0"
    assert job.roles == (Role("pod"),)
    assert rules(job) == [
        ("job", "", "__tmp_prometheus_job_name"),
        ("pod_phase", "(Failed|Succeeded)", "drop"),
        ("pod_label_app,pod_labelpresent_app", "(web);true", "keep"),
        ("pod_container_port_number", "9100", "keep"),
        ("namespace", "", "namespace"),
        ("pod_container_name", "", "container"),
        ("pod_name", "", "pod"),
        ("", "default/web", "job"),
        ("", "9100", "endpoint"),
    ]


@pytest.mark.parametrize(
    ("endpoint", "rule"),
    [
        ({"targetPort": "admin"}, ("pod_container_port_name", "admin", "keep")),
        ({"targetPort": 9100}, ("pod_container_port_number", "9100", "keep")),
    ],
)
def test_a_target_port_selects_by_the_container(endpoint, rule):
    (job,) = service_monitor(monitor(endpoint), keys())
    assert rule in rules(job)
    assert ("", str(endpoint["targetPort"]), "endpoint") in rules(job)


@pytest.mark.parametrize(
    ("term", "rule"),
    [
        (
            {"operator": "In", "values": ["a", "b.c"]},
            ("service_label_x_y,service_labelpresent_x_y", r"(a|b\.c);true", "keep"),
        ),
        ({"operator": "NotIn", "values": ["a"]}, ("service_label_x_y,service_labelpresent_x_y", "(a);true", "drop")),
        ({"operator": "Exists"}, ("service_labelpresent_x_y", "true", "keep")),
        ({"operator": "DoesNotExist"}, ("service_labelpresent_x_y", "true", "drop")),
    ],
)
def test_selectors_become_rules(term, rule):
    (job,) = service_monitor(monitor(selector={"matchExpressions": [{"key": "x/y", **term}]}), keys())
    assert rules(job)[1] == rule


@pytest.mark.parametrize(
    ("selector", "namespaces"),
    [
        (None, ("default",)),
        ({"any": True}, ()),
        ({"matchNames": ["a", "b"]}, ("a", "b")),
        ({"matchNames": []}, ("default",)),
    ],
)
def test_where_targets_are_looked_for(selector, namespaces):
    (job,) = service_monitor(monitor(namespaceSelector=selector), keys())
    assert job.roles[0].namespaces == namespaces


def test_everything_else_stands_in_the_configuration():
    endpoint = {
        "port": "http",
        "path": "/m",
        "scheme": "HTTPS",
        "params": {"a": ["b"]},
        "interval": "15s",
        "scrapeTimeout": "5s",
        "honorLabels": True,
        "honorTimestamps": False,
        "followRedirects": False,
        "metricRelabelings": [{"sourceLabels": ["__name__"], "regex": "go_.*", "action": "drop"}],
    }
    limits = {
        "sampleLimit": 5,
        "bodySizeLimit": "1MB",
        "scrapeProtocols": ["PrometheusText0.0.4"],
        "nativeHistogramMinBucketFactor": "1100m",
    }
    (job,) = service_monitor(monitor(endpoint, **limits), keys())
    config = {key: value for key, value in job.config.items() if key not in ("job_name", "relabel_configs")}
    assert config == {
        "metrics_path": "/m",
        "scheme": "https",
        "params": {"a": ["b"]},
        "scrape_interval": "15s",
        "scrape_timeout": "5s",
        "honor_labels": True,
        "honor_timestamps": False,
        "follow_redirects": False,
        "sample_limit": 5,
        "body_size_limit": "1MB",
        "scrape_protocols": ["PrometheusText0.0.4"],
        "native_histogram_min_bucket_factor": 1.1,
        "metric_relabel_configs": [{"source_labels": ["__name__"], "regex": "go_.*", "action": "drop"}],
    }


def test_credentials_come_from_secrets_and_are_remembered():
    known = keys()
    endpoint = {
        "port": "http",
        "basicAuth": {"username": {"name": "auth", "key": "user"}, "password": {"name": "auth", "key": "password"}},
        "tlsConfig": {"ca": {"configMap": {"name": "ca", "key": "ca"}}, "serverName": "x", "insecureSkipVerify": True},
    }
    (job,) = service_monitor(monitor(endpoint), known)
    assert job.config["basic_auth"] == {"username": "u", "password": "p"}
    assert job.config["tls_config"] == {
        "ca": "-----BEGIN CERTIFICATE-----",
        "server_name": "x",
        "insecure_skip_verify": True,
    }
    assert known.asked == {(SECRET, "auth"), (CONFIG_MAP, "ca")}
    (job,) = service_monitor(monitor({"authorization": {"credentials": {"name": "auth", "key": "token"}}}), keys())
    assert job.config["authorization"] == {"type": "Bearer", "credentials": "t"}
    (job,) = service_monitor(monitor({"bearerTokenSecret": {"key": ""}}), keys())
    assert "authorization" not in job.config


OAUTH2 = {
    "clientId": {"configMap": {"name": "ca", "key": "ca"}},
    "clientSecret": {"name": "auth", "key": "password"},
    "tokenUrl": "https://tokens/t",
    "scopes": ["a", "b"],
    "endpointParams": {"audience": "x"},
    "tlsConfig": {"serverName": "tokens"},
    "proxyUrl": "http://outer:3128",
}
PROXY = {
    "proxyUrl": "http://inner:3128",
    "noProxy": "10.0.0.0/8",
    "proxyConnectHeader": {"X-Way": [{"name": "auth", "key": "user"}, {"name": "auth", "key": "token"}]},
}


def test_oauth2_and_proxies_stand_where_each_kind_has_them():
    wanted = {"proxy_url": "http://inner:3128", "no_proxy": "10.0.0.0/8", "proxy_connect_header": {"X-Way": ["u", "t"]}}
    (prober,) = probe({**PROBE, "spec": {**PROBE["spec"], "prober": {"url": "x:1", **PROXY}, "oauth2": OAUTH2}}, keys())
    jobs = [
        prober,
        *service_monitor(monitor({"port": "http", "oauth2": OAUTH2, **PROXY}), keys()),
        *pod_monitor(monitor({"port": "http", "oauth2": OAUTH2, **PROXY}), keys()),
        *scrape_config({**SCRAPE, "spec": {"oauth2": OAUTH2, **PROXY}}, keys()),
    ]
    for job in jobs:
        assert {name: job.config[name] for name in wanted} == wanted
        assert job.config["oauth2"] == {
            "client_id": "-----BEGIN CERTIFICATE-----",
            "client_secret": "p",
            "token_url": "https://tokens/t",
            "scopes": ["a", "b"],
            "endpoint_params": {"audience": "x"},
            "proxy_url": "http://outer:3128",
            "tls_config": {"server_name": "tokens"},
        }
        assert parse_job(job.document()).http.oauth2
    (job,) = service_monitor(monitor({"port": "http", "proxyFromEnvironment": True}), keys())
    assert job.config["proxy_from_environment"] is True


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [
        (
            {"basicAuth": {"username": {"name": "no", "key": "x"}}},
            r"spec.endpoints\[0\].basicAuth.username: Secret default/no does not",
        ),
        ({"basicAuth": {"username": {"name": "auth", "key": "x"}}}, "has no key 'x'"),
        ({"authorization": {"credentials": {"name": "binary", "key": "x"}}}, "is no text"),
        ({"authorization": {"type": "Basic", "credentials": {"name": "auth", "key": "x"}}}, "there is basicAuth"),
        ({"tlsConfig": {"cert": {"secret": {"name": "auth", "key": "user"}}}}, "cert and keySecret go together"),
        (
            {
                "basicAuth": {"username": {"name": "auth", "key": "user"}},
                "bearerTokenSecret": {"name": "auth", "key": "token"},
            },
            "exclude each other",
        ),
        ({"oauth2": OAUTH2, "authorization": {"credentials": {"name": "auth", "key": "token"}}}, "exclude each other"),
        (
            {"oauth2": {**OAUTH2, "clientSecret": {"name": "no", "key": "x"}}},
            r"spec.endpoints\[0\].oauth2.clientSecret: Secret default/no does not",
        ),
        (
            {"proxyUrl": "http://p", "proxyConnectHeader": {"X": [{"name": "no", "key": "x"}]}},
            r"spec.endpoints\[0\].proxyConnectHeader.X\[0\]: Secret default/no does not",
        ),
    ],
)
def test_what_cannot_be_acted_upon_is_refused_by_field(endpoint, message):
    with pytest.raises(Refused, match=message):
        service_monitor(monitor(endpoint), keys())


def test_an_optional_key_that_is_missing_is_none():
    endpoint = {"authorization": {"credentials": {"name": "no", "key": "x", "optional": True}}}
    (job,) = service_monitor(monitor(endpoint), keys())
    assert job.config["authorization"]["credentials"] == ""


PROBE: Object = {
    "metadata": {"name": "site", "namespace": "default"},
    "spec": {
        "jobName": "site",
        "module": "http_2xx",
        "prober": {"url": "127.0.0.1:9115", "path": "/probe"},
        "targets": {"staticConfig": {"static": ["http://a$1"], "labels": {"team": "x"}}},
        "metricRelabelings": [{"regex": "x", "action": "labeldrop"}],
    },
}
SCRAPE: Object = {
    "metadata": {"name": "other", "namespace": "default"},
    "spec": {
        "jobName": "other",
        "staticConfigs": [{"targets": ["127.0.0.1:1"], "labels": {"a": "b"}}],
        "kubernetesSDConfigs": [
            {"role": "Node"},
            {"role": "EndpointSlice", "namespaces": {"ownNamespace": True, "names": ["b", "default"]}},
        ],
        "relabelings": [{"action": "LabelMap", "regex": "__meta_kubernetes_node_label_(.+)"}],
    },
}


def test_a_probe_asks_the_prober_about_each_target():
    (job,) = probe(PROBE, keys())
    assert job.name == "probe/default/site"
    assert job.config["params"] == {"module": ["http_2xx"]}
    assert job.config["static_configs"] == [
        {"targets": ["http://a$1"], "labels": {"namespace": "default", "team": "x"}}
    ]
    assert rules(job)[1:] == [
        ("", "site", "job"),
        ("__address__", "", "__param_target"),
        ("__param_target", "", "instance"),
        ("", "127.0.0.1:9115", "__address__"),
    ]
    with pytest.raises(Refused, match="only staticConfig"):
        probe({**PROBE, "spec": {"prober": {"url": "x"}, "targets": {"ingress": {}}}}, keys())


def test_a_scrape_config_is_taken_as_it_is():
    (job,) = scrape_config(SCRAPE, keys())
    assert job.name == "scrapeConfig/default/other"
    assert job.roles == (Role("node"), Role("endpointslice", ("b", "default")))
    assert rules(job)[-1] == ("", "__meta_kubernetes_node_label_(.+)", "labelmap")


def test_a_dollar_in_a_name_stands_for_itself():
    (job,) = scrape_config({**SCRAPE, "spec": {"jobName": "a$1b"}}, keys())
    assert job.config["relabel_configs"][1]["replacement"] == "a$$1b"


def everything() -> list[Job]:
    full = monitor(
        {
            "port": "http",
            "interval": "15s",
            "scheme": "https",
            "authorization": {"credentials": {"name": "auth", "key": "token"}},
        },
        sampleLimit=1,
        bodySizeLimit="1MB",
        labelLimit=30,
        keepDroppedTargets=1,
        scrapeProtocols=["OpenMetricsText1.0.0"],
        fallbackScrapeProtocol="PrometheusText0.0.4",
        scrapeClassicHistograms=True,
        convertClassicHistogramsToNHCB=True,
        nativeHistogramBucketLimit=100,
        nativeHistogramMinBucketFactor="1.1",
        attachMetadata={"node": True},
    )
    made = [
        *service_monitor(full, keys()),
        *scrape_config({**SCRAPE, "metadata": {"name": "far"}, "spec": {"oauth2": OAUTH2, **PROXY}}, keys()),
        *pod_monitor(full, keys()),
        *probe(PROBE, keys()),
        *scrape_config(SCRAPE, keys()),
    ]
    return [*made, *annotated()]


def test_the_engine_takes_every_job():
    for job in everything():
        config = parse_job(job.document())
        assert config.job == job.name
        assert tuple(read_role(text) for text in config.kubernetes_sd) == job.roles


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"role": "ingress"}, "role: 'ingress' is none of"),
        ({"role": "pod", "api_server": "https://x"}, "api_server: not honoured"),
        ({"role": "pod", "selectors": [{"role": "pod"}]}, "selectors: not honoured"),
        ({"role": "pod", "attach_metadata": {"deployment": True}}, "attach_metadata.deployment: not honoured"),
    ],
)
def test_discovery_that_would_lead_elsewhere_is_refused(given, message):
    with pytest.raises(BadData, match=message):
        read_role(json.dumps(given))


@pytest.mark.needs("promtool")
def test_promtool_takes_every_job(tmp_path):
    configs = [job.document() for job in everything()]
    path = tmp_path / "prometheus.yml"
    path.write_text(json.dumps({"scrape_configs": configs}))
    found = subprocess.run(
        [shutil.which("promtool") or "promtool", "check", "config", "--syntax-only", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
