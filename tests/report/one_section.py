"""A page with one section of an inspection and nothing else, under the policy that the whole page has."""

from importlib.resources import files
from typing import Any

from cnnaudit.report import html

_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{{ policy }}">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>section</title>
<style>{{ style | safe }}</style></head><body><div class="page">
{% import "inspect_" ~ name ~ ".jinja" as drawn %}{{ drawn.section_of(view) }}
</div><script>{{ script | safe }}</script></body></html>"""


def page_of(name: str, view: Any, *, scripted: bool = True) -> str:
    """The section `name` as its template draws it, with the style sheets and scripts that belong to it."""
    style = "".join(_asset(sheet) for sheet in ("page.css", "parts.css", "inspect.css", f"inspect_{name}.css"))
    script = _asset(f"inspect_{name}.js") if scripted else ""
    template = html._environment().from_string(_PAGE)
    return template.render(name=name, view=view, style=style, script=script, policy=html._policy(style, script))


def _asset(name: str) -> str:
    return files("cnnaudit.report").joinpath("assets", name).read_text(encoding="utf-8")
