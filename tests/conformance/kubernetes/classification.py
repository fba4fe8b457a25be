"""What is not ported, and why; and what is ported but cannot pass yet, and why. Facts only: a test checks that every
behaviour of the list is accounted for once.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Standing:
    """`needs` is a key of NEEDS; `what` is what of it, in a few words."""

    needs: str
    what: str


NEEDS = {
    "pods": "need running pods, but only what processes can do",
    "containers": "need mounts, user ids, networks or images of their own: containers",
    "cluster": "need what one machine cannot be",
}


def pods(what: str) -> Standing:
    return Standing("pods", what)


def containers(what: str) -> Standing:
    return Standing("containers", what)


_LATER = "a kind that became stable after Kubernetes 1.35"
MISSING: dict[tuple[str, ...], str] = {
    ("PodCertificateRequest API operations",): _LATER,
    ("CRUD operations for clustertrustbundles",): _LATER,
    ("CRUD operations for devicetaintrules",): _LATER,
    ("CRUD operations for storageversionmigrations",): _LATER,
}
"""Ported behaviours that fail for a feature that is not there. Their tests must fail until it is."""

BY_NAME: dict[tuple[str, ...], Standing] = {
    ("EndpointSlice, multiple IPs, multiple ports",): containers("traffic to service addresses"),
    ("EndpointSlice, single IP, multiple ports",): containers("traffic to service addresses"),
    ("Service Account Tokens Must AutoMount",): containers("volumes at absolute paths"),
    ("TokenRequestProjection should mount a projected volume with token using TokenRequest API.",): containers(
        "volumes at absolute paths"
    ),
    ("VolumeSubpathEnvExpansion, subpath expansion",): containers("volumes at absolute paths"),
    ("VolumeSubpathEnvExpansion, subpath with absolute path",): containers("volumes at absolute paths"),
    ("VolumeSubpathEnvExpansion, subpath with backticks",): containers("volumes at absolute paths"),
    ("VolumeSubpathEnvExpansion, subpath test writes",): containers("volumes at absolute paths"),
    ("VolumeSubpathEnvExpansion, subpath ready from failed state",): containers("volumes at absolute paths"),
    ("Kubelet, pod with read only root file system",): containers("user ids, capabilities, a read-only root"),
    ("Kubelet, hostAliases",): containers("an /etc/hosts of its own"),
    ("Kubelet, log output, default",): pods("logs"),
    ("Container Runtime, TerminationMessagePath, non-root user and non-default path",): containers("user ids"),
    ("Pods, ActiveDeadlineSeconds",): pods("a pod that runs out of time"),
    ("Pods, service environment variables",): pods("environment"),
}

_E2E = "test/e2e/"
BY_FILE: dict[str, Standing] = {
    _E2E + file: standing
    for standing, files in {
        containers("volumes at absolute paths"): (
            "common/storage/configmap_volume.go",
            "common/storage/downwardapi_volume.go",
            "common/storage/empty_dir.go",
            "common/storage/projected_combined.go",
            "common/storage/projected_configmap.go",
            "common/storage/projected_downwardapi.go",
            "common/storage/projected_secret.go",
            "common/storage/secrets_volume.go",
            "storage/empty_dir_wrapper.go",
            "storage/subpath.go",
            "common/node/image_volume.go",
            "auth/projected_clustertrustbundle.go",
            "auth/projected_podcertificate.go",
        ),
        containers("user ids, capabilities, a read-only root"): (
            "common/node/security_context.go",
            "node/security_context.go",
        ),
        containers("control groups"): ("common/node/pod_resize.go",),
        containers("kernel settings of its own"): ("common/node/sysctl.go",),
        containers("an /etc/hosts of its own"): ("common/node/kubelet_etc_hosts.go",),
        containers("a network of pods"): ("common/network/networking.go", "network/hostport.go"),
        containers("names resolved inside pods"): ("network/dns.go",),
        containers("traffic to service addresses"): ("network/service.go",),
        pods("command and arguments"): ("common/node/containers.go", "common/node/expansion.go"),
        pods("environment"): (
            "common/node/configmap.go",
            "common/node/secrets.go",
            "common/node/downwardapi.go",
        ),
        pods("probes"): ("common/node/container_probe.go",),
        pods("init containers"): ("common/node/init_container.go",),
        pods("hooks"): ("common/node/lifecycle_hook.go", "node/pre_stop.go"),
        pods("exit, restart, termination messages"): ("common/node/runtime.go", "common/node/kubelet.go"),
        pods("exec and logs"): ("common/node/pods.go",),
        pods("exec"): ("common/node/ephemeral_containers.go",),
        pods("traffic through the API server"): ("network/proxy.go",),
        pods("the StatefulSet controller"): ("apps/statefulset.go",),
        pods("the DaemonSet controller"): ("apps/daemon_set.go",),
        pods("the Job controller"): ("apps/job.go",),
        pods("the CronJob and Job controllers"): ("apps/cronjob.go",),
        pods("logs, exec or traffic"): ("kubectl/kubectl.go", "kubectl/logs.go"),
        pods("preemption"): ("scheduling/preemption.go",),
        Standing("cluster", "two nodes that take any pod"): ("architecture/conformance.go",),
    }.items()
    for file in files
}
