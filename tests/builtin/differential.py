"""Built-in kinds beside Kubernetes' own code: `python -m tests.builtin.differential PEER [--count N] [--kind KIND] [--seed S]`.

Objects of every kind, changed by chance (`fuzz`) from good ones (`seeds`), are created and updated both by the strategies here
and by the registry's of k8s.io/kubernetes (tests/peers/builtin). Equal must be: refused or not, the objects as stored, the
field and reason of every cause; the texts of the messages are counted apart. `--golden FILE` writes pairs that the ordinary
tests replay.
"""

from __future__ import annotations

import argparse
import collections
import copy
import json
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from styr.api.builtin import tables, types
from styr.api.builtin.forms import FORMS
from styr.api.builtin.tables import Kind
from styr.api.schema import MAX_CAUSES
from styr.api.strategies.builtin import builtin_strategy
from styr.kinds.errors import BadRequest
from tests.builtin.fuzz import Fuzz
from tests.builtin.peer import Peer
from tests.builtin.seeds import SEEDS

Object = dict[str, Any]
LEFT_OUT = ("uid", "creationTimestamp", "resourceVersion", "selfLink", "managedFields")
LOOPBACK = {"127.0.0.1", "::1"}
"""Where Styr's pods are, and no address of an endpoint in Kubernetes."""
TIMES = ("lastTransitionTime", "lastPhaseTransitionTime", "timeAdded")
SKIPPED = ("bindings", "componentstatuses", "customresourcedefinitions")


@dataclass(frozen=True)
class Case:
    """One question: a create, or an update where `old` is there."""

    kind: Kind
    obj: Object
    old: Object | None = None
    sub: str = ""

    def asked(self) -> Object:
        op = "update" if self.old is not None else "create"
        found: Object = {"op": op, "resource": self.kind.resource.group_resource, "object": self.obj}
        return found | ({"old": self.old, "sub": self.sub} if self.old is not None else {})


def kinds() -> Iterator[Kind]:
    for kind in tables.kinds():
        if not kind.answered and not kind.storage and kind.resource.plural not in SKIPPED:
            yield kind


def prepared(case: Case) -> Case:
    """A Service as it is once the server has said what it hands out, which the peer does not do."""
    if case.kind.resource.plural != "services":
        return case
    strategy, new = builtin_strategy(case.kind), copy.deepcopy(case.obj)
    try:
        strategy.prune(new)
    except BadRequest:
        return case
    strategy.default(new)
    if case.old is None:
        strategy.prepare_create(new)
    else:
        new["status"] = copy.deepcopy(case.old.get("status", {}))
        strategy.prepare_update(new, copy.deepcopy(case.old))
    if new["spec"].get("type") == "LoadBalancer" and new["spec"].get("externalTrafficPolicy") == "Local":
        new["spec"].setdefault("healthCheckNodePort", 30001)
    return Case(case.kind, new, case.old, case.sub)


def ours(case: Case) -> Object:
    """What the strategy makes of it, in the peer's form."""
    strategy, new = builtin_strategy(case.kind), copy.deepcopy(case.obj)
    meta = new.setdefault("metadata", {})
    try:
        strategy.prune(new)
        strategy.default(new)
    except BadRequest as error:
        return {"reason": "BadRequest", "message": error.message}
    meta = new["metadata"]
    meta.setdefault("creationTimestamp", "2026-01-01T00:00:00Z")
    meta.setdefault("uid", "9ccd7523-132d-4966-8b86-007eb2a334ac")
    if case.old is None:
        if strategy.counts_generation:
            meta["generation"] = 1
        strategy.prepare_create(new)
        causes = strategy.validate(new)
    else:
        old = copy.deepcopy(case.old)
        strategy.prune(old)
        strategy.default(old)
        for key in ("uid", "creationTimestamp", "generation"):
            if key in old["metadata"]:
                meta[key] = old["metadata"][key]
        if case.sub == "status":
            kept = copy.deepcopy(old)
            kept["status"] = new.get("status", {})
            new = kept
            strategy.prepare_status(new, old)
            causes = strategy.status_faults(new, old)
        else:
            if case.kind.resource.status:
                new["status"] = copy.deepcopy(old.get("status", {}))
            strategy.prepare_update(new, old)
            causes = strategy.update_faults(new, old)
            counted = [key for key in new if key not in ("metadata", "status")]
            if strategy.counts_generation and any(
                new.get(key) != old.get(key) for key in {*counted, *old} - {"metadata", "status"}
            ):
                new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
    causes = causes or strategy.rule_faults(new, case.old, [])
    if not causes and (form := FORMS.get((case.kind.resource.api_version, case.kind.resource.plural))):
        new = form.show(form.store(new))
    return {"causes": [dict(cause) for cause in causes]} if causes else {"object": new}


