"""What each honoured kind of monitoring.coreos.com may say in its spec, each field with its meaning. Pure, light.

Called by `kinds`, which makes definitions of it. Words of its own it takes from `schemas`.
"""

from __future__ import annotations

from styr.metrics.schemas import (
    AUTH,
    BEARER,
    BODY_LIMIT,
    BOOLEAN,
    COUNT,
    LIMITS,
    NAMESPACES,
    PORT,
    PROXY,
    RELABELINGS,
    SELECTOR,
    STRING,
    STRINGS,
    TEXTS,
    TIME,
    Schema,
    array,
    choice,
    field,
    obj,
)

ENDPOINT: Schema = {
    "port": field(STRING, "Name of the port."),
    "path": field(STRING, "Path of the metrics; `/metrics` when absent."),
    "scheme": field(choice("http", "https", "HTTP", "HTTPS"), "http or https."),
    "params": field({"type": "object", "additionalProperties": STRINGS}, "Query parameters."),
    "interval": field(TIME, "Time between two scrapes; the engine's own when absent."),
    "scrapeTimeout": field(TIME, "Time for a whole scrape; never more than the interval."),
    "honorLabels": field(BOOLEAN, "The target's own labels win over ours."),
    "honorTimestamps": field(BOOLEAN, "The target's own timestamps count; true when absent."),
    "trackTimestampsStaleness": field(BOOLEAN, "Series with own timestamps go stale too."),
    "followRedirects": field(BOOLEAN, "Follow redirects; true when absent."),
    "filterRunning": field(BOOLEAN, "Leave out pods that are over; true when absent."),
    "relabelings": field(RELABELINGS, "Change or drop targets, before the scrape."),
    "metricRelabelings": field(RELABELINGS, "Change or drop samples, after the scrape."),
    **AUTH,
    **PROXY,
    "bearerTokenSecret": BEARER,
}
MONITOR: Schema = {
    "jobLabel": field(STRING, "The label whose value becomes `job`."),
    "namespaceSelector": field(NAMESPACES, "Where the targets are."),
    "selector": field(SELECTOR, "Which ones; the empty selector takes all."),
    "podTargetLabels": field(STRINGS, "Labels of the pod that its series get."),
    "attachMetadata": field(obj({"node": field(BOOLEAN, "Labels of the pod's node too.")}), "More for relabelling."),
    **LIMITS,
    **BODY_LIMIT,
}

