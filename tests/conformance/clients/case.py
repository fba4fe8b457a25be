"""What a case is: a name, the steps, and which versions it is for. Data only; `run.py` plays it.

In every text of a step `{ns}` stands for the namespace of the case, `{node}` for the node, `{1}`, `{2}` ... for what the
groups of the last `says` caught.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Obj = dict[str, Any]
NEWEST = 999


@dataclass(frozen=True, slots=True)
class Make:
    """An object that is there before: created by the test itself. In the namespace of the case unless it names none."""

    obj: Obj


@dataclass(frozen=True, slots=True)
class Do:
    """One run of the client. `says` is a regular expression for its output (stdout, then stderr), `silent` one that must not
    be found; `code` its exit code, None for any but 0. `files` are written to the folder it runs in."""

    words: str
    says: str = ""
    stdin: Any = ""
    code: int | None = 0
    silent: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Begin:
    """A run that goes on until the end of the case: waits for `says`, then for the next step."""

    words: str
    says: str
    stdin: str | None = None


@dataclass(frozen=True, slots=True)
class Sees:
    """What the one begun says next; with `ends`, that it ends by itself with code 0."""

    says: str
    ends: bool = False


@dataclass(frozen=True, slots=True)
class Fetch:
    """A plain HTTP request to this machine, as through a forwarded port."""

    url: str
    says: str


@dataclass(frozen=True, slots=True)
class Has:
    """The object is, or becomes, like this within the time of a case. Keys are paths (`spec.template.spec.containers.0.image`);
    values are equal, mappings only as far as they go; `...` is anything, None nothing."""

    ref: str
    like: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Gone:
    ref: str


Step = Make | Do | Begin | Sees | Fetch | Has | Gone


@dataclass(frozen=True)
class Case:
    """`since` and `until` are the minor versions of the client that have the command. `why_not` is why it cannot pass on this
    server: such a case is told in the table, and is not played."""

    name: str
    steps: tuple[Step, ...]
    since: int = 0
    until: int = NEWEST
    why_not: str = ""


def case(name: str, *steps: Step, since: int = 0, until: int = NEWEST, why_not: str = "") -> Case:
    return Case(name, steps, since, until, why_not)
