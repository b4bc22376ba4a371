"""A run as a tidy pandas table: one row a reading."""

from __future__ import annotations

from dataclasses import asdict

import pandas as pd

from upsampler_bench.results import Measurement, Reading, Run

CASE_COLUMNS = (
    "upsampler",
    "mode",
    "batch",
    "channels",
    "height",
    "width",
    "scale",
    "dtype",
    "layout",
    "device",
    "host",
)
VALUE_COLUMNS = ("metric", "unit", "value", "low", "high", "samples", "ratio", "ratio_low", "ratio_high", "method")
COLUMNS = (*CASE_COLUMNS, *VALUE_COLUMNS, "notes", "status", "reason")


def to_frame(run: Run) -> pd.DataFrame:
    """All readings of a run in their base units; a case without any keeps one row with its reason."""
    rows = [_row(run, one, reading) for one in run.measurements for reading in one.readings or (None,)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _row(run: Run, measurement: Measurement, reading: Reading | None) -> dict[str, object]:
    row: dict[str, object] = asdict(measurement.case)
    row |= {"status": measurement.status, "reason": measurement.reason}
    if reading is None:
        return row
    info = run.metric(reading.metric)
    row |= {"metric": reading.metric, "unit": info.unit if info else "", "method": reading.method}
    row["notes"] = "; ".join(reading.notes)
    if not reading.samples:
        return row
    value, ratio = reading.estimate, run.ratio(measurement.case, reading.metric)
    row |= {"value": value.value, "samples": len(reading.samples)}
    if value.is_bounded or (info and info.exact):
        row |= {"low": value.low, "high": value.high}
    if ratio is not None:
        row["ratio"] = ratio.value
    if ratio is not None and ratio.is_bounded:
        row |= {"ratio_low": ratio.low, "ratio_high": ratio.high}
    return row
