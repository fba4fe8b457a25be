"""Makes `src/styr/api/builtin/defaults.json` by asking Kubernetes' own code (tests/peers/builtin, built):

    python -m tests.builtin.generate_defaults PEER

For every structure that a kind can hold, an object that has nothing but this structure goes through decoding and defaulting;
what comes back beside what Go writes anyway are its defaults. They are kept by type where all kinds agree, else by kind and
path. With `--explain` it then sets each field of the structure in turn and prints which defaults change by that: those
need a function in `builtin/conditional.py`, and its fields are left out here.
"""

from __future__ import annotations

import copy
import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from styr.api.builtin import tables, types
from styr.api.builtin.conditional import FIELDS
from styr.api.builtin.types import Field, Type
from tests.builtin.peer import Peer

TARGET = Path(__file__).parents[2] / "src/styr/api/builtin/defaults.json"
Step = tuple[str, Field]
Steps = tuple[Step, ...]
SAMPLES: dict[str, Any] = {
    "string": "x", "bool": True, "int32": 3, "int64": 3, "double": 1.5, "quantity": "3", "intorstring": 3, "bytes": "eA==",
    "strings": ["x"], "time": "2026-01-01T00:00:00Z", "microtime": "2026-01-01T00:00:00.000000Z", "json": {"x": 1},
    "schemaorlist": {}, "schemaorbool": True, "schemaorstrings": ["x"],
}  # fmt: skip


def main(program: str, explain: bool) -> None:
    found: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    """By type, by place (kind and path): its defaults."""
    with Peer(program) as peer:
        for kind in tables.kinds():
            if kind.answered or kind.resource.group == "apiextensions.k8s.io":
                continue
            api_version, name = kind.resource.api_version, kind.resource.kind
            for steps in structures(types.find(api_version, name), ()):
                made = steps[-1][1].type if steps else types.find(api_version, name)
                assert made is not None
                filled = ask(peer, api_version, name, steps, {})
                found[made.name][f"{api_version}/{name} {dotted(steps)}"] = filled
                if explain:
                    tell(peer, api_version, name, steps, made, filled)
    write(found)


def structures(made: Type, above: Steps) -> Iterator[Steps]:
    """The way to every structure below, each type once on a way."""
    yield above
    types.ready(made)
    for name, field in made.fields.items():
        if name in ("metadata", "status") and (not above or name == "metadata"):
            continue
        if field.type is not None and all(field.type is not step[1].type for step in above):
            yield from structures(field.type, (*above, (name, field)))


def dotted(steps: Steps) -> str:
    return ".".join(name for name, _ in steps)


def build(api_version: str, kind: str, steps: Steps, last: dict[str, Any]) -> dict[str, Any]:
    value: Any = last
    for name, field in reversed(steps):
        many = [value] if field.many == "[]" else {"x": value} if field.many == "{}" else value
        value = {name: many}
    return {"metadata": {"name": "x"}, **value, "apiVersion": api_version, "kind": kind}


def reach(obj: Any, steps: Steps) -> Any:
    for name, field in steps:
        obj = (obj or {}).get(name)
        if field.many and obj:
            obj = obj[0] if field.many == "[]" else obj["x"]
    return obj


def ask(peer: Peer, api_version: str, kind: str, steps: Steps, last: dict[str, Any]) -> dict[str, Any]:
    """What was added to the structure at the end of the way."""
    sent = build(api_version, kind, steps, last)
    answer = peer.ask(op="default", object=sent)
    if "object" not in answer:
        raise SystemExit(f"{sent}: {answer}")
    plain = copy.deepcopy(sent)
    types.read(plain, types.find(api_version, kind))
    before, after = reach(plain, steps), reach(answer["object"], steps)
    added = {key: value for key, value in (after or {}).items() if (before or {}).get(key) != value}
    if not steps:
        added = {key: value for key, value in added.items() if key not in ("metadata", "apiVersion", "kind")}
    return {key: value for key, value in added.items() if not is_shell(value, (before or {}).get(key))}


def is_shell(value: Any, before: Any) -> bool:
    """Structures that are there anyway, with defaults of their own: those are found at their own place."""
    return isinstance(value, dict) and isinstance(before, dict)


def tell(peer: Peer, api_version: str, kind: str, steps: Steps, made: Type, filled: dict[str, Any]) -> None:
    for name, field in made.fields.items():
        if name in ("metadata", "status"):
            continue
        value = {} if field.type is not None else SAMPLES[field.kind]
        value = [value] if field.many == "[]" else {"x": value} if field.many == "{}" else value
        try:
            other = ask(peer, api_version, kind, steps, {name: value})
        except SystemExit:
            continue
        changed = {key for key in filled.keys() | other.keys() if filled.get(key) != other.get(key)} - {name}
        if changed:
            print(f"{made.name}: {name} changes {sorted(changed)} ({api_version}/{kind})", file=sys.stderr)


def write(found: dict[str, dict[str, dict[str, Any]]]) -> None:
    by_type: dict[str, dict[str, Any]] = {}
    by_kind: dict[str, dict[str, Any]] = defaultdict(dict)
    for name, places in sorted(found.items()):
        listed = list(places.values())
        common = {key: value for key, value in listed[0].items() if all(other.get(key) == value for other in listed)}
        kept = {key: value for key, value in common.items() if key not in FIELDS.get(name, ())}
        if kept:
            by_type[name] = kept
        for place, filled in places.items():
            kind, _, path = place.partition(" ")
            for key, value in filled.items():
                if key not in common and key not in FIELDS.get(name, ()):
                    by_kind[kind][f"{path}.{key}".lstrip(".")] = value
    lines = [f'"{name}": {json.dumps(value)}' for name, value in by_type.items()]
    more = [f'"{name}": {json.dumps(value)}' for name, value in sorted(by_kind.items())]
    source = json.dumps("what the code of k8s.io/kubernetes v1.35.3 answers")
    text = (
        f'{{"source": {source},\n"types": {{\n' + ",\n".join(lines) + '\n},\n"kinds": {\n' + ",\n".join(more) + "\n}}\n"
    )
    json.loads(text)
    TARGET.write_text(text)
    print(f"{TARGET}: {len(by_type)} types, {len(by_kind)} kinds")


if __name__ == "__main__":
    main(sys.argv[1], "--explain" in sys.argv)
