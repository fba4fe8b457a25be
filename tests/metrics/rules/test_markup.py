"""Values in HTML: as Go's html/template shows them, and never more than text."""

from __future__ import annotations

from html.parser import HTMLParser
from random import Random

import pytest

from styr.metrics.rules.templates.builtins import BUILTINS
from styr.metrics.rules.templates.execute import Executor
from styr.metrics.rules.templates.functions import functions
from styr.metrics.rules.templates.markup import Markup, attribute_kind
from styr.metrics.rules.templates.parser import Parser
from styr.metrics.rules.templates.values import GoMap, Html, Url

SCRIPT = "<script>alert(1)</script>"


def expand(text: str, value: object) -> str:
    calls = functions(0, "", None)
    template = Parser("t", text, calls.keys() | BUILTINS.keys()).parse()
    return Executor(template, calls, markup=Markup()).run(GoMap({"x": value}, "interface {}"))


@pytest.mark.parametrize(
    ("text", "value", "out"),
    [
        ("{{.x}}", SCRIPT, "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("{{.x}}", "a+b & 'c' \"d\" \0", "a&#43;b &amp; &#39;c&#39; &#34;d&#34; \ufffd"),
        ("{{.x}}", Html("<b>x</b>"), "<b>x</b>"),
        ("{{.x}}", Url("http://a/?b&c"), "http://a/?b&amp;c"),
        ("{{.x}}{{.none}}", 1.5, "1.5"),
        ("a < {{.x}}", "<", "a < &lt;"),
        ("<{{.x}}>", "script", "<ZgotmplZ>"),
        ("<!doctype html><p>{{.x}}", "<b>", "<!doctype html><p>&lt;b&gt;"),
        ("<!-- {{.x}} -->{{.x}}", "--><b>", "<!--  -->--&gt;&lt;b&gt;"),
        ("<title>{{.x}}</title><p>{{.x}}", "</title>", "<title>&lt;/title&gt;</title><p>&lt;/title&gt;"),
        ("<textarea><p {{.x}}</textarea>", Html("</textarea>&amp;"), "<textarea><p &lt;/textarea&gt;&amp;</textarea>"),
        ('<p title="{{.x}}">{{.x}}', '" onclick="x', '<p title="&#34; onclick=&#34;x">&#34; onclick=&#34;x'),
        ("<p title='{{.x}}'>", "' onclick='x", "<p title='&#39; onclick=&#39;x'>"),
        ("<p title={{.x}}>", "a b=`c`\n>", "<p title=a&#32;b&#61;&#96;c&#96;&#10;&gt;>"),
        ("<p title={{.x}} id=i>", "", "<p title=ZgotmplZ id=i>"),
        ("<p title=a{{.x}}>{{.x}}", "/>", "<p title=a/&gt;>/&gt;"),
        ('<p title="{{.x}}">', Html('<b>&amp;"'), '<p title="&lt;b&gt;&amp;&#34;">'),
        ('<p {{.x}}="1">', "Lang", '<p lang="1">'),
        ('<p {{.x}}="1">', "onclick", '<p ZgotmplZ="1">'),
        ("<p {{.x}}>", "a onclick=b", "<p ZgotmplZ>"),
        ('<p on{{.x}}="{{.x}}">', "click", '<p onclick="ZgotmplZ">'),
        ("<p onclick=\"f('{{.x}}')\">", "a", "<p onclick=\"f('ZgotmplZ')\">"),
        ("<script>x = {{.x}}</script>{{.x}}", "1", "<script>x = ZgotmplZ</script>1"),
        ("<SCRIPT>x = '<p>{{.x}}'</Script >{{.x}}", "1", "<SCRIPT>x = '<p>ZgotmplZ'</Script >1"),
        ('<p style="color: {{.x}}">', "red", '<p style="color: red">'),
        ('<p style="color: {{.x}}">', "red; x: y", '<p style="color: ZgotmplZ">'),
        ("<style>p { color: {{.x}} }</style>{{.x}}", "</style>", "<style>p { color: ZgotmplZ }</style>&lt;/style&gt;"),
        ('<p style="width: {{.x}}">', "e x p/**/ression", '<p style="width: ZgotmplZ">'),
        ('<p style="width: {{.x}}">', "EXPRESSION", '<p style="width: ZgotmplZ">'),
        ('<a href="{{.x}}">', "http://h/a b?c=d&e=f#g", '<a href="http://h/a%20b?c=d&amp;e=f#g">'),
        ('<a href="{{.x}}">', "javascript:alert(1)", '<a href="#ZgotmplZ">'),
        ('<a href="{{.x}}">', " JavaScript:alert(1)", '<a href="#ZgotmplZ">'),
        ('<a href=" {{.x}}">', "java\nscript:alert(1)", '<a href=" #ZgotmplZ">'),
        ("<a href={{.x}}>", "data:text/html,x", "<a href=#ZgotmplZ>"),
        ('<a xlink:href="{{.x}}">', "vbscript:x", '<a xlink:href="#ZgotmplZ">'),
        ('<p data-url="{{.x}}">', "vbscript:x", '<p data-url="#ZgotmplZ">'),
        ('<a href="{{.x}}">', Url("tel:1"), '<a href="tel:1">'),
        ('<a href="{{.x}}">', "/p:q%41%z", '<a href="/p:q%41%25z">'),
        ('<a href="/a/{{.x}}">', "b:c/?d", '<a href="/a/b:c/?d">'),
        ('<a href="/a?q={{.x}}&r={{.x}}">', "b&c=d#é", '<a href="/a?q=b%26c%3Dd%23%C3%A9&r=b%26c%3Dd%23%C3%A9">'),
        ('<a href="#{{.x}}">', "a:b", '<a href="#a%3Ab">'),
        ("<a href='{{.x}}'>", "'><b>", "<a href='%27%3E%3Cb%3E'>"),
        ('<iframe srcdoc="{{.x}}">', "<b>", '<iframe srcdoc="&amp;lt;b&amp;gt;">'),
        (
            '{{define "d"}}[{{.}}]{{end}}<p title="{{template "d" .x}}">{{template "d" .x}}',
            '"',
            '<p title="[&#34;]">[&#34;]',
        ),
        ('<p{{if .x}} title="{{.x}}"{{end}}>{{.x}}', ">", '<p title="&gt;">&gt;'),
        ('<p\ntitle\n=\n"{{.x}}"\n/>{{.x}}', "'", '<p\ntitle\n=\n"&#39;"\n/>&#39;'),
        ("<p title{{.x}}", "&", "<p titleZgotmplZ"),
    ],
)
def test_where_a_value_stands(text: str, value: object, out: str) -> None:
    assert expand(text, value) == out


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *(("href", "url"), ("data-href", "url"), ("svg:href", "url"), ("xmlns:x", "url"), ("tweeturl", "url")),
        *(("onload", "script"), ("data-on", "script"), ("style", "style"), ("srcdoc", "markup"), ("title", "plain")),
    ],
)
def test_kinds_of_attributes(name: str, kind: str) -> None:
    assert attribute_kind(name) == kind


