"""The run as JUnit XML: one suite per condition, one test case per operator, so that a CI shows what failed and why."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence

from upsampler_bench.export._values import latency_of, values_of
from upsampler_bench.results import FAILED, MEASURED, Measurement, Run

FILE = "junit.xml"
# What XML 1.0 has no way to write, not even escaped.
UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def files(run: Run) -> dict[str, bytes]:
    """junit.xml: failed cases are failures with their reason, other cases that were not measured are skipped."""
    groups: dict[str, list[Measurement]] = {}
    for measurement in run.measurements:
        groups.setdefault(measurement.case.group, []).append(measurement)
    root = ElementTree.Element("testsuites", {"name": "upsampler-bench", **_counts(run, run.measurements)})
    for name, measurements in groups.items():
        suite = ElementTree.SubElement(root, "testsuite", {"name": clean(name), **_counts(run, measurements)})
        suite.set("timestamp", run.started[: len("2026-01-01T00:00:00")])
        suite.set("hostname", clean(run.environment.device_name))
        suite.extend(_test(run, measurement) for measurement in measurements)
    ElementTree.indent(root, " ")
    return {FILE: ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"}


def clean(text: str) -> str:
    """The text with what XML cannot hold replaced by U+FFFD."""
    return UNWRITABLE.sub("\ufffd", text)


def _counts(run: Run, measurements: Sequence[Measurement]) -> dict[str, str]:
    failed = sum(one.status == FAILED for one in measurements)
    measured = sum(one.status == MEASURED for one in measurements)
    return {
        "tests": str(len(measurements)),
        "failures": str(failed),
        "errors": "0",
        "skipped": str(len(measurements) - failed - measured),
        "time": f"{sum(_seconds(run, one) for one in measurements):.9f}",
    }


def _test(run: Run, measurement: Measurement) -> ElementTree.Element:
    name, group = clean(measurement.case.label(run.backends)), clean(measurement.case.group)
    attributes = {"classname": group, "name": name, "time": f"{_seconds(run, measurement):.9f}"}
    test = ElementTree.Element("testcase", attributes)
    if measurement.status != MEASURED:
        kind = "failure" if measurement.status == FAILED else "skipped"
        reason = clean(measurement.reason) or f"{measurement.status}, no reason recorded"
        attributes = {"message": " ".join(reason.split()), "type": clean(measurement.status)}
        ElementTree.SubElement(test, kind, attributes).text = reason
    if output := clean("\n".join(_lines(run, measurement))):
        ElementTree.SubElement(test, "system-out").text = output
    return test


def _lines(run: Run, measurement: Measurement) -> list[str]:
    """The values of a case, one per line, in base units."""
    lines = []
    for value in values_of(run, measurement):
        interval = " ({:.9g} to {:.9g})".format(*value.interval) if value.interval else ""
        lines.append(f"{value.info.name}: {value.reading.estimate.value:.9g} {value.info.unit}{interval}")
    return lines


def _seconds(run: Run, measurement: Measurement) -> float:
    """The median latency, 0 where there is none."""
    latency = latency_of(run, measurement)
    return latency.reading.estimate.value if latency else 0.0
