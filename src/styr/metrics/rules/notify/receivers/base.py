"""What a receiver is handed and what it promises. Called by all receivers and by `pipeline`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from styr.metrics.rules.notify.messages import Message, TemplateError, Texts
from styr.metrics.rules.notify.post import NotSent


class Receiver(Protocol):
    """One integration. `kind` is its name in metrics and in the notification log; `send_resolved` whether resolved alerts are
    told."""

    @property
    def kind(self) -> str: ...

    @property
    def send_resolved(self) -> bool: ...

    async def notify(self, message: Message, texts: Texts, timeout: float) -> None:
        """Returns when the peer has taken it. Raises NotSent. `timeout` in seconds covers everything."""


@dataclass(frozen=True, slots=True)
class Expander:
    """Expands a receiver's templates; a fault is a notification that trying again does not help."""

    message: Message
    texts: Texts

    def __call__(self, text: str, most: int = 0, *, html: bool = False) -> str:
        """With `most`, longer texts are cut and end in an ellipsis. With `html`, what alerts carry is escaped."""
        try:
            out = self.texts.expand(text, self.message, html=html)
        except TemplateError as error:
            raise NotSent(f"expanding a template failed: {error}", again=False) from None
        return out if not most or len(out) <= most else out[: most - 1] + "…"


def read_secret(read: object, what: str) -> str:
    """Reads a `fields.Secret`; a file that cannot be read may be there at the next try."""
    try:
        return read.read()  # type: ignore[attr-defined, no-any-return]
    except (OSError, UnicodeDecodeError) as error:
        raise NotSent(f"{what} cannot be read: {error}", again=True) from None