SERVICE_MONITOR = obj(
    {
        **MONITOR,
        "targetLabels": field(STRINGS, "Labels of the Service that the series get."),
        "endpoints": field(
            array(
                obj(
                    {
                        **ENDPOINT,
                        "targetPort": field(PORT, "Name or number of the container's port, when `port` is absent."),
                    }
                )
            ),
            "Ports of the Service to scrape.",
        ),
    },
    *("selector", "endpoints"),
)
POD_MONITOR = obj(
    {
        **MONITOR,
        "podMetricsEndpoints": field(
            array(
                obj(
                    {
                        **ENDPOINT,
                        "portNumber": field(
                            {"type": "integer", "format": "int32", "minimum": 1, "maximum": 65535},
                            "Number of the container's port.",
                        ),
                        "targetPort": field(PORT, "Name or number of the port; `port` and `portNumber` go first."),
                    }
                )
            ),
            "Ports of the containers to scrape.",
        ),
    },
    "selector",
)
PROBE = obj(
    {
        "jobName": field(STRING, "The value of `job`."),
        "prober": field(
            obj(
                {
                    "url": field(STRING, "Address of the prober, HOST:PORT."),
                    "scheme": field(choice("http", "https", "HTTP", "HTTPS"), "http or https."),
                    "path": field(STRING | {"default": "/probe"}, "Path of the prober."),
                    **PROXY,
                },
                "url",
            ),
            "The program that probes, such as a blackbox exporter.",
        ),
        "module": field(STRING, "The prober's module."),
        "targets": field(
            obj(
                {
                    "staticConfig": field(
                        obj(
                            {
                                "static": field(STRINGS, "What is probed."),
                                "labels": field(TEXTS, "Labels of the series."),
                                "relabelingConfigs": field(RELABELINGS, "Change or drop targets."),
                            }
                        ),
                        "A fixed list.",
                    )
                }
            ),
            "What is probed.",
        ),
        "interval": field(TIME, "Time between two probes."),
        "scrapeTimeout": field(TIME, "Time for one probe."),
        "metricRelabelings": field(RELABELINGS, "Change or drop samples."),
        **AUTH,
        "bearerTokenSecret": BEARER,
        **LIMITS,
    }
)
SCRAPE_CONFIG = obj(
    {
        "jobName": field(STRING, "The value of `job`; `scrapeConfig/NAMESPACE/NAME` when absent."),
        "staticConfigs": field(
            array(
                obj(
                    {"targets": field(STRINGS, "HOST:PORT of each."), "labels": field(TEXTS, "Labels of the series.")},
                    "targets",
                )
            ),
            "Targets named here.",
        ),
        "kubernetesSDConfigs": field(
            array(
                obj(
                    {
                        "role": field(
                            choice(
                                *("Pod", "pod", "Service", "service", "Node", "node"),
                                *("Endpoints", "endpoints", "EndpointSlice", "endpointslice"),
                            ),
                            "What becomes a target.",
                        ),
                        "namespaces": field(
                            obj(
                                {
                                    "ownNamespace": field(BOOLEAN, "That of this object."),
                                    "names": field(STRINGS, "These."),
                                }
                            ),
                            "Where; everywhere when absent.",
                        ),
                        "attachMetadata": field(
                            obj({"node": field(BOOLEAN, "Labels of the pod's node too.")}), "More for relabelling."
                        ),
                    },
                    "role",
                )
            ),
            "Targets found by the Kubernetes API of this platform.",
        ),
        "metricsPath": field(STRING, "Path of the metrics; `/metrics` when absent."),
        "scheme": field(choice("http", "https", "HTTP", "HTTPS"), "http or https."),
        "params": field({"type": "object", "additionalProperties": STRINGS}, "Query parameters."),
        "scrapeInterval": field(TIME, "Time between two scrapes."),
        "scrapeTimeout": field(TIME, "Time for a whole scrape."),
        "honorLabels": field(BOOLEAN, "The target's own labels win over ours."),
        "honorTimestamps": field(BOOLEAN, "The target's own timestamps count; true when absent."),
        "trackTimestampsStaleness": field(BOOLEAN, "Series with own timestamps go stale too."),
        "enableCompression": field(BOOLEAN, "Ask for gzip; true when absent."),
        "relabelings": field(RELABELINGS, "Change or drop targets, before the scrape."),
        "metricRelabelings": field(RELABELINGS, "Change or drop samples, after the scrape."),
        **AUTH,
        **PROXY,
        **LIMITS,
    }
)
_RULE = obj(
    {
        "record": field(STRING, "Name of the series that the expression's result is recorded as."),
        "alert": field(STRING, "Name of the alert."),
        "expr": field(PORT, "PromQL."),
        "for": field(TIME, "So long it must be true before the alert fires."),
        "keep_firing_for": field(TIME, "So long it goes on firing after that."),
        "labels": field(TEXTS, "Labels of the series or alert; of an alert, templates."),
        "annotations": field(TEXTS, "Texts of an alert, as templates."),
    },
    "expr",
)
PROMETHEUS_RULE = obj(
    {
        "groups": field(
            array(
                obj(
                    {
                        "name": field(STRING | {"minLength": 1}, "Name of the group, once in this object."),
                        "interval": field(TIME, "Time between two evaluations; the engine's own when absent."),
                        "query_offset": field(TIME, "Evaluate at so long ago."),
                        "limit": field(COUNT, "A rule with more results than this is an error; 0: no limit."),
                        "labels": field(TEXTS, "Labels of every rule of the group."),
                        "rules": field(array(_RULE), "Evaluated one after the other."),
                    },
                    "name",
                ),
                **{"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
            ),
            "Groups of rules.",
        )
    }
)
