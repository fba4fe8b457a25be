"""Which strategy a built-in kind has. Called by the registry; imports one when the kind is first used."""

from __future__ import annotations

from importlib import import_module

from styr.api.builtin.tables import Kind
from styr.api.strategies.base import BuiltinStrategy, TypedStrategy

_HOMES = {
    "core": "namespaces:Namespace configmaps:ConfigMap secrets:Secret serviceaccounts:ServiceAccount "
    "controllerrevisions.apps:ControllerRevision",
    "quota": "limitranges:LimitRange resourcequotas:ResourceQuota",
    "endpoints": "endpoints:Endpoints endpointslices.discovery.k8s.io:EndpointSlice",
    "nodes": "nodes:Node runtimeclasses.node.k8s.io:RuntimeClass leases.coordination.k8s.io:Lease events:Event "
    "events.events.k8s.io:NewEvent",
    "networking": "networkpolicies.networking.k8s.io:NetworkPolicy ingressclasses.networking.k8s.io:IngressClass "
    "servicecidrs.networking.k8s.io:ServiceCIDR ipaddresses.networking.k8s.io:IPAddress",
    "ingress": "ingresses.networking.k8s.io:Ingress",
    "rbac": "roles.rbac.authorization.k8s.io:Role clusterroles.rbac.authorization.k8s.io:Role "
    "rolebindings.rbac.authorization.k8s.io:Binding clusterrolebindings.rbac.authorization.k8s.io:Binding",
    "volumes": "persistentvolumes:PersistentVolume persistentvolumeclaims:PersistentVolumeClaim",
    "storage": "storageclasses.storage.k8s.io:StorageClass volumeattachments.storage.k8s.io:VolumeAttachment "
    "volumeattributesclasses.storage.k8s.io:VolumeAttributesClass csinodes.storage.k8s.io:CSINode "
    "csidrivers.storage.k8s.io:CSIDriver csistoragecapacities.storage.k8s.io:CSIStorageCapacity "
    "priorityclasses.scheduling.k8s.io:PriorityClass",
    "autoscaling": "horizontalpodautoscalers.autoscaling:HorizontalPodAutoscaler "
    "poddisruptionbudgets.policy:PodDisruptionBudget",
    "webhooks": "mutatingwebhookconfigurations.admissionregistration.k8s.io:MutatingWebhook "
    "validatingwebhookconfigurations.admissionregistration.k8s.io:ValidatingWebhook",
    "admissionpolicies": "validatingadmissionpolicies.admissionregistration.k8s.io:ValidatingPolicy "
    "validatingadmissionpolicybindings.admissionregistration.k8s.io:ValidatingBinding "
    "mutatingadmissionpolicies.admissionregistration.k8s.io:MutatingPolicy "
    "mutatingadmissionpolicybindings.admissionregistration.k8s.io:MutatingBinding",
    "devices": "deviceclasses.resource.k8s.io:DeviceClass resourceclaims.resource.k8s.io:ResourceClaim "
    "resourceclaimtemplates.resource.k8s.io:ResourceClaimTemplate resourceslices.resource.k8s.io:ResourceSlice",
    "api_service": "apiservices.apiregistration.k8s.io:ApiService",
    "flowcontrol": "flowschemas.flowcontrol.apiserver.k8s.io:FlowSchema "
    "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io:PriorityLevel",
    "certificates": "certificatesigningrequests.certificates.k8s.io:Csr",
    "pod": "pods:Pod",
    "service": "services:Service",
    "workloads": "deployments.apps:Deployment replicasets.apps:ReplicaSet replicationcontrollers:ReplicationController "
    "daemonsets.apps:DaemonSet podtemplates:PodTemplate",
    "statefulset": "statefulsets.apps:StatefulSet",
    "batch": "jobs.batch:Job cronjobs.batch:CronJob",
    "custom": "customresourcedefinitions.apiextensions.k8s.io:Crd",
}
_WHERE = {entry.split(":")[0]: (home, entry.split(":")[1]) for home, names in _HOMES.items() for entry in names.split()}


def builtin_strategy(kind: Kind) -> BuiltinStrategy:
    """A kind without rules of its own is read, defaulted, and its metadata checked."""
    home, name = _WHERE.get(kind.resource.group_resource, ("", ""))
    if not home:
        return TypedStrategy(kind)
    found: type[BuiltinStrategy] = getattr(import_module(f"styr.api.strategies.{home}"), f"{name}Strategy")
    return found(kind)
