"""ValidatingAdmissionWebhook: all webhooks that mean a request are asked about it at the same time; the first denial, in their
order, is the answer."""

from __future__ import annotations

import asyncio

from styr.api.admission.attributes import Attributes
from styr.api.admission.webhooks.asking import heed
from styr.api.admission.webhooks.plugin import Plugin
from styr.api.pending import Pending
from styr.api.store.commit import Txn
from styr.kinds.errors import ApiError


class ValidatingWebhooks(Plugin):
    name = "ValidatingAdmissionWebhook"

    def validate(self, attributes: Attributes, txn: Txn, /) -> None:
        if not attributes.waits:
            return  # the configuration came after this write had begun
        questions = [
            self._asking.question(hook, served, attributes, txn, mutating=False)
            for hook, served in self._hooks.meaning(attributes, txn)
        ]
        missing = [question for question in questions if question.key not in attributes.replies]
        if missing:

            async def ask() -> None:
                await asyncio.gather(*(self._asking.ask(question, attributes.replies) for question in missing))

            raise Pending(ask)
        errors: list[ApiError] = []
        for index, question in enumerate(questions):
            try:
                heed(question, attributes.replies[question.key], attributes, round=0, index=index)
            except ApiError as error:
                errors.append(error)
        if errors:
            raise errors[0]
