"""Commands that change what is there: patch, edit, set, label, annotate, scale, autoscale, rollout, wait, delete."""

from __future__ import annotations

from tests.conformance.clients.case import Begin, Case, Do, Gone, Has, Make, Sees, case
from tests.conformance.clients.objects import config_map, definition, deployment, pod, service, unborn, widget

ONE = Make(config_map("one", {"tier": "gold"}, a="1"))
TWO = Make(config_map("two", {"tier": "iron"}, a="2"))
DEPLOYMENT = "apps/v1/deployments/web"
IDLE = (Make(deployment("web", 0)), Has(DEPLOYMENT, {"status.observedGeneration": 1}))
RUNS = (Make(deployment("web", 1)), Has(DEPLOYMENT, {"status.readyReplicas": 1}))
FIRST = "spec.template.spec.containers.0"
JSON = "application/json"

CHANGE: tuple[Case, ...] = (
    case(
        "patch",
        *IDLE,
        Do(
            """patch deploy web -p '{"spec":{"template":{"spec":{"containers":[{"name":"main","tty":true}]}}}}'""",
            r"web patched",
        ),
        Has(DEPLOYMENT, {f"{FIRST}.tty": True, f"{FIRST}.image": "styr.dev/host"}),
    ),
    case(
        "patch --type=merge",
        ONE,
        Do("""patch cm one --type=merge -p '{"data":{"a":null,"b":"2"}}'""", r"one patched"),
        Has("v1/configmaps/one", {"data": {"a": None, "b": "2"}}),
    ),
    case(
        "patch --type=json",
        ONE,
        Do(
            """patch cm one --type=json -p '[{"op":"test","path":"/data/a","value":"1"},{"op":"remove","path":"/data/a"}]'""",
            r"one patched",
        ),
        Has("v1/configmaps/one", {"data": None}),
        Do(
            """patch cm one --type=json -p '[{"op":"test","path":"/data/a","value":"1"}]'""",
            r"The request is invalid",
            code=1,
        ),
    ),
    case("patch of nothing", ONE, Do("""patch cm one -p '{"data":{"a":"1"}}'""", r"one patched \(no change\)")),
    case(
        "patch --subresource",
        *IDLE,
        Do("""patch deploy web --subresource=scale --type=merge -p '{"spec":{"replicas":0}}'""", r"patched"),
        since=24,
    ),
    case(
        "patch that is invalid",
        *IDLE,
        Do(
            """patch deploy web --type=merge -p '{"spec":{"replicas":-1}}'""",
            r'The Deployment "web" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0',
            code=1,
        ),
    ),
    case(
        "edit",
        ONE,
        Do("edit cm one", r"configmap/one edited", env={"EDITOR": 'sed -i \'s/a: "1"/a: "9"/\''}),
        Has("v1/configmaps/one", {"data": {"a": "9"}}),
        Do("edit cm one", r"no changes made", env={"EDITOR": "true"}),
    ),
    case(
        "edit that is invalid",
        *IDLE,
        Do(
            "edit deploy web",
            r"deployments.apps \"web\" is invalid",
            code=1,
            env={"EDITOR": "sed -i 's/replicas: 0/replicas: -1/'"},
        ),
    ),
    case(
        "label",
        ONE,
        Do("label cm one size=big", r"configmap/one labeled"),
        Do("label cm one size=small", r"already has a value", code=1),
        Do("label cm one size=small --overwrite", r"labeled"),
        Do("label cm one tier-", r"(un)?labeled"),
        Has("v1/configmaps/one", {"metadata.labels": {"size": "small", "tier": None}}),
    ),
    case(
        "annotate",
        ONE,
        TWO,
        Do("annotate cm one two 'note=hello there'", r"one annotated?[\s\S]*two annotated?"),
        Has("v1/configmaps/two", {"metadata.annotations": {"note": "hello there"}}),
    ),
    case(
        "set image",
        *IDLE,
        Do("set image deploy/web main=other/image:1", r"web image updated"),
        Has(DEPLOYMENT, {f"{FIRST}.image": "other/image:1"}),
    ),
    case(
        "set env",
        *IDLE,
        Do("set env deploy/web K=v", r"web env updated"),
        Do("set env deploy/web --list", r"K=v"),
        Has(DEPLOYMENT, {f"{FIRST}.env": [{"name": "K", "value": "v"}]}),
    ),
    case(
        "set resources",
        *IDLE,
        Do("set resources deploy web --limits=cpu=200m,memory=64Mi", r"resource requirements updated"),
        Has(DEPLOYMENT, {f"{FIRST}.resources.limits": {"cpu": "200m", "memory": "64Mi"}}),
    ),
    case(
        "set selector",
        Make(service("web")),
        Do("set selector svc web app=other", r"selector updated"),
        Has("v1/services/web", {"spec.selector": {"app": "other"}}),
    ),
    case(
        "set serviceaccount",
        *IDLE,
        Do("set serviceaccount deploy web robot", r"serviceaccount updated"),
        Has(DEPLOYMENT, {"spec.template.spec.serviceAccountName": "robot"}),
    ),
    case(
        "set subject",
        Do("create rolebinding reads --clusterrole=view --user=ann"),
        Do("set subject rolebinding reads --user=bob", r"subjects updated"),
        Has("rbac.authorization.k8s.io/v1/rolebindings/reads", {"subjects.1.name": "bob"}),
    ),
    case(
        "scale",
        *IDLE,
        Do("scale deploy web --replicas=2 --current-replicas=0", r"apps/web scaled"),
        Has(DEPLOYMENT, {"spec.replicas": 2}),
        Do("scale deploy web --replicas=3 --current-replicas=0", r"Expected replicas to be 0, was 2", code=1),
    ),
    case(
        "scale a custom resource",
        Make(definition("{ns}.example.com")),
        Do("wait --for=condition=Established crd/widgets.{ns}.example.com"),
        Make(widget("{ns}.example.com", "w", size=1)),
        Do("scale widgets.{ns}.example.com w --replicas=4", r"scaled"),
        Has("{ns}.example.com/v1/widgets/w", {"spec.size": 4}),
    ),
    case(
        "autoscale",
        *IDLE,
        Do("autoscale deploy web --min=1 --max=3 --cpu-percent=50", r"autoscaled"),
        Has(
            "autoscaling/v2/horizontalpodautoscalers/web",
            {"spec.maxReplicas": 3, "spec.metrics.0.resource.target.averageUtilization": 50},
        ),
    ),
)

