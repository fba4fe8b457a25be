"""MutatingAdmissionWebhook: webhooks that may change an object are asked one after the other, each about what those before it
made of it. When a later plugin changed the object, those with `reinvocationPolicy: IfNeeded` are asked once more."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field

from styr.api.admission.attributes import Attributes
from styr.api.admission.webhooks import review
from styr.api.admission.webhooks.asking import Question, Reply, heed, unnamed
from styr.api.admission.webhooks.plugin import Plugin
from styr.api.admission.webhooks.review import Answer
from styr.api.patches import json_patch
from styr.api.pending import Pending
from styr.api.store.commit import Txn
from styr.kinds.errors import ApiError
from styr.kinds.resources import Object


@dataclass(slots=True)
class _Memory:
    """Of one run of a write."""

    asked: set[str] = field(default_factory=set)
    """Those that want to be asked again, once something changes."""
    again: set[str] = field(default_factory=set)
    output: Object | None = None

    def changed(self) -> None:
        self.again |= self.asked
        self.asked.clear()


class MutatingWebhooks(Plugin):
    name = "MutatingAdmissionWebhook"

    def mutate(self, attributes: Attributes, txn: Txn, /) -> None:
        if not attributes.waits:
            return  # the configuration came after this write had begun
        memory = attributes.memory.setdefault(self.name, _Memory())
        if attributes.second and attributes.object != memory.output:
            memory.changed()
        for index, (hook, served) in enumerate(self._hooks.meaning(attributes, txn)):
            if attributes.second and hook.identity not in memory.again:
                continue
            question = self._asking.question(hook, served, attributes, txn, mutating=True)
            reply: Reply | None = attributes.replies.get(question.key)
            if reply is None:
                raise Pending(self._asking.asker(question, attributes))
            self._follow(question, reply, attributes, memory, index)
        memory.output = copy.deepcopy(attributes.object)

    def _follow(self, question: Question, reply: Reply, attributes: Attributes, memory: _Memory, index: int) -> None:
        hook, round = question.hook, int(attributes.second)
        answer = heed(question, reply, attributes, round=round, index=index)
        changed = answer is not None and self._patch(question, answer, attributes)
        attributes.annotations[f"mutation.webhook.admission.k8s.io/round_{round}_index_{index}"] = json.dumps(
            {"configuration": hook.configuration, "webhook": hook.name, "mutated": changed}, separators=(",", ":")
        )
        if changed:
            memory.changed()
            attributes.reinvoke = True
        if hook.spec.get("reinvocationPolicy") == "IfNeeded":
            memory.asked.add(hook.identity)

    def _patch(self, question: Question, answer: Answer, attributes: Attributes) -> bool:
        """Applies the patch to the object as the hook saw it. True when it changed something."""
        if not answer.patch:
            return False
        name = question.hook.name
        if attributes.object is None:
            raise review.internal(
                f'admission webhook "{name}" attempted to modify the object, which is not supported for this operation'
            )
        shown = unnamed(attributes, self._asking.shown(attributes, attributes.object, question.served))
        before = copy.deepcopy(shown)
        try:
            after = json_patch.apply(copy.deepcopy(shown), answer.patch)
        except (ApiError, RecursionError) as error:
            raise review.internal(f"error in the patch of admission webhook {json.dumps(name)}: {error}") from None
        if not isinstance(after, dict) or not isinstance(after.get("metadata"), dict):
            raise review.internal(f'the patch of admission webhook "{name}" leaves no object with metadata')
        after["metadata"].pop("managedFields", None)
        if after == before:
            return False
        if attributes.made_up and not after["metadata"].get("name"):
            after["metadata"]["name"] = attributes.made_up
        attributes.replace(self._asking.back(attributes, after, question.served))
        return True
