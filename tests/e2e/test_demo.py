"""The demo is the first promise to a newcomer: it must keep every step."""

import json
import subprocess
import sys

import pytest


@pytest.mark.timeout(600)
def test_the_demo_keeps_its_promises():
    done = subprocess.run([sys.executable, "-m", "styr", "demo", "--json"], capture_output=True, text=True, timeout=560)
    report = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr[-4000:]
    assert report["ok"] is True
    steps = {step["name"]: step for step in report["steps"]}
    assert list(steps) == ["start", "first", "good", "failing-tests", "errors", "slow", "crash"]
    assert report["failed_requests_outside_canary"] == 0
    assert steps["good"]["failed_requests"] == 0
    assert steps["errors"]["verdict"].startswith("Rolled back: ")
    assert 1 <= steps["errors"]["failed_requests"] <= 25
    assert "slower than" in steps["slow"]["verdict"]
    assert report["requests"] > 1000