ROLLOUT: tuple[Case, ...] = (
    case(
        "rollout status",
        *RUNS,
        Do("rollout status deploy/web --timeout=60s", r'deployment "web" successfully rolled out'),
    ),
    case(
        "rollout history",
        *RUNS,
        Do("rollout history deploy/web", r"REVISION +CHANGE-CAUSE\n1 +<none>"),
        Do("rollout history deploy/web --revision=1", r"Image:\s+styr.dev/host"),
    ),
    case(
        "rollout undo",
        *IDLE,
        Do("set env deploy/web K=v"),
        Has(DEPLOYMENT, {"metadata.annotations": {"deployment.kubernetes.io/revision": "2"}}),
        Do("rollout undo deploy/web", r"web rolled back"),
        Has(DEPLOYMENT, {f"{FIRST}.env": None}),
    ),
    case(
        "rollout restart",
        *RUNS,
        Do("rollout restart deploy/web", r"web restarted"),
        Do("rollout status deploy/web --timeout=60s", r"successfully"),
        Has(DEPLOYMENT, {"spec.template.metadata.annotations": {"kubectl.kubernetes.io/restartedAt": ...}}),
    ),
    case(
        "rollout pause and resume",
        *IDLE,
        Do("rollout pause deploy/web", r"web paused"),
        Has(DEPLOYMENT, {"spec.paused": True}),
        Do("rollout resume deploy/web", r"web resumed"),
        Has(DEPLOYMENT, {"spec.paused": None}),
    ),
)

