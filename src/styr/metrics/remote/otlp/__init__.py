"""OTLP metrics over HTTP, translated as Prometheus' own receiver translates them.

`messages` are the tables of opentelemetry-proto and its JSON form, `names` makes metric and label names, `attributes` makes
label sets of resources and points, `points` makes samples, `receiver` answers requests.
"""

from styr.metrics.remote.otlp.names import Settings, Strategy
from styr.metrics.remote.otlp.receiver import OtlpReceiver

__all__ = ["OtlpReceiver", "Settings", "Strategy"]