def plain(answer: Object) -> Object:
    """An answer without what differs by nature."""
    if "object" in answer:
        uid = answer["object"]["metadata"].get("uid") or "-"
        obj = json.loads(json.dumps(answer["object"]).replace(f'"{uid}"', '"UID"'))
        for key in LEFT_OUT:
            obj["metadata"].pop(key, None)
        return {"object": timeless(obj)}
    if answer.get("reason") == "BadRequest":
        return {"reason": "BadRequest"}
    return {"causes": sorted({(cause.get("field", ""), cause.get("reason", "")) for cause in answer.get("causes", ())})}


def timeless(value: Any) -> Any:
    """Times that the server sets differ between two runs."""
    if isinstance(value, dict):
        return {key: "now" if key in TIMES and value[key] else timeless(child) for key, child in value.items()}
    return [timeless(item) for item in value] if isinstance(value, list) else value


def texts(answer: Object) -> list[str]:
    return sorted({f"{cause.get('field', '')}: {cause['message']}" for cause in answer.get("causes", ())})


def cases(kind: Kind, fuzz: Fuzz, peer: Peer, count: int) -> Iterator[Case]:
    """Creates, and updates of what was let in."""
    resource = kind.resource
    made = types.find(resource.api_version, resource.kind)
    seeds = [complete(kind, seed) for seed in SEEDS.get(resource.kind, [{}])]
    stored: list[Object] = []
    for seed in seeds:
        case = Case(kind, seed)
        yield case
        answer = peer.ask(**case.asked())
        if "object" in answer:
            answer["object"]["metadata"]["resourceVersion"] = "1"
            stored.append(answer["object"])
    for number in range(count):
        if number % 3 == 2 and stored:
            old = fuzz.random.choice(stored)
            new = fuzz.mutate(old, made, fuzz.random.choice((1, 1, 2)))
            for key in ("name", "namespace", "resourceVersion", "uid", "creationTimestamp", "generateName"):
                new.setdefault("metadata", {}).pop(key, None)
                if key in old["metadata"]:
                    new["metadata"][key] = old["metadata"][key]
            yield Case(kind, new, old)
            continue
        if number % 10 == 0:
            obj = complete(kind, Fuzz(fuzz.random, 0.9).thing(made, share=fuzz.random.choice((0.1, 0.3))))
        else:
            obj = fuzz.mutate(fuzz.random.choice(seeds), made, fuzz.random.choice((1, 1, 2, 3)))
            meta = obj.setdefault("metadata", {})
            meta["name"] = meta.get("name") or "x"
            obj = complete(kind, obj)
        case = Case(kind, obj)
        yield case
        if len(stored) < 40:
            answer = peer.ask(**case.asked())
            if "object" in answer:
                answer["object"]["metadata"]["resourceVersion"] = "1"
                stored.append(answer["object"])


