"""What is scraped and how: `global` and `scrape_configs` as in a prometheus.yml, typed and checked.

Called by the process (from a file), by `kubernetes` (from ServiceMonitor and the like) and by tests; read by `pool`,
`target`, `loop` and `fetch`. Pure: a file that a setting names is read by `fetch`, when it is needed. Every error is
a BadData that names the field (`scrape_configs[0].relabel_configs[2].regex: ...`). What Prometheus knows and this
engine does not honour is refused, not ignored."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from styr.metrics.model.errors import BadData
from styr.metrics.scrape import httpconfig
from styr.metrics.scrape.discovery import ADDRESS, Group
from styr.metrics.scrape.fields import Fields
from styr.metrics.scrape.httpconfig import Http, parse_http
from styr.metrics.scrape.relabel import DEFAULT_REGEX, DEFAULT_REPLACEMENT, DEFAULT_SEPARATOR, Rule

PROTOCOLS = (
    "OpenMetricsText1.0.0",
    "OpenMetricsText0.0.1",
    "PrometheusText1.0.0",
    "PrometheusText0.0.4",
    "PrometheusProto",
)
TEXT_FIRST = PROTOCOLS[:4]
PROTO_FIRST = ("PrometheusProto", *TEXT_FIRST)
ESCAPINGS = ("allow-utf-8", "underscores", "dots", "values")
_LIMITS = (
    *("sample_limit", "target_limit", "label_limit", "label_name_length_limit"),
    *("label_value_length_limit", "keep_dropped_targets"),
)


@dataclass(frozen=True)
class FileSd:
    files: tuple[str, ...]
    refresh_interval: int = 300_000


@dataclass(frozen=True)
class HttpSd:
    url: str
    refresh_interval: int = 60_000
    http: Http = httpconfig.DEFAULT


@dataclass(frozen=True)
class ScrapeConfig:
    """One job. Times in ms, sizes in bytes; a limit of 0 is none. Equal configs scrape alike."""

    job: str
    interval: int = 60_000
    timeout: int = 10_000
    scheme: str = "http"
    path: str = "/metrics"
    params: tuple[tuple[str, tuple[str, ...]], ...] = ()
    honor_labels: bool = False
    honor_timestamps: bool = True
    track_timestamps_staleness: bool = False
    protocols: tuple[str, ...] = TEXT_FIRST
    fallback_protocol: str = ""
    native_histograms: bool = False
    classic_histograms: bool = False
    """Keep the classic series of a histogram that is also there as a native one (always_scrape_classic_histograms)."""
    convert_classic: bool = False
    """Classic histograms become native ones with custom buckets (convert_classic_histograms_to_nhcb)."""
    compression: bool = True
    legacy_names: bool = False
    escaping: str = "allow-utf-8"
    extra_metrics: bool = False
    body_size_limit: int = 0
    sample_limit: int = 0
    target_limit: int = 0
    label_limit: int = 0
    label_name_length_limit: int = 0
    label_value_length_limit: int = 0
    bucket_limit: int = 0
    min_bucket_factor: float = 0.0
    keep_dropped_targets: int = 0
    http: Http = httpconfig.DEFAULT
    relabel: tuple[Rule, ...] = ()
    metric_relabel: tuple[Rule, ...] = ()
    static: tuple[Group, ...] = ()
    file_sd: tuple[FileSd, ...] = ()
    http_sd: tuple[HttpSd, ...] = ()
    kubernetes_sd: tuple[str, ...] = ()
    """Each kubernetes_sd_config as JSON, for whoever makes its discovery."""


_GLOBAL_ONLY = {
    *("evaluation_interval", "rule_query_offset", "query_log_file", "external_labels", "runtime", "otlp"),
}


def parse_config(document: Mapping[str, Any], folder: Path | None = None) -> list[ScrapeConfig]:
    """The jobs of a prometheus.yml that has been read into mappings and lists; sections for others are left alone. Relative
    names of files with secrets and certificates begin in `folder`."""
    top = Fields(document, "config")
    section = top.section("global")
    section.path = "global"
    for name in _GLOBAL_ONLY:
        section.raw(name)
    defaults = _common(section, ScrapeConfig(""), explicit=False)
    section.end()
    jobs: list[ScrapeConfig] = []
    for fields in top.sections("scrape_configs"):
        fields.path = fields.path.removeprefix("config.")
        job = parse_job(fields, defaults)
        if any(other.job == job.job for other in jobs):
            raise fields.error("job_name", f"{job.job!r} is there twice")
        jobs.append(job if folder is None else _under(job, folder))
    return jobs


def _under(job: ScrapeConfig, folder: Path) -> ScrapeConfig:
    asked = tuple(replace(each, http=httpconfig.under(each.http, folder)) for each in job.http_sd)
    return replace(job, http=httpconfig.under(job.http, folder), http_sd=asked)


def parse_job(fields: Fields | Mapping[str, Any], defaults: ScrapeConfig | None = None) -> ScrapeConfig:
    """One scrape_config."""
    if not isinstance(fields, Fields):
        fields = Fields(fields, "scrape_config")
    job = fields.text("job_name")
    if not job:
        raise fields.error("job_name", "is empty")
    config = replace(_common(fields, defaults or ScrapeConfig(""), explicit=True), job=job)
    config = replace(
        config,
        scheme=fields.choice("scheme", ("http", "https"), "http"),
        path=fields.text("metrics_path", "/metrics"),
        params=_params(fields.section("params")),
        honor_labels=fields.flag("honor_labels", False),
        honor_timestamps=fields.flag("honor_timestamps", True),
        track_timestamps_staleness=fields.flag("track_timestamps_staleness", False),
        fallback_protocol=fields.choice("fallback_scrape_protocol", ("", *PROTOCOLS), ""),
        compression=fields.flag("enable_compression", True),
        bucket_limit=fields.count("native_histogram_bucket_limit"),
        min_bucket_factor=fields.number("native_histogram_min_bucket_factor"),
        http=parse_http(fields),
        static=_static(fields),
        relabel=parse_rules(fields, "relabel_configs", config.legacy_names),
        metric_relabel=parse_rules(fields, "metric_relabel_configs", config.legacy_names),
        file_sd=_file_sd(fields),
        http_sd=_http_sd(fields),
        kubernetes_sd=tuple(json.dumps(each, sort_keys=True) for each in fields.raw("kubernetes_sd_configs") or ()),
    )
    fields.end()
    return config


def _common(fields: Fields, base: ScrapeConfig, *, explicit: bool) -> ScrapeConfig:
    """What `global` and a job have in common; `base` holds the defaults."""
    if fields.raw("scrape_failure_log_file"):
        raise fields.error("scrape_failure_log_file", "not honoured; why a scrape failed is on /api/v1/targets")
    interval = fields.duration("scrape_interval") or base.interval
    timeout = fields.duration("scrape_timeout")
    if timeout > interval:
        raise fields.error("scrape_timeout", "is greater than the scrape interval")
    native = fields.flag("scrape_native_histograms", base.native_histograms)
    protocols = fields.texts("scrape_protocols")
    for place, name in enumerate(protocols):
        if name not in PROTOCOLS:
            raise fields.error(f"scrape_protocols[{place}]", f"{name!r} is none of {', '.join(PROTOCOLS)}")
        if name in protocols[:place]:
            raise fields.error(f"scrape_protocols[{place}]", f"{name!r} is there twice")
    inherited = base.protocols if base.protocols != TEXT_FIRST else PROTO_FIRST if native else TEXT_FIRST
    scheme = fields.choice("metric_name_validation_scheme", ("", "utf8", "legacy"), "")
    legacy = scheme == "legacy" if scheme else base.legacy_names
    escaping = fields.choice("metric_name_escaping_scheme", ("", *ESCAPINGS), "")
    if not escaping:
        escaping = base.escaping if not scheme else "underscores" if legacy else "allow-utf-8"
    if legacy and escaping == "allow-utf-8":
        raise fields.error("metric_name_escaping_scheme", "allow-utf-8 needs metric_name_validation_scheme: utf8")
    limits: dict[str, Any] = {name: fields.count(name) or getattr(base, name) for name in _LIMITS}
    return replace(
        base,
        interval=interval,
        timeout=timeout or min(base.timeout, interval),
        native_histograms=native,
        protocols=protocols or inherited,
        legacy_names=legacy,
        escaping=escaping,
        classic_histograms=fields.flag("always_scrape_classic_histograms", base.classic_histograms),
        convert_classic=fields.flag("convert_classic_histograms_to_nhcb", base.convert_classic),
        extra_metrics=fields.flag("extra_scrape_metrics", base.extra_metrics),
        body_size_limit=fields.size("body_size_limit") or base.body_size_limit,
        **limits,
    )


def parse_rules(fields: Fields, name: str, legacy_names: bool = False) -> tuple[Rule, ...]:
    """A list of relabel_configs."""
    return tuple(_rule(each, legacy_names) for each in fields.sections(name))


def _rule(fields: Fields, legacy_names: bool) -> Rule:
    scheme = fields.choice("name_validation_scheme", ("", "utf8", "legacy"), "")
    values: dict[str, Any] = {
        "action": fields.text("action", "replace").lower(),
        "source_labels": fields.texts("source_labels"),
        "separator": fields.text("separator", DEFAULT_SEPARATOR),
        "regex": fields.text("regex", DEFAULT_REGEX),
        "modulus": fields.count("modulus"),
        "target_label": fields.text("target_label"),
        "replacement": fields.text("replacement", DEFAULT_REPLACEMENT),
    }
    fields.end()
    try:
        return Rule(**values, legacy_names=scheme == "legacy" if scheme else legacy_names)
    except BadData as error:
        raise BadData(f"{fields.path}.{error}") from None


def _params(fields: Fields) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple((name, fields.texts(name)) for name in fields.names())


def _static(fields: Fields) -> tuple[Group, ...]:
    groups = []
    for place, each in enumerate(fields.sections("static_configs")):
        targets = each.texts("targets")
        for number, target in enumerate(targets):
            if "/" in target and "relabel_configs" not in fields:
                raise each.error(f"targets[{number}]", f"{target!r} is no host:port; paths are given by metrics_path")
        labels = tuple(sorted(each.mapping("labels").items()))
        each.end()
        groups.append(Group(str(place), tuple({ADDRESS: target} for target in targets), dict(labels)))
    return tuple(groups)


def _file_sd(fields: Fields) -> tuple[FileSd, ...]:
    found = []
    for each in fields.sections("file_sd_configs"):
        files = each.texts("files")
        if not files:
            raise each.error("files", "at least one is needed")
        for place, name in enumerate(files):
            if not name.endswith((".json", ".yml", ".yaml")):
                raise each.error(f"files[{place}]", f"{name!r} must end in .json, .yml or .yaml")
        found.append(FileSd(files, each.duration("refresh_interval", 300_000)))
        each.end()
    return tuple(found)


def _http_sd(fields: Fields) -> tuple[HttpSd, ...]:
    found = []
    for each in fields.sections("http_sd_configs"):
        url = each.text("url")
        if not url.startswith(("http://", "https://")):
            raise each.error("url", f"{url!r} is no http or https URL")
        found.append(HttpSd(url, each.duration("refresh_interval", 60_000), parse_http(each)))
        each.end()
    return tuple(found)
