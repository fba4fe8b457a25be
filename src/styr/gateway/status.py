"""What the statuses of GatewayClass, Gateway and HTTPRoute should say. Pure.

Called by `gateway` after Envoy has answered. Conditions and reasons are Gateway API's; on an HTTPRoute's parent Styr adds
`Programmed`: Envoy has acknowledged this generation. Entries of other controllers are kept as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from styr.gateway.ir import CDS, CONTROLLER, EDS, LDS, ListenerResult, ObjectKey, ParentResult, Verdict
from styr.gateway.quarantine import Quarantine
from styr.gateway.stream import Report
from styr.kinds import conditions
from styr.kinds.resources import Object

Status = dict[str, Any]


def _conditions(old: Any, generation: int, now: str, verdicts: Mapping[str, Verdict]) -> list[dict[str, Any]]:
    found = old
    for kind, verdict in verdicts.items():
        found = conditions.put(
            found, kind, verdict.ok, now=now, reason=verdict.reason, message=verdict.message, generation=generation
        )
    return list(found or ())


def _generation(obj: Object) -> int:
    return int(obj["metadata"].get("generation") or 0)


def class_status(obj: Object, now: str) -> Status:
    accepted = Verdict(True, "Accepted", "handled by Styr")
    if (obj.get("spec") or {}).get("parametersRef"):
        accepted = Verdict(False, "InvalidParameters", "spec.parametersRef is not supported by Styr; remove it")
    old = obj.get("status") or {}
    return {**old, "conditions": _conditions(old.get("conditions"), _generation(obj), now, {"Accepted": accepted})}


def gateway_status(obj: Object, listeners: Iterable[ListenerResult], report: Report, now: str, *, v6: bool) -> Status:
    """`report` is Envoy's newest; a listener is Programmed when Envoy has bound its port."""
    old, generation = obj.get("status") or {}, _generation(obj)
    before = {entry.get("name"): entry for entry in old.get("listeners") or ()}
    entries: list[dict[str, Any]] = []
    working = 0
    for listener in listeners:
        programmed = _listener_programmed(listener, report)
        working += bool(programmed.ok)
        verdicts = {
            "Accepted": listener.accepted,
            "Programmed": programmed,
            "ResolvedRefs": listener.resolved,
            "Conflicted": Verdict(not listener.conflicted.ok, listener.conflicted.reason, listener.conflicted.message),
        }
        known = before.get(listener.name) or {}
        entries.append(
            {
                "name": listener.name,
                "supportedKinds": listener.kinds,
                "attachedRoutes": len(listener.routes),
                "conditions": _conditions(known.get("conditions"), generation, now, verdicts),
            }
        )
    accepted = _gateway_accepted(obj, entries)
    programmed = Verdict(True, "Programmed", "")
    if working < len(entries):
        bad = next(e for e in entries if not conditions.is_true({"status": e}, "Programmed"))
        found = conditions.find(bad["conditions"], "Programmed") or {}
        text = f"listener {bad['name']}: {found.get('message', '')}"
        programmed = Verdict(False, "Invalid" if not working else "ListenersNotValid", text)
    addresses = ["127.0.0.1", *(["::1"] if v6 else [])]
    verdicts = {"Accepted": accepted, "Programmed": programmed}
    return {
        **old,
        "addresses": [{"type": "IPAddress", "value": address} for address in addresses] if working else [],
        "conditions": _conditions(old.get("conditions"), generation, now, verdicts),
        "listeners": entries,
    }


def _gateway_accepted(obj: Object, entries: list[dict[str, Any]]) -> Verdict:
    spec = obj.get("spec") or {}
    if spec.get("addresses"):
        return Verdict(False, "UnsupportedAddress", "spec.addresses is not supported by Styr: it listens on loopback")
    for field in ("infrastructure", "allowedListeners", "tls"):
        if field in spec:
            return Verdict(False, "InvalidParameters", f"spec.{field} is not supported by Styr; remove it")
    refused = [entry["name"] for entry in entries if not conditions.is_true({"status": entry}, "Accepted")]
    if not refused:
        return Verdict(True, "Accepted", "")
    return Verdict(len(refused) < len(entries), "ListenersNotValid", f"listeners not accepted: {', '.join(refused)}")