def complete(kind: Kind, obj: Object) -> Object:
    resource = kind.resource
    new = copy.deepcopy(obj) | {"apiVersion": resource.api_version, "kind": resource.kind}
    meta = new.setdefault("metadata", {})
    meta.setdefault("name", "x")
    if resource.namespaced:
        meta["namespace"] = "default"
    else:
        meta.pop("namespace", None)
    return new


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("peer")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--kind", default="")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=12)
    parser.add_argument("--texts", action="store_true")
    parser.add_argument("-v", action="store_true")
    parser.add_argument("--golden", type=Path)
    asked = parser.parse_args()
    total, wrong = 0, collections.Counter[str]()
    said: collections.Counter[str] = collections.Counter()
    pairs: list[Object] = []
    with Peer(asked.peer) as peer:
        for kind in kinds():
            if asked.kind and kind.resource.kind not in asked.kind.split(","):
                continue
            fuzz = Fuzz(random.Random(f"{asked.seed} {kind.resource}"))
            shown: set[str] = set()
            for case in cases(kind, fuzz, peer, asked.count):
                case = prepared(case)
                if LOOPBACK & set(json.dumps(case.obj).split('"')) and "ndpoint" in kind.resource.kind:
                    continue
                theirs, own = peer.ask(**case.asked()), ours(case)
                if "object" in theirs:
                    theirs["object"] = peer.ask(op="default", object=theirs["object"])["object"]
                if theirs.get("reason") == "Panic" or "resourceResolver is nil" in json.dumps(theirs):
                    continue
                total += 1
                if len(own.get("causes", ())) >= MAX_CAUSES:
                    continue
                if plain(theirs) != plain(own):
                    wrong[str(kind.resource)] += 1
                    tell(case, plain(own), plain(theirs), theirs, shown, asked.show)
                    continue
                pairs.append(pair(case, plain(theirs)))
                if texts(theirs) != texts(own):
                    said[str(kind.resource)] += 1
                    if asked.texts:
                        tell_texts(own, theirs, shown, asked.show)
    print(
        f"{total} objects, {sum(wrong.values())} differ {dict(wrong)}; texts differ {sum(said.values())} {dict(said)}"
    )
    if asked.golden:
        write(asked.golden, pairs)


def tell(case: Case, own: Object, theirs: Object, whole: Object, shown: set[str], most: int) -> None:
    what = "update" if case.old is not None else "create"
    if "causes" in own or "causes" in theirs:
        mine, other = set(map(tuple, own.get("causes", ()))), set(map(tuple, theirs.get("causes", ())))
        lines = [f"extra {cause}" for cause in mine - other]
        messages = {(c.get("field", ""), c.get("reason", "")): c["message"] for c in whole.get("causes", ())}
        lines += [f"missing {cause} {messages[cause][:300]}" for cause in other - mine]
        if not lines:
            lines = [f"ours {str(own)[:100]} theirs {str(theirs)[:100]}"]
    elif "object" in own and "object" in theirs:
        lines = [f"at {path}: ours {a} theirs {b}" for path, a, b in differences(own["object"], theirs["object"])]
    else:
        lines = [f"ours {str(own)[:200]} theirs {str(whole)[:300]}"]
    for line in lines:
        key = "".join(char for char in line if not char.isdigit())[:90]
        if key not in shown and len(shown) < most:
            shown.add(key)
            print(f"{case.kind.resource.kind} {what}: {line}")
            if "-v" in sys.argv:
                print("    ", json.dumps(case.obj)[:1500])


def tell_texts(own: Object, theirs: Object, shown: set[str], most: int) -> None:
    for mine, other in zip(texts(own), texts(theirs), strict=False):
        key = "".join(char for char in other if not char.isdigit())[:60]
        if mine != other and key not in shown and len(shown) < most:
            shown.add(key)
            print(f"   ours   {mine[-300:]}\n   theirs {other[-300:]}")


def differences(one: Any, other: Any, path: str = "") -> Iterator[tuple[str, str, str]]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            if key not in one or key not in other:
                yield (
                    f"{path}.{key}",
                    json.dumps(one.get(key, "<none>"))[:80],
                    json.dumps(other.get(key, "<none>"))[:80],
                )
            else:
                yield from differences(one[key], other[key], f"{path}.{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for first, second in zip(one, other, strict=True):
            yield from differences(first, second, f"{path}[]")
    elif one != other:
        yield path, json.dumps(one)[:80], json.dumps(other)[:80]


def pair(case: Case, answer: Object) -> Object:
    resource = case.kind.resource
    found: Object = {"kind": f"{resource.group_resource} {resource.version}", "object": case.obj, "answer": answer}
    return found | ({"old": case.old} if case.old is not None else {})


def write(target: Path, pairs: list[Object]) -> None:
    lines = ",\n".join(json.dumps(pair, separators=(",", ":")) for pair in pairs)
    target.write_text(
        f'{{"source": "k8s.io/kubernetes v1.35.3, by tests/builtin/differential.py", "pairs": [\n{lines}\n]}}\n'
    )


if __name__ == "__main__":
    main()
