"""A run's measurements by condition, operator and backend: all modes of one operator on one backend are one line."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from upsampler_bench.case import INFERENCE, PROBE, TORCH, TRAIN, Case
from upsampler_bench.results import MEASURED, Measurement, MetricInfo, Reading, Run
from upsampler_bench.stats import covered


@dataclass(frozen=True, slots=True)
class Line:
    """One operator on one backend under one condition, in every mode it was measured in.

    Attributes:
        name: what its row is called: see `Case.label`.
    """

    name: str
    measurements: tuple[Measurement, ...]

    @property
    def operator(self) -> str:
        """The operator's name."""
        return self.measurements[0].case.upsampler

    @property
    def backend(self) -> str:
        """The backend's name."""
        return self.measurements[0].case.backend

    def measurement(self, info: MetricInfo) -> Measurement | None:
        """The measurement that has a metric's reading with a finite value, the metric's own mode first; else None."""
        for measurement in sorted(self.measurements, key=lambda one: one.case.mode != info.mode):
            reading = measurement.reading(info.name)
            if reading and reading.is_usable:
                return measurement
        return None

    def reading(self, info: MetricInfo) -> Reading | None:
        """A metric's reading with a finite value, or None."""
        measurement = self.measurement(info)
        return measurement.reading(info.name) if measurement else None

    def answer(self, info: MetricInfo) -> Reading | None:
        """A metric's reading, also one without a value: where a capability does not apply, or a counter is missing."""
        readings = (measurement.reading(info.name) for measurement in self.measurements)
        return next((reading for reading in readings if reading), None)

    def find(self, info: MetricInfo) -> tuple[Measurement, Reading] | None:
        """`measurement` and `reading` of a metric at once."""
        measurement, reading = self.measurement(info), self.reading(info)
        return (measurement, reading) if measurement and reading else None

    def why_not(self, info: MetricInfo) -> str:
        """The status that explains a missing reading; empty where nothing went wrong."""
        statuses = (one.status for one in self.measurements if one.case.mode == info.mode and one.status != MEASURED)
        return next(statuses, "")

    @property
    def status(self) -> str:
        """Of the first mode that was not measured; "measured" where every mode was."""
        return next((one.status for one in self.measurements if one.status != MEASURED), MEASURED)

    @property
    def reason(self) -> str:
        """Why a mode was not measured; the mode is named where the modes differ."""
        reasons = {one.case.mode: one.reason or _unexplained(one.status) for one in self.measurements}
        if len(set(reasons.values())) == 1:
            return next(iter(reasons.values()))
        return "; ".join(f"{mode}: {reason}" for mode, reason in reasons.items() if reason)


@dataclass(frozen=True, slots=True)
class Condition:
    """One shape, dtype, layout, device and model of one run, with a line for each operator and backend.

    Attributes:
        how: the settings that change a number as much as the case does, e.g. "1 thread", "backend compile".
        label: what tells its run from the other runs of a report; empty where no other run has the same condition.
        slug: what tells it from the other conditions of a report in a file's name; empty for a single condition.
    """

    run: Run
    case: Case
    lines: tuple[Line, ...]
    how: tuple[str, ...] = ()
    label: str = ""
    slug: str = ""

    @property
    def device(self) -> str:
        """What it was measured on, e.g. "NVIDIA H200"."""
        return self.run.environment.device_name

    @property
    def is_probed(self) -> bool:
        """Whether capabilities were tried under it, rather than costs measured."""
        return self.case.mode == PROBE

    @property
    def words(self) -> str:
        """E.g. '1×256×120×120, ×2, float32, contiguous, cpu', or 'segformer-b1 on 512×512 images, batch 1, ...'."""
        case = self.case
        if case.model:
            image = "" if case.model.startswith("stages(") else f" on {case.height}×{case.width} images"
            parts = [f"{case.model}{image}", f"batch {case.batch}"]
        else:
            parts = [f"{case.batch}×{case.channels}×{case.height}×{case.width}", f"×{case.scale}"]
            parts += [f"image {case.guide_image.replace('x', '×')}"] if case.guide_image else []
        return ", ".join(part for part in (*parts, case.dtype, case.layout, case.device, *self.how) if part)

    @property
    def metrics(self) -> list[MetricInfo]:
        """The metrics that at least one operator has a reading of, also one whose notes say why it has no value."""
        return [info for info in self.run.metrics if any(_has(line, info) for line in self.lines)]

    @property
    def intervals(self) -> str:
        """What the intervals of its ratios cover, e.g. "95 % intervals between 3 processes"; empty without any."""
        timed = [info for info in self.metrics if info.relative and not info.is_single]
        readings = [reading for info in timed for line in self.lines if (reading := line.reading(info))]
        counts = sorted({len(reading.by_process) for reading in readings if reading.estimate.is_bounded})
        return f"95 % intervals {' or '.join(map(covered, counts))}" if counts else ""

    @property
    def baseline(self) -> Line | None:
        """The line of the run's baseline."""
        return self.operator(self.run.settings.baseline)

    def operator(self, name: str) -> Line | None:
        """An operator's line, on torch where it has one, or None."""
        lines = [line for line in self.lines if line.operator == name]
        return min(lines, key=lambda line: line.backend != TORCH, default=None)

    def line(self, name: str) -> Line | None:
        """The line of this name, or None."""
        return next((line for line in self.lines if line.name == name), None)

    def first(self, names: Sequence[str]) -> MetricInfo | None:
        """The first of these metrics that was measured here."""
        measured = {info.name: info for info in self.metrics}
        return next((measured[name] for name in names if name in measured), None)


def conditions(run: Run, modes: Collection[str] = (INFERENCE, TRAIN)) -> tuple[Condition, ...]:
    """The run's conditions, operators and an operator's backends, each in the order in which the run first names it.

    Args:
        run: what was measured.
        modes: those of these modes; by default those whose costs were measured.
    """
    groups: dict[str, dict[tuple[str, str], list[Measurement]]] = {}
    for measurement in run.measurements:
        case = measurement.case
        if case.mode in modes:
            groups.setdefault(case.condition, {}).setdefault((case.upsampler, case.backend), []).append(measurement)
    return tuple(_condition(run, group) for group in groups.values())


def _condition(run: Run, group: dict[tuple[str, str], list[Measurement]]) -> Condition:
    case = next(iter(group.values()))[0].case
    operators = list(dict.fromkeys(operator for operator, _ in group))
    lines = []
    for _, measurements in sorted(group.items(), key=lambda item: operators.index(item[0][0])):
        inference_first = sorted(measurements, key=lambda one: one.case.mode != INFERENCE)
        lines.append(Line(inference_first[0].case.label(run.backends), tuple(inference_first)))
    return Condition(run, case, tuple(lines), _how(run, case))


def _how(run: Run, case: Case) -> tuple[str, ...]:
    how = []
    threads = run.environment.machine.get("threads", "")
    if threads and case.device == "cpu":
        how.append("1 thread" if threads == "1" else f"{threads} threads")
    if len(run.backends) == 1 and case.backend != TORCH:  # of several, each line has its own in its name
        how.append(f"backend {case.backend}")
    if run.settings.cuda_graph and case.device != "cpu":
        how.append("CUDA graph")
    return tuple(how)


def _has(line: Line, info: MetricInfo) -> bool:
    answer = line.answer(info)
    return bool(line.reading(info) or (answer and (info.mode == PROBE or not answer.samples)))


def _unexplained(status: str) -> str:
    return "" if status == MEASURED else f"{status}, no reason recorded"
