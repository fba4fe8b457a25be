"""Kubelets' requests for client certificates are approved when whoever asks may have them.

Promise: a request for kubernetes.io/kube-apiserver-client-kubelet that asks for what that signer gives is approved, if its
author has the right to create `certificatesigningrequests/selfnodeclient` (for his own name) or `/nodeclient`. Others wait
for people."""

from __future__ import annotations

from typing import Any

from styr.client.controller import Context, Controller, Done, Key, Outcome
from styr.kinds import certificates
from styr.kinds.resources import CERTIFICATE_REQUEST, Object, Resource

_ACCESS = Resource("authorization.k8s.io", "v1", "SubjectAccessReview", "subjectaccessreviews", False, status=False)
_WORDS = {
    "selfnodeclient": "Auto approving self kubelet client certificate after SubjectAccessReview.",
    "nodeclient": "Auto approving kubelet client certificate after SubjectAccessReview.",
}


def rights(csr: Object) -> list[str]:
    """The subresources, any of which its author must be allowed to create; none for a request that is not ours to judge."""
    spec, status = csr["spec"], csr.get("status") or {}
    if spec.get("signerName") != certificates.KUBELET_CLIENT or status.get("certificate") or status.get("conditions"):
        return []
    try:
        request = certificates.request_of(csr)
    except ValueError:
        return []
    if certificates.refusal(certificates.KUBELET_CLIENT, request, spec.get("usages") or []):
        return []
    return ["selfnodeclient", "nodeclient"] if spec.get("username") == request.common_name else ["nodeclient"]


def question(csr: Object, subresource: str) -> Object:
    spec = csr["spec"]
    who: dict[str, Any] = {"user": spec.get("username", ""), "uid": spec.get("uid", "")}
    who |= {"groups": spec.get("groups") or [], "extra": spec.get("extra") or {}}
    asked = {"group": CERTIFICATE_REQUEST.group, "resource": CERTIFICATE_REQUEST.plural, "verb": "create"}
    return {
        "apiVersion": _ACCESS.api_version,
        "kind": _ACCESS.kind,
        "spec": {**who, "resourceAttributes": {**asked, "subresource": subresource, "version": "*"}},
    }


async def reconcile(ctx: Context, key: Key) -> Outcome:
    csr = ctx.get(CERTIFICATE_REQUEST, key)
    if csr is None:
        return Done()
    for subresource in rights(csr):
        answer = await ctx.client.create(_ACCESS, question(csr, subresource))
        if answer["status"].get("allowed"):
            approved = {"type": "Approved", "status": "True", "reason": "AutoApproved", "message": _WORDS[subresource]}
            status = {**(csr.get("status") or {}), "conditions": [approved]}
            await ctx.update(CERTIFICATE_REQUEST, {**csr, "status": status}, subresource="approval")
            break
    return Done()


def controller() -> Controller:
    return Controller("certificate-approval", CERTIFICATE_REQUEST, reconcile, workers=1)
