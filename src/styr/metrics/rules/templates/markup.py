"""Go's html/template: what a template puts into HTML stays data. Called by `execute` with every piece of output, in order.

Text of the template is trusted and moves a small tokenizer on; values are escaped for the place that it has reached, and can
never leave it. Unlike Go, which knows the places before it runs, this follows the output. The rules are those of html/template
(Go 1.25: escape.go, attr.go, url.go, html.go, css.go), but for these: no value is let into scripts, of styles only plain values
are known, comments stay, and tags of `safeHtml` in an attribute are shown, not dropped.
"""

from __future__ import annotations

import html
import re
from typing import Any
from urllib.parse import quote

from styr.metrics.rules.templates.values import Html, Url

FAILSAFE = "ZgotmplZ"
"""What stands where a value cannot; Go's word, so that it can be looked up."""
_URLS = frozenset(
    {"action", "archive", "background", "cite", "classid", "codebase", "data", "formaction", "href"}
    | {"icon", "longdesc", "manifest", "poster", "profile", "src", "srcset", "usemap", "xmlns"}
)
_RAW = frozenset({"script", "style", "title", "textarea"})
"""Elements whose content is no markup."""
_SPECIAL = {"\0": "\ufffd", '"': "&#34;", "&": "&amp;", "'": "&#39;", "+": "&#43;", "<": "&lt;", ">": "&gt;"}
_ESCAPED = str.maketrans(_SPECIAL)
_NORMALIZED = str.maketrans({char: entity for char, entity in _SPECIAL.items() if char != "&"})
_BARE = str.maketrans({**{char: f"&#{ord(char)};" for char in "\t\n\v\f\r =`"}, "\0": "&#xfffd;"})
_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2})")
_CSS = re.compile(r"[\0\"'()/;@\[\\\]`{}<>]|--")
_CSS_RUNS = re.compile(r"expression|mozbinding")


def attribute_kind(name: str) -> str:
    """`url`, `script`, `style`, `markup` or `plain`: how browsers read the attribute."""
    if name.startswith("data-"):
        name = name[5:]
    elif ":" in name:
        prefix, name = name.split(":", 1)
        if prefix == "xmlns":
            return "url"
    if name in _URLS:
        return "url"
    if name in ("style", "srcdoc"):
        return "style" if name == "style" else "markup"
    if name.startswith("on"):
        return "script"
    return "url" if any(part in name for part in ("src", "uri", "url")) else "plain"


