package main

import (
	"k8s.io/kubernetes/pkg/registry/admissionregistration/mutatingadmissionpolicy"
	"k8s.io/kubernetes/pkg/registry/admissionregistration/mutatingadmissionpolicybinding"
	"k8s.io/kubernetes/pkg/registry/admissionregistration/mutatingwebhookconfiguration"
	"k8s.io/kubernetes/pkg/registry/admissionregistration/validatingadmissionpolicy"
	"k8s.io/kubernetes/pkg/registry/admissionregistration/validatingadmissionpolicybinding"
	"k8s.io/kubernetes/pkg/registry/admissionregistration/validatingwebhookconfiguration"
	"k8s.io/kubernetes/pkg/registry/apps/controllerrevision"
	"k8s.io/kubernetes/pkg/registry/apps/daemonset"
	"k8s.io/kubernetes/pkg/registry/apps/deployment"
	"k8s.io/kubernetes/pkg/registry/apps/replicaset"
	"k8s.io/kubernetes/pkg/registry/apps/statefulset"
	"k8s.io/kubernetes/pkg/registry/autoscaling/horizontalpodautoscaler"
	"k8s.io/kubernetes/pkg/registry/batch/cronjob"
	"k8s.io/kubernetes/pkg/registry/batch/job"
	"k8s.io/kubernetes/pkg/registry/certificates/certificates"
	"k8s.io/kubernetes/pkg/registry/coordination/lease"
	"k8s.io/kubernetes/pkg/registry/core/configmap"
	"k8s.io/kubernetes/pkg/registry/core/endpoint"
	"k8s.io/kubernetes/pkg/registry/core/event"
	"k8s.io/kubernetes/pkg/registry/core/limitrange"
	"k8s.io/kubernetes/pkg/registry/core/namespace"
	"k8s.io/kubernetes/pkg/registry/core/node"
	"k8s.io/kubernetes/pkg/registry/core/persistentvolume"
	"k8s.io/kubernetes/pkg/registry/core/persistentvolumeclaim"
	"k8s.io/kubernetes/pkg/registry/core/pod"
	"k8s.io/kubernetes/pkg/registry/core/podtemplate"
	"k8s.io/kubernetes/pkg/registry/core/replicationcontroller"
	"k8s.io/kubernetes/pkg/registry/core/resourcequota"
	"k8s.io/kubernetes/pkg/registry/core/secret"
	"k8s.io/kubernetes/pkg/registry/core/service"
	"k8s.io/kubernetes/pkg/registry/core/serviceaccount"
	"k8s.io/kubernetes/pkg/registry/discovery/endpointslice"
	"k8s.io/kubernetes/pkg/registry/flowcontrol/flowschema"
	"k8s.io/kubernetes/pkg/registry/flowcontrol/prioritylevelconfiguration"
	"k8s.io/kubernetes/pkg/registry/networking/ingress"
	"k8s.io/kubernetes/pkg/registry/networking/ingressclass"
	"k8s.io/kubernetes/pkg/registry/networking/ipaddress"
	"k8s.io/kubernetes/pkg/registry/networking/networkpolicy"
	"k8s.io/kubernetes/pkg/registry/networking/servicecidr"
	"k8s.io/kubernetes/pkg/registry/node/runtimeclass"
	"k8s.io/kubernetes/pkg/registry/policy/poddisruptionbudget"
	"k8s.io/kubernetes/pkg/registry/rbac/clusterrole"
	"k8s.io/kubernetes/pkg/registry/rbac/clusterrolebinding"
	"k8s.io/kubernetes/pkg/registry/rbac/role"
	"k8s.io/kubernetes/pkg/registry/rbac/rolebinding"
	"k8s.io/kubernetes/pkg/registry/resource/deviceclass"
	"k8s.io/kubernetes/pkg/registry/resource/resourceclaim"
	"k8s.io/kubernetes/pkg/registry/resource/resourceclaimtemplate"
	"k8s.io/kubernetes/pkg/registry/resource/resourceslice"
	"k8s.io/kubernetes/pkg/registry/scheduling/priorityclass"
	"k8s.io/kubernetes/pkg/registry/storage/csidriver"
	"k8s.io/kubernetes/pkg/registry/storage/csinode"
	"k8s.io/kubernetes/pkg/registry/storage/csistoragecapacity"
	"k8s.io/kubernetes/pkg/registry/storage/storageclass"
	"k8s.io/kubernetes/pkg/registry/storage/volumeattachment"
	"k8s.io/kubernetes/pkg/registry/storage/volumeattributesclass"

	_ "k8s.io/kubernetes/pkg/apis/admissionregistration/install"
	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	_ "k8s.io/kubernetes/pkg/apis/authentication/install"
	_ "k8s.io/kubernetes/pkg/apis/authorization/install"
	_ "k8s.io/kubernetes/pkg/apis/autoscaling/install"
	_ "k8s.io/kubernetes/pkg/apis/batch/install"
	_ "k8s.io/kubernetes/pkg/apis/certificates/install"
	_ "k8s.io/kubernetes/pkg/apis/coordination/install"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	_ "k8s.io/kubernetes/pkg/apis/discovery/install"
	_ "k8s.io/kubernetes/pkg/apis/events/install"
	_ "k8s.io/kubernetes/pkg/apis/flowcontrol/install"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	_ "k8s.io/kubernetes/pkg/apis/node/install"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
	_ "k8s.io/kubernetes/pkg/apis/rbac/install"
	_ "k8s.io/kubernetes/pkg/apis/resource/install"
	_ "k8s.io/kubernetes/pkg/apis/scheduling/install"
	_ "k8s.io/kubernetes/pkg/apis/storage/install"
)

