"""The process runtime keeps the runtime contract, with and without a sandbox."""

from __future__ import annotations

import pytest

from styr.node.runtimes.base import Runtime
from styr.node.runtimes.process import ProcessRuntime

pytest.register_assert_rewrite("tests.contracts.runtime")
from tests.contracts.runtime import RuntimeContract  # noqa: E402


class TestProcess(RuntimeContract):
    def make(self) -> Runtime:
        return ProcessRuntime()


class TestProcessWithoutSandbox(RuntimeContract):
    def make(self) -> Runtime:
        return ProcessRuntime(use_sandbox=False)