class Markup:
    """`text` for what the template says, `value` for what it shows; one for each expansion."""

    def __init__(self) -> None:
        self._state = "content"
        self._element = ""
        self._closing = False
        self._name = ""
        """Of the attribute that is being read, and then of that whose value it is."""
        self._quote = ""
        self._given = ""
        """What the template itself has said of the attribute's value."""

    def text(self, text: str) -> None:
        """Trusted text."""
        at = 0
        while at < len(text):
            at = getattr(self, f"_in_{self._state}")(text, at)

    def value(self, value: Any, shown: str) -> str:
        """`shown`, the value's text, as it can stand here."""
        if value is None:
            shown = ""
        match self._state:
            case "content":
                return shown if isinstance(value, Html) else shown.translate(_ESCAPED)
            case "raw" if self._element in ("title", "textarea"):
                return shown.translate(_NORMALIZED if isinstance(value, Html) else _ESCAPED)
            case "raw" if self._element == "style":
                return _style(shown)
            case "comment":
                return ""
            case "tag" | "attribute" | "named":
                return self._attribute_name(shown)
            case "before":
                self._state, self._quote, self._given = "value", "", ""
                return self._attribute_value(value, shown)
            case "value":
                return self._attribute_value(value, shown)
        return FAILSAFE

    def _attribute_name(self, shown: str) -> str:
        name = shown.lower()
        if not re.fullmatch("[a-z0-9]+", name) or attribute_kind(name) != "plain":
            name = FAILSAFE
        self._name = self._name + name if self._state == "attribute" else name
        self._state = "attribute"
        return name

    def _attribute_value(self, value: Any, shown: str) -> str:
        kind = attribute_kind(self._name.lower())
        if kind == "script":
            return FAILSAFE
        if kind == "style":
            shown = _style(shown)
        elif kind == "url":
            shown = self._url(value, shown)
        elif kind == "markup" and not isinstance(value, Html):
            shown = shown.translate(_ESCAPED)
        out = shown.translate(_NORMALIZED if kind == "plain" and isinstance(value, Html) else _ESCAPED)
        return out if self._quote else out.translate(_BARE) or FAILSAFE

    def _url(self, value: Any, shown: str) -> str:
        given = html.unescape(self._given).strip()
        trusted = isinstance(value, Url)
        if not given and not trusted:
            scheme, colon, _ = shown.partition(":")
            if colon and "/" not in scheme and scheme.lower() not in ("http", "https", "mailto"):
                return f"#{FAILSAFE}"
        if not trusted and ("?" in given or "#" in given):
            return quote(shown, safe="", errors="replace")
        return quote(_ESCAPE.sub("%25", shown), safe="!#$&*+,/:;=?@[]%", errors="replace")

    # where trusted text leads; each takes what belongs to its state from `at`, and returns where that ends

    def _in_content(self, text: str, at: int) -> int:
        at = text.find("<", at)
        if at < 0:
            return len(text)
        if text.startswith("<!--", at):
            self._state = "comment"
            return at + 4
        if found := re.compile(r"<(/?)(?=[a-zA-Z]|\Z)").match(text, at):
            self._state, self._element, self._closing = "element", "", bool(found[1])
            return found.end()
        return at + 1

    def _in_comment(self, text: str, at: int) -> int:
        end = text.find("-->", at)
        if end < 0:
            return len(text)
        self._state = "content"
        return end + 3

    def _in_element(self, text: str, at: int) -> int:
        return self._until(text, at, r"[\s/>]", "tag")

    def _in_tag(self, text: str, at: int) -> int:
        if text[at] == ">":
            self._state = "raw" if self._element in _RAW and not self._closing else "content"
            return at + 1
        if text[at].isspace() or text[at] == "/":
            return at + 1
        self._state, self._name = "attribute", text[at]
        return at + 1

    def _in_attribute(self, text: str, at: int) -> int:
        return self._until(text, at, r"[\s=/>]", "named")

    def _until(self, text: str, at: int, end: str, then: str) -> int:
        """A name: of the element, or of an attribute."""
        found = re.compile(end).search(text, at)
        stop = found.start() if found else len(text)
        if self._state == "element":
            self._element += text[at:stop].lower()
        else:
            self._name += text[at:stop]
        if found:
            self._state = then
        return stop

    def _in_named(self, text: str, at: int) -> int:
        if text[at].isspace():
            return at + 1
        if text[at] == "=":
            self._state = "before"
            return at + 1
        self._state = "tag"
        return at

    def _in_before(self, text: str, at: int) -> int:
        if text[at].isspace():
            return at + 1
        if text[at] == ">":
            self._state = "tag"
            return at
        self._state, self._given = "value", ""
        self._quote = text[at] if text[at] in "\"'" else ""
        return at + len(self._quote)

    def _in_value(self, text: str, at: int) -> int:
        found = re.compile(self._quote or r"[\s>]").search(text, at)
        stop = found.start() if found else len(text)
        self._given += text[at:stop]
        if found is None:
            return stop
        self._state = "tag"
        return stop + len(self._quote)

    def _in_raw(self, text: str, at: int) -> int:
        found = re.compile(rf"</{self._element}(?=[\s/>]|\Z)", re.IGNORECASE).search(text, at)
        if found is None:
            return len(text)
        self._state, self._closing = "tag", True
        return found.end()


def _style(shown: str) -> str:
    """A CSS value as it is, if it can be nothing more than that."""
    runs = _CSS_RUNS.search(re.sub(r"[^a-z0-9_-]", "", shown.lower()))
    return FAILSAFE if runs or _CSS.search(shown) else shown
