"""helm's cases. The versions of a case are helm's major versions."""

from __future__ import annotations

from tests.conformance.clients.case import Case, Do, Gone, Has, Make, case
from tests.conformance.clients.helm.chart import FILES
from tests.conformance.clients.objects import config_map

PLAIN = {**FILES, "chart/templates/widget.yaml": ""}
"""Without its own kind: what is not defined yet cannot be asked about."""
MAP = "v1/configmaps/web"
INSTALL = Do("install web chart", r"STATUS: deployed\nREVISION: 1[\s\S]*Say hello to web in {ns}\.", files=FILES)
BYE = Do("upgrade web chart --set word=bye", r'Release "web" has been upgraded[\s\S]*REVISION: 2')
RELEASE = {"type": "helm.sh/release.v1", "metadata.labels": {"owner": "helm", "name": "web", "status": "deployed"}}

CASES: tuple[Case, ...] = (
    case("template", Do("template web chart", r"kind: ConfigMap[\s\S]*kind: Deployment", files=FILES)),
    case("lint", Do("lint chart", r"1 chart\(s\) linted, 0 chart\(s\) failed", files=FILES)),
    case(
        "install",
        INSTALL,
        Has("v1/secrets/sh.helm.release.v1.web.v1", RELEASE),
        Has(MAP, {"data": {"word": "hello", "kubernetes": "v1.35", "batch": "true"}}),
        Has("v1/services/web", {"spec.ports.0.targetPort": 8080}),
        Has("{ns}.example.com/v1/widgets/web", {"spec": {"size": 3, "colour": "red"}}),
        Has("v1/pods/web-before", {"status.phase": "Succeeded"}),
    ),
    case(
        "install --wait",
        Do("install web chart --set replicas=1 --wait --timeout 60s", r"STATUS: deployed", files=FILES),
        Has("apps/v1/deployments/web", {"status.readyReplicas": 1}),
    ),
    case(
        "install --wait for what does not come",
        Do(
            "install web chart --set replicas=1,image=none --wait --timeout 2s",
            r"Error: .*(deadline|timed out|not ready)",
            files=FILES,
            code=1,
        ),
        Do("status web", r"STATUS: failed"),
    ),
    case(
        "install --dry-run=server",
        Do("install web chart --dry-run=server", r"STATUS: pending-install[\s\S]*kind: Deployment", files=PLAIN),
        Gone(MAP),
    ),
    case(
        "install over what is there",
        Make(config_map("web")),
        Do("install web chart", r"exists and cannot be imported into the current release", files=FILES, code=1),
    ),
    case(
        "install --create-namespace",
        Do("install web chart -n {ns}-b --create-namespace", r"NAMESPACE: {ns}-b[\s\S]*STATUS: deployed", files=FILES),
        Do("list -n {ns}-b -q", r"^web\n"),
        Do("uninstall web -n {ns}-b", r"uninstalled"),
    ),
    case(
        "install owns its fields by apply",
        INSTALL,
        Has(MAP, {"metadata.managedFields.0": {"manager": "helm", "operation": "Apply"}}),
        since=4,
    ),
    case(
        "install owns its fields by update",
        INSTALL,
        Has(MAP, {"metadata.managedFields.0": {"manager": "helm", "operation": "Update"}}),
        until=3,
    ),
    case(
        "upgrade",
        INSTALL,
        BYE,
        Has(MAP, {"data": {"word": "bye", "revision": "2"}}),
        Has("v1/secrets/sh.helm.release.v1.web.v1", {"metadata.labels": {"status": "superseded"}}),
    ),
    case("upgrade --install", Do("upgrade web chart --install", r"STATUS: deployed", files=FILES), Has(MAP)),
    case(
        "upgrade takes away what the chart no longer has",
        INSTALL,
        Do("upgrade web chart", r"REVISION: 2", files={"chart/templates/service.yaml": ""}),
        Gone("v1/services/web"),
    ),
    case(
        "upgrade mends what somebody changed",
        INSTALL,
        Do("upgrade web chart --set replicas=0", r"REVISION: 2"),
        Has("apps/v1/deployments/web", {"spec.replicas": 0}),
    ),
    case(
        "rollback", INSTALL, BYE, Do("rollback web 1", r"Rollback was a success"), Has(MAP, {"data": {"word": "hello"}})
    ),
    case(
        "history",
        INSTALL,
        BYE,
        Do("history web", r"1 .*superseded[\s\S]*2 .*deployed .*site-1\.2\.3.*Upgrade complete"),
    ),
    case("list", INSTALL, Do("list", r"^NAME\s+NAMESPACE[\s\S]*web +\t?{ns} *\t1 .*deployed *\tsite-1\.2\.3 *\t4\.5")),
    case("status", INSTALL, Do("status web", r"STATUS: deployed[\s\S]*NOTES:\nSay hello")),
    case(
        "get",
        INSTALL,
        Do("get manifest web", r"kind: Deployment"),
        Do("get values web --all", r"word: hello"),
        Do("get notes web", r"Say hello"),
        Do("get hooks web", r"name: web-before"),
    ),
    case("test", INSTALL, Do("test web --logs", r"TEST SUITE: +web-test[\s\S]*Phase: +Succeeded[\s\S]*it works")),
    case(
        "uninstall",
        INSTALL,
        Do("uninstall web", r'release "web" uninstalled'),
        Gone(MAP),
        Gone("apps/v1/deployments/web"),
        Do("status web", r"release: not found", code=1),
    ),
    case(
        "uninstall --keep-history --wait",
        INSTALL,
        Do("uninstall web --keep-history --wait", r"uninstalled"),
        Gone(MAP),
        Do("status web", r"STATUS: uninstalled"),
    ),
)
