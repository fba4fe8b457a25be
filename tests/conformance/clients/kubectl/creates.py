"""Commands that make objects: create with all its generators, run, expose, apply, replace, diff."""

from __future__ import annotations

from tests.conformance.clients.case import Case, Do, Gone, Has, Make, case
from tests.conformance.clients.objects import config_map, definition, deployment, service, unborn, widget

APPLY = "apply -f - --server-side --field-manager="
ODD = unborn("odd")
ODD["spec"]["containers"][0]["imagee"] = "x"
RBAC = "rbac.authorization.k8s.io/v1"
RULES = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
LIMITS = {"spec.hard": {"cpu": "1", "pods": "2"}}
TOYS = Make(definition("{ns}.example.com"))

CREATE: tuple[Case, ...] = (
    case(
        "create -f",
        Do("create -f -", r"configmap/one created", config_map("one", a="1")),
        Do(
            "create -f -",
            r'Error from server \(AlreadyExists\).* configmaps "one" already exists',
            config_map("one"),
            1,
        ),
        Has("v1/configmaps/one", {"data": {"a": "1"}}),
    ),
    case(
        "create -f of a folder",
        Do(
            "create -f all",
            r"configmap/one created\nconfigmap/two created\npod/web created",
            files={"all/1.json": config_map("one"), "all/2.yaml": [config_map("two"), unborn("web")]},
        ),
        Has("v1/pods/web"),
    ),
    case(
        "create -f of an unknown field",
        Do("create -f - --validate=true", r'(unknown field "(spec.containers\[0\].)?imagee"|imagee)', ODD, 1),
        Gone("v1/pods/odd"),
    ),
    case(
        "create --validate=strict, warn, ignore",
        Do("create -f - --validate=strict", r'unknown field "spec.containers\[0\].imagee"', ODD, 1),
        Do("create -f - --validate=warn", r'odd created[\s\S]*unknown field "spec.containers\[0\].imagee"', ODD),
        Do("delete pod odd --force --grace-period=0"),
        Do("create -f - --validate=ignore", r"odd created", ODD, silent="imagee"),
        Has("v1/pods/odd", {"spec.containers.0.imagee": None}),
        since=27,
    ),
    case(
        "create -f --dry-run=server",
        Do("create -f - --dry-run=server", r"one created \(server dry run\)", config_map("one")),
        Gone("v1/configmaps/one"),
    ),
    case("create --dry-run=client -o yaml", Do("create cm one --from-literal=a=1 --dry-run=client -o yaml", r'a: "1"')),
    case(
        "create with generateName",
        Do(
            "create -f - -o name",
            r"^configmap/one-[a-z0-9]{5}\n",
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "one-"}},
        ),
    ),
    case(
        "create a custom resource",
        TOYS,
        Do("wait --for=condition=Established crd/widgets.{ns}.example.com", r"condition met"),
        Do("create -f -", r"widget.{ns}.example.com/w created", widget("{ns}.example.com", "w", size=3)),
        Do("create -f -", r"spec.size.*greater than or equal to 1", widget("{ns}.example.com", "x", size=0), 1),
        Has("{ns}.example.com/v1/widgets/w", {"spec": {"size": 3, "colour": "red"}}),
    ),
    case(
        "create configmap",
        Do(
            "create configmap one --from-literal=a=1 --from-file=f=some",
            r"configmap/one created",
            files={"some": "text\n"},
        ),
        Has("v1/configmaps/one", {"data": {"a": "1", "f": "text\n"}}),
    ),
    case(
        "create secret generic",
        Do("create secret generic keys --from-literal=word=text", r"secret/keys created"),
        Has("v1/secrets/keys", {"type": "Opaque", "data.word": "dGV4dA=="}),
    ),
    case(
        "create secret docker-registry",
        Do(
            "create secret docker-registry pull --docker-server=r.local --docker-username=u --docker-password=p",
            r"created",
        ),
        Has("v1/secrets/pull", {"type": "kubernetes.io/dockerconfigjson"}),
    ),
    case(
        "create deployment",
        Do("create deployment web --image=styr.dev/host --replicas=0 --port=8080", r"apps/web created"),
        Has(
            "apps/v1/deployments/web",
            {"spec.replicas": 0, "spec.template.spec.containers.0.ports.0.containerPort": 8080},
        ),
    ),
    case(
        "create namespace",
        Do("create namespace {ns}-b", r"namespace/{ns}-b created"),
        Has("v1/namespaces/{ns}-b", {"status.phase": "Active"}),
        Do("delete ns {ns}-b", r"deleted"),
        Gone("v1/namespaces/{ns}-b"),
    ),
    case(
        "create serviceaccount", Do("create sa robot", r"serviceaccount/robot created"), Has("v1/serviceaccounts/robot")
    ),
    case(
        "create role",
        Do("create role reader --verb=get,list --resource=pods,deployments.apps", r"reader created"),
        Has(
            f"{RBAC}/roles/reader",
            {
                "rules": [
                    {"apiGroups": [""], "resources": ["pods"]},
                    {"apiGroups": ["apps"], "resources": ["deployments"]},
                ]
            },
        ),
    ),
    case(
        "create clusterrole",
        Do("create clusterrole {ns} --verb=get --non-resource-url=/x", r"/{ns} created"),
        Has(f"{RBAC}/clusterroles/{{ns}}", {"rules.0.nonResourceURLs": ["/x"]}),
    ),
    case(
        "create rolebinding",
        Do("create rolebinding reads --clusterrole=view --serviceaccount={ns}:robot", r"reads created"),
        Has(
            f"{RBAC}/rolebindings/reads",
            {"subjects.0": {"kind": "ServiceAccount", "name": "robot", "namespace": "{ns}"}},
        ),
    ),
    case(
        "create clusterrolebinding",
        Do("create clusterrolebinding {ns} --clusterrole=view --user=u-{ns}", r"/{ns} created"),
        Has(f"{RBAC}/clusterrolebindings/{{ns}}", {"subjects.0.name": "u-{ns}"}),
    ),
    case(
        "create service clusterip",
        Do("create service clusterip web --tcp=80:8080", r"service/web created"),
        Has(
            "v1/services/web",
            {"spec.type": "ClusterIP", "spec.ports.0": {"port": 80, "targetPort": 8080}, "spec.clusterIP": ...},
        ),
    ),
    case(
        "create service nodeport",
        Do("create service nodeport web --tcp=80", r"service/web created"),
        Has("v1/services/web", {"spec.type": "NodePort", "spec.ports.0.nodePort": ...}),
    ),
    case(
        "create service externalname",
        Do("create service externalname web --external-name=x.local", r"service/web created"),
        Has("v1/services/web", {"spec.externalName": "x.local", "spec.clusterIP": None}),
    ),
    case(
        "create quota",
        Do("create quota small --hard=cpu=1,pods=2", r"resourcequota/small created"),
        Has("v1/resourcequotas/small", LIMITS),
    ),
    case(
        "create poddisruptionbudget",
        Do("create pdb web --selector=app=web --min-available=1", r"web created"),
        Has("policy/v1/poddisruptionbudgets/web", {"spec.minAvailable": 1}),
        since=21,
    ),
    case(
        "create priorityclass",
        Do("create priorityclass {ns} --value=7 --description=d", r"/{ns} created"),
        Has("scheduling.k8s.io/v1/priorityclasses/{ns}", {"value": 7}),
    ),
    case(
        "create job",
        Do("create job once --image=styr.dev/host -- sh -c true", r"job.batch/once created"),
        Has("batch/v1/jobs/once", {"spec.completions": 1, "spec.template.spec.restartPolicy": "Never"}),
    ),
    case(
        "create cronjob",
        Do("create cronjob often --image=styr.dev/host --schedule='0 0 1 1 *' -- sh -c true", r"often created"),
        Has("batch/v1/cronjobs/often", {"spec.schedule": "0 0 1 1 *"}),
        Do("create job now --from=cronjob/often", r"job.batch/now created"),
        Has("batch/v1/jobs/now", {"metadata.ownerReferences.0.kind": "CronJob"}),
        since=21,
    ),
    case(
        "create ingress",
        Do("create ingress web --rule=a.local/x=web:80", r"ingress.networking.k8s.io/web created"),
        Has("networking.k8s.io/v1/ingresses/web", {"spec.rules.0.host": "a.local"}),
        Do("describe ingress web", r"a\.local +\n +/x +web:80"),
    ),
    case(
        "create token",
        Do("create sa robot"),
        Do("create token robot --duration=1h", r"^[\w-]+\.[\w-]+\.[\w-]+$"),
        since=24,
    ),
    case(
        "run",
        Do("run one --image=styr.dev/host --labels=a=b --env=K=v --command -- sleep 300", r"pod/one created"),
        Has(
            "v1/pods/one",
            {
                "metadata.labels": {"a": "b"},
                "spec.containers.0": {"command": ["sleep", "300"]},
                "status.phase": "Running",
            },
        ),
    ),
    case(
        "expose",
        Make(deployment("web", 0)),
        Do("expose deployment web --port=80 --target-port=8080", r"service/web exposed"),
        Has("v1/services/web", {"spec.selector": {"app": "web"}, "spec.ports.0.targetPort": 8080}),
    ),
)

