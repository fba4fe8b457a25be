"""Pod Security Standards by the labels of a namespace: what is refused, warned of, and left alone."""

from __future__ import annotations

from typing import Any

import pytest

from styr.api.admission.podsecurity.plugin import faults
from styr.api.admission.podsecurity.policy import LATEST, Standard, read
from tests.api.kit import MERGE_PATCH, Api, pod, running

NAMESPACES = "/api/v1/namespaces"
PREFIX = "pod-security.kubernetes.io/"
HARDENED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def hardened(name: str = "p", context: dict[str, Any] | None = None, **spec: Any) -> Any:
    obj = pod(name, **spec)
    obj["spec"]["containers"][0]["securityContext"] = {**HARDENED, **(context or {})}
    return obj


async def labelled(api: Api, **labels: str) -> str:
    made = {f"{PREFIX}{mode.replace('_', '-')}": value for mode, value in labels.items()}
    await api("POST", NAMESPACES, {"metadata": {"name": "n", "labels": made}})
    return f"{NAMESPACES}/n/pods"


def text(level: str, obj: Any, minor: int = LATEST) -> str:
    return ", ".join(f"{fault.reason} ({fault.detail})" for fault in faults(Standard(level, minor), obj))


async def test_what_breaks_enforce_is_refused() -> None:
    async with running() as api:
        pods = await labelled(api, enforce="restricted")
        refused = await api("POST", pods, pod("p"), want=403)
        assert refused["message"] == (
            'pods "p" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false (container '
            '"main" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container "main" '
            'must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or container "main" must set '
            'securityContext.runAsNonRoot=true), seccompProfile (pod or container "main" must set '
            'securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")'
        )
        response = await api.raw("POST", pods, hardened())
        assert response.status == 201
        assert "warning" not in response.headers


async def test_warnings_for_pods_and_for_what_makes_them() -> None:
    async with running() as api:
        await labelled(api, warn="baseline", warn_version="v1.30", enforce="privileged")
        response = await api.raw("POST", f"{NAMESPACES}/n/pods", pod("p", hostNetwork=True))
        assert response.status == 201
        assert (
            'would violate PodSecurity \\"baseline:v1.30\\": host namespaces (hostNetwork=true)'
            in response.headers["warning"]
        )
        template = {"metadata": {"labels": {"a": "b"}}, "spec": pod("x", hostPID=True)["spec"]}
        spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
        response = await api.raw(
            "POST", "/apis/apps/v1/namespaces/n/deployments", {"metadata": {"name": "d"}, "spec": spec}
        )
        assert response.status == 201
        assert "host namespaces (hostPID=true)" in response.headers["warning"]


async def test_who_enforces_is_warned_of_as_much_for_what_makes_pods() -> None:
    async with running() as api:
        await labelled(api, enforce="baseline")
        template = {"metadata": {"labels": {"a": "b"}}, "spec": pod("x", hostPID=True)["spec"]}
        spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
        body = {"metadata": {"name": "d"}, "spec": spec}
        response = await api.raw("POST", "/apis/apps/v1/namespaces/n/replicasets", body)
        assert response.status == 201
        assert "would violate PodSecurity" in response.headers["warning"]


async def test_labels_are_checked_and_old_pods_are_warned_of() -> None:
    async with running() as api:
        bad = {"metadata": {"name": "n", "labels": {f"{PREFIX}enforce": "strict", f"{PREFIX}warn-version": "1.2"}}}
        refused = await api("POST", NAMESPACES, bad, want=422)
        assert [cause["field"] for cause in refused["details"]["causes"]] == [
            f"metadata.labels[{PREFIX}enforce]",
            f"metadata.labels[{PREFIX}warn-version]",
        ]
        assert "must be one of privileged, baseline, restricted" in refused["message"]
        pods = await labelled(api)
        for name in ("a", "b", "c"):
            await api("POST", pods, pod(name, hostIPC=name == "c"))
        patch = {"metadata": {"labels": {f"{PREFIX}enforce": "baseline"}}}
        response = await api.raw("PATCH", f"{NAMESPACES}/n", patch, type=MERGE_PATCH)
        assert response.status == 200

        assert response.headers["warning"] == (
            '299 - "existing pods in namespace \\"n\\" violate the new PodSecurity enforce level \\"baseline:latest\\"", '
            '299 - "c: host namespaces"'
        )


