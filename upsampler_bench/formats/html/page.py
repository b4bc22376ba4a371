"""The page put together: template, style, scripts and data in one text, and a policy that runs those alone."""

from __future__ import annotations

import base64
import gzip
import hashlib
from collections.abc import Iterable
from functools import cache
from importlib import resources

import jinja2
import plotly

from upsampler_bench.figures.palette import family
from upsampler_bench.formats.html import data, pictures, words
from upsampler_bench.report.parts import Report

# In the order in which they are read; the last one begins.
STYLES = ("page.css", "tables.css", "pictures.css", "print.css")
SCRIPTS = (
    "data.js", "tables.js", "filters.js", "chooser.js", "plots.js", "labels.js", "bars.js", "planes.js", "lines.js",
    "pictures.js", "explorer.js", "theme.js", "start.js",
)  # fmt: skip
LIBRARY = "package_data/plotly.min.js"
CHOICES = ("dtype", "device", "model")


def page(report: Report) -> str:
    """The report as HTML; all text of the report is escaped by the template or, for scripts, as JSON."""
    drawn = [pictures.shown(picture, report) for picture in report.pictures]
    script = _script()
    packed, library = _library()
    return _template().render(
        report=report,
        words=words,
        pictures=drawn,
        notes={mark: place for place, (mark, _) in enumerate(report.footnotes)},
        methods=words.methods(report),
        lead=words.lead(report),
        families=_each(family(row.name) for table in report.tables for row in table.rows),
        choices=[(name, _each(words.condition(one, name) for one in report.tables)) for name in CHOICES],
        choosable=bool(report.operators) and any(words.is_measured(one) for one in report.tables),
        # A comparison's rows are no operators to be drawn against each other.
        explorable=bool(report.operators) and any(words.is_measured(one) for one in report.tables),
        style="".join(_asset(name) for name in STYLES),
        script=script,
        data=data.as_json(data.data(report, drawn)),
        plotly=packed,
        allowed=f"'sha256-{_digest(script)}' 'sha256-{library}'",
    )


def _each(found: Iterable[str]) -> list[str]:
    return [one for one in dict.fromkeys(found) if one]


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8").replace("\r\n", "\n")


def _script() -> str:
    return "(() => {\n'use strict';\n" + "".join(_asset(name) for name in SCRIPTS) + "})();\n"


@cache
def _library() -> tuple[str, str]:
    """The drawing library, packed so that the page is a third as large, and its checksum once unpacked."""
    source = resources.files(plotly).joinpath(LIBRARY).read_text(encoding="utf-8").replace("\r\n", "\n")
    packed = gzip.compress(source.encode(), 6, mtime=0)
    return base64.b64encode(packed).decode(), _digest(source)


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _template() -> jinja2.Template:
    loader = jinja2.FunctionLoader(_asset)
    room = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return room.get_template("report.html.j2")
