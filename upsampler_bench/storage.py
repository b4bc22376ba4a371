"""Stored runs: results.json written completely or not at all, read with checks, found by date."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from upsampler_bench.case import DTYPES, LAYOUTS, MODES, MOST_ELEMENTS, QUALITY, TASKS, TORCH, Case
from upsampler_bench.errors import OutputError, ResultsError
from upsampler_bench.results import COMPLETE, SCHEMA, Measurement, Raster, Reading, Run, Training
from upsampler_bench.stats import estimate_rounds
from upsampler_bench.text import cleaned

if TYPE_CHECKING:
    import pandas as pd

FILE, PARTIAL_FILE = "results.json", "results.partial.json"
# Every run gets a folder of its own in RUNS; REPORTS holds the reports that are published with the code.
RUNS, REPORTS = Path("runs"), Path("reports")
# The folder beside a published report that has the capabilities of its device.
CAPABILITIES = "capabilities"
COLUMNS = (
    *(field.name for field in fields(Case)), "metric", "unit", "value", "low", "high", "samples", "processes",
    "ratio", "ratio_low", "ratio_high", "method", "notes", "status", "reason",
    "host", "origin_device", "uuid",
)  # fmt: skip
# What schema 1 called by other names.
CASE_FIELDS = {"host": "model"}
SETTINGS_FIELDS = {"cap": "max_time", "precision": "target_ci", "step_limit": "timeout"}
METRICS = {
    "floor": "roofline_time", "traffic": "memory_traffic", "least_traffic": "minimum_traffic",
    "upsampler_share": "time_in_upsamplers", "beside": "upsample_to",
}  # fmt: skip
# What schema 2 called the Triton form of an operator: "dysample-triton", or with another kernel "dysample-triton-1x1".
TRITON_NAME = re.compile(r"(.+)-triton(|-1x1)")
# Pixels a side of an image in a stored run.
LARGEST = 4096
# How msgspec words what it refuses.
EXPECTED = re.compile(
    r"(?:Expected `([^`]*)`, got `([^`]*)`|Object missing required field `([^`]*)`)(?: - at `\$([^`]*)`)?"
)


def save(run: Run, path: str | Path) -> Path:
    """Writes the run as JSON and returns the file; a folder gets `results.json`.

    Raises:
        OutputError: the file cannot be written.
    """
    target = Path(path)
    target = target if target.suffix == ".json" else target / FILE
    # A run of ten thousand cases has millions of numbers, which Python's own encoder indents in half a minute.
    data = {field.name: msgspec.to_builtins(getattr(run, field.name), enc_hook=str) for field in fields(Run)}
    try:
        content = msgspec.json.format(json.dumps(data, allow_nan=False).encode(), indent=1)
    except ValueError:  # a number that is not finite: Python reads and writes what JSON lacks
        content = json.dumps(data, indent=1).encode()
    write_whole(target, content)
    return target


def write_whole(target: Path, content: bytes) -> None:
    """Replaces a file in one step, so that a reader or a crash never sees half of it.

    Raises:
        OutputError: the file cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.chmod(temporary, 0o644)
            os.replace(temporary, target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as problem:
        raise OutputError(f"cannot write {target}: {problem.strerror or problem}") from problem


def is_stored_run(name: str) -> bool:
    """Whether this names a stored run, rather than an operator or a revision: a .json file, or a folder with one."""
    path = Path(name)
    return path.suffix == ".json" or any((path / file).exists() for file in (FILE, PARTIAL_FILE))


def load(path: str | Path) -> Run:
    """Reads a stored run: a results.json, or a folder that holds one.

    Raises:
        ResultsError: there is none, it is not a run, or a newer version wrote it.
    """
    source = Path(path)
    if source.is_dir():
        whole, partial = source / FILE, source / PARTIAL_FILE
        is_partial = partial.exists() and not (whole.exists() and load(whole).ended == COMPLETE)
        source = partial if is_partial else whole
    try:
        data = cleaned(json.loads(source.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise ResultsError(f"no stored run at {source}; 'upsampler-bench run' writes one") from None
    except (OSError, ValueError, RecursionError) as problem:
        raise ResultsError(f"cannot read {source} as a stored run: {problem}") from problem
    _refuse_other_schema(data, source)
    try:
        data = _from_schema_1(data) if data["schema"] == 1 else data
        run = msgspec.convert(_from_schema_2(data) if data["schema"] == 2 else data, Run)
        _check_values(run)
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        raise ResultsError(f"{source} is incomplete or corrupt: {_sentence(problem)}") from problem
    return run


def new_folder(name: str) -> Path:
    """Creates a folder for a run: runs/<date>T<time>-<name>, with a number if there is one of that name already.

    Raises:
        OutputError: it cannot be created.
    """
    stem = f"{datetime.now():%Y-%m-%dT%H%M}-{name}"
    number, folder = 1, RUNS / stem
    try:
        RUNS.mkdir(parents=True, exist_ok=True)
        while True:
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
                return folder
            number, folder = number + 1, RUNS / f"{stem}-{number + 1}"
    except OSError as problem:
        raise OutputError(f"cannot write into {folder}: {problem.strerror or problem}") from problem


def stored_runs(*roots: Path, nested: bool = False) -> list[tuple[Path, Run]]:
    """The stored runs in the folders of these roots, newest first, each with its folder; unreadable ones are left out.

    Args:
        roots: by default runs/ and reports/.
        nested: also in folders of folders, such as reports/<device>/capabilities.
    """
    pattern = "**" if nested else "*"
    files = {path for root in roots or (RUNS, REPORTS) for path in root.glob(f"{pattern}/results*.json")}
    found = []
    for folder in sorted({path.parent for path in files if path.name in (FILE, PARTIAL_FILE)}, reverse=True):
        with contextlib.suppress(ResultsError):
            found.append((folder, load(folder)))
    return sorted(found, key=lambda pair: pair[1].started, reverse=True)


def newest_run(
    *roots: Path, nested: bool = False, suits: Callable[[Run], bool] = lambda run: True
) -> tuple[Path, Run] | None:
    """The newest stored run that suits, with its folder, or None; see `stored_runs`."""
    return next((pair for pair in stored_runs(*roots, nested=nested) if suits(pair[1])), None)


def _refuse_other_schema(data: object, source: Path) -> None:
    schema = data.get("schema") if isinstance(data, Mapping) else None
    if type(schema) is not int or schema < 1:
        raise ResultsError(f"{source} is not a stored run: it has no schema version")
    if schema > SCHEMA:
        raise ResultsError(
            f"{source} has schema {schema}; this version reads up to {SCHEMA}: a newer upsampler-bench wrote it"
        )


def _from_schema_1(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """The run with the names of schema 2."""

    def renamed(record: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
        return {names.get(key, key): value for key, value in record.items()}

    def metric(record: Mapping[str, Any], *keys: str) -> dict[str, Any]:
        return {**record, **{key: METRICS.get(record[key], record[key]) for key in keys if key in record}}

    return {
        **data,
        "schema": 2,
        "plan": renamed(data.get("plan", {}), CASE_FIELDS),
        "settings": renamed(data["settings"], SETTINGS_FIELDS),
        "metrics": [metric(info, "name", "bounds") for info in data["metrics"]],
        "measurements": [
            {
                **measurement,
                "case": renamed(measurement["case"], CASE_FIELDS),
                "readings": [metric(reading, "metric") for reading in measurement["readings"]],
            }
            for measurement in data["measurements"]
        ],
    }


def _from_schema_2(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """The run with a backend in each case: it was in the operator's name, or a setting."""
    backend = "compile" if data["settings"].get("compile") else TORCH

    def operator(name: str) -> str:
        match = TRITON_NAME.fullmatch(name)
        return match[1] + match[2] if match else name

    def with_backend(case: Mapping[str, Any]) -> dict[str, Any]:
        name = case["upsampler"]
        is_triton = TRITON_NAME.fullmatch(name) is not None
        return {**case, "upsampler": operator(name), "backend": "triton" if is_triton else backend}

    infos = {operator(info["name"]): {**info, "name": operator(info["name"])} for info in data["upsamplers"]}
    return {
        **data,
        "schema": SCHEMA,
        "plan": {**data.get("plan", {}), "backend": [backend]},
        "upsamplers": list(infos.values()),
        "measurements": [{**one, "case": with_backend(one["case"])} for one in data["measurements"]],
    }


def _sentence(problem: Exception) -> str:
    """What is wrong with the data and where, e.g. "measurements[3].case.batch: expected int, found str"."""
    match = EXPECTED.fullmatch(str(problem))
    if match is None:
        return f"{problem} is missing" if isinstance(problem, KeyError) else str(problem)
    expected, found, missing, path = match.groups()
    detail = f"{missing!r} is missing" if missing else f"expected {expected}, found {found}"
    return f"{path.removeprefix('.')}: {detail}" if path else detail


def _check_values(run: Run) -> None:
    """Refuses values of the right type that no run can hold.

    Raises:
        ValueError: naming the value's path, what was expected and what was found.
    """
    for number, measurement in enumerate(run.measurements):
        case, path = measurement.case, f"measurements[{number}]"
        _check_case(case, path)
        for reading in measurement.readings:
            # The host gap of older runs, wall time less device time, may be negative by the clocks' resolution.
            is_signed = reading.metric.endswith("_gap") or case.mode == QUALITY
            least = -math.inf if is_signed else 0.0
            if not all(math.isfinite(sample) and sample >= least for sample in reading.samples):
                raise ValueError(f"{path}, {reading.metric[:40]}: expected samples that are finite and not negative")
            _check_raster(reading.picture, f"{path}, {reading.metric[:40]}")
            _check_processes(reading, f"{path}, {reading.metric[:40]}")
        for training in measurement.trainings:
            _check_training(training, f"{path}, seed {training.seed}")
    for scene in run.scenes:
        _check_raster(scene.image, "scenes")
        _check_raster(scene.answer, "scenes")


def _check_processes(reading: Reading, path: str) -> None:
    if not reading.processes:
        return
    if min(reading.processes) < 1 or sum(reading.processes) != len(reading.rounds):
        raise ValueError(f"{path}: expected processes that took {len(reading.rounds)} rounds, found other than that")
    if not all(estimate_rounds(rounds).value > 0 for rounds in reading.by_process):
        raise ValueError(f"{path}: expected a median above 0 in each process")


def _check_training(training: Training, path: str) -> None:
    if training.task not in TASKS:
        raise ValueError(f"{path}, task: expected {', '.join(TASKS)}, found {training.task[:40]!r}")
    if not all(map(math.isfinite, (*training.losses, *training.scores.values(), training.seconds))):
        raise ValueError(f"{path}: expected losses and scores that are finite")
    for raster in training.predictions:
        _check_raster(raster, path)


def _check_raster(raster: Raster | None, path: str) -> None:
    if raster is None:
        return
    if not (0 < raster.height <= LARGEST and 0 < raster.width <= LARGEST and raster.channels in (1, 3)):
        size = f"{raster.height}x{raster.width}x{raster.channels}"
        raise ValueError(
            f"{path}: expected an image of 1 to {LARGEST} pixels a side with 1 or 3 channels, found {size}"
        )
    try:
        len(raster.bytes)
    except ValueError as problem:
        raise ValueError(f"{path}: {problem}") from problem


def _check_case(case: Case, path: str) -> None:
    for name in ("batch", "channels", "height", "width", "scale"):
        if getattr(case, name) < 1:
            raise ValueError(f"{path}.case.{name}: expected a positive integer, found {getattr(case, name)}")
    if case.elements >= MOST_ELEMENTS:
        raise ValueError(f"{path}.case: expected sizes that a machine can hold, found {case.condition[:80]}")
    for name, choices in (("mode", MODES), ("dtype", DTYPES), ("layout", LAYOUTS)):
        if getattr(case, name) not in choices:
            raise ValueError(f"{path}.case.{name}: expected {', '.join(choices)}, found {getattr(case, name)[:40]!r}")


def to_frame(run: Run) -> pd.DataFrame:
    """The run as a tidy pandas table: one row per reading, and one without a value per case that has none.

    Columns: the case's own, then metric, unit, value, low, high (95 % interval), samples, processes (of several,
    intervals contain the spread between them), ratio, ratio_low, ratio_high (to the baseline), method, notes, status,
    reason, and the device that the row was measured on: host, origin_device, uuid. Seconds and bytes.
    """
    import pandas as pd

    rows = [_row(run, case, reading) for case in run.measurements for reading in case.readings or (None,)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _row(run: Run, measurement: Measurement, reading: Reading | None) -> dict[str, object]:
    row: dict[str, object] = asdict(measurement.case)
    row |= {"status": measurement.status, "reason": measurement.reason}
    origin = measurement.origin
    row |= {"host": origin.host, "origin_device": origin.device, "uuid": origin.uuid}
    if reading is None:
        return row
    info = run.metric(reading.metric)
    row |= {"metric": reading.metric, "unit": info.unit if info else "", "method": reading.method}
    row["notes"] = "; ".join(reading.notes)
    if not reading.samples:
        return row
    value, ratio = reading.estimate, run.ratio(measurement.case, reading.metric)
    row |= {"value": value.value, "samples": len(reading.samples), "processes": value.processes}
    if value.is_bounded or (info and info.exact):
        row |= {"low": value.low, "high": value.high}
    if ratio is not None:
        row["ratio"] = ratio.value
    if ratio is not None and ratio.is_bounded:
        row |= {"ratio_low": ratio.low, "ratio_high": ratio.high}
    return row
