"""A prometheus.yml as a whole: who reads which section. Called by `process` and by `styr metrics check config`.

Scrape jobs are read by `scrape.config`, rule files by `rules.groups`; here are `global`, `rule_files`, `otlp` and `alerting`.
JSON is YAML. Raises BadData that names the field, or the file and what is wrong in it. What only some files need is imported
for those: scraping begins when this has been read.
"""

from __future__ import annotations

import glob
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from styr.metrics.model.errors import BadData
from styr.metrics.model.labels import Labels, make
from styr.metrics.rules.durations import read_duration
from styr.metrics.scrape.config import ScrapeConfig, parse_config
from styr.metrics.scrape.fields import parse_size

if TYPE_CHECKING:
    from styr.metrics.remote.otlp.names import Settings
    from styr.metrics.rules.groups import Group

SECTIONS = frozenset(
    {"global", "scrape_configs", "rule_files", "otlp", "alerting", "storage", "tracing", "runtime"}
    | {"remote_write", "remote_read", "scrape_config_files"}
)
REFUSED = {
    "remote_write": "sending on is not what this engine does; let the other side scrape or query it",
    "remote_read": "other servers are not read from",
    "scrape_config_files": "put the jobs into scrape_configs",
}


@dataclass(frozen=True, slots=True)
class Config:
    """`interval` (ms) is that of rule groups that name none, `defaults` what `global` says of scraping, for jobs that come from
    elsewhere; `retention` is in milliseconds and bytes; `alerting` is the section as it stands; `otlp` None without one."""

    jobs: tuple[ScrapeConfig, ...] = ()
    groups: tuple[Group, ...] = ()
    external_labels: Labels = ()
    interval: int = 60_000
    query_log: str = ""
    otlp: Settings | None = None
    out_of_order_window: int = 0
    retention: tuple[int, int] | None = None
    alerting: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""
    defaults: ScrapeConfig | None = None


def load(path: Path) -> Config:
    """Raises BadData; OSError when the file cannot be read."""
    text = path.read_text(encoding="utf-8")
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BadData(f"{path} is no YAML: {error}") from None
    return read({} if document is None else document, path.parent, text)


def read(document: Any, base: Path, text: str = "") -> Config:
    """Relative names of files, of rules and of secrets, begin in `base`."""
    top = _map(document, "config")
    for name in top:
        if name not in SECTIONS:
            raise BadData(f"config: the section {name!r} is unknown")
        if name in REFUSED and top[name]:
            raise BadData(f"{name}: {REFUSED[name]}")
    common = _map(top.get("global"), "global")
    interval = read_duration(common.get("evaluation_interval", "1m"), "global.evaluation_interval") or 60_000
    offset = read_duration(common.get("rule_query_offset", 0), "global.rule_query_offset")
    labels = {str(k): str(v) for k, v in _map(common.get("external_labels"), "global.external_labels").items()}
    tsdb = _map(_map(top.get("storage"), "storage").get("tsdb"), "storage.tsdb")
    return Config(
        tuple(parse_config({name: top[name] for name in ("global", "scrape_configs") if top.get(name)}, base)),
        tuple(_groups(top.get("rule_files"), base, interval, offset)),
        make(labels),
        interval,
        str(common.get("query_log_file") or ""),
        _otlp(_map(top.get("otlp"), "otlp")),
        read_duration(tsdb.get("out_of_order_time_window", 0), "storage.tsdb.out_of_order_time_window"),
        _retention(_map(tsdb.get("retention"), "storage.tsdb.retention")),
        _map(top.get("alerting"), "alerting"),
        text,
        parse_config({"global": common, "scrape_configs": [{"job_name": "any"}]})[0],
    )


def _map(value: Any, path: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise BadData(f"{path}: must be a map")
    return value


def _retention(section: Mapping[str, Any]) -> tuple[int, int] | None:
    """None when it says nothing, or no limit at all: then the command line's holds."""
    path = "storage.tsdb.retention"
    for name in section:
        if name not in ("time", "size"):
            raise BadData(f"{path}.{name}: unknown or not honoured; time and size are")
    try:
        limits = read_duration(section.get("time", 0), f"{path}.time"), parse_size(str(section.get("size") or "0B"))
    except ValueError as error:
        raise BadData(f"{path}.size: {error}") from None
    return limits if any(limits) else None


def _groups(patterns: Any, base: Path, interval: int, offset: int) -> list[Group]:
    if patterns is not None and not isinstance(patterns, list):
        raise BadData("rule_files: must be a list of file names")
    if not patterns:
        return []
    from styr.metrics.promql.parser import parse
    from styr.metrics.rules.groups import parse_groups

    found: list[Group] = []
    for pattern in patterns:
        for name in sorted(glob.glob(str(base / str(pattern)))):
            try:
                document = yaml.safe_load(Path(name).read_text(encoding="utf-8"))
            except (yaml.YAMLError, UnicodeDecodeError) as error:
                raise BadData(f"{name} is no YAML: {error}") from None
            found += parse_groups(document, name, parse, interval=interval, query_offset=offset)
    return found


_FLAGS = {
    "promote_all_resource_attributes": "promote_all",
    "keep_identifying_resource_attributes": "keep_identifying",
    "convert_histograms_to_nhcb": "custom_buckets",
    "promote_scope_metadata": "promote_scope",
    "label_name_underscore_sanitization": "underscore_sanitization",
    "label_name_preserve_multiple_underscores": "preserve_underscores",
}
_LISTS = {"promote_resource_attributes": "promote", "ignore_resource_attributes": "ignore"}


def _otlp(section: Mapping[str, Any]) -> Settings | None:
    if not section:
        return None
    from styr.metrics.remote.otlp.names import Settings, Strategy

    given: dict[str, Any] = {}
    for name, value in section.items():
        if name == "translation_strategy":
            known = {each.value: each for each in Strategy}
            if value not in known:
                raise BadData(f"otlp.translation_strategy: {value!r} is none of {', '.join(known)}")
            given["strategy"] = known[value]
        elif name in _FLAGS and isinstance(value, bool):
            given[_FLAGS[name]] = value
        elif name in _LISTS and isinstance(value, list):
            given[_LISTS[name]] = frozenset(map(str, value))
        else:
            raise BadData(f"otlp.{name}: {value!r} is not what belongs there, or the setting is unknown")
    return Settings(**given)
