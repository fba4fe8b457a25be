"""How the metrics process is called: its command line, and the configuration that it is given. Light: no numpy.

Called by `launch`. Files of the user's are read here, and only as far as needed to put them together with what Styr scrapes of
itself: what they hold is the engine's to check.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from styr.version import __version__

INTERVAL = "15s"
"""Between two scrapes, and between two evaluations of rules, where nothing else is said."""
PROGRAM = (sys.executable, "-m", "styr.metrics.process")


class ConfigError(ValueError):
    """A user's file cannot be used. The message names it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """`data_dir` is Styr's folder; `retention` as Prometheus has it, "" for the engine's default."""

    data_dir: Path
    port: int
    api_port: int
    retention: str = ""
    program: tuple[str, ...] = PROGRAM

    @property
    def folder(self) -> Path:
        return self.data_dir / "metrics"

    @property
    def prometheus_yml(self) -> Path:
        return self.data_dir / "prometheus.yml"

    @property
    def alertmanager_yml(self) -> Path:
        return self.data_dir / "alertmanager.yml"

    @property
    def log(self) -> Path:
        return self.data_dir / "log" / "metrics.log"


def self_targets(settings: Settings) -> dict[str, Any]:
    """A prometheus.yml (JSON is YAML) with Styr's own parts: the control plane, Envoy through it, and the engine. Pure."""
    api: dict[str, Any] = {
        "scheme": "https",
        "authorization": {"credentials_file": str(settings.data_dir / "token")},
        "tls_config": {"ca_file": str(settings.data_dir / "pki" / "ca.crt")},
        "static_configs": [{"targets": [f"127.0.0.1:{settings.api_port}"]}],
    }
    own = {
        "authorization": api["authorization"],
        "static_configs": [{"targets": [f"127.0.0.1:{settings.port}"]}],
    }
    return {
        "global": {"scrape_interval": INTERVAL, "evaluation_interval": INTERVAL},
        "scrape_configs": [
            {"job_name": "styr", **api},
            {"job_name": "envoy", "metrics_path": "/metrics/envoy", **api},
            {"job_name": "styr-metrics", **own},
        ],
    }


def configuration(settings: Settings) -> dict[str, Any]:
    """`self_targets` and, if there is one, the user's prometheus.yml: its settings win, its jobs come on top. Rule files are
    named from where that file is. Raises `ConfigError`; what it holds is the engine's to check."""
    document = self_targets(settings)
    try:
        text = settings.prometheus_yml.read_text()
    except FileNotFoundError:
        return document
    except OSError as error:
        raise ConfigError(f"{settings.prometheus_yml} cannot be read: {error.strerror}") from error
    import yaml

    try:
        given = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{settings.prometheus_yml} is no YAML: {error}") from error
    if given is None:
        return document
    jobs = given.get("scrape_configs") or [] if isinstance(given, dict) else None
    rules = given.get("rule_files") or [] if isinstance(given, dict) else None
    if not isinstance(jobs, list) or not isinstance(rules, list) or not isinstance(given.get("global") or {}, dict):
        raise ConfigError(f"{settings.prometheus_yml} is no configuration: it must be as Prometheus has it")
    return {
        **given,
        "global": {**document["global"], **(given.get("global") or {})},
        "scrape_configs": [*document["scrape_configs"], *jobs],
        "rule_files": [str(settings.data_dir / str(name)) for name in rules],
    }


def command(settings: Settings) -> list[str]:
    """The command line."""
    line = [
        *settings.program,
        *("--data-dir", str(settings.folder / "data")),
        *("--port", str(settings.port)),
        *("--kubeconfig", str(settings.data_dir / "kubeconfig")),
        *("--token-file", str(settings.data_dir / "token")),
        *("--config", str(settings.folder / "self.json")),
    ]
    if settings.retention:
        line += ["--retention", settings.retention]
    if settings.alertmanager_yml.exists():
        line += ["--notify", str(settings.alertmanager_yml)]
    return line


def fingerprint(line: Sequence[str], document: Mapping[str, Any], notifier: bytes = b"") -> str:
    """What must be the same for a running process to be taken over; `notifier` is the text of its configuration."""
    said = json.dumps([__version__, list(line), document], sort_keys=True, default=str).encode()
    return hashlib.sha256(said + notifier).hexdigest()
