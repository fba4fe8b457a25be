"""The `alerting` section of Prometheus' configuration: which Alertmanagers there are. Called by `process`. Pure.

Relabelling of alerts and of targets is left as it stands: `process` compiles it with what scraping uses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from styr.metrics.model.errors import BadData
from styr.metrics.rules.fields import Fields, check_url
from styr.metrics.rules.notify.alertmanager import Target
from styr.metrics.rules.notify.post import read_access

_HTTP = ("basic_auth", "authorization", "tls_config", "follow_redirects", "enable_http2", "http_headers")


def read_targets(section: Any, path: str = "alerting") -> list[Target]:
    """Of `alertmanagers` with `static_configs`. Raises BadData with the field's path; another way of discovery is refused by
    name."""
    fields = Fields.of(section, path)
    fields.data.pop("alert_relabel_configs", None)
    found = [target for item, where in fields.several("alertmanagers") for target in _group(item, where)]
    fields.end()
    return list(dict.fromkeys(found))


def _group(data: Any, path: str) -> Iterator[Target]:
    fields = Fields.of(data, path)
    scheme, prefix = fields.text("scheme", "http"), fields.text("path_prefix").strip("/")
    if scheme not in ("http", "https"):
        raise BadData(f"{path}.scheme: {scheme!r} is neither http nor https")
    if fields.text("api_version", "v2") != "v2":
        raise BadData(f"{path}.api_version: only v2 is spoken")
    timeout = fields.duration("timeout", 10_000)
    access = read_access({name: fields.data.pop(name) for name in _HTTP if name in fields.data}, path)
    for item, where in fields.several("static_configs"):
        inner = Fields.of(item, where)
        labels = inner.texts("labels")
        for target, place in inner.several("targets"):
            if not isinstance(target, str) or "/" in target:
                raise BadData(f"{place}: must be HOST:PORT")
            base = labels.get("__alerts_path__", prefix).strip("/")
            url = f"{labels.get('__scheme__', scheme)}://{target}" + (f"/{base}" if base else "")
            yield Target(check_url(url, place), access, timeout)
        inner.end()
    fields.end()


def relabel_configs(section: Mapping[str, Any] | None) -> list[Any]:
    """`alert_relabel_configs` as they stand."""
    return list((section or {}).get("alert_relabel_configs") or [])
