"""Reading scrape configurations: defaults, inheritance, and errors that name their field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from styr.metrics.model.errors import BadData
from styr.metrics.scrape.config import PROTO_FIRST, TEXT_FIRST, ScrapeConfig, parse_config, parse_job
from styr.metrics.scrape.fields import duration_text, parse_duration, parse_size
from styr.metrics.scrape.httpconfig import JWT_BEARER, Jwt, OAuth2, Proxy, Secret, Tls

DOCUMENT = """
global:
  scrape_interval: 15s
  sample_limit: 100
  external_labels: {a: b}
rule_files: [x.yml]
scrape_configs:
  - job_name: one
    static_configs:
      - targets: ["a:1", "b:2"]
        labels: {zone: eu, number: 5}
  - job_name: two
    scrape_interval: 1m
    scrape_timeout: 30s
    sample_limit: 5
    body_size_limit: 10MB
    metrics_path: /m
    scheme: https
    params: {module: [x, y]}
    honor_labels: true
    honor_timestamps: false
    scrape_native_histograms: true
    basic_auth: {username: u, password_file: /p}
    tls_config: {ca_file: /ca, insecure_skip_verify: true}
    file_sd_configs: [{files: ["*.json"]}]
"""


def test_a_document() -> None:
    one, two = parse_config(yaml.safe_load(DOCUMENT))
    assert (one.job, one.interval, one.timeout, one.sample_limit, one.protocols) == (
        "one",
        15000,
        10000,
        100,
        TEXT_FIRST,
    )
    assert one.static[0].labels == {"zone": "eu", "number": "5"}
    assert [each["__address__"] for each in one.static[0].targets] == ["a:1", "b:2"]
    assert (two.interval, two.timeout, two.sample_limit, two.body_size_limit) == (60000, 30000, 5, 10 << 20)
    assert (two.path, two.scheme, two.params) == ("/m", "https", (("module", ("x", "y")),))
    assert two.honor_labels
    assert not two.honor_timestamps
    assert two.protocols == PROTO_FIRST
    assert (two.http.username, two.http.password) == (Secret("u"), Secret(file="/p"))
    assert two.http.tls.insecure_skip_verify
    assert two.file_sd[0].refresh_interval == 300_000
    assert parse_config(yaml.safe_load(DOCUMENT))[1] == two


def test_defaults() -> None:
    assert parse_job({"job_name": "j"}) == ScrapeConfig("j")
    assert parse_config({}) == []
    assert parse_job({"job_name": "j", "scrape_interval": "5s"}).timeout == 5000


def test_secrets_do_not_print() -> None:
    assert "hidden" not in repr(parse_job({"job_name": "j", "bearer_token": "hidden"}))


TOKEN = {"client_id": "x", "client_secret": "s", "token_url": "http://t/token"}
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"job_name": ""}, "job_name: is empty"),
    ({"nope": 1}, "nope: no such field"),
    ({"scrape_interval": "5"}, "scrape_interval: not a valid duration"),
    ({"scrape_interval": 5}, "scrape_interval: not a valid duration"),
    ({"scrape_timeout": "2m"}, "scrape_timeout: is greater than the scrape interval"),
    ({"scheme": "ftp"}, "scheme: 'ftp' is none of http, https"),
    ({"sample_limit": -1}, "sample_limit: a whole number"),
    ({"sample_limit": True}, "sample_limit: a whole number"),
    ({"body_size_limit": "10XB"}, "body_size_limit: not a valid size"),
    ({"honor_labels": "yes"}, "honor_labels: true or false is needed, not a text"),
    ({"scrape_protocols": ["Nope"]}, "scrape_protocols[0]: 'Nope' is none of"),
    (
        {"scrape_protocols": ["PrometheusProto", "PrometheusProto"]},
        "scrape_protocols[1]: 'PrometheusProto' is there twice",
    ),
    ({"static_configs": {}}, "static_configs: a list is needed, not dict"),
    ({"static_configs": [None]}, "static_configs[0]: is empty"),
    ({"static_configs": [{"targets": ["http://a/"]}]}, "static_configs[0].targets[0]: 'http://a/' is no host:port"),
    ({"static_configs": [{"targets": "a"}]}, "static_configs[0].targets: a list of texts"),
    ({"file_sd_configs": [{"files": ["x.txt"]}]}, "file_sd_configs[0].files[0]: 'x.txt' must end in"),
    ({"file_sd_configs": [{}]}, "file_sd_configs[0].files: at least one"),
    ({"http_sd_configs": [{"url": "x"}]}, "http_sd_configs[0].url: 'x' is no http"),
    ({"basic_auth": {"username": "u"}, "bearer_token": "t"}, "bearer_token: only one of it and basic_auth"),
    ({"basic_auth": {"password": "a", "password_file": "b"}}, "basic_auth.password: only one"),
    ({"authorization": {"type": "Basic"}}, "authorization.type: use basic_auth"),
    ({"oauth2": {"client_id": "x"}}, "oauth2.client_secret: is needed"),
    ({"oauth2": {"client_id": "x", "client_secret": "s"}}, "oauth2.token_url: is needed"),
    ({"oauth2": {**TOKEN, "token_url": "ftp://x"}}, "oauth2.token_url: no URL with http or https"),
    ({"oauth2": {**TOKEN, "client_secret_file": "/s"}}, "oauth2.client_secret: only one of it"),
    (
        {"oauth2": {**TOKEN, "scopes": ["a"], "endpoint_params": {"scope": "b"}}},
        "oauth2.endpoint_params.scope: only one",
    ),
    ({"oauth2": {**TOKEN, "grant_type": "password"}}, "oauth2.grant_type: 'password' is none of client_credentials, "),
    ({"oauth2": {**TOKEN, "grant_type": JWT_BEARER}}, "oauth2.client_certificate_key: is needed"),
    ({"oauth2": {**TOKEN, "signature_algorithm": "ES256"}}, "oauth2.signature_algorithm: 'ES256' is none of RS256"),
    ({"oauth2": {**TOKEN, "claims": [1]}}, "oauth2.claims: a mapping is needed"),
    ({"oauth2": {**TOKEN, "refresh": "x"}}, "oauth2.refresh: no such field"),
    ({"oauth2": TOKEN, "basic_auth": {"username": "u"}}, "oauth2: only one of it and basic_auth"),
    ({"oauth2": TOKEN, "authorization": {"credentials": "c"}}, "oauth2: only one of it and authorization"),
    ({"scrape_failure_log_file": "/x"}, "scrape_failure_log_file: not honoured"),
    ({"proxy_url": "socks4://p"}, "proxy_url: no URL with http or https or socks5 or socks5h"),
    ({"proxy_url": "http://p:99999"}, "proxy_url: no URL with http"),
    ({"proxy_url": "http://p", "proxy_from_environment": True}, "proxy_from_environment: not together with"),
    ({"no_proxy": "x"}, "no_proxy: needs proxy_url"),
    ({"proxy_connect_header": {"X": ["y"]}}, "proxy_connect_header: needs proxy_url"),
    ({"tls_config": {"cert_file": "c"}}, "tls_config.cert: a certificate and its key"),
    ({"tls_config": {"min_version": "TLS9"}}, "tls_config.min_version: 'TLS9' is none of"),
    ({"tls_config": []}, "tls_config: a mapping is needed, not a list"),
    ({"metric_name_validation_scheme": "legacy", "metric_name_escaping_scheme": "allow-utf-8"}, "metric_name_escaping"),
    ({"dns_sd_configs": []}, "dns_sd_configs: no such field"),
]


@pytest.mark.parametrize(("settings", "reason"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_refused(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadData) as caught:
        parse_config({"scrape_configs": [{"job_name": "a"}, {"job_name": "j", **settings}]})
    path, _, _ = str(caught.value).partition(": ")
    assert path.startswith("scrape_configs[1]")
    assert f"scrape_configs[1].{reason}" in str(caught.value)


def test_oauth2_and_proxies() -> None:
    job = parse_job(
        {
            "job_name": "j",
            "oauth2": {
                "client_id": "c", "client_secret_file": "/s", "token_url": "https://t/token", "scopes": ["a", "b"],
                "endpoint_params": {"z": "1", "audience": "x"}, "tls_config": {"server_name": "t"},
                "proxy_url": "http://u:p@outer:3128",
            },
            "proxy_url": "http://inner:3128",
            "no_proxy": "10.0.0.0/8,.local",
            "proxy_connect_header": {"X-Way": ["a", "b"]},
        }
    )  # fmt: skip
    assert job.http.oauth2 == OAuth2(
        "c", Secret(file="/s"), "https://t/token", ("a", "b"), (("audience", "x"), ("z", "1")), Tls(server_name="t"),
        Proxy("http://u:p@outer:3128"),
    )  # fmt: skip
    headers = (("X-Way", (Secret("a"), Secret("b"))),)
    assert job.http.proxy == Proxy("http://inner:3128", "10.0.0.0/8,.local", headers=headers)
    assert "u:p" not in repr(job), "a proxy's URL may hold a password"
    job = parse_job({"job_name": "j", "oauth2": {
        "client_id": "c", "client_secret": "ignored", "client_certificate_key_file": "/k", "token_url": "http://t",
        "client_certificate_key_id": "k1", "signature_algorithm": "RS512", "iss": "i", "audience": "a",
        "claims": {"b": [1], "a": True}, "grant_type": JWT_BEARER,
    }})  # fmt: skip
    jwt = Jwt("k1", "RS512", "i", "a", '{"a": true, "b": [1]}')
    assert job.http.oauth2 == OAuth2("c", Secret(file="/k"), "http://t", jwt=jwt)
    assert parse_job({"job_name": "j", "proxy_from_environment": True}).http.proxy == Proxy(from_environment=True)


def test_relative_files_begin_beside_the_configuration() -> None:
    token = {"client_id": "c", "client_secret_file": "s", "token_url": "http://t", "tls_config": {"ca_file": "ca"}}
    document = {
        "scrape_configs": [
            {
                "job_name": "j",
                "oauth2": token,
                "tls_config": {"cert_file": "x/cert", "key_file": "/key"},
                "http_headers": {"A": {"files": ["a"], "values": ["v"]}},
                "http_sd_configs": [{"url": "http://sd", "bearer_token_file": "token"}],
            }
        ]
    }
    (job,) = parse_config(document, Path("/etc/p"))
    assert job.http.oauth2 is not None
    assert (job.http.oauth2.client_secret.file, job.http.oauth2.tls.ca.file) == ("/etc/p/s", "/etc/p/ca")
    assert (job.http.tls.cert.file, job.http.tls.key.file) == ("/etc/p/x/cert", "/key")
    assert job.http.headers == (("A", (Secret("v"), Secret(file="/etc/p/a"))),)
    assert job.http_sd[0].http.credentials == Secret(file="/etc/p/token")
    assert parse_config(document)[0].http_sd[0].http.credentials == Secret(file="token")


def test_a_name_is_there_once() -> None:
    with pytest.raises(BadData, match=r"scrape_configs\[1\].job_name: 'a' is there twice"):
        parse_config({"scrape_configs": [{"job_name": "a"}, {"job_name": "a"}]})


@given(st.integers(0, 2**50))
def test_durations_read_back(ms: int) -> None:
    assert parse_duration(duration_text(ms)) == ms


def test_units() -> None:
    assert [duration_text(each) for each in (0, 90_000, 86_400_000 * 7, 86_400_000 * 8, 1500)] == [
        *("0s", "1m30s", "1w", "8d", "1s500ms")
    ]
    assert [parse_size(each) for each in ("0", "1B", "1KB", "1KiB", "1.5MB", "2GiB")] == [
        *(0, 1, 1024, 1024, 3 << 19, 2 << 30)
    ]
    for text in ("", "1", "s", "1s1m", "-1s", "1.5s"):
        with pytest.raises(ValueError, match="not a valid duration"):
            parse_duration(text)
