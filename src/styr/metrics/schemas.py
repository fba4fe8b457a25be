"""The vocabulary of the monitoring.coreos.com schemas: selectors, credentials, relabelling, limits. Pure, light.

Called by `specs`, which builds the kinds from it. Field names and meanings are prometheus-operator's; what it knows and this
engine does not honour is kept by the server (`x-kubernetes-preserve-unknown-fields`) so that `kinds.ignored` can tell of it:
pruned away, it would be ignored in silence.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

DURATION = r"^(0|(([0-9]+)y)?(([0-9]+)w)?(([0-9]+)d)?(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?(([0-9]+)ms)?)$"
SIZE = r"^(0|([0-9]+([.][0-9]+)?)((K|M|G|T|E|P)i?)?B)$"
ACTIONS = (
    *("replace", "keep", "drop", "keepequal", "dropequal", "hashmod"),
    *("labelmap", "labeldrop", "labelkeep", "lowercase", "uppercase"),
)
PROTOCOLS = (
    "PrometheusProto",
    "OpenMetricsText0.0.1",
    "OpenMetricsText1.0.0",
    "PrometheusText0.0.4",
    "PrometheusText1.0.0",
)


def field(schema: Schema, meaning: str, **more: Any) -> Schema:
    return {**schema, "description": meaning, **more}


def obj(properties: Schema, *required: str, open: bool = True) -> Schema:
    """An object; an open one keeps what it does not name."""
    kept = {"x-kubernetes-preserve-unknown-fields": True} if open else {}
    return {"type": "object", "properties": properties, **({"required": list(required)} if required else {}), **kept}


def array(items: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": items, **more}


def choice(*values: str) -> Schema:
    return {"type": "string", "enum": list(values)}


STRING: Schema = {"type": "string"}
BOOLEAN: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "format": "int64", "minimum": 0}
NUMBER: Schema = {"type": "number"}
STRINGS = array(STRING)
TEXTS: Schema = {"type": "object", "additionalProperties": STRING}
TIME: Schema = {"type": "string", "pattern": DURATION, "maxLength": 64}
BYTES: Schema = {"type": "string", "pattern": SIZE, "maxLength": 32}
PORT: Schema = {"x-kubernetes-int-or-string": True}
QUANTITY: Schema = {"x-kubernetes-int-or-string": True}

CONDITIONS = field(
    array(
        obj(
            {
                "type": field(STRING, "Which condition: Accepted."),
                "status": field(choice("True", "False", "Unknown"), "True, False or Unknown."),
                "observedGeneration": field({"type": "integer", "format": "int64"}, "The generation that was judged."),
                "lastTransitionTime": field({"type": "string", "format": "date-time"}, "When the status last changed."),
                "reason": field(STRING, "One word for programs."),
                "message": field(STRING, "A sentence for people; names the fields that are not honoured."),
            },
            *("type", "status", "lastTransitionTime", "reason", "message"),
        ),
        **{"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    ),
    "Accepted: does the metrics engine act on the object, and on all of it?",
)
STATUS = obj({"conditions": CONDITIONS})


def key_of(kind: str) -> Schema:
    return obj(
        {
            "name": field(STRING, f"Name of the {kind}, in the namespace of this object."),
            "key": field(STRING, f"The key within the {kind}."),
            "optional": field(BOOLEAN, "Go on without it when it is not there."),
        },
        "key",
    )


SECRET_KEY = key_of("Secret")
EITHER_KEY = obj(
    {
        "secret": field(SECRET_KEY, "From a Secret."),
        "configMap": field(key_of("ConfigMap"), "From a ConfigMap."),
    }
)

SELECTOR = obj(
    {
        "matchLabels": field(TEXTS, "Labels that must be there with these values."),
        "matchExpressions": field(
            array(
                obj(
                    {
                        "key": field(STRING, "The label."),
                        "operator": field(
                            choice("In", "NotIn", "Exists", "DoesNotExist"), "How it is compared with the values."
                        ),
                        "values": field(STRINGS, "For In and NotIn."),
                    },
                    *("key", "operator"),
                )
            ),
            "Further terms; all must hold.",
        ),
    }
)
NAMESPACES = obj(
    {
        "any": field(BOOLEAN, "All namespaces."),
        "matchNames": field(STRINGS, "These namespaces. Without either: that of this object."),
    }
)
RELABELINGS = array(
    obj(
        {
            "sourceLabels": field(STRINGS, "Labels whose values are joined and matched."),
            "separator": field(STRING, "Between the joined values; `;` when absent."),
            "targetLabel": field(STRING, "The label that is written."),
            "regex": field(STRING, "Matched against the whole joined value (RE2); `(.*)` when absent."),
            "modulus": field(COUNT, "For hashmod."),
            "replacement": field(STRING, "What is written; `$1` when absent."),
            "action": field(
                choice(
                    *ACTIONS, *(name.capitalize() for name in ACTIONS), "LabelMap", "LabelDrop", "LabelKeep", "HashMod"
                )
                | {"default": "replace"},
                "What is done on a match, as Prometheus' relabel_config has it.",
            ),
        }
    )
)

TLS = obj(
    {
        "ca": field(EITHER_KEY, "The authority that must have signed the target's certificate."),
        "cert": field(EITHER_KEY, "The client certificate."),
        "keySecret": field(SECRET_KEY, "The key of the client certificate."),
        "serverName": field(STRING, "The name that the target's certificate must have."),
        "insecureSkipVerify": field(BOOLEAN, "Do not verify the target's certificate."),
        "minVersion": field(choice("TLS10", "TLS11", "TLS12", "TLS13"), "The oldest protocol version to accept."),
        "maxVersion": field(choice("TLS10", "TLS11", "TLS12", "TLS13"), "The newest one."),
    }
)
PROXY: Schema = {
    "proxyUrl": field(STRING, "A proxy to go through (http, https, socks5), as a URL."),
    "noProxy": field(STRING, "Hosts, domains and networks that are reached without it, with commas between."),
    "proxyFromEnvironment": field(
        BOOLEAN, "Both as the engine's environment says (HTTP_PROXY, HTTPS_PROXY, NO_PROXY)."
    ),
    "proxyConnectHeader": field(
        {"type": "object", "additionalProperties": array(SECRET_KEY)}, "Headers for the proxy's CONNECT."
    ),
}
OAUTH2 = obj(
    {
        "clientId": field(EITHER_KEY, "Where the client's name is."),
        "clientSecret": field(SECRET_KEY, "Where the client's secret is."),
        "tokenUrl": field(STRING | {"minLength": 1}, "The server that gives tokens for them."),
        "scopes": field(STRINGS, "Scopes to ask for."),
        "endpointParams": field(TEXTS, "More parameters of the request for a token."),
        "tlsConfig": field(TLS, "How that server's certificate is verified, and ours."),
        **PROXY,
    },
    *("clientId", "clientSecret", "tokenUrl"),
)
AUTH: Schema = {
    "tlsConfig": field(TLS, "How the target's certificate is verified, and ours."),
    "basicAuth": field(
        obj(
            {
                "username": field(SECRET_KEY, "Where the name is."),
                "password": field(SECRET_KEY, "Where the password is."),
            }
        ),
        "HTTP Basic authentication.",
    ),
    "authorization": field(
        obj(
            {
                "type": field(STRING, "The word in front of the credential; Bearer when absent."),
                "credentials": field(SECRET_KEY, "Where the credential is."),
            }
        ),
        "The Authorization header.",
    ),
    "oauth2": field(OAUTH2, "That header with a token for client credentials, got anew when it expires."),
}
BEARER = field(SECRET_KEY, "A bearer token; `authorization` is the newer way.")

LIMITS: Schema = {
    "sampleLimit": field(COUNT, "A scrape with more samples is refused as a whole; 0 or absent: no limit."),
    "targetLimit": field(COUNT, "With more targets, all of them are refused."),
    "labelLimit": field(COUNT, "A scrape with a series of more labels is refused."),
    "labelNameLengthLimit": field(COUNT, "The same for the length of a label's name."),
    "labelValueLengthLimit": field(COUNT, "The same for the length of a label's value."),
    "keepDroppedTargets": field(COUNT, "How many targets dropped by relabelling are shown; 0: all."),
    "scrapeProtocols": field(array(choice(*PROTOCOLS)), "Formats to ask for, the preferred one first."),
    "fallbackScrapeProtocol": field(choice(*PROTOCOLS), "The format of an answer without a usable Content-Type."),
    "scrapeClassicHistograms": field(BOOLEAN, "Keep classic buckets beside a native histogram."),
    "convertClassicHistogramsToNHCB": field(BOOLEAN, "Store classic histograms as native ones with custom buckets."),
    "nativeHistogramBucketLimit": field(COUNT, "Native histograms with more buckets are made coarser, or refused."),
    "nativeHistogramMinBucketFactor": field(QUANTITY, "Native histograms finer than this are made coarser."),
}
BODY_LIMIT: Schema = {"bodySizeLimit": field(BYTES, "An answer longer than this, uncompressed, is refused.")}
