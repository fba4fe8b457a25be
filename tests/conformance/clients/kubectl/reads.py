"""Commands that read: get in all its forms, describe, events, what the server offers."""

from __future__ import annotations

from tests.conformance.clients.case import Begin, Case, Do, Has, Make, Sees, case
from tests.conformance.clients.objects import (
    config_map,
    definition,
    deployment,
    event,
    service,
    unborn,
    widget,
)

ONE = Make(config_map("one", {"tier": "gold"}, a="1"))
TWO = Make(config_map("two", {"tier": "iron"}, a="2"))
THREE = Make(config_map("three", {"tier": "iron"}, a="3"))
WEB = Make(unborn("web"))
TOYS = Make(definition("{ns}.example.com"))
HAVE_TOYS = Has(
    "apiextensions.k8s.io/v1/customresourcedefinitions/widgets.{ns}.example.com",
    {"status.conditions.0.status": "True", "status.conditions.1.status": "True"},
)

GET: tuple[Case, ...] = (
    case("get", WEB, Do("get pods", r"NAME +READY +STATUS +RESTARTS +AGE\s+web +0/1 +Pending +0 +\d+s")),
    case("get nothing", Do("get pods", r"No resources found in {ns} namespace")),
    case(
        "get -o wide", WEB, Do("get po web -o wide", r"AGE +IP +NODE +NOMINATED NODE +READINESS GATES\s+web .*<none>")
    ),
    case("get -o yaml", ONE, Do("get cm one -o yaml", r'^apiVersion: v1\ndata:\n  a: "1"\nkind: ConfigMap\n')),
    case("get -o json", ONE, TWO, Do("get cm one two -o json", r'"kind": "List",\s+"metadata": {')),
    case("get -o jsonpath", ONE, Do("get cm one -o jsonpath={.data.a},{.metadata.labels.tier}", r"^1,gold$")),
    case(
        "get -o custom-columns",
        ONE,
        Do("get cm one -o custom-columns=WHO:.metadata.name,A:.data.a", r"^WHO +A\none +1$"),
    ),
    case("get -o name", ONE, TWO, Do("get cm -l tier -o name", r"^configmap/one\nconfigmap/two\n$")),
    case("get -o go-template", ONE, Do("get cm one -o go-template='{{.data.a}}'", r"^1$")),
    case("get several kinds", ONE, WEB, Do("get po/web cm/one", r"pod/web +0/1[\s\S]*configmap/one +1")),
    case("get --show-labels", ONE, Do("get cm one --show-labels", r"LABELS\none +1 +\d+s +tier=gold")),
    case("get -L", ONE, Do("get cm one -L tier", r"TIER\none +1 +\d+s +gold")),
    case(
        "get -l",
        ONE,
        TWO,
        THREE,
        Do("get cm -l 'tier in (iron),tier!=gold' -o name", r"^configmap/three\nconfigmap/two\n$"),
    ),
    case(
        "get --field-selector", ONE, TWO, Do("get cm --field-selector metadata.name=two -o name", r"^configmap/two\n$")
    ),
    case(
        "get --field-selector that is none",
        Do("get pods --field-selector spec.colour=red", r'field label not supported: "spec\.colour"', code=1),
    ),
    case(
        "get --sort-by", TWO, ONE, Do("get cm -l tier --sort-by=.data.a -o name", r"^configmap/one\nconfigmap/two\n$")
    ),
    case(
        "get --chunk-size",
        ONE,
        TWO,
        THREE,
        Do("get cm -l tier --chunk-size=1 --no-headers", r"^one .*\nthree .*\ntwo "),
    ),
    case("get --no-headers", ONE, Do("get cm one --no-headers", r"^one +1 ", silent="NAME")),
    case("get -A", ONE, Do("get cm -A -l tier=gold", r"NAMESPACE +NAME +DATA +AGE\n[\s\S]*{ns} +one +1 ")),
    case("get -f", ONE, Do("get -f one.json -o name", r"^configmap/one\n", files={"one.json": config_map("one")})),
    case("get --raw", ONE, Do("get --raw /api/v1/namespaces/{ns}/configmaps/one", r'"a":"1"')),
    case("get --ignore-not-found", Do("get cm none --ignore-not-found", r"^$")),
    case(
        "get what is not there",
        Do("get cm none", r'Error from server \(NotFound\): configmaps "none" not found', code=1),
    ),
    case(
        "get a kind that is not there",
        Do("get unicorns", r"""the server doesn't have a resource type "unicorns""", code=1),
    ),
    case("get all", Make(service("web")), WEB, Do("get all", r"pod/web[\s\S]*service/web +ClusterIP")),
    case(
        "get --watch",
        ONE,
        Begin("get cm -l tier -w", r"one +1 "),
        Do("create cm new"),
        Do("label cm new tier=x"),
        Sees(r"new +0 "),
    ),
    case(
        "get --watch --output-watch-events",
        ONE,
        Begin("get cm one -w --output-watch-events", r"ADDED +one"),
        Do("label cm one a=b"),
        Sees(r"MODIFIED +one"),
        Do("delete cm one"),
        Sees(r"DELETED +one"),
    ),
    case(
        "get --watch-only",
        ONE,
        Begin("get cm --watch-only -v=6", r"watch=true"),
        Do("label cm one a=b"),
        Sees(r"^one +1"),
    ),
    case(
        "get --subresource",
        Make(deployment("web", 0)),
        Do("get deploy web --subresource=scale -o yaml", r"kind: Scale"),
        since=27,
    ),
    case("get --show-managed-fields", ONE, Do("get cm one -o yaml --show-managed-fields", r"manager: scene"), since=21),
    case(
        "get custom resources",
        TOYS,
        HAVE_TOYS,
        Make(widget("{ns}.example.com", "w", size=3)),
        Do("get widgets.{ns}.example.com", r"NAME +SIZE +AGE\nw +3 +\d+s"),
        Do("get widgets.v1.{ns}.example.com w -o jsonpath={.spec.colour}", r"^red$"),
    ),
)

