"""The page put together: template, style, scripts and data in one text, and a policy that allows only these."""

from __future__ import annotations

import base64
import gzip
import hashlib
from collections.abc import Iterable
from functools import cache
from importlib import resources

import jinja2
import plotly

from upsampler_bench.figures.palette import colours, family
from upsampler_bench.formats.html import data, words
from upsampler_bench.formats.html.plots import numbers, plots
from upsampler_bench.report.parts import Report

STYLES = ("page.css", "tables.css", "pictures.css", "print.css")
# In the order in which they are read; the last one starts the page.
SCRIPTS = ("page.js", "tables.js", "chooser.js", "plots.js", "start.js")
LIBRARY = "package_data/plotly.min.js"
CHOICES = ("dtype", "device", "model")


def page(report: Report) -> str:
    """The report as HTML; all text of the report is escaped by the template or, for scripts, as JSON."""
    given = colours(report)
    drawn = [(picture, numbers(picture), plots(picture, report.tables, given)) for picture in report.pictures]
    script = _script()
    packed, library = _library()
    # The rows of a comparison are no operators to choose from.
    choosable = bool(report.operators) and any(words.is_measured(table) for table in report.tables)
    return _template().render(
        report=report,
        words=words,
        colours=given,
        pictures=drawn,
        families=_distinct(family(row.name) for table in report.tables for row in table.rows),
        choices=[(name, _distinct(words.condition(table, name) for table in report.tables)) for name in CHOICES],
        choosable=choosable,
        style="".join(_asset(name) for name in STYLES),
        script=script,
        data=data.as_json(data.data(report, [plot for _, _, of_picture in drawn for plot in of_picture], given)),
        plotly=packed,
        allowed=f"'sha256-{_digest(script)}' 'sha256-{library}'",
    )


def _distinct(texts: Iterable[str]) -> list[str]:
    return [text for text in dict.fromkeys(texts) if text]


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8").replace("\r\n", "\n")


def _script() -> str:
    return "(() => {\n'use strict';\n" + "".join(_asset(name) for name in SCRIPTS) + "})();\n"


@cache
def _library() -> tuple[str, str]:
    """The drawing library, compressed to a third, and the checksum of its source."""
    source = resources.files(plotly).joinpath(LIBRARY).read_text(encoding="utf-8").replace("\r\n", "\n")
    packed = gzip.compress(source.encode(), 6, mtime=0)
    return base64.b64encode(packed).decode(), _digest(source)


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_asset),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2")