// strategies are by group resource, and subresource where it has its own.
var strategies = map[string]any{
	"pods":                                 pod.Strategy,
	"pods/status":                          pod.StatusStrategy,
	"pods/ephemeralcontainers":             pod.EphemeralContainersStrategy,
	"pods/resize":                          pod.ResizeStrategy,
	"services":                             service.Strategy,
	"services/status":                      service.StatusStrategy,
	"namespaces":                           namespace.Strategy,
	"namespaces/status":                    namespace.StatusStrategy,
	"namespaces/finalize":                  namespace.FinalizeStrategy,
	"nodes":                                node.Strategy,
	"nodes/status":                         node.StatusStrategy,
	"events":                               event.Strategy,
	"events.events.k8s.io":                 event.Strategy,
	"configmaps":                           configmap.Strategy,
	"secrets":                              secret.Strategy,
	"serviceaccounts":                      serviceaccount.Strategy,
	"endpoints":                            endpoint.Strategy,
	"limitranges":                          limitrange.Strategy,
	"resourcequotas":                       resourcequota.Strategy,
	"resourcequotas/status":                resourcequota.StatusStrategy,
	"persistentvolumes":                    persistentvolume.Strategy,
	"persistentvolumes/status":             persistentvolume.StatusStrategy,
	"persistentvolumeclaims":               persistentvolumeclaim.Strategy,
	"persistentvolumeclaims/status":        persistentvolumeclaim.StatusStrategy,
	"podtemplates":                         podtemplate.Strategy,
	"replicationcontrollers":               replicationcontroller.Strategy,
	"replicationcontrollers/status":        replicationcontroller.StatusStrategy,
	"controllerrevisions.apps":             controllerrevision.Strategy,
	"daemonsets.apps":                      daemonset.Strategy,
	"daemonsets.apps/status":               daemonset.StatusStrategy,
	"deployments.apps":                     deployment.Strategy,
	"deployments.apps/status":              deployment.StatusStrategy,
	"replicasets.apps":                     replicaset.Strategy,
	"replicasets.apps/status":              replicaset.StatusStrategy,
	"statefulsets.apps":                    statefulset.Strategy,
	"statefulsets.apps/status":             statefulset.StatusStrategy,
	"horizontalpodautoscalers.autoscaling": horizontalpodautoscaler.Strategy,
	"horizontalpodautoscalers.autoscaling/status": horizontalpodautoscaler.StatusStrategy,
	"cronjobs.batch":        cronjob.Strategy,
	"cronjobs.batch/status": cronjob.StatusStrategy,
	"jobs.batch":            job.Strategy,
	"jobs.batch/status":     job.StatusStrategy,
	"certificatesigningrequests.certificates.k8s.io":                  certificates.Strategy,
	"certificatesigningrequests.certificates.k8s.io/status":           certificates.StatusStrategy,
	"certificatesigningrequests.certificates.k8s.io/approval":         certificates.ApprovalStrategy,
	"leases.coordination.k8s.io":                                      lease.Strategy,
	"endpointslices.discovery.k8s.io":                                 endpointslice.Strategy,
	"flowschemas.flowcontrol.apiserver.k8s.io":                        flowschema.Strategy,
	"flowschemas.flowcontrol.apiserver.k8s.io/status":                 flowschema.StatusStrategy,
	"prioritylevelconfigurations.flowcontrol.apiserver.k8s.io":        prioritylevelconfiguration.Strategy,
	"prioritylevelconfigurations.flowcontrol.apiserver.k8s.io/status": prioritylevelconfiguration.StatusStrategy,
	"ingresses.networking.k8s.io":                                     ingress.Strategy,
	"ingresses.networking.k8s.io/status":                              ingress.StatusStrategy,
	"ingressclasses.networking.k8s.io":                                ingressclass.Strategy,
	"networkpolicies.networking.k8s.io":                               networkpolicy.Strategy,
	"servicecidrs.networking.k8s.io":                                  servicecidr.Strategy,
	"servicecidrs.networking.k8s.io/status":                           servicecidr.StatusStrategy,
	"ipaddresses.networking.k8s.io":                                   ipaddress.Strategy,
	"runtimeclasses.node.k8s.io":                                      runtimeclass.Strategy,
	"poddisruptionbudgets.policy":                                     poddisruptionbudget.Strategy,
	"poddisruptionbudgets.policy/status":                              poddisruptionbudget.StatusStrategy,
	"clusterroles.rbac.authorization.k8s.io":                          clusterrole.Strategy,
	"clusterrolebindings.rbac.authorization.k8s.io":                   clusterrolebinding.Strategy,
	"roles.rbac.authorization.k8s.io":                                 role.Strategy,
	"rolebindings.rbac.authorization.k8s.io":                          rolebinding.Strategy,
	"deviceclasses.resource.k8s.io":                                   deviceclass.Strategy,
	"resourceclaims.resource.k8s.io":                                  resourceclaim.NewStrategy(nil),
	"resourceclaimtemplates.resource.k8s.io":                          resourceclaimtemplate.NewStrategy(nil),
	"resourceslices.resource.k8s.io":                                  resourceslice.Strategy,
	"priorityclasses.scheduling.k8s.io":                               priorityclass.Strategy,
	"csidrivers.storage.k8s.io":                                       csidriver.Strategy,
	"csinodes.storage.k8s.io":                                         csinode.Strategy,
	"csistoragecapacities.storage.k8s.io":                             csistoragecapacity.Strategy,
	"storageclasses.storage.k8s.io":                                   storageclass.Strategy,
	"volumeattachments.storage.k8s.io":                                volumeattachment.Strategy,
	"volumeattachments.storage.k8s.io/status":                         volumeattachment.StatusStrategy,
	"volumeattributesclasses.storage.k8s.io":                          volumeattributesclass.Strategy,
	"mutatingwebhookconfigurations.admissionregistration.k8s.io":      mutatingwebhookconfiguration.Strategy,
	"validatingwebhookconfigurations.admissionregistration.k8s.io":    validatingwebhookconfiguration.Strategy,
	"validatingadmissionpolicies.admissionregistration.k8s.io":        validatingadmissionpolicy.NewStrategy(nil, nil),
	"validatingadmissionpolicybindings.admissionregistration.k8s.io":  validatingadmissionpolicybinding.NewStrategy(nil, nil, nil),
	"mutatingadmissionpolicies.admissionregistration.k8s.io":          mutatingadmissionpolicy.NewStrategy(nil, nil),
	"mutatingadmissionpolicybindings.admissionregistration.k8s.io":    mutatingadmissionpolicybinding.NewStrategy(nil, nil, nil),
}
