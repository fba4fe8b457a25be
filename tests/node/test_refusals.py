"""Fields that the process runtime cannot honour are refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from styr.node.refusals import Identity, refusals, unenforced
from tests.node.world import phase, pod, shell, world

ME = Identity(1000, 1000)


def check(found: dict[str, Any], me: Identity = ME) -> list[str]:
    return [refusal.field for refusal in refusals(found, me, lambda _: True)]


def test_a_plain_pod_is_fine() -> None:
    assert check(pod("p", "x")) == []
    context = {
        "runAsUser": 1000,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
    }
    assert check(pod("p", "x", container={"securityContext": context})) == []
    ports = {"ports": [{"containerPort": 80, "hostPort": 80}]}
    assert check(pod("p", "x", container=ports, spec={"hostNetwork": True})) == []


@pytest.mark.parametrize(
    ("extra", "field"),
    [
        ({"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}}, "spec.volumes[0].emptyDir"),
        ({"spec": {"volumes": [{"name": "v", "secret": {"secretName": "s"}}]}}, "spec.volumes[0].secret"),
        ({"spec": {"volumes": [{"name": "v", "hostPath": {"path": "a/b"}}]}}, "spec.volumes[0].hostPath.path"),
        ({"spec": {"volumes": [{"name": "v", "hostPath": {"path": "/a/../b"}}]}}, "spec.volumes[0].hostPath.path"),
        ({"spec": {"runtimeClassName": "gvisor"}}, "spec.runtimeClassName"),
        ({"spec": {"hostAliases": [{"ip": "1.1.1.1"}]}}, "spec.hostAliases"),
        ({"spec": {"dnsPolicy": "None"}}, "spec.dnsPolicy"),
        ({"spec": {"securityContext": {"runAsUser": 5}}}, "spec.securityContext.runAsUser"),
        ({"spec": {"securityContext": {"fsGroup": 5}}}, "spec.securityContext.fsGroup"),
        ({"spec": {"securityContext": {"sysctls": [{}]}}}, "spec.securityContext.sysctls"),
        ({"container": {"securityContext": {"privileged": True}}}, "spec.containers[0].securityContext.privileged"),
        (
            {"container": {"securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}}},
            "spec.containers[0].securityContext.capabilities.add",
        ),
        ({"container": {"ports": [{"containerPort": 80, "hostPort": 80}]}}, "spec.containers[0].ports[0].hostPort"),
        ({"container": {"ports": [{"containerPort": 80, "protocol": "SCTP"}]}}, "spec.containers[0].ports[0].protocol"),
        ({"container": {"workingDir": "relative"}}, "spec.containers[0].workingDir"),
        ({"container": {"livenessProbe": {"grpc": {"port": 1}}}}, "spec.containers[0].livenessProbe.grpc"),
        (
            {"container": {"volumeMounts": [{"name": "no", "mountPath": "/x"}]}},
            "spec.containers[0].volumeMounts[0].name",
        ),
        (
            {"spec": {"initContainers": [{"name": "i", "restartPolicy": "Always"}]}},
            "spec.initContainers[0].restartPolicy",
        ),
    ],
)
def test_refused(extra: dict[str, Any], field: str) -> None:
    assert check(pod("p", "x", **extra)) == [field]


def test_a_mount_must_be_where_the_path_is() -> None:
    spec = {"volumes": [{"name": "v", "hostPath": {"path": "/srv/data"}}]}

    def mounts(**mount: Any) -> list[str]:
        return check(pod("p", "x", container={"volumeMounts": [{"name": "v", **mount}]}, spec=spec))

    assert mounts(mountPath="/srv/data/") == []
    assert mounts(mountPath="/data") == ["spec.containers[0].volumeMounts[0].mountPath"]
    assert mounts(mountPath="/srv/data", subPath="x") == ["spec.containers[0].volumeMounts[0].subPath"]


def test_root_cannot_promise_what_a_user_can() -> None:
    root = Identity(0, 0)
    assert check(pod("p", "x", spec={"securityContext": {"runAsNonRoot": True}}), root) == [
        "spec.securityContext.runAsNonRoot"
    ]


def test_limits_are_named() -> None:
    found = pod("p", "x", container={"resources": {"limits": {"memory": "1Gi"}}})
    assert unenforced(found) == ["spec.containers[0].resources.limits.memory"]


async def test_a_refused_pod_fails_with_an_event(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.run("v", *shell("echo never"), spec={"volumes": [{"name": "v", "emptyDir": {}}]})
        found = await w.until("v", phase("Failed"))
        assert found["status"]["reason"] == "UnsupportedPodSpec"
        assert "spec.volumes[0].emptyDir" in found["status"]["message"]
        assert any("spec.volumes[0].emptyDir" in message for message in w.api.events("UnsupportedPodSpec"))
        await w.run("i", *shell("echo never"), container={"image": "nginx:latest"})
        found = await w.until("i", phase("Failed"))
        assert "nginx:latest" in found["status"]["message"]


async def test_a_host_path_that_is_not_there(tmp_path: Path) -> None:
    path = str(tmp_path / "no")
    spec = {"volumes": [{"name": "v", "hostPath": {"path": path, "type": "Directory"}}]}
    async with world(tmp_path / "data") as w:
        await w.run("h", "true", container={"volumeMounts": [{"name": "v", "mountPath": path}]}, spec=spec)
        found = await w.until("h", lambda p: p["status"].get("containerStatuses"))
        assert path in found["status"]["containerStatuses"][0]["state"]["waiting"]["message"]


@pytest.mark.parametrize("wrong", [{"ports": "many"}, {"volumeMounts": [7]}, {"securityContext": "none"}])
async def test_a_malformed_pod_fails_and_others_go_on(tmp_path: Path, wrong: dict[str, Any]) -> None:
    async with world(tmp_path) as w:
        await w.run("m", "true", container=wrong)
        assert "malformed" in (await w.until("m", phase("Failed")))["status"]["message"]
        await w.run("fine", "true")
        await w.until("fine", phase("Succeeded"))


async def test_a_disk_that_is_full_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from styr.node import pod as lifecycle

    real, full = lifecycle.save, [True]

    def save(path: Path, record: Any) -> None:
        if full[0]:
            raise OSError(28, "No space left on device")
        real(path, record)

    monkeypatch.setattr(lifecycle, "save", save)
    async with world(tmp_path) as w:
        await w.run("d", *shell("echo ran"))
        await w.run("e", *shell("echo ran"))
        w.clock.jump(5)
        full[0] = False
        for name in ("d", "e"):
            assert w.log(await w.until(name, phase("Succeeded"), jump=0.1)) == "ran\n"
