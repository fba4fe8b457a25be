"""Good objects of each kind, for `differential` to change. Without metadata.name they are called x."""

from __future__ import annotations

from typing import Any

CONTAINER: dict[str, Any] = {"name": "c", "image": "busybox:1"}
POD: dict[str, Any] = {"containers": [CONTAINER]}
RICH_POD: dict[str, Any] = {
    "containers": [
        {
            "name": "c",
            "image": "busybox",
            "command": ["a"],
            "args": ["b"],
            "workingDir": "/w",
            "ports": [{"name": "http", "containerPort": 80}, {"containerPort": 81, "protocol": "UDP", "hostIP": "10.0.0.1"}],
            "env": [
                {"name": "A", "value": "x"},
                {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {"name": "C", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                {"name": "D", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "containerName": "c"}}},
            ],
            "envFrom": [{"configMapRef": {"name": "x"}, "prefix": "p"}],
            "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "100m"}},
            "volumeMounts": [{"name": "data", "mountPath": "/data", "subPath": "a"}, {"name": "conf", "mountPath": "/conf"}],
            "livenessProbe": {"httpGet": {"path": "/", "port": 80, "httpHeaders": [{"name": "X-A", "value": "b"}]}},
            "readinessProbe": {"exec": {"command": ["x"]}},
            "startupProbe": {"tcpSocket": {"port": "http"}},
            "lifecycle": {"preStop": {"exec": {"command": ["x"]}}, "postStart": {"httpGet": {"port": 80}}},
            "securityContext": {"runAsUser": 1, "capabilities": {"add": ["A"]}, "seccompProfile": {"type": "RuntimeDefault"}},
            "terminationMessagePolicy": "File",
        },
        {"name": "d", "image": "x:latest", "imagePullPolicy": "Never", "livenessProbe": {"grpc": {"port": 1}}},
    ],
    "initContainers": [{"name": "i", "image": "x"}, {"name": "side", "image": "x", "restartPolicy": "Always"}],
    "volumes": [
        {"name": "data", "emptyDir": {"sizeLimit": "1Gi"}},
        {"name": "conf", "configMap": {"name": "x", "items": [{"key": "a", "path": "b"}]}},
        {"name": "sec", "secret": {"secretName": "x"}},
        {"name": "host", "hostPath": {"path": "/x"}},
        {"name": "claim", "persistentVolumeClaim": {"claimName": "x"}},
        {
            "name": "proj",
            "projected": {
                "sources": [
                    {"serviceAccountToken": {"path": "t"}},
                    {"downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
                    {"configMap": {"name": "x"}},
                ]
            },
        },
        {"name": "eph", "ephemeral": {"volumeClaimTemplate": {"spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}}},
        {"name": "nfs", "nfs": {"server": "a", "path": "/b"}},
        {"name": "csi", "csi": {"driver": "example.com"}},
    ],
    "nodeSelector": {"a": "b"},
    "tolerations": [{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 3}],
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}]
            },
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 1, "preference": {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}]}}
            ],
        },
        "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {"labelSelector": {"matchLabels": {"a": "b"}}, "topologyKey": "zone"}
            ],
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 1, "podAffinityTerm": {"topologyKey": "zone", "namespaces": ["x"]}}
            ],
        },
    },
    "topologySpreadConstraints": [
        {
            "maxSkew": 1,
            "topologyKey": "zone",
            "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"a": "b"}},
        }
    ],
    "securityContext": {"runAsNonRoot": True, "fsGroup": 1, "sysctls": [{"name": "net.x", "value": "1"}]},
    "imagePullSecrets": [{"name": "x"}],
    "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["a.b"]}],
    "dnsConfig": {"nameservers": ["10.0.0.1"], "searches": ["a.b"], "options": [{"name": "ndots", "value": "1"}]},
    "readinessGates": [{"conditionType": "a.b/c"}],
    "schedulingGates": [{"name": "a.b/c"}],
    "priorityClassName": "high",
    "serviceAccountName": "x",
    "hostname": "h",
    "subdomain": "s",
    "activeDeadlineSeconds": 10,
    "overhead": {"cpu": "1"},
    "runtimeClassName": "x",
    "os": {"name": "linux"},
    "resourceClaims": [{"name": "r", "resourceClaimName": "rc"}],
}  # fmt: skip
LABELS = {"app": "web"}
TEMPLATE = {"metadata": {"labels": LABELS}, "spec": POD}
RICH_TEMPLATE = {"metadata": {"labels": LABELS, "annotations": {"a": "b"}}, "spec": {
    key: value for key, value in RICH_POD.items() if key not in ("activeDeadlineSeconds",)}}  # fmt: skip
