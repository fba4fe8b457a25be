"""Layers: installed once, never used half-built, found again by what went into them. Offline: a wheel made here."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import signal
import zipfile
from pathlib import Path

import pytest

from styr.delivery.build import shell_command
from styr.delivery.interpreters import find_interpreters
from styr.kinds import meta
from styr.kinds.resources import POD
from tests.delivery.world import World, until

TEST_WITH_PYTEST = "def test_it():\n    assert True\n"


def wheel(folder: Path, name: str, version: str = "1.0", source: str = "VALUE = 1\n") -> None:
    """A wheel with one module, by the letter of the format."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": source,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip('=')},{len(text)}\n"
        for path, text in files.items()
    )
    files[f"{info}/RECORD"] = record + f"{info}/RECORD,,\n"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)


@pytest.fixture
async def world(tmp_path: Path):
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    wheel(wheels, "greeting")
    async with World(tmp_path) as found:
        offline(found, wheels)
        await found.app()
        yield found


def offline(world: World, wheels: Path) -> None:
    world.source.shop.builder.environ = {
        "PATH": os.environ["PATH"],
        "PIP_FIND_LINKS": str(wheels),
        "UV_OFFLINE": "1",
        "PIP_NO_INDEX": "1",
        "AWS_SECRET_ACCESS_KEY": "not for builds",
    }


def steps(world: World, what: str) -> list[dict]:
    return [pod for pod in world.api.created if pod["kind"] == "Pod" and meta.labels(pod)["styr.dev/step"] == what]


APP = {"main.py": "import greeting\n", "requirements.txt": "greeting\n"}


async def test_dependencies_are_installed_once(world: World):
    user = await world.repository(APP)
    out = await user.git("push", "-o", "detach", world.url(), "main")
    assert "Installing from requirements.txt: making a layer with uv" in out
    assert len(steps(world, "build")) == 1
    image = world.source.images.resolve(world.releases()[0]["spec"]["image"])
    assert image is not None
    [module] = (image.layers[0] / "venv").glob("lib/python*/site-packages/greeting.py")
    assert module.read_text() == "VALUE = 1\n"
    assert list(module.parent.glob("__pycache__/greeting.*.pyc"))
    await user.commit({"main.py": "import greeting, sys\n"})
    out = await user.git("push", "-o", "detach", world.url(), "main")
    assert "cached (unchanged" in out
    assert len(steps(world, "build")) == 1


async def test_tests_have_a_layer_of_their_own(world: World):
    wheel(world.root / "wheels", "checker")
    files = APP | {
        "requirements-dev.txt": "checker\n",
        "pyproject.toml": "[tool.styr]\ntest = \"python -c 'import checker, greeting'\"\n",
    }
    user = await world.repository(files)
    await user.git("push", "-o", "detach", world.url(), "main")
    assert len(steps(world, "build")) == 2
    image = world.source.images.resolve(world.releases()[0]["spec"]["image"])
    assert image is not None
    assert not list(image.layers[0].glob("venv/lib/python*/site-packages/checker.py"))


async def test_no_credential_reaches_a_pod(world: World):
    user = await world.repository(APP | {"test_main.py": "import unittest, greeting\n"})
    await user.run("push", "-o", "detach", world.url(), "main")
    for pod in steps(world, "build") + steps(world, "test"):
        names = {item["name"] for item in pod["spec"]["containers"][0]["env"]}
        assert "AWS_SECRET_ACCESS_KEY" not in names
        assert pod["spec"]["automountServiceAccountToken"] is False
    for pod in steps(world, "test"):
        assert not {item["name"] for item in pod["spec"]["containers"][0]["env"]} & {"PIP_FIND_LINKS", "UV_FIND_LINKS"}


async def test_a_requirement_that_does_not_exist(world: World):
    user = await world.repository({"main.py": "", "requirements.txt": "no-such-thing\n"})
    code, out = await user.run("push", world.url(), "main")
    assert code != 0
    assert "no-such-thing" in out
    assert "Rejected: installing the dependencies failed: exit code 1" in out
    assert not list(world.source.images.layers.glob("deps-*.ok"))
    assert world.tip() == ""


