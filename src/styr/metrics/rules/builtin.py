"""The rules by which Styr watches itself, as a PrometheusRule object. Applied by `plane`, shown by the docs, unit-tested with
our own evaluator. Pure, light: no numpy.

Metric names are those of each room's `metrics.py` and of `metrics.selfmetrics`. An alert says what is wrong and where to look.
"""

from __future__ import annotations

from typing import Any

from styr.kinds.resources import PROMETHEUS_RULE, Object

NAME, NAMESPACE = "styr", "styr-system"


def _alert(name: str, expr: str, hold: str, severity: str, summary: str, description: str) -> dict[str, Any]:
    return {
        "alert": name,
        "expr": expr,
        **({"for": hold} if hold else {}),
        "labels": {"severity": severity, "part": "styr"},
        "annotations": {"summary": summary, "description": description},
    }


def _ratio(failed: str, all_: str, by: str, over: str, least: str = "0") -> str:
    """`failed / all_` above `over`, and more than `least` failures a second, so that one failure of two is no alarm."""
    sums = [f"sum by ({by}) (rate({each}[5m]))" for each in (failed, all_)]
    return f"{sums[0]} / {sums[1]} > {over} and {sums[0]} > {least}"


SCRAPING = [
    _alert(
        "TargetDown",
        "up == 0",
        "5m",
        "warning",
        "{{ $labels.job }} at {{ $labels.instance }} cannot be scraped",
        "The last scrapes failed. `styr metrics targets` shows the reason.",
    ),
    _alert(
        "ManyTargetsDown",
        "100 * count by (job) (up == 0) / count by (job) (up) > 50 and count by (job) (up) > 1",
        "5m",
        "critical",
        '{{ $value | printf "%.0f" }} % of the targets of {{ $labels.job }} are down',
        "More than half of a job's targets cannot be scraped: rather the network or a rollout than one process.",
    ),
    _alert(
        "TargetLosesSamples",
        "scrape_samples_scraped > 0 and scrape_samples_post_metric_relabeling == 0",
        "15m",
        "warning",
        "Every sample of {{ $labels.instance }} is dropped",
        "Metric relabelling of the job {{ $labels.job }} keeps nothing.",
    ),
    _alert(
        "SamplesRefused",
        "sum(rate(prometheus_target_scrapes_sample_duplicate_timestamp_total[5m])"
        " + rate(prometheus_target_scrapes_sample_out_of_order_total[5m])"
        " + rate(prometheus_target_scrapes_sample_out_of_bounds_total[5m])) > 0",
        "10m",
        "warning",
        "Scraped samples are refused",
        "Targets expose timestamps of their own that repeat or go back, or two targets have the same labels.",
    ),
]
STORING = [
    _alert(
        "MetricsNotDurable",
        "increase(styr_scrape_commit_failures_total[5m]) > 0",
        "",
        "critical",
        "The metrics engine cannot write to the disk",
        "Samples are kept in memory and will be lost with the process. The usual reason is a full disk.",
    ),
    _alert(
        "StoreNotDurable",
        'increase(styr_store_writes_total{result="refused"}[5m]) > 0',
        "",
        "critical",
        "The platform's store refuses writes",
        "Nothing can be created or changed. The usual reason is a full disk under the data directory.",
    ),
    _alert(
        "StoreSlow",
        "histogram_quantile(0.99, sum by (le) (rate(styr_store_commit_duration_seconds_bucket[5m]))) > 0.5",
        "10m",
        "warning",
        "Commits to the store take {{ $value | humanizeDuration }}",
        "The disk is slow or shared with something that writes much. Every change of the platform waits for it.",
    ),
]
RULES = [
    _alert(
        "RuleFailing",
        "increase(prometheus_rule_evaluation_failures_total[5m]) > 0",
        "5m",
        "warning",
        "Rules of {{ $labels.rule_group }} fail",
        "`styr metrics rules` shows the error of each. Alerts of the group may be blind.",
    ),
    _alert(
        "RuleEvaluationsMissed",
        "increase(prometheus_rule_group_iterations_missed_total[10m]) > 0",
        "10m",
        "warning",
        "{{ $labels.rule_group }} takes longer than its interval",
        "Make its expressions cheaper, or its interval longer.",
    ),
    _alert(
        "NotificationsFailing",
        "sum by (receiver, integration) (rate(alertmanager_notifications_failed_total[5m])) > 0",
        "5m",
        "critical",
        "{{ $labels.integration }} notifications to {{ $labels.receiver }} are given up",
        "People are not told of alerts. The engine's log has the peer's answers.",
    ),
    _alert(
        "AlertsDropped",
        "increase(prometheus_notifications_dropped_total[5m]) > 0",
        "5m",
        "critical",
        "Alerts do not reach {{ $labels.alertmanager }}",
        "Its queue is full or it refuses them.",
    ),
]
CONTROL = [
    _alert(
        "ReconcileFailing",
        _ratio(
            'controller_runtime_reconcile_total{result="error"}',
            "controller_runtime_reconcile_total",
            "controller",
            "0.5",
        ),
        "10m",
        "warning",
        "The controller {{ $labels.controller }} fails",
        "More than half of its reconciliations end in an error. `kubectl get events -A` has the reasons.",
    ),
    _alert(
        "ReconcilePanics",
        "increase(controller_runtime_reconcile_panics_total[10m]) > 0",
        "",
        "critical",
        "A bug in the controller {{ $labels.controller }}",
        "Its log has a traceback; please report it.",
    ),
    _alert(
        "QueueBacklog",
        "workqueue_depth > 100",
        "10m",
        "warning",
        "{{ $value }} objects wait for {{ $labels.name }}",
        "Changes take long to come into force.",
    ),
    _alert(
        "QueueStuck",
        "workqueue_longest_running_processor_seconds > 300",
        "",
        "warning",
        "{{ $labels.name }} has worked on one object for {{ $value | humanizeDuration }}",
        "It hangs in a call that has no end.",
    ),
]
API = [
    _alert(
        "ApiErrors",
        _ratio('apiserver_request_total{code=~"5.."}', "apiserver_request_total", "resource", "0.05", "0.02"),
        "5m",
        "critical",
        '{{ $value | humanizePercentage }} of API requests for {{ $labels.resource | printf "%q" }} fail',
        "The API answers with 5xx. The platform's log has the cause.",
    ),
    _alert(
        "ApiSlow",
        "histogram_quantile(0.99, sum by (le, verb)"
        ' (rate(apiserver_request_duration_seconds_bucket{verb!~"WATCH|CONNECT"}[5m]))) > 1',
        "10m",
        "warning",
        "{{ $labels.verb }} takes {{ $value | humanizeDuration }}",
        "One request of a hundred takes longer than a second.",
    ),
]
GATEWAY = [
    _alert(
        "GatewayDown",
        "styr_gateway_envoy_up == 0",
        "1m",
        "critical",
        "Envoy does not run",
        "No traffic reaches any app. The platform's log says why it ends.",
    ),
    _alert(
        "GatewayRestarts",
        "increase(styr_gateway_envoy_restarts_total[15m]) > 2",
        "",
        "warning",
        "Envoy was started {{ $value }} times in a quarter of an hour",
        "Connections are cut each time.",
    ),
    _alert(
        "RoutesNotProgrammed",
        "styr_gateway_routes_held > 0",
        "5m",
        "warning",
        "{{ $value }} routes are not in force",
        "Envoy rejects what they amount to. Their status has its words.",
    ),
]
DELIVERY = [
    _alert(
        "JudgeBlind",
        _ratio('styr_judge_readings_total{result="missing"}', "styr_judge_readings_total", "job", "0.5"),
        "10m",
        "warning",
        "The judge sees no traffic",
        "Rollouts under way stand still: without readings nothing is promoted and nothing taken back.",
    ),
    _alert(
        "JudgeHeld",
        "styr_release_weight > 0 and changes(styr_release_weight[1h]) == 0"
        " and changes(styr_release_evidence[1h]) == 0 and styr_release_weight offset 1h > 0",
        "5m",
        "warning",
        "The rollout of {{ $labels.app }} stands still at {{ $value }} %",
        "For an hour neither its weight nor the evidence has changed: too little traffic, or the judge is held.",
    ),
    _alert(
        "GuardMissing",
        _ratio(
            'styr_judge_guard_readings_total{result="missing"}', "styr_judge_guard_readings_total", "app,guard", "0.9"
        ),
        "10m",
        "warning",
        "The guard {{ $labels.guard }} of {{ $labels.app }} has no data",
        "Its expression finds nothing, so it protects nobody.",
    ),
]
GROUPS = {
    "styr-scraping": SCRAPING,
    "styr-storing": STORING,
    "styr-rules": RULES,
    "styr-control": CONTROL,
    "styr-api": API,
    "styr-gateway": GATEWAY,
    "styr-delivery": DELIVERY,
}


def spec() -> dict[str, Any]:
    """As a rule file has it; promtool reads it too."""
    return {"groups": [{"name": name, "interval": "30s", "rules": rules} for name, rules in GROUPS.items()]}


def prometheus_rule() -> Object:
    """The object that `plane` applies."""
    return {
        "apiVersion": PROMETHEUS_RULE.api_version,
        "kind": PROMETHEUS_RULE.kind,
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": spec(),
    }
