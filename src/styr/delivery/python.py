"""Python's own small formats, pure: versions and their specifiers, names of requirements, inline script metadata.

Formats: PEP 440 (the part that `requires-python` uses), PEP 503 (names), PEP 508 (the name in front), PEP 723 (scripts).
Called by `detect`.
"""

from __future__ import annotations

import re
import tomllib
from typing import Any

_CLAUSE = re.compile(r"\s*(===|==|!=|>=|<=|~=|>|<)\s*([0-9]+(?:\.[0-9]+)*)(\.\*)?[a-z0-9.+!-]*\s*")
_NAME = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)")
_SCRIPT = re.compile(r"(?m)^# /// script\s*$\n((?:^#(?: .*)?\s*$\n)+?)^# ///\s*$")

Version = tuple[int, ...]


def version(text: str) -> Version:
    """`3.11.7` -> (3, 11, 7). Raises ValueError."""
    found = re.match(r"\d+(?:\.\d+)*", text.strip())
    if not found:
        raise ValueError(f"{text!r} is not a version number such as 3.12")
    return tuple(int(part) for part in found[0].split("."))


def satisfies(have: Version, specifier: str) -> bool:
    """Does a Python version meet `>=3.10,<4`? A bare `3.12` (as in `.python-version`) means any 3.12. Raises ValueError."""
    return all(_clause(have, clause) for clause in specifier.split(",") if clause.strip())


def _clause(have: Version, clause: str) -> bool:
    bare = re.fullmatch(r"\s*(?:cpython[-@]?|python-?)?(\d+(?:\.\d+)*)(?:\.\*)?\s*", clause)
    if bare:
        want = version(bare[1])
        return have[: len(want)] == want
    match = _CLAUSE.fullmatch(clause)
    if not match:
        raise ValueError(f"{clause.strip()!r} is not a version specifier such as >=3.11")
    operator, want, wildcard = match[1], version(match[2]), bool(match[3])
    size = max(len(have), len(want))
    left, right = have + (0,) * (size - len(have)), want + (0,) * (size - len(want))
    if wildcard:
        same = have[: len(want)] == want
        return same if operator == "==" else not same
    if operator == "~=":
        return left >= right and have[: len(want) - 1] == want[:-1]
    return {
        "==": left == right,
        "===": left == right,
        "!=": left != right,
        ">=": left >= right,
        "<=": left <= right,
        ">": left > right,
        "<": left < right,
    }[operator]


def requirement_name(line: str) -> str:
    """The normalised name in front of a requirement, "" for a line that is none: `Flask[async]>=3` -> `flask`."""
    line = line.split("#", 1)[0] if not line.lstrip().startswith("#") else ""
    found = _NAME.match(line)
    return re.sub(r"[-_.]+", "-", found[1]).lower() if found else ""


def script_metadata(source: str) -> dict[str, Any] | None:
    """The `# /// script` block of a single-file program (PEP 723). Raises ValueError when it is not TOML."""
    found = _SCRIPT.search(source.replace("\r\n", "\n") + "\n")
    if not found:
        return None
    lines = found[1].splitlines()
    return tomllib.loads("\n".join(line[2:] if line.startswith("# ") else line[1:] for line in lines))