WAIT: tuple[Case, ...] = (
    case(
        "wait --for=condition",
        *RUNS,
        Do("wait --for=condition=Available deploy/web --timeout=30s", r"deployment.apps/web condition met"),
    ),
    case(
        "wait --for=jsonpath",
        ONE,
        Do("wait --for=jsonpath='{.data.a}'=1 cm/one --timeout=30s", r"one condition met"),
        since=23,
    ),
    case(
        "wait --for=delete",
        ONE,
        Begin("wait --for=delete cm/one -v=6 --timeout=30s", r"configmaps/one"),
        Do("delete cm one"),
        Sees(r"configmap/one condition met", ends=True),
    ),
    case(
        "wait for what does not come",
        ONE,
        Do("wait --for=condition=Ready cm/one --timeout=1s", r"timed out waiting for the condition", code=1),
    ),
    case(
        "wait --for=create",
        Begin("wait --for=create cm/new --timeout=30s -v=6", r"configmaps"),
        Do("create cm new"),
        Sees(r"new condition met", ends=True),
        since=31,
    ),
)

DELETE: tuple[Case, ...] = (
    case(
        "delete",
        ONE,
        Do("delete cm one", r'configmap "one" deleted'),
        Gone("v1/configmaps/one"),
        Do("delete cm one", r"NotFound", code=1),
        Do("delete cm one --ignore-not-found", r"^$"),
    ),
    case(
        "delete -l",
        ONE,
        TWO,
        Do("delete cm -l tier=gold", r'"one" deleted'),
        Gone("v1/configmaps/one"),
        Has("v1/configmaps/two"),
    ),
    case(
        "delete --all", ONE, TWO, Do("delete cm --all", r'"one" deleted[\s\S]*"two" deleted'), Gone("v1/configmaps/two")
    ),
    case(
        "delete --field-selector",
        Make(unborn("a")),
        Make(unborn("b")),
        Do("delete pod --field-selector=metadata.name=a", r'"a" deleted'),
        Gone("v1/pods/a"),
        Has("v1/pods/b"),
    ),
    case(
        "delete --wait",
        Make(pod("web")),
        Has("v1/pods/web", {"status.phase": "Running"}),
        Do("delete pod web --grace-period=1", r'pod "web" deleted'),
        Gone("v1/pods/web"),
    ),
    case(
        "delete --wait=false",
        Make({**config_map("one"), "metadata": {"name": "one", "finalizers": ["example.com/hold"]}}),
        Do("delete cm one --wait=false", r"deleted"),
        Has("v1/configmaps/one", {"metadata.deletionTimestamp": ...}),
        Do("""patch cm one --type=merge -p '{"metadata":{"finalizers":null}}'""", r"patched"),
        Gone("v1/configmaps/one"),
    ),
    case(
        "delete --now",
        Make(pod("web")),
        Has("v1/pods/web", {"status.phase": "Running"}),
        Do("delete pod web --now", r"deleted"),
        Gone("v1/pods/web"),
    ),
    case(
        "delete --force",
        Make(unborn("web")),
        Do("delete pod web --force --grace-period=0", r'pod "web" force deleted'),
        Gone("v1/pods/web"),
    ),
    case(
        "delete --cascade=foreground",
        *RUNS,
        Do("delete deploy web --cascade=foreground", r"deleted"),
        Gone(DEPLOYMENT),
        Do("get rs,pods -l app=web", r"No resources found"),
    ),
    case(
        "delete --cascade=orphan",
        *IDLE,
        Do("delete deploy web --cascade=orphan", r"deleted"),
        Gone(DEPLOYMENT),
        Do("get rs -l app=web -o jsonpath={.items[*].metadata.ownerReferences}", r"^$"),
        Do("get rs -l app=web -o name", r"^replicaset.apps/web-"),
    ),
    case(
        "delete --cascade=background", *IDLE, Do("delete deploy web --cascade=background", r"deleted"), Gone(DEPLOYMENT)
    ),
    case(
        "delete --dry-run=server",
        ONE,
        Do("delete cm one --dry-run=server", r"deleted.*\(server dry run\)"),
        Has("v1/configmaps/one"),
    ),
    case(
        "delete a namespace",
        Do("create ns {ns}-b"),
        Do("create cm one -n {ns}-b"),
        Do("delete ns {ns}-b", r'namespace "{ns}-b" deleted'),
        Gone("v1/namespaces/{ns}-b"),
    ),
)

CASES = (*CHANGE, *ROLLOUT, *WAIT, *DELETE)
