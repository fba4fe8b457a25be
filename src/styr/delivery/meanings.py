"""What each field of App and Release means, in one sentence: `kubectl explain` and docs/kinds.md show it. Called by `kinds`."""

from __future__ import annotations

from typing import Any

KINDS = {
    "App": "What you push: a branch of a git repository that is built, tested, released and judged by its traffic.",
    "Release": "One immutable build of an App, and what became of it.",
}

_CONDITIONS = {
    "": "Standard conditions.",
    "[].type": "Which condition.",
    "[].status": "True, False or Unknown.",
    "[].observedGeneration": "The generation of the object that this was said of.",
    "[].lastTransitionTime": "When the status last changed.",
    "[].reason": "One word for programs.",
    "[].message": "A sentence for people.",
}
_ENV = {
    "": "Environment variables of the app's processes.",
    "[].name": "Name of the variable.",
    "[].value": "Its value; empty when absent.",
}

_APP = {
    "spec.branch": "The branch that is deployed; pushes to others are refused.",
    "spec.replicas": "How many processes each release has.",
    "spec.command": "How the app is started, by `sh -c`; without it, pyproject.toml, Procfile or detection decide.",
    "spec.tests": "The repository's own tests, run before the push is accepted.",
    "spec.tests.command": "How they are run; without it, pyproject.toml or detection decide.",
    "spec.tests.timeoutSeconds": "After so many seconds they are stopped and the push is rejected.",
    "spec.tests.skip": "Accept pushes without running tests.",
    "spec.build": "How the dependencies are installed.",
    "spec.build.timeoutSeconds": "After so many seconds the build is stopped and the push is rejected.",
    "spec.smoke": "The check on the new release's own address, before any user meets it.",
    "spec.smoke.path": "The path that must be answered with less than 500; warm-up requests go there too.",
    "spec.rollout": "How a release gets its traffic (docs/delivery-judge.md).",
    "spec.rollout.alpha": "The greatest chance that a release which is no worse is ever rolled back.",
    "spec.rollout.harmBudget": "Extra failures, as a share of all requests, that must be excluded (99 % confidence) before "
    "the weight rises. Without it: 0.01 from 10 requests/s on, 0.03 from 1, else 0.05.",
    "spec.rollout.steps": "Weights in percent, in rising order; 100 is always the last.",
    "spec.rollout.minStepSeconds": "Each weight lasts at least so long.",
    "spec.rollout.startWeight": "The first weight in percent; without it about two requests per second, within 1 to 20.",
    "spec.rollout.warmupRequests": "Requests by the platform itself before the first user's; 0 for none.",
    "spec.rollout.warmupSeconds": "Without answered warm-up requests, latency is judged only after so many seconds.",
    "spec.rollout.keepWarmSeconds": "How long the release before is kept running after a promotion.",
    "spec.rollout.timeLimitSeconds": "After so long without a verdict the release is held and says so.",
    "spec.rollout.latency": "Judge by latency too.",
    "spec.rollout.marginOdds": "Above 200 requests/s, odds of failing up to so many times the old ones are tolerated.",
    "spec.guards": "Expressions that must hold while a release is a canary (docs/delivery-judge.md).",
    "spec.guards[].name": "What verdicts call it.",
    "spec.guards[].query": "PromQL, with `{{app}}`, `{{release}}`, `{{namespace}}`, `{{service}}` (the release's Service) and "
    "`{{stable}}` (the release it is compared with). Every series of its result must lie within the limits.",
    "spec.guards[].max": "A greater value is a breach.",
    "spec.guards[].min": "A smaller value is a breach. One of max and min is needed.",
    "spec.guards[].intervalSeconds": "How often it is asked.",
    "spec.guards[].failureLimit": "So many breaches are tolerated; one more rolls back.",
    "spec.guards[].noData": "What no result (or NaN, or no answer) leads to: Hold keeps the weight until there is one, "
    "Continue goes on and says so. It is never a breach.",
    "status.url": "Where the app answers.",
    "status.stable": "The release that serves.",
    "status.candidate": "The release that is being started or judged.",
    "status.weight": "The candidate's share of the requests, in percent.",
    "status.verdict": "The last verdict, or what is going on.",
    "status.nextNumber": "The number of the next release.",
    "status.remembered": "Commits that were taken back; pushing one again needs `-o retry`.",
    "status.remembered[].commit": "The commit.",
    "status.remembered[].release": "The release of it that was taken back.",
    "status.remembered[].verdict": "Why.",
    "status.remembered[].time": "When.",
    "status.running": "The releases whose processes are wanted.",
    "status.warm": "Releases kept running though they serve nobody.",
    "status.warm[].release": "Which.",
    "status.warm[].until": "Until when.",
    "status.observedGeneration": "The generation of the App that this status was made from.",
}