APPLIED: tuple[Case, ...] = (
    case(
        "apply",
        Do("apply -f -", r"configmap/one created", config_map("one", a="1", b="2")),
        Do("apply -f -", r"configmap/one configured", config_map("one", b="3")),
        Do("apply -f -", r"configmap/one unchanged", config_map("one", b="3")),
        Do("apply view-last-applied cm one", r'b: "3"'),
        Has("v1/configmaps/one", {"data": {"b": "3", "a": None}}),
    ),
    case(
        "apply to lists with keys",
        Do("apply -f -", r"created", service("web", ports=[{"name": "a", "port": 80}, {"name": "b", "port": 81}])),
        Do("apply -f -", r"configured", service("web", ports=[{"name": "b", "port": 81}, {"name": "c", "port": 82}])),
        Has("v1/services/web", {"spec.ports": [{"port": 81}, {"port": 82}]}),
    ),
    case(
        "apply --prune",
        Do(
            "apply -f - --prune -l set={ns}",
            r"one created[\s\S]*two created",
            [config_map("one", {"set": "{ns}"}), config_map("two", {"set": "{ns}"})],
        ),
        Do(
            "apply -f - --prune -l set={ns} --prune-allowlist=core/v1/ConfigMap",
            r"two pruned",
            config_map("one", {"set": "{ns}"}),
        ),
        Gone("v1/configmaps/two"),
        Has("v1/configmaps/one"),
        since=27,
    ),
    case(
        "apply --prune of old",
        Do(
            "apply -f -",
            r"one created[\s\S]*two created",
            [config_map("one", {"set": "{ns}"}), config_map("two", {"set": "{ns}"})],
        ),
        Do(
            "apply -f - --prune -l set={ns} --prune-whitelist=core/v1/ConfigMap",
            r"two pruned",
            config_map("one", {"set": "{ns}"}),
        ),
        Gone("v1/configmaps/two"),
        Has("v1/configmaps/one"),
        until=25,
    ),
    case(
        "apply -k",
        Do(
            "apply -k .",
            r"configmap/pre-one created",
            files={
                "kustomization.yaml": "namePrefix: pre-\nresources: [one.json]\n",
                "one.json": config_map("one", a="1"),
            },
        ),
        Has("v1/configmaps/pre-one", {"data": {"a": "1"}}),
    ),
    case(
        "apply --dry-run=server",
        Do("apply -f - --dry-run=server", r"one created \(server dry run\)", config_map("one")),
        Gone("v1/configmaps/one"),
    ),
    case(
        "apply a custom resource",
        TOYS,
        Do("wait --for=condition=Established crd/widgets.{ns}.example.com", r"condition met"),
        Do("apply -f -", r"w created", widget("{ns}.example.com", "w", size=3, colour="blue")),
        Do("apply -f -", r"w configured", widget("{ns}.example.com", "w", size=4)),
        Has("{ns}.example.com/v1/widgets/w", {"spec": {"size": 4, "colour": "red"}, "metadata.generation": 2}),
    ),
    case(
        "apply --server-side",
        Do(APPLY + "ours", r"configmap/one serverside-applied", config_map("one", a="1")),
        Do(APPLY + "theirs", r'conflict with "ours": \.data\.a', config_map("one", a="2", b="2"), 1),
        Do(APPLY + "theirs --force-conflicts", r"serverside-applied", config_map("one", a="2", b="2")),
        Do(APPLY + "ours", r"serverside-applied", config_map("one", c="3")),
        Has("v1/configmaps/one", {"data": {"a": "2", "b": "2", "c": "3"}}),
    ),
    case(
        "apply --server-side --dry-run=server",
        Do(APPLY + "ours --dry-run=server", r"one serverside-applied \(server dry run\)", config_map("one", a="1")),
        Gone("v1/configmaps/one"),
    ),
    case(
        "apply --server-side after apply",
        Do("apply -f -", r"created", config_map("one", a="1", b="1")),
        Do("apply -f - --server-side", r"serverside-applied", config_map("one", a="2")),
        Has("v1/configmaps/one", {"data": {"a": "2", "b": None}}),
        since=26,
    ),
    case(
        "apply edit-last-applied",
        Do("apply -f -", r"created", config_map("one", a="1")),
        Do("apply set-last-applied -f -", r"configured", config_map("one", b="1")),
        Do("apply edit-last-applied cm one", r"edited", env={"EDITOR": "sed -i s/b:/c:/"}),
        Do("apply view-last-applied cm one", r'c: "1"'),
    ),
    case(
        "diff",
        Make(config_map("one", a="1")),
        Do("diff -f -", r"^-  a: \"1\"\n\+  a: \"2\"", config_map("one", a="2"), 1),
        Do("diff -f - --server-side", r"^\+  b: \"2\"", config_map("one", b="2"), 1),
        Has("v1/configmaps/one", {"data": {"a": "1", "b": None}}),
    ),
    case(
        "diff of nothing",
        Do("apply -f -", r"created", config_map("one", a="1")),
        Do("diff -f -", r"^$", config_map("one", a="1")),
    ),
    case(
        "replace",
        Make(config_map("one", a="1")),
        Do("replace -f -", r"configmap/one replaced", config_map("one", c="3")),
        Has("v1/configmaps/one", {"data": {"a": None, "c": "3"}}),
    ),
    case(
        "replace --force",
        Make(config_map("one", a="1")),
        Do("replace -f - --force", r"deleted[\s\S]*configmap/one replaced", config_map("one", c="3")),
        Has("v1/configmaps/one", {"data": {"a": None, "c": "3"}}),
    ),
    case("replace what is not there", Do("replace -f -", r"NotFound", config_map("none"), 1)),
    case(
        "replace what may not change",
        Make({**config_map("one", a="1"), "immutable": True}),
        Do("replace -f -", r"(field is immutable|immutable)", {**config_map("one", a="2"), "immutable": True}, 1),
    ),
    case(
        "delete -f and --wait",
        Make(config_map("one")),
        Do("delete -f -", r'configmap "one" deleted', config_map("one")),
        Gone("v1/configmaps/one"),
    ),
)

CASES = (*CREATE, *APPLIED)