SELECTOR = {"matchLabels": LABELS, "matchExpressions": [{"key": "app", "operator": "Exists"}]}
JOB_POD = POD | {"restartPolicy": "Never"}
JOB = {"template": {"spec": JOB_POD}}

SEEDS: dict[str, list[dict[str, Any]]] = {
    "Pod": [{"spec": POD}, {"metadata": {"labels": LABELS, "annotations": {"a/b": "c"}}, "spec": RICH_POD}],
    "PodTemplate": [{"template": TEMPLATE}, {"template": RICH_TEMPLATE}],
    "ReplicationController": [{"spec": {"selector": LABELS, "template": TEMPLATE}}],
    "Deployment": [
        {"spec": {"selector": SELECTOR, "template": TEMPLATE, "strategy": {"rollingUpdate": {"maxSurge": 1}}}},
        {
            "spec": {
                "selector": SELECTOR,
                "template": RICH_TEMPLATE,
                "replicas": 3,
                "minReadySeconds": 5,
                "paused": True,
            }
        },
    ],
    "ReplicaSet": [{"spec": {"selector": SELECTOR, "template": TEMPLATE, "replicas": 2}}],
    "DaemonSet": [
        {
            "spec": {
                "selector": SELECTOR,
                "template": TEMPLATE,
                "updateStrategy": {"rollingUpdate": {"maxUnavailable": 1}},
            }
        }
    ],
    "StatefulSet": [
        {"spec": {"selector": SELECTOR, "template": TEMPLATE, "serviceName": "x"}},
        {
            "spec": {
                "selector": SELECTOR,
                "template": TEMPLATE,
                "serviceName": "x",
                "replicas": 2,
                "ordinals": {"start": 1},
                "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}},
                "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete"},
                "volumeClaimTemplates": [
                    {
                        "metadata": {"name": "data"},
                        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
                    }
                ],
            }
        },
    ],
    "ControllerRevision": [{"data": {"x": 1}, "revision": 1}],
    "Job": [
        {"spec": JOB},
        {
            "spec": JOB
            | {
                "completionMode": "Indexed",
                "completions": 3,
                "parallelism": 2,
                "backoffLimitPerIndex": 1,
                "maxFailedIndexes": 1,
                "activeDeadlineSeconds": 10,
                "ttlSecondsAfterFinished": 1,
                "podFailurePolicy": {
                    "rules": [
                        {
                            "action": "FailJob",
                            "onExitCodes": {"containerName": "c", "operator": "In", "values": [1, 2]},
                        },
                        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]},
                    ]
                },
                "successPolicy": {"rules": [{"succeededIndexes": "0-1", "succeededCount": 1}]},
                "managedBy": "example.com/x",
            }
        },
    ],
    "CronJob": [
        {"spec": {"schedule": "* * * * *", "jobTemplate": {"spec": JOB}}},
        {
            "spec": {
                "schedule": "@hourly",
                "timeZone": "Etc/UTC",
                "startingDeadlineSeconds": 5,
                "concurrencyPolicy": "Forbid",
                "jobTemplate": {"metadata": {"labels": LABELS}, "spec": JOB},
            }
        },
    ],
    "Service": [
        {"spec": {"ports": [{"port": 80}], "selector": LABELS}},
        {
            "spec": {
                "type": "LoadBalancer",
                "selector": LABELS,
                "ports": [
                    {"name": "a", "port": 80, "targetPort": "http", "nodePort": 30000, "appProtocol": "http"},
                    {"name": "b", "port": 81, "protocol": "UDP"},
                ],
                "sessionAffinity": "ClientIP",
                "externalIPs": ["1.2.3.4"],
                "loadBalancerSourceRanges": ["10.0.0.0/8"],
                "externalTrafficPolicy": "Local",
                "healthCheckNodePort": 30001,
                "loadBalancerClass": "a.b/c",
            }
        },
        {"spec": {"clusterIP": "None", "selector": LABELS}},
        {"spec": {"type": "ExternalName", "externalName": "example.com"}},
        {
            "spec": {
                "clusterIP": "10.96.0.7",
                "clusterIPs": ["10.96.0.7"],
                "ipFamilies": ["IPv4"],
                "ipFamilyPolicy": "SingleStack",
                "ports": [{"port": 80}],
            }
        },
    ],
    "Endpoints": [
        {
            "subsets": [
                {
                    "addresses": [{"ip": "1.2.3.4", "hostname": "a"}],
                    "notReadyAddresses": [{"ip": "1.2.3.5"}],
                    "ports": [{"name": "a", "port": 80}, {"name": "b", "port": 81}],
                }
            ]
        }
    ],
    "EndpointSlice": [
        {
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["1.2.3.4"], "hostname": "a", "hints": {"forZones": [{"name": "z"}]}}],
            "ports": [{"name": "a", "port": 80}, {"name": "b", "port": 81, "appProtocol": "http"}],
        },
        {"addressType": "FQDN", "endpoints": [{"addresses": ["example.com"]}], "ports": []},
    ],
    "Namespace": [{}, {"metadata": {"labels": LABELS}, "spec": {"finalizers": ["kubernetes"]}}],
    "Node": [
        {},
        {
            "metadata": {"labels": LABELS},
            "spec": {
                "podCIDR": "10.0.0.0/24",
                "podCIDRs": ["10.0.0.0/24"],
                "providerID": "a://b",
                "taints": [{"key": "a", "value": "b", "effect": "NoSchedule"}],
            },
        },
    ],
    "Event": [
        {"involvedObject": {"kind": "Pod", "namespace": "default", "name": "x"}, "reason": "x", "type": "Normal"},
        {
            "involvedObject": {"kind": "Pod", "namespace": "default", "name": "x"},
            "eventTime": "2026-01-01T00:00:00.000000Z",
            "reportingComponent": "a.b/c",
            "reportingInstance": "i",
            "action": "a",
            "reason": "r",
            "type": "Warning",
        },
    ],
    "ConfigMap": [{"data": {"a": "b"}}, {"data": {"a": "b"}, "binaryData": {"c": "eA=="}, "immutable": True}],
    "Secret": [
        {"data": {"a": "eA=="}},
        {"type": "kubernetes.io/tls", "data": {"tls.crt": "", "tls.key": ""}},
        {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": "e30="}},
        {"type": "kubernetes.io/basic-auth", "stringData": {"username": "a"}, "immutable": True},
    ],
    "ServiceAccount": [{}, {"secrets": [{"name": "a"}], "imagePullSecrets": [{"name": "b"}]}],
    "LimitRange": [
        {
            "spec": {
                "limits": [
                    {
                        "type": "Container",
                        "max": {"cpu": "2"},
                        "min": {"cpu": "100m"},
                        "default": {"cpu": "1"},
                        "defaultRequest": {"cpu": "500m"},
                        "maxLimitRequestRatio": {"cpu": "10"},
                    },
                    {"type": "Pod", "max": {"memory": "1Gi"}},
                    {"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}},
                ]
            }
        }
    ],
    "ResourceQuota": [
        {"spec": {"hard": {"pods": "1", "requests.cpu": "1", "count/deployments.apps": "2"}}},
        {
            "spec": {
                "hard": {"pods": "1"},
                "scopes": ["BestEffort"],
                "scopeSelector": {
                    "matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]
                },
            }
        },
    ],
    "PersistentVolume": [
        {
            "spec": {
                "capacity": {"storage": "1Gi"},
                "accessModes": ["ReadWriteOnce"],
                "hostPath": {"path": "/x"},
                "claimRef": {"namespace": "default", "name": "x"},
                "storageClassName": "fast",
                "mountOptions": ["a"],
            }
        },
        {
            "spec": {
                "capacity": {"storage": "1Gi"},
                "accessModes": ["ReadWriteOnce"],
                "local": {"path": "/x"},
                "nodeAffinity": {
                    "required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Exists"}]}]}
                },
            }
        },
        {
            "spec": {
                "capacity": {"storage": "1Gi"},
                "accessModes": ["ReadWriteOnce"],
                "csi": {"driver": "example.com", "volumeHandle": "x"},
            }
        },
    ],
    "PersistentVolumeClaim": [
        {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}},
        {
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}},
                "storageClassName": "fast",
                "selector": SELECTOR,
                "dataSource": {"kind": "PersistentVolumeClaim", "name": "y"},
                "volumeAttributesClassName": "x",
            }
        },
    ],
    "HorizontalPodAutoscaler": [
        {"spec": {"scaleTargetRef": {"kind": "Deployment", "name": "x", "apiVersion": "apps/v1"}, "maxReplicas": 5}},
        {
            "spec": {
                "scaleTargetRef": {"kind": "Deployment", "name": "x"},
                "maxReplicas": 5,
                "minReplicas": 2,
                "metrics": [
                    {
                        "type": "Resource",
                        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 5}},
                    },
                    {
                        "type": "Pods",
                        "pods": {"metric": {"name": "m"}, "target": {"type": "AverageValue", "averageValue": "1"}},
                    },
                    {
                        "type": "Object",
                        "object": {
                            "metric": {"name": "m"},
                            "describedObject": {"kind": "Pod", "name": "x"},
                            "target": {"type": "Value", "value": "1"},
                        },
                    },
                    {
                        "type": "External",
                        "external": {"metric": {"name": "m"}, "target": {"type": "Value", "value": "1"}},
                    },
                    {
                        "type": "ContainerResource",
                        "containerResource": {
                            "name": "cpu",
                            "container": "c",
                            "target": {"type": "Utilization", "averageUtilization": 5},
                        },
                    },
                ],
                "behavior": {
                    "scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 5}], "selectPolicy": "Min"},
                    "scaleDown": {"stabilizationWindowSeconds": 5},
                },
            }
        },
    ],
    "PodDisruptionBudget": [
        {"spec": {"selector": SELECTOR, "minAvailable": 1}},
        {"spec": {"selector": SELECTOR, "maxUnavailable": "50%", "unhealthyPodEvictionPolicy": "AlwaysAllow"}},
    ],
    "Ingress": [
        {"spec": {"defaultBackend": {"service": {"name": "a", "port": {"number": 80}}}}},
        {
            "spec": {
                "ingressClassName": "x",
                "tls": [{"hosts": ["a.example.com"], "secretName": "s"}],
                "rules": [
                    {
                        "host": "a.example.com",
                        "http": {
                            "paths": [
                                {
                                    "path": "/",
                                    "pathType": "Prefix",
                                    "backend": {"service": {"name": "a", "port": {"name": "b"}}},
                                },
                                {
                                    "path": "/x",
                                    "pathType": "Exact",
                                    "backend": {"resource": {"kind": "a", "name": "b", "apiGroup": "c.d"}},
                                },
                            ]
                        },
                    }
                ],
            }
        },
    ],
    "IngressClass": [
        {"spec": {"controller": "example.com/x"}},
        {
            "spec": {
                "controller": "example.com/x",
                "parameters": {"kind": "a", "name": "b", "scope": "Namespace", "namespace": "c", "apiGroup": "d.e"},
            }
        },
    ],
    "NetworkPolicy": [
        {"spec": {"podSelector": {}}},
        {
            "spec": {
                "podSelector": SELECTOR,
                "policyTypes": ["Ingress", "Egress"],
                "ingress": [
                    {
                        "ports": [{"port": 80, "endPort": 90}, {"port": "http", "protocol": "UDP"}],
                        "from": [
                            {"podSelector": SELECTOR},
                            {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}},
                        ],
                    }
                ],
                "egress": [{"to": [{"namespaceSelector": SELECTOR}]}],
            }
        },
    ],
    "ServiceCIDR": [{"spec": {"cidrs": ["10.0.0.0/16"]}}, {"spec": {"cidrs": ["10.0.0.0/16", "fd00::/112"]}}],
    "IPAddress": [
        {
            "metadata": {"name": "10.0.0.1"},
            "spec": {"parentRef": {"resource": "services", "namespace": "default", "name": "a"}},
        }
    ],
    "RuntimeClass": [
        {"handler": "runc"},
        {
            "handler": "runc",
            "overhead": {"podFixed": {"cpu": "1"}},
            "scheduling": {"nodeSelector": {"a": "b"}, "tolerations": [{"key": "a", "operator": "Exists"}]},
        },
    ],
    "Role": [
        {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"], "resourceNames": ["a"]}]},
    ],
    "ClusterRole": [
        {
            "rules": [
                {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]},
                {"nonResourceURLs": ["/x"], "verbs": ["get"]},
            ],
            "aggregationRule": {"clusterRoleSelectors": [SELECTOR]},
        }
    ],
    "RoleBinding": [
        {
            "subjects": [
                {"kind": "User", "name": "a"},
                {"kind": "Group", "name": "g"},
                {"kind": "ServiceAccount", "name": "s", "namespace": "n"},
            ],
            "roleRef": {"kind": "Role", "name": "r", "apiGroup": "rbac.authorization.k8s.io"},
        }
    ],
    "ClusterRoleBinding": [
        {
            "subjects": [{"kind": "User", "name": "a"}, {"kind": "ServiceAccount", "name": "s", "namespace": "n"}],
            "roleRef": {"kind": "ClusterRole", "name": "r", "apiGroup": "rbac.authorization.k8s.io"},
        }
    ],
    "PriorityClass": [
        {"value": 10},
        {"value": 10, "globalDefault": True, "preemptionPolicy": "Never", "description": "x"},
    ],
    "StorageClass": [
        {"provisioner": "example.com/x"},
        {
            "provisioner": "example.com/x",
            "parameters": {"a": "b"},
            "reclaimPolicy": "Retain",
            "mountOptions": ["a"],
            "allowVolumeExpansion": True,
            "volumeBindingMode": "WaitForFirstConsumer",
            "allowedTopologies": [{"matchLabelExpressions": [{"key": "a", "values": ["b"]}]}],
        },
    ],
    "CSIDriver": [
        {"metadata": {"name": "example.com"}, "spec": {}},
        {
            "metadata": {"name": "example.com"},
            "spec": {
                "attachRequired": True,
                "podInfoOnMount": True,
                "fsGroupPolicy": "File",
                "volumeLifecycleModes": ["Persistent", "Ephemeral"],
                "tokenRequests": [{"audience": "a", "expirationSeconds": 600}],
                "requiresRepublish": True,
            },
        },
    ],
    "CSINode": [
        {
            "spec": {
                "drivers": [{"name": "example.com", "nodeID": "n", "topologyKeys": ["a"], "allocatable": {"count": 1}}]
            }
        }
    ],
    "CSIStorageCapacity": [
        {"storageClassName": "fast", "capacity": "1Gi", "nodeTopology": SELECTOR, "maximumVolumeSize": "1Gi"}
    ],
    "VolumeAttachment": [
        {"spec": {"attacher": "example.com", "nodeName": "n", "source": {"persistentVolumeName": "p"}}},
    ],
    "VolumeAttributesClass": [{"driverName": "example.com", "parameters": {"a": "b"}}],
    "Lease": [
        {"spec": {"holderIdentity": "a", "leaseDurationSeconds": 5}},
        {"spec": {"holderIdentity": "a", "leaseTransitions": 1, "renewTime": "2026-01-01T00:00:00.000000Z"}},
    ],
    "FlowSchema": [
        {
            "spec": {
                "priorityLevelConfiguration": {"name": "x"},
                "matchingPrecedence": 100,
                "distinguisherMethod": {"type": "ByUser"},
                "rules": [
                    {
                        "subjects": [
                            {"kind": "User", "user": {"name": "a"}},
                            {"kind": "Group", "group": {"name": "g"}},
                            {"kind": "ServiceAccount", "serviceAccount": {"name": "s", "namespace": "n"}},
                        ],
                        "resourceRules": [
                            {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "namespaces": ["n"]}
                        ],
                        "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/x"]}],
                    }
                ],
            }
        }
    ],
    "PriorityLevelConfiguration": [
        {
            "spec": {
                "type": "Limited",
                "limited": {
                    "nominalConcurrencyShares": 5,
                    "limitResponse": {"type": "Queue", "queuing": {"queues": 8, "handSize": 2, "queueLengthLimit": 5}},
                },
            }
        },
        {"spec": {"type": "Limited", "limited": {"limitResponse": {"type": "Reject"}}}},
    ],
    "CertificateSigningRequest": [
        {
            "spec": {
                "request": "eA==",
                "signerName": "example.com/x",
                "usages": ["client auth"],
                "expirationSeconds": 600,
            }
        }
    ],
    "ValidatingWebhookConfiguration": [
        {
            "webhooks": [
                {
                    "name": "a.example.com",
                    "clientConfig": {"url": "https://example.com/x"},
                    "rules": [
                        {
                            "apiGroups": ["*"],
                            "apiVersions": ["v1"],
                            "operations": ["CREATE"],
                            "resources": ["pods"],
                            "scope": "*",
                        }
                    ],
                    "sideEffects": "None",
                    "admissionReviewVersions": ["v1"],
                    "failurePolicy": "Ignore",
                    "timeoutSeconds": 5,
                    "namespaceSelector": SELECTOR,
                },
                {
                    "name": "b.example.com",
                    "clientConfig": {"service": {"name": "s", "namespace": "n", "path": "/x"}, "caBundle": ""},
                    "sideEffects": "NoneOnDryRun",
                    "admissionReviewVersions": ["v1", "v1beta1"],
                },
            ]
        }
    ],
    "ValidatingAdmissionPolicy": [
        {
            "spec": {
                "matchConstraints": {
                    "resourceRules": [
                        {
                            "apiGroups": ["apps"],
                            "apiVersions": ["v1"],
                            "operations": ["CREATE"],
                            "resources": ["deployments"],
                        }
                    ]
                },
                "validations": [{"expression": "true", "message": "x", "reason": "Invalid"}],
                "failurePolicy": "Fail",
            }
        }
    ],
    "ValidatingAdmissionPolicyBinding": [
        {"spec": {"policyName": "p", "validationActions": ["Deny"]}},
        {
            "spec": {
                "policyName": "p",
                "validationActions": ["Warn", "Audit"],
                "paramRef": {"name": "x", "parameterNotFoundAction": "Deny"},
                "matchResources": {"namespaceSelector": SELECTOR},
            }
        },
    ],
    "DeviceClass": [
        {"spec": {}},
        {
            "spec": {
                "selectors": [{"cel": {"expression": "true"}}],
                "config": [{"opaque": {"driver": "a.b", "parameters": {"x": 1}}}],
            }
        },
    ],
    "ResourceClaim": [
        {"spec": {"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "x"}}]}}},
        {
            "spec": {
                "devices": {
                    "requests": [
                        {
                            "name": "r",
                            "exactly": {"deviceClassName": "x", "allocationMode": "All", "adminAccess": False},
                        },
                        {"name": "s", "firstAvailable": [{"name": "t", "deviceClassName": "x", "count": 2}]},
                    ],
                    "constraints": [{"requests": ["r"], "matchAttribute": "a.b/c"}],
                    "config": [{"requests": ["r"], "opaque": {"driver": "a.b", "parameters": {"x": 1}}}],
                }
            }
        },
    ],
    "ResourceClaimTemplate": [
        {"spec": {"spec": {"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "x"}}]}}}}
    ],
    "ResourceSlice": [
        {
            "spec": {
                "driver": "a.b",
                "nodeName": "n",
                "pool": {"name": "p", "generation": 1, "resourceSliceCount": 1},
                "devices": [{"name": "d", "attributes": {"x": {"int": 1}}, "capacity": {"m": {"value": "1Gi"}}}],
            }
        }
    ],
}
SEEDS["MutatingWebhookConfiguration"] = SEEDS["ValidatingWebhookConfiguration"]