_RELEASE = {
    "spec.app": "The App it belongs to, in the same namespace.",
    "spec.number": "Counts up; the newest release is the candidate.",
    "spec.commit": "The commit it was built from.",
    "spec.subject": "The first line of the commit's message.",
    "spec.image": "What runs, by digest.",
    "spec.command": "How it is started, by `sh -c`.",
    "spec.replicas": "How many processes; the App's number when absent.",
    "spec.tests": "What the repository's own tests said.",
    "spec.tests.command": "How they were run; empty when there were none.",
    "spec.tests.passed": "Did they pass?",
    "spec.tests.seconds": "How long they took.",
    "spec.tests.summary": "Their last line.",
    "spec.retry": "The push asked to judge a commit again that had been taken back.",
    "spec.skipCanary": "The push asked for all traffic at once.",
    "spec.rollbackOf": "The release that this one takes back.",
    "spec.pushedBy": "The user who pushed it.",
    "status.phase": "Pending, Starting, Smoke and Canary are open; Promoted, RolledBack, Superseded and Failed are final.",
    "status.outcome": "What the ramp says: Waiting, Held, Promoted or RolledBack.",
    "status.weight": "Its share of the requests, in percent.",
    "status.verdict": "One sentence: what was found, or what is waited for.",
    "status.stable": "The release that it is compared with.",
    "status.requests": "Final responses counted while it was judged.",
    "status.requests.canary": "By this release.",
    "status.requests.stable": "By the one that it is compared with.",
    "status.failures": "Those of class 5xx.",
    "status.failures.canary": "By this release.",
    "status.failures.stable": "By the one that it is compared with.",
    "status.evidence": "The e-value against it; it is rolled back at 1 / alpha.",
    "status.waiting": "What the next step waits for.",
    "status.waiting.requests": "About so many more requests to the app.",
    "status.waiting.seconds": "About so many seconds, at the present rate.",
    "status.guards": "What the App's guards say.",
    "status.guards[].name": "Which.",
    "status.guards[].result": "Of the newest reading: Met, Breached or Missing.",
    "status.guards[].breaches": "How many readings were breaches.",
    "status.guards[].value": "The newest value; the one furthest out when there were several.",
    "status.guards[].message": "What was missing.",
    "status.times": "When what happened.",
    "status.times.started": "Its processes were asked for.",
    "status.times.canary": "It got its first weight.",
    "status.times.decided": "Its phase became final.",
}


def _under(path: str, fields: dict[str, str]) -> dict[str, str]:
    return {path + name: text for name, text in fields.items()}


MEANINGS: dict[str, dict[str, str]] = {
    "App": {**_APP, **_under("spec.env", _ENV), **_under("status.conditions", _CONDITIONS)},
    "Release": {**_RELEASE, **_under("spec.env", _ENV), **_under("status.conditions", _CONDITIONS)},
}


def described(kind: str, schema: dict[str, Any], path: str = "") -> dict[str, Any]:
    """The schema with a description for every field below `spec` and `status`. Raises KeyError for one without."""
    result = dict(schema)
    if "." in path and not path.endswith("[]"):
        result["description"] = MEANINGS[kind][path]
    if "properties" in schema:
        join = f"{path}." if path else ""
        result["properties"] = {
            name: described(kind, field, join + name) for name, field in schema["properties"].items()
        }
    if "items" in schema:
        result["items"] = described(kind, schema["items"], f"{path}[]")
    return result
