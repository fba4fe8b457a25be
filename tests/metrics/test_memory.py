"""The compiler's memory is given back, and kernels go on compiling afterwards."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from styr.metrics.memory import MADV_DONTNEED, MADV_PAGEOUT, mappings

MAPS = """\
7f0000000000-7f0000003000 r--p 00000000 fe:00 1 /venv/llvmlite/binding/libllvmlite.so
7f0000003000-7f0000005000 r-xp 00003000 fe:00 1 /venv/llvmlite/binding/libllvmlite.so
7f0000005000-7f0000006000 rw-p 00005000 fe:00 1 /venv/llvmlite/binding/libllvmlite.so
7f0000006000-7f0000007000 r-xp 00000000 fe:00 2 /usr/lib/libc.so.6
"""

PROGRAM = """
import numba
from pathlib import Path
from styr.metrics.memory import give_back
from styr.metrics.memory import mappings
assert mappings(Path("/proc/self/maps").read_text())
one = numba.njit(lambda x: x + 1)
assert one(1) == 2
give_back()
assert one(2) == 3
assert numba.njit(lambda x: x * 2)(4) == 8
"""


def test_only_what_is_read_from_the_file_is_given_back() -> None:
    assert mappings(MAPS) == [
        (0x7F0000000000, 0x3000, MADV_PAGEOUT),
        (0x7F0000003000, 0x2000, MADV_DONTNEED),
    ]
    assert mappings("") == []


def test_compiled_code_runs_on_and_more_can_be_compiled() -> None:
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, cwd=Path(__file__).parent, timeout=120)
