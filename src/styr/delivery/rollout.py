"""Keeps a promise: the newest release of an App gets traffic only as far as the evidence goes, and none is lost on the way.

    Pending ─▶ Starting ─▶ Smoke ─▶ Canary ─▶ Promoted        Canary ─▶ RolledBack   (the judge, or a person)
                  └──────────┴─▶ Failed (never met a user)    any open phase ─▶ Superseded (a newer push)

Called by the manager for each App; `controllers` is what `plane` adds. Each pass reads everything, does what is due and
writes the difference; who is stable and who is candidate is derived from the releases (`cast`), so a pass may stop at any
line and the next one goes on. A decision is in the record before it is acted upon, and the HTTPRoute is written before
the statuses. Never judges (`judge`, `ramp`), never starts or stops pods (`release`).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from styr.client.client import Client
from styr.client.context import owned
from styr.client.controller import After, Context, Controller, Done, Key, Outcome, Watch
from styr.delivery import canary as canaries
from styr.delivery import guard_readings, objects, record, release, smoke, standing
from styr.delivery.canary import Canary
from styr.delivery.cast import name_of
from styr.delivery.evidence import reading
from styr.delivery.kinds import (
    APP_LABEL,
    CRDS,
    PROMOTE_ANNOTATION,
    RELEASE_LABEL,
    ROLLBACK_ANNOTATION,
    phase,
)
from styr.delivery.metrics import Judged, JudgeMetrics
from styr.delivery.scene import (
    SOON,
    Scene,
    addresses,
    by_hand,
    finish,
    give,
    last_words,
    look,
    promote,
    refuse,
    time_of,
    times_of,
    update,
    write,
)
from styr.kinds import conditions, meta
from styr.kinds.errors import AlreadyExists, ApiError, NotFound
from styr.kinds.resources import (
    APP,
    CONFIG_MAP,
    CRD,
    DEPLOYMENT,
    ENDPOINT_SLICE,
    GATEWAY,
    HTTP_ROUTE,
    POD,
    RELEASE,
    Object,
)
from styr.kinds.seams import MetricQuery, RouteCounters, TrafficSource
from styr.kit.clock import parse_rfc3339, rfc3339
from styr.kit.log import Log
from styr.kit.metrics import CollectorRegistry

log = Log("styr.delivery.rollout")

_PACE_SECONDS = 60.0


class Rollout:
    """What is remembered between passes is only a cache of the records, and (time, requests so far) by uid, for rates."""

    def __init__(
        self,
        traffic: TrafficSource,
        fetch: smoke.Fetch = smoke.fetch,
        query: MetricQuery | None = None,
        registry: CollectorRegistry | None = None,
    ) -> None:
        self._traffic = traffic
        self._fetch = fetch
        self._query = query
        self._metrics = JudgeMetrics(self._judged, registry)
        self._canaries: dict[str, Canary] = {}
        self._seen: dict[str, tuple[float, int]] = {}

    async def reconcile(self, context: Context, key: Key) -> Outcome:
        scene = look(context, key)
        if scene is None:
            return Done()
        scene.ended = partial(self._metrics.ended, *scene.key)
        outcome = await self._advance(scene)
        await standing.tell(look(context, key) or scene, self._weight(scene))
        await standing.prune(scene)
        return outcome

    async def _advance(self, scene: Scene) -> Outcome:
        await self._supersede(scene)
        candidate = scene.cast.candidate
        if candidate is None:
            return await self._between(scene)
        if ROLLBACK_ANNOTATION in meta.annotations(candidate) and phase(candidate) != "Canary":
            reason = meta.annotations(candidate)[ROLLBACK_ANNOTATION]
            await finish(scene, candidate, "RolledBack", by_hand("Taken back by hand before it met a user", reason))
            return After(SOON)
        match phase(candidate):
            case "Starting":
                return await self._start(scene, candidate)
            case "Smoke":
                return await self._smoke(scene, candidate)
            case "Canary":
                return await self._canary(scene, candidate)
        self._seen.pop(meta.uid(candidate), None)
        times = {"started": scene.context.now()}
        told = {"phase": "Starting", "verdict": "Starting.", "stable": name_of(scene.cast.stable), "times": times}
        await update(scene, candidate, told)
        return After(SOON)

    # a release on its way

    async def _start(self, scene: Scene, candidate: Object) -> Outcome:
        """Until its pods listen. It has no weight and meets nobody."""
        await give(scene, 0)
        await self._measure(scene, candidate)
        name = meta.name(candidate)
        if scene.serves(candidate):
            await update(scene, candidate, {"phase": "Smoke", "verdict": "Checking it on its own address."})
            return After(0.0)
        reason, pod = objects.cannot_start(scene.pods(name))
        waited = scene.context.clock.time() - time_of(candidate, "started", scene)
        if not reason and waited > objects.START_DEADLINE:
            reason = f"it did not listen on $PORT within {objects.START_DEADLINE} s"
            pod = next((meta.name(one) for one in scene.pods(name)), "")
        if reason:
            words = await last_words(scene, pod)
            await finish(scene, candidate, "Failed", f"Failed before it met a user: {reason}.{words}")
            return After(SOON)
        return After(1.0)

    async def _smoke(self, scene: Scene, candidate: Object) -> Outcome:
        """On the pods' own addresses, past the proxy: the check, and requests that warm it up."""
        pods = addresses(scene, candidate)
        if not pods:
            await update(scene, candidate, {"phase": "Starting"})
            return After(1.0)
        path = scene.settings.smoke_path
        for pod, address in pods:
            if problem := await smoke.check(self._fetch, scene.context.clock.sleep, address, path):
                words = await last_words(scene, pod)
                await finish(scene, candidate, "Failed", f"Failed before it met a user: {problem}.{words}")
                return After(SOON)
        if scene.cast.stable is None or candidate["spec"].get("skipCanary"):
            why = "there is nothing to compare it with" if scene.cast.stable is None else "the push asked for no canary"
            return await promote(scene, candidate, f"Promoted without a canary: {why}.", {})
        wanted = -(-scene.settings.warmup_requests // len(pods))
        answered = [await smoke.warm_up(self._fetch, address, path, wanted) for _, address in pods]
        return await self._begin(scene, candidate, warmed=wanted > 0 and min(answered) >= wanted)

    async def _begin(self, scene: Scene, candidate: Object, *, warmed: bool) -> Outcome:
        """The first weight, once there are statistics to judge by."""
        counters = await self._measure(scene, candidate)
        stable = name_of(scene.cast.stable)
        if counters is None:
            held = canaries.blind(0, scene.now - self._seen.get(meta.uid(candidate), (scene.now, 0))[0])
            await update(scene, candidate, {"outcome": "Held", "verdict": held.message, "weight": 0})
            return After(1.0)
        clock = scene.context.clock
        made = canaries.begin(
            meta.name(candidate),
            stable,
            scene.settings,
            reading(counters, meta.name(candidate), stable),
            warmed,
            self._rate(scene, candidate, canaries.requests(counters, stable)),
            clock.monotonic(),
            rfc3339(clock.time()),
            scene.key,
        )
        self._canaries[meta.uid(candidate)] = made
        await self._save(scene, candidate, made)
        times = {**times_of(candidate), "canary": scene.context.now()}
        await give(scene, made.record.weight)
        await update(scene, candidate, {"phase": "Canary", "times": times, **_told(made)})
        return After(canaries.PERIOD)

    async def _canary(self, scene: Scene, candidate: Object) -> Outcome:
        """Once a second: read, judge, record, act."""
        canary = await self._known(scene, candidate)
        if canary is None:
            await update(scene, candidate, {"phase": "Smoke", "verdict": "Beginning again: its record is not there."})
            return After(SOON)
        annotations = meta.annotations(candidate)
        if canary.last.word == "raise" and ROLLBACK_ANNOTATION in annotations:
            canary.settle("abort", 0)
        elif canary.last.word == "raise" and PROMOTE_ANNOTATION in annotations:
            canary.settle("promote", 100)
        elif canary.last.word == "raise" and canary.due(scene.now):
            await self._tick(scene, canary)
        if canary.unsaved(scene.now):
            await self._save(scene, candidate, canary)
        return await self._act(scene, candidate, canary)

    async def _tick(self, scene: Scene, canary: Canary) -> None:
        counters = await self._traffic.read(scene.key.namespace, scene.key.name)
        weight = objects.weights(scene.route).get(canary.record.release, 0)
        now, stamp = scene.now, round(1000 * scene.context.clock.time())
        arms = reading(counters, canary.record.release, canary.record.against) if counters else None
        self._metrics.read(taken=arms is not None)
        canary.observe(arms, weight, objects.in_force(scene.route), now, stamp)
        if asked := canary.due_guards(now):
            readings = await guard_readings.ask(self._query, asked, canary.passed(now))
            for one in readings:
                self._metrics.guarded(*scene.key, one.guard, one.result)
            canary.guard(readings)
        canary.decide(scene.settings, now)

    async def _act(self, scene: Scene, candidate: Object, canary: Canary) -> Outcome:
        """What the last recorded decision says. May run again after a crash."""
        match canary.last.word:
            case "rollback" | "guard" | "abort":
                await give(scene, 0)
                verdict = canary.sentence()[1]
                if canary.last.word == "abort":
                    reason = meta.annotations(candidate).get(ROLLBACK_ANNOTATION, "")
                    at = canary.record.decisions[-2].weight if len(canary.record.decisions) > 1 else 0
                    verdict = by_hand(f"Rolled back by hand at {at} % of requests", reason)
                told = {**canary.status(), "weight": 0, "waiting": None}
                await finish(scene, candidate, "RolledBack", verdict, told)
                await self._sample(scene, candidate, canary)
                self._canaries.pop(meta.uid(candidate), None)
                return After(SOON)
            case "promote":
                asked = meta.annotations(candidate).get(PROMOTE_ANNOTATION)
                verdict = canary.sentence()[1] if asked is None else by_hand("Promoted by hand", asked)
                told = {**canary.status(), "weight": 100, "waiting": None}
                await promote(scene, candidate, verdict, told)
                self._canaries.pop(meta.uid(candidate), None)
                return After(SOON)
        await give(scene, canary.record.weight)
        await update(scene, candidate, _told(canary))
        return After(max(0.05, canary.read_at + canaries.PERIOD - scene.now))

    async def _supersede(self, scene: Scene) -> None:
        """Older candidates give way: their weight goes to the stable release, in one write, before anything is told."""
        for old in scene.cast.superseded:
            canary = await self._known(scene, old) if phase(old) == "Canary" else None
            newest = meta.name(scene.cast.releases[-1])
            so_far = ""
            if canary is not None:
                if canary.last.word == "raise":
                    canary.settle("supersede", 0)
                    await self._save(scene, old, canary)
                ours = canary.state.total[0]
                so_far = f" {ours.failures} of its {ours.requests} requests had failed."
            await give(scene, 0)
            told = {**canary.status(), "weight": 0, "waiting": None} if canary else {"weight": 0}
            await finish(scene, old, "Superseded", f"Superseded by {newest} before its verdict.{so_far}", told)
            self._canaries.pop(meta.uid(old), None)

    # no release on its way

    async def _between(self, scene: Scene) -> Outcome:
        stable = scene.cast.stable
        if stable is not None and ROLLBACK_ANNOTATION in meta.annotations(stable):
            return await self._go_back(scene, stable)
        await give(scene, 0)
        if stable is None:
            return Done()
        await self._pace(scene)
        ends = [parse_rfc3339(one["until"]) for one in scene.status.get("warm") or ()]
        return After(min([_PACE_SECONDS, *(max(0.5, end - scene.context.clock.time() + 0.1) for end in ends)]))

    async def _go_back(self, scene: Scene, stable: Object) -> Outcome:
        """A person takes back the release that has all traffic: the one before gets it, at once if it is still warm."""
        previous = scene.cast.previous
        if previous is None:
            return await refuse(
                scene, stable, "NothingToGoBackTo", "there is no earlier promoted release to go back to"
            )
        await update(scene, stable, {"conditions": None})  # an earlier refusal is no answer to this wish
        if scene.serves(previous):
            await write(scene, [(meta.name(previous), 100), (meta.name(stable), 0)])
            said = f"Taken back by hand; {meta.name(previous)} has all traffic again"
            verdict = by_hand(said, meta.annotations(stable)[ROLLBACK_ANNOTATION])
            await finish(scene, stable, "RolledBack", verdict, {"weight": 0})
            return After(SOON)
        found = conditions.find(scene.status.get("conditions"), "RollingBack")
        reason, pod = objects.cannot_start(scene.pods(meta.name(previous)))
        since = parse_rfc3339(found["lastTransitionTime"]) if found and found["status"] == "True" else None
        if since and scene.context.clock.time() - since > objects.START_DEADLINE:
            reason = reason or f"it did not listen within {objects.START_DEADLINE} s"
        if since and reason:
            words = await last_words(scene, pod)
            return await refuse(
                scene, stable, "CannotGoBack", f"{meta.name(previous)} does not start: {reason}.{words}"
            )
        return After(1.0)

    # helpers with a memory

    def _judged(self) -> Iterable[Judged]:
        """Candidates under live traffic, for the metrics."""
        for canary in self._canaries.values():
            if canary.last.word == "raise":
                yield Judged(*canary.app, float(canary.record.weight), canary.evidence)

    def _weight(self, scene: Scene) -> int:
        candidate = scene.cast.candidate
        canary = self._canaries.get(meta.uid(candidate)) if candidate else None
        return canary.record.weight if canary and canary.last.word == "raise" else 0

    async def _pace(self, scene: Scene) -> None:
        """Between releases: how many requests the app has had, once a minute, to know its rate when the next one comes."""
        assert scene.cast.stable is not None
        uid = meta.uid(scene.cast.stable)
        if uid not in self._seen or scene.now - self._seen[uid][0] >= _PACE_SECONDS:
            counters = await self._traffic.read(scene.key.namespace, scene.key.name)
            if counters is not None:
                self._seen[uid] = (scene.now, canaries.requests(counters, name_of(scene.cast.stable)))

    async def _measure(self, scene: Scene, candidate: Object) -> RouteCounters | None:
        """A reading; the first one for this candidate is where the app's rate is measured from."""
        counters = await self._traffic.read(scene.key.namespace, scene.key.name)
        if counters is not None:
            stable = name_of(scene.cast.stable)
            self._seen.setdefault(meta.uid(candidate), (scene.now, canaries.requests(counters, stable)))
        return counters

    def _rate(self, scene: Scene, candidate: Object, requests: int) -> float | None:
        """Requests per second of late; since the candidate came if nothing else is known."""
        known = (scene.cast.stable, candidate)
        found = (self._seen.get(meta.uid(one)) for one in known if one)
        return next((rate for one in found if (rate := canaries.rate(one, (scene.now, requests))) is not None), None)

    async def _known(self, scene: Scene, candidate: Object) -> Canary | None:
        """From memory, or from its record after a restart; None when there is none to go on from."""
        uid = meta.uid(candidate)
        if uid not in self._canaries:
            try:
                kept = await scene.context.client.get(
                    CONFIG_MAP, objects.record_name(meta.name(candidate)), scene.key.namespace
                )
                found = record.loads((kept.get("data") or {}).get(record.NAME, ""))
                clock = scene.context.clock
                self._canaries[uid] = canaries.resume(found, clock.monotonic(), clock.time())
                self._canaries[uid].app = scene.key
            except NotFound:
                return None
            except record.RecordError as error:
                await scene.context.event(candidate, "Warning", "RecordUnusable", str(error))
                return None
        return self._canaries[uid]

    async def _save(self, scene: Scene, candidate: Object, canary: Canary) -> None:
        """Write the record; whatever follows from it may be done only then."""
        client = scene.context.client
        wanted = objects.config_map(candidate, {record.NAME: record.dumps(canary.record)})
        try:
            name = meta.name(wanted)
            await client.patch(CONFIG_MAP, name, scene.key.namespace, {"data": wanted["data"]})
        except NotFound:
            try:
                await client.create(CONFIG_MAP, owned(wanted, candidate, CONFIG_MAP))
            except AlreadyExists:  # an answer that was lost: the next pass patches it
                log.info("record exists already", release=meta.key(candidate))
                return
        canary.saved, canary.saved_at = canary.record, scene.now

    async def _sample(self, scene: Scene, candidate: Object, canary: Canary) -> None:
        """The last lines of its log into the record, for `styr why`. After the rollback, which waits for nothing."""
        pod = next((meta.name(one) for one in scene.pods(meta.name(candidate))), "")
        words = await last_words(scene, pod)
        if words and canary.last.word in ("rollback", "guard"):
            canary.record = record.with_sample(canary.record, words.strip())
            try:
                await self._save(scene, candidate, canary)
            except ApiError as error:
                log.info("sample not recorded", release=meta.key(candidate), error=error)


def _told(canary: Canary) -> dict[str, Any]:
    outcome, verdict = canary.sentence()
    return {**canary.status(), "outcome": outcome, "verdict": verdict}


# wiring


def _app_of(obj: Object, _context: Context) -> Iterable[Key]:
    app = meta.labels(obj).get(APP_LABEL)
    return (Key(meta.namespace(obj), app),) if app and RELEASE_LABEL in meta.labels(obj) else ()


def _app_of_slice(obj: Object, context: Context) -> Iterable[Key]:
    """EndpointSlices carry the name of the Service, which is the release's."""
    key = Key(meta.namespace(obj), meta.labels(obj).get(objects.SERVICE_LABEL, ""))
    release = context.get(RELEASE, key)
    return _app_of_release(release, context) if release else ()


def _app_of_release(obj: Object, _context: Context) -> Iterable[Key]:
    app = (obj.get("spec") or {}).get("app")
    return (Key(meta.namespace(obj), str(app)),) if app else ()


def _every_app(_obj: Object, context: Context) -> Iterable[Key]:
    return [meta.key(app) for app in context.list(APP)]


def controllers(
    traffic: TrafficSource,
    fetch: smoke.Fetch = smoke.fetch,
    query: MetricQuery | None = None,
    registry: CollectorRegistry | None = None,
) -> list[Controller]:
    """The controllers of App and Release. `traffic` is where the arms' counters come from, `query` who is asked about guards;
    without it they have no data."""
    app = Controller(
        name="rollout",
        resource=APP,
        reconcile=Rollout(traffic, fetch, query, registry).reconcile,
        owns=(HTTP_ROUTE,),
        watches=(
            Watch(RELEASE, _app_of_release),
            Watch(DEPLOYMENT, _app_of),
            Watch(POD, _app_of),
            Watch(GATEWAY, _every_app),
            Watch(ENDPOINT_SLICE, _app_of_slice),
        ),
        workers=8,
    )
    return [app, release.CONTROLLER]


async def install(client: Client) -> None:
    """Puts the definitions of App and Release there, or brings them up to date. Raises ApiError."""
    for definition in CRDS:
        try:
            await client.create(CRD, definition)
        except AlreadyExists:
            await client.patch(CRD, meta.name(definition), "", {"spec": definition["spec"]})