class Structure(HTMLParser):
    """Elements, and the names of their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, list[str]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, [name for name, _ in attrs]))
        for name, value in attrs:
            assert not (name == "href" and (value or "").strip().lower().startswith("javascript")), value


PAGE = (
    "<html><head><title>{{.x}}</title><style>p {color: {{.x}}}</style></head><!-- {{.x}} --><body>{{.x}}"
    '<p title=\'{{.x}}\' class="{{.x}}" id={{.x}} lang=a{{.x}}>{{.x}}</p><a href="{{.x}}" rel=x>{{.x}}</a>'
    "<a href={{.x}}>x</a><a href='/x?{{.x}}'>x</a><p style='color:{{.x}}'>x</p><textarea>{{.x}}</textarea></body></html>"
)


def test_no_value_changes_the_structure() -> None:
    want = Structure(expand(PAGE, "plain")).found
    random = Random(3)
    pieces = [
        "<",
        ">",
        "</",
        '"',
        "'",
        "`",
        "=",
        " ",
        "\n",
        "\t",
        "/",
        "<!--",
        "-->",
        "script",
        "title",
        "textarea",
        "&",
    ]
    pieces += ["style", "javascript:", "&#58;", "onclick=x", "\0", "é", "{{", "%", "\\", ";", "}", "]]>", "p"]
    for _ in range(2000):
        value = "".join(random.choices(pieces, k=random.randrange(1, 8)))
        assert Structure(expand(PAGE, value)).found == want, value
