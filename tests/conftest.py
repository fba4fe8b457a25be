"""For all tests: the marker `needs`. A test that needs a program which is not there is skipped; in CI it fails, because
`.ci/run` installs all of them and a silent skip would prove nothing."""

from __future__ import annotations

import os
import shutil

import pytest
from hypothesis import settings

# How long an example takes says how busy the machine is; what must be fast is measured in bench/.
settings.register_profile("styr", deadline=None)
settings.load_profile("styr")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        for tool in marker.args:
            if shutil.which(tool):
                continue
            if os.environ.get("CI") == "true":
                pytest.fail(f"{tool} is not installed, and in CI it must be", pytrace=False)
            pytest.skip(f"{tool} is not installed")
