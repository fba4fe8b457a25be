"""Accept headers: what the client would like, best first. Called by `table`, `discovery` and `openapi`. Pure."""

from __future__ import annotations

from collections.abc import Sequence

YAML = "application/yaml"
REFUSAL = f"only the following media types are accepted: application/json, {YAML}"
"""What a 406 says."""


def media_ranges(accept: str) -> list[tuple[str, dict[str, str]]]:
    """An Accept header, best first: (media type, parameters). q=0 is left out; equal q keeps the order."""
    ranked: list[tuple[float, int, str, dict[str, str]]] = []
    for index, part in enumerate(accept.split(",")[:64]):
        media, *rest = (piece.strip() for piece in part.split(";"))
        parameters = dict(piece.split("=", 1) for piece in rest if "=" in piece)
        try:
            quality = float(parameters.pop("q", "1"))
        except ValueError:
            quality = 0.0
        if media and quality > 0:
            ranked.append((-quality, index, media.lower(), parameters))
    return [(media, parameters) for _, _, media, parameters in sorted(ranked, key=lambda entry: entry[:2])]


def best(accept: str, offered: Sequence[str]) -> str | None:
    """The first of the client's types that is offered; "" and wildcards take the first offer. None: there is none."""
    for media, _ in media_ranges(accept or "*/*"):
        kind, _, sub = media.partition("/")
        for offer in offered:
            if kind in ("*", offer.partition("/")[0]) and sub in ("*", offer.partition("/")[2]):
                return offer
    return None
