"""Who plays which part: stable, candidate, the one before, those that are over. Derived from the releases alone, so that
a crash between two writes changes nothing. Called by `rollout`. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from styr.delivery.kinds import OPEN, phase
from styr.kinds import meta
from styr.kinds.resources import Object
from styr.kit.clock import parse_rfc3339, rfc3339

DRAIN_SECONDS = 5
"""How long a release without weight is kept for requests that are still on their way."""
REMEMBERED = 50


@dataclass(frozen=True, slots=True)
class Cast:
    """`releases` by number. `superseded` are open releases that a newer one has overtaken."""

    releases: tuple[Object, ...]
    stable: Object | None
    previous: Object | None
    candidate: Object | None
    superseded: tuple[Object, ...]


def number(release: Mapping[str, object]) -> int:
    spec = release.get("spec")
    return int(spec.get("number", 0)) if isinstance(spec, Mapping) else 0


def cast(releases: Iterable[Object]) -> Cast:
    ordered = tuple(
        sorted((one for one in releases if not meta.deleting(one)), key=lambda one: (number(one), meta.name(one)))
    )
    promoted = [one for one in ordered if phase(one) == "Promoted"]
    opened = [one for one in ordered if phase(one) in OPEN]
    candidate = opened[-1] if opened and opened[-1] is ordered[-1] else None
    return Cast(
        ordered,
        promoted[-1] if promoted else None,
        promoted[-2] if len(promoted) > 1 else None,
        candidate,
        tuple(one for one in opened if one is not candidate),
    )


def name_of(release: Object | None) -> str:
    return meta.name(release) if release else ""


def weights(cast: Cast, weight: int, known: Iterable[str], kept: Iterable[str]) -> list[tuple[str, int]]:
    """(Service, percent) of the app's route. Arms the route knows and that are still kept stay in it with 0."""
    stable, candidate = name_of(cast.stable), name_of(cast.candidate)
    if not stable:
        return []
    arms = [(stable, 100 - weight)]
    if candidate and (weight or candidate in set(known)):
        arms.append((candidate, weight))
    named = {arm for arm, _ in arms}
    return [*arms, *((one, 0) for one in sorted(set(known) & set(kept) - named))]


def warm(cast: Cast, status: Mapping[str, object], keep: float, now: float) -> list[dict[str, str]]:
    """Who is kept running for a while without being stable or candidate, and until when."""
    playing = {name_of(cast.stable), name_of(cast.candidate)}
    phases = {meta.name(one): phase(one) for one in cast.releases}
    before, running = status.get("warm"), status.get("running")
    old = (
        {str(one["release"]): one for one in before if isinstance(one, Mapping)} if isinstance(before, Sequence) else {}
    )
    result = []
    for name in [str(one) for one in running] if isinstance(running, Sequence) else []:
        # What never met a user needs no time to drain; only the release before the stable one is worth keeping warm.
        if name in playing or phases.get(name, "Failed") == "Failed":
            continue
        seconds = max(DRAIN_SECONDS, keep) if name == name_of(cast.previous) else DRAIN_SECONDS
        until = now + seconds
        if name in old:
            until = min(until, parse_rfc3339(str(old[name]["until"])))
        if until > now:
            result.append({"release": name, "until": rfc3339(until)})
    return result


def remembered(cast: Cast, status: Mapping[str, object]) -> list[dict[str, str]]:
    """Commits that were taken back, oldest first; a later promotion of the same commit (`-o retry`) clears it."""
    before = status.get("remembered")
    found = (
        {str(one["release"]): dict(one) for one in before if isinstance(one, Mapping)}
        if isinstance(before, Sequence)
        else {}
    )
    for release in cast.releases:
        if phase(release) == "RolledBack":
            told = release.get("status") or {}
            found[meta.name(release)] = {
                "commit": str(release["spec"].get("commit", "")),
                "release": meta.name(release),
                "verdict": str(told.get("verdict", "")),
                "time": str((told.get("times") or {}).get("decided", "")) or "1970-01-01T00:00:00Z",
            }
    good = {release["spec"].get("commit"): number(release) for release in cast.releases if phase(release) == "Promoted"}
    numbers = {meta.name(release): number(release) for release in cast.releases}
    kept = [one for one in found.values() if good.get(one["commit"], -1) < numbers.get(one["release"], 0)]
    return kept[-REMEMBERED:]
