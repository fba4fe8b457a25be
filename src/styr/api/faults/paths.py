"""Paths: of files, as pods name them, and those that begin with a domain. Called by the rules; pure."""

from __future__ import annotations

from styr.api.faults import names
from styr.api.faults.causes import Faults, each, invalid, required


def no_backsteps(path: str, text: str) -> Faults:
    if ".." in text.split("/"):
        yield invalid(path, text, "must not contain '..'")


def descending(path: str, text: str) -> Faults:
    if text.startswith("/"):
        yield invalid(path, text, "must be a relative path")
    yield from no_backsteps(path, text)


def not_reserved(path: str, text: str) -> Faults:
    yield from descending(path, text)
    if text.startswith("..") and not text.startswith("../"):
        yield invalid(path, text, "must not start with '..'")


def mode(path: str, bits: int | None) -> Faults:
    if bits is not None and not 0 <= bits <= 0o777:
        yield invalid(path, bits, "must be a number between 0 and 0777 (octal), both inclusive")


def domain_path(path: str, text: str) -> Faults:
    """`example.com/name`."""
    if not text:
        yield required(path)
        return
    domain, slash, rest = text.partition("/")
    if not slash or not rest:
        yield invalid(path, text, 'must be a domain-prefixed path (such as "acme.io/foo")')
        return
    yield from each(path, domain, names.dns_subdomain(domain))
    yield from each(path, rest, names.http_path(rest))
