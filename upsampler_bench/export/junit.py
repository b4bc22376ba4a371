"""The run as JUnit XML: a suite a condition, a test case an operator, so that a CI shows what failed and why."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence

from upsampler_bench.export import _commit
from upsampler_bench.export._figures import of, timed
from upsampler_bench.results import FAILED, MEASURED, Measurement, Run

ABOUT = "JUnit XML: a test case an operator and condition (junit.xml)"
FILE = "junit.xml"
# What XML 1.0 has no way to write, not even escaped.
UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def files(run: Run) -> dict[str, bytes]:
    """junit.xml: failed cases are failures with their reason, other cases without a figure are skipped."""
    groups: dict[str, list[Measurement]] = {}
    for one in run.measurements:
        groups.setdefault(one.case.group, []).append(one)
    root = ElementTree.Element("testsuites", _counts(run, run.measurements))
    root.set("name", "upsampler-bench")
    for name, found in groups.items():
        root.append(_suite(run, name, found))
    ElementTree.indent(root, " ")
    return {FILE: ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"}


def clean(text: str) -> str:
    """The text with what XML cannot hold replaced by U+FFFD."""
    return UNWRITABLE.sub("\ufffd", text)


def _suite(run: Run, name: str, found: Sequence[Measurement]) -> ElementTree.Element:
    suite = ElementTree.Element("testsuite", {"name": clean(name), **_counts(run, found)})
    suite.set("timestamp", _commit.moment(run.started).strftime("%Y-%m-%dT%H:%M:%S"))
    suite.set("hostname", clean(run.environment.device_name))
    suite.extend(_test(run, one) for one in found)
    return suite


def _counts(run: Run, found: Sequence[Measurement]) -> dict[str, str]:
    failed = sum(one.status == FAILED for one in found)
    skipped = sum(one.status not in (FAILED, MEASURED) for one in found)
    seconds = sum(_seconds(run, one) for one in found)
    return {
        "tests": str(len(found)),
        "failures": str(failed),
        "errors": "0",
        "skipped": str(skipped),
        "time": f"{seconds:.9f}",
    }


def _test(run: Run, one: Measurement) -> ElementTree.Element:
    name, group = clean(one.case.upsampler), clean(one.case.group)
    test = ElementTree.Element("testcase", {"classname": group, "name": name, "time": f"{_seconds(run, one):.9f}"})
    if one.status != MEASURED:
        kind = "failure" if one.status == FAILED else "skipped"
        reason = clean(one.reason) or f"{one.status}, no reason recorded"
        told = ElementTree.SubElement(test, kind, {"message": " ".join(reason.split()), "type": clean(one.status)})
        told.text = reason
    if said := clean("\n".join(_lines(run, one))):
        ElementTree.SubElement(test, "system-out").text = said
    return test


def _lines(run: Run, one: Measurement) -> list[str]:
    """What was read of a case, a line a figure, in base units."""
    found = [(figure, figure.interval) for figure in of(run, one)]
    return [
        f"{figure.info.name}: {figure.estimate.value:.9g} {figure.info.unit}"
        + (f" ({interval[0]:.9g} to {interval[1]:.9g})" if interval else "")
        for figure, interval in found
    ]


def _seconds(run: Run, one: Measurement) -> float:
    """The median latency, 0 where there is none."""
    found = timed(run, one)
    return found.estimate.value if found else 0.0
