"""Asks one webhook about one request, once: the question is its own key. Called by the two plugins within the write path."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec

from styr.api.admission.attributes import Attributes
from styr.api.admission.request import request
from styr.api.admission.webhooks import review
from styr.api.admission.webhooks.hooks import Hook
from styr.api.admission.webhooks.review import Answer, ReviewError
from styr.api.callout import CalloutFailed, Callouts, Unasked
from styr.api.conversion import Converter
from styr.api.metadata import new_uid
from styr.api.registry import ServedResource
from styr.api.store.commit import Txn
from styr.kinds.errors import InternalError
from styr.kinds.resources import Object
from styr.kit.clock import Clock
from styr.kit.log import Log

log = Log("styr.api.webhooks")


@dataclass(frozen=True, slots=True)
class Failed:
    """The webhook could not be asked, or did not answer. `text` is Kubernetes' own."""

    text: str

    def error(self) -> InternalError:
        return review.internal(self.text)


Reply = Answer | Failed


Asked = Callable[[str, str, str, float, int], None]
"""Name of the webhook, `admit` or `validating`, operation, seconds, status code."""


def _nobody(name: str, kind: str, operation: str, seconds: float, code: int, /) -> None:
    pass


def _code(reply: Reply) -> int:
    if isinstance(reply, Failed):
        return 0
    return 200 if reply.allowed else review.denial("", reply.status).status_code


@dataclass(frozen=True, slots=True)
class Question:
    hook: Hook
    served: ServedResource
    body: Object
    key: bytes
    mutating: bool


class Asking:
    """What both plugins ask with."""

    def __init__(
        self, callouts: Callouts, converter: Converter, source: random.Random, clock: Clock, asked: Asked = _nobody
    ) -> None:
        """`asked` is told of each question, for the metrics."""
        self._clock, self._asked = clock, asked
        self._callouts = callouts
        self._random = source
        self._converter = converter

    def shown(self, attributes: Attributes, obj: Object, served: ServedResource) -> Object:
        """An object of a request in the version that a hook wants to see."""
        if attributes.subresource not in ("", "status"):
            return obj
        return self._converter.convert(obj, served, served.resource.api_version, attributes.replies)

    def back(self, attributes: Attributes, obj: Object, served: ServedResource) -> Object:
        """The way back."""
        if attributes.subresource not in ("", "status"):
            return obj
        wanted = attributes.served.resource.api_version
        return self._converter.convert(obj, served, wanted, attributes.replies)

    def question(
        self, hook: Hook, served: ServedResource, attributes: Attributes, txn: Txn, *, mutating: bool
    ) -> Question:
        """Raises BadRequest for a dry run of which the hook wants to know nothing, Pending while objects are converted."""
        if attributes.dry_run and hook.spec.get("sideEffects") not in ("None", "NoneOnDryRun"):
            raise review.dry_run_unsupported(hook.name)
        shown = [
            None if obj is None else self.shown(attributes, obj, served) for obj in (attributes.object, attributes.old)
        ]
        body = request(attributes, served, shown[0], shown[1])
        if mutating and attributes.made_up and shown[0] is not None:
            body["object"] = unnamed(attributes, body["object"])
            if "name" not in body["object"]["metadata"]:
                body.pop("name", None)
        asked = msgspec.json.encode([hook.identity, mutating, body])
        return Question(hook, served, body, hashlib.blake2b(asked, digest_size=24).digest(), mutating)

    async def ask(self, question: Question, replies: dict[bytes, object]) -> None:
        started = self._clock.monotonic()
        reply = replies[question.key] = await self._reply(question)
        seconds = self._clock.monotonic() - started
        kind = "admit" if question.mutating else "validating"
        self._asked(question.hook.name, kind, question.body["operation"], seconds, _code(reply))

    def asker(self, question: Question, attributes: Attributes) -> Callable[[], Awaitable[None]]:
        return lambda: self.ask(question, attributes.replies)

    async def _reply(self, question: Question) -> Reply:
        hook = question.hook
        version = next((v for v in hook.spec.get("admissionReviewVersions") or () if v in review.KNOWN), "")
        failed = f'failed calling webhook "{hook.name}"'
        if not version:
            known = ", ".join(review.KNOWN)
            return Failed(
                f"{failed}: could not create admission objects: webhook does not accept known AdmissionReview versions "
                f"({known})"
            )
        uid = new_uid(self._random)
        try:
            data = await self._callouts.post(
                hook.spec.get("clientConfig") or {}, review.encode(version, uid, question.body), hook.timeout
            )
        except Unasked as error:
            return Failed(f"{failed}: could not get REST client: {error}")
        except CalloutFailed as error:
            return Failed(f"{failed}: failed to call webhook: {error}")
        try:
            return review.decode(data, version, uid, mutating=question.mutating)
        except review.NoReview as error:
            return Failed(f"{failed}: failed to call webhook: {error}")
        except review.NoPatch as error:
            return Failed(f"{failed}: {error}")
        except ReviewError as error:
            return Failed(f"{failed}: received invalid webhook response: {error}")


def unnamed(attributes: Attributes, obj: Object) -> Object:
    """As mutating webhooks see an object whose name is made up: that comes after them."""
    meta = obj["metadata"]
    if not attributes.made_up or meta.get("name") != attributes.made_up:
        return obj
    return {**obj, "metadata": {key: value for key, value in meta.items() if key != "name"}}


def heed(question: Question, reply: Reply, attributes: Attributes, *, round: int, index: int) -> Answer | None:
    """What came with an answer is told; a failure counts as the hook says: None to go on without it. Raises ApiError for a
    denial, and for a failure of a hook that must be asked."""
    hook = question.hook
    if isinstance(reply, Failed):
        if not hook.fails_open:
            raise reply.error()
        log.warning("a webhook failed and is passed over", webhook=hook.name, reason=reply.text)
        where = "mutation" if question.mutating else "validating"
        attributes.annotations[f"failed-open.{where}.webhook.admission.k8s.io/round_{round}_index_{index}"] = hook.name
        return None
    attributes.warnings += reply.warnings
    attributes.annotations.update({f"{hook.name}/{key}": value for key, value in reply.annotations.items()})
    if not reply.allowed:
        raise review.denial(hook.name, reply.status)
    return reply
