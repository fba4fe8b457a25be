"""A write that cannot go on before somebody outside has answered. Raised in the write path by admission and conversion; ends
in `verbs.admit.write`, which has the question answered and runs the write again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable


class Pending(Exception):
    """`ask` puts the answer where the next run looks for it, under what was asked."""

    def __init__(self, ask: Callable[[], Awaitable[None]]) -> None:
        super().__init__("an answer from outside is pending")
        self.ask = ask