async def test_a_half_built_layer_is_not_used(world: World):
    user = await world.repository(APP)
    world.source.shop.builder.uv = str(world.root / "slow-uv")
    slow = world.root / "slow-uv"
    slow.write_text('#!/bin/sh\nmkdir -p "$PWD/../$(basename $PWD .inputs)/venv"\nexec sleep 60\n')
    slow.chmod(0o755)
    process = await user.start("push", world.url(), "main")
    await until(world.api.running_pods, "the build pod")
    os.killpg(process.pid, signal.SIGINT)
    await process.communicate()
    await until(lambda: not world.api.running_pods(), "the end of the pod")
    await until(
        lambda: not [path for path in world.source.images.layers.glob("deps-*") if path.is_dir()], "the layer to go"
    )
    await world.restart()
    offline(world, world.root / "wheels")
    await user.git("push", "-o", "detach", world.url(), "main")
    assert len(world.releases()) == 1


async def test_two_apps_that_need_the_same_build_it_once(world: World):
    await world.app("other")
    one, two = await world.repository(APP, "one"), await world.repository(APP, "two")
    outs = await asyncio.gather(
        one.git("push", "-o", "detach", world.url("hello"), "main"),
        two.git("push", "-o", "detach", world.url("other"), "main"),
    )
    assert len(steps(world, "build")) == 1, outs
    assert len(world.releases()) == 2


async def test_pip_where_uv_is_missing(world: World):
    world.source.shop.builder.uv = None
    user = await world.repository(APP)
    out = await user.git("push", "-o", "detach", world.url(), "main")
    assert "with pip" in out
    image = world.source.images.resolve(world.releases()[0]["spec"]["image"])
    assert image is not None
    assert list(image.layers[0].glob("venv/lib/python*/site-packages/greeting.py"))


async def test_a_python_that_is_not_here(world: World):
    user = await world.repository({"main.py": "", ".python-version": "3.99\n"})
    code, out = await user.run("push", world.url(), "main")
    assert code != 0
    assert ".python-version asks for Python 3.99, which this machine does not have" in out
    assert steps(world, "build") == []


async def test_a_deleted_build_pod_stops_the_push(world: World):
    user = await world.repository(
        {"main.py": "", "pyproject.toml": '[tool.styr]\ntest = "echo begun && exec sleep 60"\n'}
    )
    process = await user.start("push", world.url(), "main")
    await until(lambda: [name for name in world.api.running_pods() if "-test-" in name], "the test pod")
    [name] = world.api.running_pods()
    await world.api.delete(POD, name, "default")
    out = (await process.communicate())[0].decode()
    assert process.returncode != 0
    assert f"its pod {name} was deleted" in out


async def test_orphans_of_an_earlier_run_are_stopped(world: World):
    user = await world.repository({"main.py": "", "pyproject.toml": '[tool.styr]\ntest = "exec sleep 60"\n'})
    process = await user.start("push", world.url(), "main")
    await until(lambda: [name for name in world.api.running_pods() if "-test-" in name], "the test pod")
    await world.source._stop_orphans()
    await process.communicate()
    await until(lambda: not world.api.running_pods(), "the end of the pod")


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("python main.py", "exec python main.py"),
        ("uvicorn main:app --port $PORT", "exec uvicorn main:app --port $PORT"),
        ("a && b", "a && b"),
        ("FOO=1 python main.py", "FOO=1 python main.py"),
        ("exec python main.py", "exec python main.py"),
        ("cd src && python main.py", "cd src && python main.py"),
    ],
)
def test_the_shell_steps_aside(line: str, command: str):
    assert shell_command(line) == command


def test_interpreters_that_do_not_answer_are_passed_over(tmp_path: Path):
    for name, body in (
        ("python3.12", "exit 127"),
        ("python3.11", "echo nonsense"),
        ("python3", "echo 3 9 1; echo /x/python3"),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    [found] = find_interpreters(str(tmp_path))
    assert found.version == (3, 9, 1)
