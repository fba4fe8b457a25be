"""`metadata`, `targets`, `targets/metadata`, `targets/relabel_steps`, `scrape_pools`. Called by `api`."""

from __future__ import annotations

from typing import Any

import msgspec

from styr.kinds.transport import Response
from styr.metrics.model.errors import BadData
from styr.metrics.model.labels import get
from styr.metrics.model.samples import Metadata
from styr.metrics.scrape.status import ActiveTarget
from styr.metrics.web import reply
from styr.metrics.web.call import Call
from styr.metrics.web.forms import invalid
from styr.metrics.web.json import go_time


def entry(found: Metadata) -> dict[str, str]:
    return {"type": found.type, "help": found.help, "unit": found.unit}


async def metadata(call: Call) -> Response:
    """Type, help and unit of each family, distinct ones only; those of pushed metrics too."""
    limit, each = call.form.number("limit", -1), call.form.number("limit_per_metric", -1)
    wanted = call.form.text("metric")
    found: dict[str, list[Metadata]] = {}
    scraped = [(row.family, row.metadata) for row in call.targets.metadata()] if call.parts.targets else []
    for family, about in (*scraped, *call.admin.metadata().items()):
        if wanted not in ("", family):
            continue
        known = found.setdefault(family, [])
        if about not in known and not 0 < each <= len(known):
            known.append(about)
    names = list(found)[:limit] if limit >= 0 else list(found)
    return reply.data({name: [entry(about) for about in found[name]] for name in names})


async def targets(call: Call) -> Response:
    """What is scraped, and what relabelling dropped."""
    pool, state = call.form.text("scrapePool"), call.form.text("state").lower()
    source = call.targets
    active: list[Any] = []
    dropped: list[Any] = []
    out: dict[str, Any] = {"activeTargets": active, "droppedTargets": dropped, "droppedTargetCounts": None}
    if state in ("", "any", "active"):
        active.extend(_active(each) for each in source.active() if pool in ("", each.pool))
    if state in ("", "any", "dropped"):
        dropped.extend(
            {"discoveredLabels": dict(each.discovered_labels), "scrapePool": each.pool}
            for each in source.dropped()
            if pool in ("", each.pool)
        )
        out["droppedTargetCounts"] = dict(source.dropped_counts())
    return reply.data(out)


def _active(target: ActiveTarget) -> dict[str, Any]:
    return {
        "discoveredLabels": dict(sorted(target.discovered_labels.items())),
        "labels": dict(target.labels),
        "scrapePool": target.pool,
        "scrapeUrl": target.url,
        "globalUrl": target.url,
        "lastError": target.last_error,
        "lastScrape": go_time(target.last_scrape),
        "lastScrapeDuration": target.duration,
        "health": target.health,
        "scrapeInterval": target.interval,
        "scrapeTimeout": target.timeout,
    }


async def targets_metadata(call: Call) -> Response:
    """Metadata target by target."""
    limit, wanted = call.form.number("limit", -1), call.form.text("metric")
    selector = call.form.text("match_target")
    try:
        matchers = call.engine.matchers(selector) if selector else []
    except BadData as error:
        raise invalid("match_target", str(error)) from None
    rows: list[dict[str, Any]] = []
    for row in call.targets.metadata():
        if 0 <= limit <= len(rows):
            break
        fits = all(matcher.matches(get(row.labels, matcher.name)) for matcher in matchers)
        if fits and wanted in ("", row.family):
            name = {} if wanted else {"metric": row.family}
            rows.append({"target": dict(row.labels), **name, **entry(row.metadata)})
    return reply.data(rows)


async def relabel_steps(call: Call) -> Response:
    """What each relabelling rule of a pool does to a label set."""
    pool, text = call.form.text("scrapePool"), call.form.text("labels")
    for name, value in (("scrapePool", pool), ("labels", text)):
        if not value:
            raise BadData(f"no {name} parameter provided")
    try:
        found = msgspec.json.decode(text, type=dict[str, str])
    except msgspec.DecodeError as error:
        raise BadData(f"error parsing labels: {error}") from None
    steps = call.targets.relabel_steps(pool, found)
    return reply.data({"steps": [{"rule": rule, "output": dict(out), "keep": keep} for rule, out, keep in steps]})


async def scrape_pools(call: Call) -> Response:
    """Their names."""
    return reply.data({"scrapePools": sorted(call.targets.pools())})
