"""The page: one file, nothing fetched, every foreign string escaped."""

import base64
import hashlib
from functools import cache
from importlib.resources import files

import jinja2
from markupsafe import Markup

from cnnaudit import numbers
from cnnaudit.report import figures
from cnnaudit.report.auditing import page as audited
from cnnaudit.report.inspection import page as inspected
from cnnaudit.report.page import section
from cnnaudit.report.training import matrices, page
from cnnaudit.results import Report

_ASSETS = files("cnnaudit.report").joinpath("assets")
_STYLES = {
    "train": ("page.css", "parts.css", "train.css"),
    "inspect": ("page.css", "parts.css", "inspect.css", *(f"inspect_{name}.css" for name in inspected.SECTIONS)),
    "audit": ("page.css", "parts.css", "inspect.css", "audit.css"),
}
_SCRIPTS = {
    "train": ("train.js",),
    "inspect": ("inspect.js", *(f"inspect_{name}.js" for name in inspected.SCRIPTED)),
    "audit": ("inspect.js", "audit.js"),
}


def render(report: Report) -> str:
    """The self-contained page; the same report gives the same bytes, whenever it was made.

    Raises:
        CnnAuditError: a number that would be shown is not finite.
    """
    template = _environment().select_template([f"{report.kind}.jinja", "base.jinja"])
    style = "".join(map(_asset, _STYLES.get(report.kind, ("page.css",))))
    script = "".join(map(_asset, _SCRIPTS.get(report.kind, ("page.js",))))
    return template.render(
        report=report,
        sections=[section(result) for result in report.images],
        view=_view(report),
        steps=matrices.legend(),
        palettes=figures.palettes(),
        palette_tables={name: palette.colours for name, palette in figures.palettes().items()},
        opacity=figures.OPACITY,
        style=Markup(style),
        script=Markup(script),
        policy=_policy(style, script),
    )


def _view(report: Report) -> page.View | inspected.View | audited.View | None:
    if report.audit:
        return audited.view(report.audit)
    if report.inspection:
        return inspected.view(report.inspection)
    return page.view(report.training) if report.training else None


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_template),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shown = (numbers.number, numbers.signed, numbers.count, numbers.percent, numbers.share, numbers.fact)
    environment.filters |= {each.__name__: each for each in shown}
    return environment


def _template(name: str) -> str | None:
    source = _ASSETS.joinpath(name)
    return source.read_text(encoding="utf-8") if source.is_file() else None


@cache
def _asset(name: str) -> str:
    return _ASSETS.joinpath(name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """A Content-Security-Policy under which only our style and our script count, and nothing is fetched."""
    return (
        f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"