DESCRIBE: tuple[Case, ...] = (
    case(
        "describe pod",
        WEB,
        Do("describe pod web", r"Name: +web\n[\s\S]*Status: +Pending[\s\S]*Image: +styr.dev/host"),
    ),
    case(
        "describe deployment",
        Make(deployment("web", 0)),
        Has("apps/v1/deployments/web", {"status.observedGeneration": 1}),
        Do("describe deploy web", r"Replicas: +0 desired[\s\S]*StrategyType: +RollingUpdate[\s\S]*25% max unavailable"),
    ),
    case(
        "describe service",
        Make(service("web")),
        Do("describe svc web", r"Selector: +app=web[\s\S]*Type: +ClusterIP[\s\S]*80/TCP"),
    ),
    case("describe node", Do("describe node {node}", r"Roles:[\s\S]*Capacity:[\s\S]*Allocatable:[\s\S]*System Info:")),
    case("describe namespace", Do("describe ns {ns}", r"Name: +{ns}\n[\s\S]*Status: +Active")),
    case(
        "describe secret",
        Make({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"word": "text"}}),
        Do("describe secret keys", r"Type: +Opaque[\s\S]*word: +4 bytes"),
    ),
    case(
        "describe a custom resource",
        TOYS,
        HAVE_TOYS,
        Make(widget("{ns}.example.com", "w", size=3)),
        Do("describe widgets.{ns}.example.com w", r"Spec:\n +Colour: +red\n +Size: +3"),
    ),
    case("describe by prefix", ONE, TWO, Do("describe cm t", r"Name: +two", silent="Name: +one")),
)

SERVER: tuple[Case, ...] = (
    case(
        "events",
        WEB,
        Make(event("e1", unborn("web"), "Odd", "Warning")),
        Do("events --for pod/web", r"LAST SEEN +TYPE +REASON +OBJECT +MESSAGE\n.*Warning +Odd +Pod/web +it is Odd"),
        since=26,
    ),
    case(
        "get events",
        Make(event("e1", unborn("web"), "Odd", "Warning")),
        Make(event("e2", unborn("other"), "Fine")),
        Do(
            "get events --field-selector involvedObject.name=web,type=Warning",
            r"Odd +pod/web +it is Odd",
            silent="Fine",
        ),
    ),
    case(
        "explain", Do("explain deployment.spec.replicas", r"(FIELD|VERSION)[\s\S]*replicas.*integer[\s\S]*DESCRIPTION")
    ),
    case("explain --recursive", Do("explain pod.spec.containers --recursive", r"image\s+<string>[\s\S]*httpGet\s+<")),
    case(
        "explain a custom resource",
        TOYS,
        HAVE_TOYS,
        Do("explain widgets.spec.size --api-version={ns}.example.com/v1", r"<integer>[\s\S]*How big it is"),
        since=27,
    ),
    case(
        "api-resources",
        Do("api-resources", r"pods +po +v1 +true +Pod\n[\s\S]*deployments +deploy +apps/v1 +true +Deployment"),
        Do("api-resources --api-group=apps --namespaced=true -o name", r"^[\s\S]*deployments\.apps\n", silent="pods"),
        Do("api-resources -o wide", r"namespaces .*\[?create,? ?delete"),
    ),
    case("api-versions", Do("api-versions", r"^apps/v1\n[\s\S]*^v1\n")),
    case("version", Do("version", r"Server Version: .*v1\.35")),
    case("cluster-info", Do("cluster-info", r"(control plane|master).* is running at .*https://127\.0\.0\.1:")),
    case("cluster-info dump", WEB, Do("cluster-info dump --namespaces {ns}", r'"kind": "PodList"[\s\S]*"name": "web"')),
    case("options and completion", Do("completion bash", r"bash completion"), Do("options", r"--kubeconfig")),
    case(
        "config",
        Do("config view", r"certificate-authority-data: DATA\+OMITTED[\s\S]*namespace: {ns}"),
        Do("config set-context --current --namespace=other", r"modified"),
        Do("config view --minify -o jsonpath={..namespace}", r"^other$"),
        Do("config get-contexts -o name", r"^styr\n"),
        Do("config current-context", r"^styr\n"),
    ),
    case(
        "kustomize",
        Do(
            "kustomize .",
            r'a: "1"[\s\S]*name: pre-one',
            files={
                "kustomization.yaml": "namePrefix: pre-\nresources: [one.json]\n",
                "one.json": config_map("one", a="1"),
            },
        ),
    ),
)


CASES = (*GET, *DESCRIBE, *SERVER)
