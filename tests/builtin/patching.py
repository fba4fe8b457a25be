"""Strategic merge patches beside apimachinery's own: `python -m tests.builtin.patching PEER [--count N] [--seed S]`.

Objects of every kind, as the server stores them, are patched by what leads to another object of the kind, by parts of it, and
by all directives, well and badly used. Equal must be: applied or refused, and the object that comes of it.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from typing import Any

from styr.api.builtin import types
from styr.api.builtin.types import Type
from styr.api.patches import strategic
from styr.kinds.errors import ApiError
from tests.builtin.differential import complete, kinds
from tests.builtin.fuzz import Fuzz
from tests.builtin.peer import Peer
from tests.builtin.seeds import SEEDS

Object = dict[str, Any]


class Patches:
    """Makes patches of an object of a type, out of another object of the type."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance

    def of(self, old: Any, new: Any, made: Type | None, share: float = 0.6) -> Object:
        """Some of the fields of `new`, some nulls, some directives."""
        found: Object = {}
        if made is None:
            return {key: value for key, value in new.items() if self.chance.random() < share}
        for name, field in types.ready(made).fields.items():
            if self.chance.random() > share:
                continue
            here, there = old.get(name), new.get(name)
            if self.chance.random() < 0.05 and name not in ("metadata",):
                found[name] = None
            elif isinstance(there, dict):
                found[name] = self.of(
                    here if isinstance(here, dict) else {}, there, field.type if field.many != "{}" else None
                )
            elif isinstance(there, list) or isinstance(here, list):
                self.a_list(found, name, here or [], there or [], field.type)
            elif there is not None:
                found[name] = there
        if self.chance.random() < 0.08:
            keys = [key for key in found if not key.startswith("$")]
            found["$retainKeys"] = keys if self.chance.random() < 0.8 else keys[1:]
        if self.chance.random() < 0.03:
            found["$patch"] = self.chance.choice(["replace", "delete", "merge", "eat"])
        return found

    def a_list(self, found: Object, name: str, here: list[Any], there: list[Any], made: Type | None) -> None:
        items: list[Any] = []
        for number, item in enumerate(there):
            mine = here[number] if number < len(here) else {}
            if isinstance(item, dict) and isinstance(mine, dict):
                part = self.of(mine, item, made, 0.9)
                keep = {key: item[key] for key in KEYS if key in item and self.chance.random() < 0.95}
                items.append(part | keep)
            else:
                items.append(item)
        for item in here:
            roll = self.chance.random()
            if isinstance(item, dict) and roll < 0.2:
                items.append(
                    {key: item[key] for key in KEYS if key in item} | {"$patch": self.chance.choice(DIRECTIVES)}
                )
        self.chance.shuffle(items)
        if self.chance.random() < 0.85:
            found[name] = items
        if self.chance.random() < 0.3:
            order = [
                {key: item[key] for key in KEYS if key in item} if isinstance(item, dict) else item
                for item in (*here, *items)
                if not (isinstance(item, dict) and "$patch" in item)
            ]
            if self.chance.random() < 0.5:
                self.chance.shuffle(order)
            found[f"$setElementOrder/{name}"] = order[: self.chance.randint(0, len(order) + 2)]
        plain = [item for item in here if not isinstance(item, dict)]
        if plain and name not in found and self.chance.random() < 0.6:  # of both, Go takes either first
            found[f"$deleteFromPrimitiveList/{name}"] = [self.chance.choice(plain)]


KEYS = ("name", "type", "uid", "ip", "port", "containerPort", "mountPath", "devicePath", "topologyKey", "rule", "key")
DIRECTIVES = ("delete", "delete", "delete", "replace", "merge")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("peer")
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=10)
    asked = parser.parse_args()
    total, refused, wrong = 0, 0, Counter[str]()
    with Peer(asked.peer) as peer:
        for kind in kinds():
            resource = kind.resource
            made = types.find(resource.api_version, resource.kind)
            fuzz = Fuzz(random.Random(f"{asked.seed} {resource}"))
            patches = Patches(fuzz.random)
            seeds = [complete(kind, seed) for seed in SEEDS.get(resource.kind, [{}])]
            for _ in range(asked.count):
                old = fuzz.mutate(fuzz.random.choice(seeds), made, 2) | {
                    "apiVersion": resource.api_version,
                    "kind": resource.kind,
                }
                new = fuzz.mutate(old, made, fuzz.random.choice((1, 3, 6)))
                try:
                    for each in (old, new):
                        types.read(each, made)
                except ApiError:
                    continue
                patch = patches.of(old, new, made)
                (
                    patch.pop("kind", None),
                    patch.pop("apiVersion", None),
                    patch.pop("$patch", None),
                    patch.pop("$retainKeys", None),
                )
                theirs = peer.ask(op="strategic", object=old, patch=patch)
                if theirs.get("reason") == "Panic":  # an order of a list that has no key
                    continue
                total += 1
                try:
                    own: Any = strategic.apply(json.loads(json.dumps(old)), patch, made)
                except ApiError as error:
                    own = error
                if isinstance(own, ApiError) or "object" not in theirs:
                    refused += 1
                    same = isinstance(own, ApiError) and "object" not in theirs
                else:
                    same = own == theirs["object"]
                if not same:
                    wrong[str(resource)] += 1
                    if sum(wrong.values()) <= asked.show:
                        print(
                            json.dumps(old),
                            json.dumps(patch),
                            f"ours {own!r}",
                            f"theirs {json.dumps(theirs)}",
                            sep="\n   ",
                        )
    print(f"{total} patches, {refused} refused, {sum(wrong.values())} differ {dict(wrong)}")


if __name__ == "__main__":
    main()
