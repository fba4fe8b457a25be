"""`styr api`: a Kubernetes API for as long as a command lasts, or until it is told to stop."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

STYR = [sys.executable, "-m", "styr", "api"]

_OPERATOR = """
import asyncio, os
from styr.client.client import Client
from styr.client.transport import HttpsTransport
from styr.kinds.resources import DEPLOYMENT, REPLICA_SET
async def main():
    print("config", os.environ["KUBECONFIG"])
    client = Client(HttpsTransport.from_kubeconfig(os.environ["KUBECONFIG"]))
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "a", "image": "b"}]}}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    await client.create(DEPLOYMENT, {"metadata": {"name": "made", "namespace": "default"}, "spec": spec})
    async for event in client.watch(REPLICA_SET, "default"):
        print("set of", event.object["metadata"]["ownerReferences"][0]["name"])
        break
    await client.close()
asyncio.run(main())
"""


def run(*line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*STYR, *line], capture_output=True, text=True, timeout=60)


def test_a_command_finds_a_cluster_with_controllers_that_is_gone_afterwards() -> None:
    done = run("--", sys.executable, "-c", _OPERATOR)
    assert done.returncode == 0, done.stderr
    config, made = done.stdout.splitlines()
    assert made == "set of made"
    assert not Path(config.removeprefix("config ")).parent.exists()


@pytest.mark.parametrize(("line", "status"), [("exit 7", 7), ("kill -9 $$", 137)])
def test_the_status_of_the_command_is_ours(line: str, status: int) -> None:
    assert run("--", "sh", "-c", line).returncode == status


def test_a_command_that_is_not_there() -> None:
    done = run("--", "/no/such/program")
    assert done.returncode == 1
    assert "/no/such/program" in done.stderr


def test_a_signal_goes_on_to_the_command() -> None:
    line = "trap 'echo asked; exit 3' TERM; echo ready; while :; do sleep 0.05; done"
    process = subprocess.Popen([*STYR, "--", "sh", "-c", line], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == "asked\n"
    assert process.wait(30) == 3


def test_it_serves_until_it_is_stopped_and_again_from_the_same_folder(tmp_path: Path) -> None:
    ports = []
    for _ in range(2):
        line = [*STYR, "--data-dir", str(tmp_path / "data")]
        process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
        assert process.stdout is not None
        with process.stdout:
            ports.append(process.stdout.readline().removeprefix("Kubernetes API: ").strip())
            assert process.stdout.readline() == f"export KUBECONFIG={tmp_path / 'data' / 'kubeconfig'}\n"
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
    assert ports[0] == ports[1]


def test_a_port_that_is_taken_is_told_with_the_command_that_helps() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run("--port", str(port))
    assert done.returncode == 1
    assert f"Port {port} on 127.0.0.1 is in use" in done.stderr
    assert "`styr api --port PORT`" in done.stderr


def test_two_on_one_folder(tmp_path: Path) -> None:
    done = run("--data-dir", str(tmp_path / "data"), "--", *STYR, "--data-dir", str(tmp_path / "data"))
    assert done.returncode == 1
    assert "is in use by another styr" in done.stderr