async def test_only_updates_that_matter_are_judged() -> None:
    async with running() as api:
        pods = await labelled(api)
        await api("POST", pods, pod("p", hostPID=True))
        label = {"metadata": {"labels": {f"{PREFIX}enforce": "baseline"}}}
        await api("PATCH", f"{NAMESPACES}/n", label, type=MERGE_PATCH)
        await api("PATCH", f"{pods}/p", {"metadata": {"labels": {"a": "b"}}}, type=MERGE_PATCH)
        await api("PATCH", f"{pods}/p/status", {"status": {"phase": "Running"}}, type=MERGE_PATCH)
        image = [{"op": "replace", "path": "/spec/containers/0/image", "value": "other"}]
        await api("PATCH", f"{pods}/p", image, type="application/json-patch+json", want=403)


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ({"privileged": True}, 'privileged (container "main" must not set securityContext.privileged=true)'),
        (
            {"capabilities": {"add": ["NET_RAW", "CHOWN"]}},
            'non-default capabilities (container "main" must not include "NET_RAW" in securityContext.capabilities.add)',
        ),
        (
            {"procMount": "Unmasked"},
            'procMount (container "main" must not set securityContext.procMount to "Unmasked")',
        ),
        (
            {"seLinuxOptions": {"type": "spc_t", "user": "u"}},
            'seLinuxOptions (container "main" set forbidden securityContext.seLinuxOptions: type "spc_t"; user may not be set)',
        ),
        (
            {"seccompProfile": {"type": "Unconfined"}},
            'seccompProfile (container "main" must not set securityContext.seccompProfile.type to "Unconfined")',
        ),
        (
            {"appArmorProfile": {"type": "Unconfined"}},
            'forbidden AppArmor profile (container "main" must not set AppArmor profile type to "Unconfined")',
        ),
        (
            {"windowsOptions": {"hostProcess": True}},
            'hostProcess (container "main" must not set securityContext.windowsOptions.hostProcess=true)',
        ),
    ],
)
def test_baseline_of_a_container(context: dict[str, Any], message: str) -> None:
    obj = pod("p")
    obj["spec"]["containers"][0]["securityContext"] = context
    assert text("baseline", obj) == message
    assert text("privileged", obj) == ""


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"volumes": [{"name": "a", "hostPath": {}}, {"name": "b", "hostPath": {}}]},
            'hostPath volumes (volumes "a", "b")',
        ),
        (
            {"securityContext": {"sysctls": [{"name": "kernel.x"}, {"name": "net.ipv4.tcp_rmem"}]}},
            "forbidden sysctls (kernel.x)",
        ),
        ({"hostNetwork": True, "hostIPC": True}, "host namespaces (hostNetwork=true, hostIPC=true)"),
    ],
)
def test_baseline_of_a_pod(spec: dict[str, Any], message: str) -> None:
    assert text("baseline", pod("p", **spec)) == message


def test_baseline_of_ports_and_probes() -> None:
    obj = pod("p")
    obj["spec"]["containers"][0] |= {
        "ports": [{"containerPort": 1, "hostPort": 2}],
        "livenessProbe": {"httpGet": {"host": "a", "port": 1}},
    }
    assert text("baseline", obj) == (
        'hostPort (container "main" uses hostPort 2), '
        'probe or lifecycle host (container "main" uses probe or lifecycle host "a")'
    )
    assert "probe" not in text("baseline", obj, 33)


@pytest.mark.parametrize(
    ("context", "spec", "message"),
    [
        (
            {"runAsNonRoot": False},
            {},
            'runAsNonRoot != true (container "main" must not set securityContext.runAsNonRoot=false)',
        ),
        ({"runAsUser": 0}, {}, 'runAsUser=0 (container "main" must not set runAsUser=0)'),
        (
            {"capabilities": {"drop": ["ALL"], "add": ["KILL"]}},
            {},
            'unrestricted capabilities (container "main" must not include "KILL" in securityContext.capabilities.add)',
        ),
        ({"capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}}, {}, ""),
        ({"runAsNonRoot": None}, {"securityContext": {"runAsNonRoot": True}}, ""),
        ({"seccompProfile": None}, {"securityContext": {"seccompProfile": {"type": "Localhost"}}}, ""),
        ({"runAsNonRoot": None, "runAsUser": 0}, {"hostUsers": False}, ""),
        (
            {},
            {"volumes": [{"name": "v", "nfs": {}}, {"name": "w", "emptyDir": {}}]},
            'restricted volume types (volume "v" uses restricted volume type "nfs")',
        ),
        (
            {"allowPrivilegeEscalation": None, "capabilities": None, "seccompProfile": None},
            {"os": {"name": "windows"}},
            "",
        ),
    ],
)
def test_restricted(context: dict[str, Any], spec: dict[str, Any], message: str) -> None:
    assert text("restricted", hardened("p", context, **spec)) == message


def test_older_versions_of_a_level() -> None:
    assert text("restricted", pod("p"), 7) == (
        'runAsNonRoot != true (pod or container "main" must set securityContext.runAsNonRoot=true)'
    )
    assert "capabilities" not in text("restricted", pod("p"), 21)


def test_policies() -> None:
    assert read(None).is_free
    assert read({"a": "b"}).is_free
    found = read({f"{PREFIX}enforce": "baseline", f"{PREFIX}enforce-version": "v1.25"})
    assert str(found.enforce) == str(found.warn) == "baseline:v1.25"
    assert found.audit.is_free
    assert read({f"{PREFIX}enforce": "nonsense"}).enforce.level == "restricted"
    assert read({f"{PREFIX}warn": "nonsense"}).warn.is_free