def _listener_programmed(listener: ListenerResult, report: Report) -> Verdict:
    for verdict in (listener.accepted, listener.conflicted):
        if not verdict.ok:
            return Verdict(False, "Invalid", verdict.message)
    if not report.connected:
        return Verdict(False, "Pending", "Envoy is not connected; it is started again by itself")
    for rejection in report.rejected:
        if rejection.unit.type_url == LDS and rejection.unit.name == f"http-{listener.port}":
            return Verdict(False, "Invalid", listener_problem(listener.port, rejection.message))
    return Verdict(True, "Programmed", "")


def listener_problem(port: int, message: str) -> str:
    """Envoy's refusal of a listener, with the way out where it is known."""
    low = message.lower()
    if "address already in use" in low or "cannot bind" in low:
        if "permission denied" in low:
            return f"port {port} needs privileges; choose one above 1023. Envoy: {message}"
        return f"port {port} is taken by another program; free it or choose another. Envoy: {message}"
    return f"Envoy: {message}"


def route_status(
    obj: Object, results: Iterable[ParentResult], report: Report, quarantine: Quarantine, now: str, *, settled: bool
) -> Status:
    """`settled`: Envoy has answered for a configuration that was made of this generation."""
    old, generation = obj.get("status") or {}, _generation(obj)
    before = [entry for entry in old.get("parents") or () if entry.get("controllerName") == CONTROLLER]
    foreign = [entry for entry in old.get("parents") or () if entry.get("controllerName") != CONTROLLER]
    key = (obj["metadata"].get("namespace") or "", obj["metadata"]["name"])
    parents = []
    for result in results:
        known: Mapping[str, Any] = next((e for e in before if e.get("parentRef") == result.parent), {})
        accepted = _with_envoy(key, generation, result.accepted, quarantine)
        verdicts = {
            "Accepted": accepted,
            "ResolvedRefs": result.resolved,
            "Programmed": _programmed(key, accepted, result, report, quarantine, settled),
        }
        parents.append(
            {
                "parentRef": dict(result.parent),
                "controllerName": CONTROLLER,
                "conditions": _conditions(known.get("conditions"), generation, now, verdicts),
            }
        )
    return {**old, "parents": [*foreign, *parents]}


def _with_envoy(key: ObjectKey, generation: int, accepted: Verdict, quarantine: Quarantine) -> Verdict:
    refusal = quarantine.rejected.get(key)
    if refusal is None or refusal.generation != generation or not accepted.ok:
        return accepted
    kept = "the version before it stays in force" if key in quarantine.good else "it is not served"
    return Verdict(False, "UnsupportedValue", f"Envoy rejects this route ({kept}): {refusal.message}")


def _programmed(
    key: ObjectKey, accepted: Verdict, result: ParentResult, report: Report, quarantine: Quarantine, settled: bool
) -> Verdict:
    if not accepted.ok:
        return Verdict(False, "Invalid", accepted.message)
    if not report.connected:
        return Verdict(False, "Pending", "Envoy is not connected; it is started again by itself")
    for rejection in report.rejected:
        if rejection.unit.type_url in (CDS, EDS) and any(s.namespace == key[0] for s in rejection.unit.sources):
            names = ", ".join(str(source) for source in rejection.unit.sources)
            return Verdict(False, "Invalid", f"Envoy rejects {names}: {rejection.message}")
        if rejection.unit.type_url == LDS and any(f"http-{p}" == rejection.unit.name for p in _ports(result)):
            return Verdict(False, "Invalid", f"its listener is not programmed: {rejection.message}")
    if report.waiting:
        names = ", ".join(report.waiting[:5])
        return Verdict(False, "Pending", f"Envoy has not answered for {names}; the configuration before stays in force")
    if not settled or key in quarantine.waiting:
        return Verdict(False, "Pending", "Envoy has not answered yet")
    return Verdict(True, "Programmed", "")


def _ports(result: ParentResult) -> list[int]:
    return [port for _, _, port in result.listeners]
