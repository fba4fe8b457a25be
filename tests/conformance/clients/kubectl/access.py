"""Commands about who may do what: auth, impersonation, certificates, tokens."""

from __future__ import annotations

from tests.conformance.clients.case import Case, Do, Has, Make, case
from tests.conformance.clients.objects import named

RBAC = "rbac.authorization.k8s.io/v1"
RULES = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]
ROLE = Make(named(RBAC, "Role", "reader", rules=RULES))
SUBJECT = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "ann"}
BINDING = Make(
    named(
        RBAC,
        "RoleBinding",
        "reads",
        roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
        subjects=[SUBJECT],
    )
)
REQUEST = (
    "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlIWE1INENBUUF3SERFTU1Bb0dBMVVFQXd3RFlXNXVNUXd3Q2dZRFZRUUtEQU"
    "5rWlhZd1dUQVRCZ2NxaGtqTwpQUUlCQmdncWhrak9QUU1CQndOQ0FBUVlnQkZ3L2JYQjMvcktqN1dTR1VQVjhCQ01ZRXVlM3lyWU5td0ZXWDRQ"
    "Cm9uVngwbUkyd0xBVmp2UlpvNUduQTNrb3ZHaVlIdVhIUmZDdkpNazFmbkQwb0FBd0NnWUlLb1pJemowRUF3SUQKU1FBd1JnSWhBSTQwZmxRcG"
    "NqQkEwMkVWVncxTS9XenNnL3JDZHU1NzhLd1cxSW9lUFFDYkFpRUF1VWQyNUVWegptWUQ1TWNBTmE1MExpWDlkSllHQ3FoZkJMWDdNV3lLT2FZ"
    "OD0KLS0tLS1FTkQgQ0VSVElGSUNBVEUgUkVRVUVTVC0tLS0tCg=="
)
"""A certificate signing request of CN=ann, O=dev, whose key is nowhere."""

ACCESS: tuple[Case, ...] = (
    case(
        "auth can-i",
        Do("auth can-i create pods", r"^yes\n"),
        ROLE,
        BINDING,
        Do("auth can-i list pods --as=ann", r"^yes\n"),
        Do("auth can-i create pods --as=ann", r"^no", code=1),
    ),
    case(
        "auth can-i --list",
        ROLE,
        BINDING,
        Do(
            "auth can-i --list --as=ann",
            r"Resources +Non-Resource URLs +Resource Names +Verbs\n[\s\S]*pods +\[\] +\[\] +\[get list\]",
        ),
    ),
    case("auth whoami", Do("auth whoami", r"Username +styr-admin[\s\S]*system:masters"), since=28),
    case(
        "auth reconcile",
        Do(
            "auth reconcile -f -",
            r"reader reconciled",
            {**named(RBAC, "Role", "reader", rules=RULES), "metadata": {"name": "reader", "namespace": "{ns}"}},
        ),
        Has(f"{RBAC}/roles/reader", {"rules.0.verbs": ["get", "list"]}),
    ),
    case(
        "--as",
        ROLE,
        BINDING,
        Do("get pods --as=ann", r"No resources found"),
        Do(
            "get cm --as=ann",
            r'configmaps is forbidden: User "ann" cannot list resource "configmaps" in API group "" in the namespace "{ns}"',
            code=1,
        ),
    ),
    case("--as --as-group", Do("get ns {ns} --as=ann --as-group=system:masters -o name", r"^namespace/{ns}")),
    case(
        "--token",
        Do("create sa robot"),
        Do("create rolebinding sees --clusterrole=view --serviceaccount={ns}:robot"),
        Do("create token robot", r"^(\S+)$"),
        Do("get cm --token={1} -o name", r""),
        Do("create cm one --token={1}", r'User "system:serviceaccount:{ns}:robot" cannot create', code=1),
        since=24,
    ),
    case(
        "certificate approve",
        Do(
            "create -f -",
            r"created",
            named(
                "certificates.k8s.io/v1",
                "CertificateSigningRequest",
                "{ns}",
                spec={
                    "signerName": "kubernetes.io/kube-apiserver-client",
                    "usages": ["client auth"],
                    "request": REQUEST,
                },
            ),
        ),
        Do("certificate approve {ns}", r"approved"),
        Has("certificates.k8s.io/v1/certificatesigningrequests/{ns}", {"status.certificate": ...}),
    ),
    case(
        "certificate deny",
        Do(
            "create -f -",
            r"created",
            named(
                "certificates.k8s.io/v1",
                "CertificateSigningRequest",
                "{ns}",
                spec={
                    "signerName": "kubernetes.io/kube-apiserver-client",
                    "usages": ["client auth"],
                    "request": REQUEST,
                },
            ),
        ),
        Do("certificate deny {ns}", r"denied"),
        Has("certificates.k8s.io/v1/certificatesigningrequests/{ns}", {"status.conditions.0.type": "Denied"}),
    ),
)
CASES = ACCESS
