"""The kinds of monitoring.coreos.com: served, validated, and what is not honoured is kept so that it can be told."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from styr.kinds.resources import CRD, POD_MONITOR, PROBE, PROMETHEUS_RULE, SCRAPE_CONFIG, SERVICE_MONITOR
from styr.kinds.transport import User
from styr.metrics.kinds import HONOURED, crds, ignored
from tests.api.kit import Api, running

MONITOR = {
    "apiVersion": "monitoring.coreos.com/v1",
    "kind": "ServiceMonitor",
    "metadata": {"name": "web"},
    "spec": {
        "selector": {"matchLabels": {"app": "web"}},
        "endpoints": [{"port": "http", "interval": "15s", "enableHttp2": True}],
        "scrapeClass": "fast",
    },
}
RULES = {
    "apiVersion": "monitoring.coreos.com/v1",
    "kind": "PrometheusRule",
    "metadata": {"name": "rules"},
    "spec": {"groups": [{"name": "g", "rules": [{"record": "a:b", "expr": 1}, {"alert": "A", "expr": "up == 0"}]}]},
}


async def test_every_kind_is_served_and_keeps_what_is_not_honoured():
    async with running() as api:
        for crd in crds():
            await api("POST", CRD.path(), crd)
        made = await api("POST", SERVICE_MONITOR.path("default"), MONITOR)
        assert made["spec"]["endpoints"][0]["enableHttp2"]
        assert ignored(SERVICE_MONITOR, made) == ["spec.endpoints[0].enableHttp2", "spec.scrapeClass"]
        rules = await api("POST", PROMETHEUS_RULE.path("default"), RULES)
        assert rules["spec"]["groups"][0]["rules"][0]["expr"] == 1
        assert ignored(PROMETHEUS_RULE, rules) == []


@pytest.mark.parametrize(
    ("resource", "spec", "field"),
    [
        (SERVICE_MONITOR, {"selector": {}, "endpoints": [{"interval": "soon"}]}, "spec.endpoints[0].interval"),
        (SERVICE_MONITOR, {"selector": {}, "endpoints": [{"scheme": "ftp"}]}, "spec.endpoints[0].scheme"),
        (SERVICE_MONITOR, {"endpoints": []}, "spec.selector"),
        (POD_MONITOR, {"selector": {}, "bodySizeLimit": "big"}, "spec.bodySizeLimit"),
        (POD_MONITOR, {"selector": {}, "podMetricsEndpoints": [{"portNumber": 0}]}, "portNumber"),
        (PROBE, {"prober": {}}, "spec.prober.url"),
        (SCRAPE_CONFIG, {"kubernetesSDConfigs": [{"role": "Ingress"}]}, "role"),
        (PROMETHEUS_RULE, {"groups": [{"name": "g", "rules": [{"record": "x"}]}]}, "expr"),
        (PROMETHEUS_RULE, {"groups": [{"name": "g"}, {"name": "g"}]}, "spec.groups[1]"),
    ],
)
async def test_a_wrong_value_is_refused_by_the_field_that_is_wrong(resource: Any, spec: dict[str, Any], field: str):
    async with running() as api:
        for crd in crds():
            await api("POST", CRD.path(), crd)
        wrong = {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {"name": "wrong"},
            "spec": spec,
        }
        answer = await api("POST", resource.path("default"), wrong, want=422)
        assert field in answer["message"]


async def test_who_may_view_sees_monitors_and_who_may_edit_writes_them():
    async with running() as api:
        for crd in crds():
            await api("POST", CRD.path(), crd)
        for role in ("view", "edit"):
            binding = {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": {"name": role},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": role}],
            }
            await api("POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings", binding)
        viewer, editor = Api(api.server, User("view")), Api(api.server, User("edit"))
        await viewer("POST", SERVICE_MONITOR.path("default"), MONITOR, want=403)
        await editor("POST", SERVICE_MONITOR.path("default"), MONITOR)
        for resource in HONOURED:
            await viewer("GET", resource.path("default"))


@pytest.mark.parametrize("spec", [None, [], "x", {"endpoints": None}, {"endpoints": {"a": 1}}, {"endpoints": ["x", 1]}])
def test_a_shape_that_no_server_let_in_does_not_raise(spec: Any):
    assert isinstance(ignored(SERVICE_MONITOR, {"spec": spec}), list)


def test_the_definitions_cost_no_numpy():
    code = "import sys, styr.metrics.kinds; sys.exit('numpy' in sys.modules or 'numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
