"""A run's measurements by condition and operator: the modes of one operator are one line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from upsampler_bench.case import INFERENCE, PROBE, Case
from upsampler_bench.results import MEASURED, Measurement, MetricInfo, Reading, Run


@dataclass(frozen=True, slots=True)
class Line:
    """One operator under one condition, in every mode it was measured in."""

    name: str
    measurements: tuple[Measurement, ...]

    def find(self, info: MetricInfo) -> tuple[Measurement, Reading] | None:
        """A metric's reading and where it stands; one without a finite value is none."""
        found = ((one, one.reading(info.name)) for one in self._best_first(info))
        return next(((one, reading) for one, reading in found if reading and reading.is_usable), None)

    def read(self, info: MetricInfo) -> Reading | None:
        """A metric's reading, also one without a value; None where there is none."""
        return next((reading for one in self.measurements if (reading := one.reading(info.name))), None)

    def why_not(self, info: MetricInfo) -> str:
        """The status that explains a missing reading; empty where nothing went wrong."""
        blamed = (one.status for one in self.measurements if one.case.mode == info.mode and one.status != MEASURED)
        return next(blamed, "")

    @property
    def status(self) -> str:
        """Of the first mode that was not measured; "measured" where every one was."""
        return next((one.status for one in self.measurements if one.status != MEASURED), MEASURED)

    @property
    def reason(self) -> str:
        """Why not all was measured, the mode named where the modes differ."""
        given = {one.case.mode: one.reason or _unexplained(one.status) for one in self.measurements}
        said = {mode: reason for mode, reason in given.items() if reason}
        if len(set(given.values())) == 1:
            return next(iter(given.values()))
        return "; ".join(f"{mode}: {reason}" for mode, reason in said.items())

    def _best_first(self, info: MetricInfo) -> list[Measurement]:
        return sorted(self.measurements, key=lambda one: one.case.mode != info.mode)


@dataclass(frozen=True, slots=True)
class Condition:
    """One shape, dtype, layout, device and model, with a line for each operator."""

    case: Case
    lines: tuple[Line, ...]
    how: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """E.g. '1×256×120×120, ×2, float32, contiguous, cpu', or 'segformer-b1 on 512×512 images, batch 1, ...'."""
        case = self.case
        if not case.height:  # somebody's own benchmark, of no shape that we know
            return ", ".join(one for one in (case.model, case.dtype, case.layout, case.device, *self.how) if one)
        if case.model:
            image = "" if case.model.startswith("stages(") else f" on {case.height}×{case.width} images"
            return ", ".join(
                [f"{case.model}{image}", f"batch {case.batch}", case.dtype, case.layout, case.device, *self.how]
            )
        shape = "×".join(str(size) for size in (case.batch, case.channels, case.height, case.width))
        said = [shape, f"×{case.scale}", case.dtype, case.layout, case.device, *self.how]
        return ", ".join(one for one in said if one)

    def line(self, name: str) -> Line | None:
        """An operator's line, or None."""
        return next((one for one in self.lines if one.name == name), None)


def conditions(run: Run, *, probed: bool = False) -> tuple[Condition, ...]:
    """The run's conditions and operators, each in the order in which the run first names it.

    Args:
        run: what was measured.
        probed: those under which capabilities were tried; else those that were measured.
    """
    groups: dict[str, dict[str, list[Measurement]]] = {}
    for one in run.measurements:
        if (one.case.mode == PROBE) != probed:
            continue
        groups.setdefault(one.case.condition, {}).setdefault(one.case.upsampler, []).append(one)
    return tuple(_condition(run, group) for group in groups.values())


def slugs(found: Sequence[Condition], labels: Sequence[str] = ()) -> tuple[str, ...]:
    """What tells the conditions apart in a file's name: the parts in which they differ; empty for a single one.

    Args:
        found: all conditions that are told together.
        labels: of the runs they are of, one each; empty where all are of one run.
    """
    named = [f"{label}/{one.case.condition}" for label, one in zip(labels or [""] * len(found), found, strict=True)]
    parts = [[_as_name(part) for part in one.split("/")] for one in named]
    longest = max(map(len, parts), default=0)
    parts = [[*one, *[""] * (longest - len(one))] for one in parts]
    differ = [place for place in range(longest) if len({one[place] for one in parts}) > 1]
    return tuple("-".join(one[place] for place in differ if one[place]) for one in parts)


def _as_name(part: str) -> str:
    """A part of a condition as a part of a file's name."""
    return "".join(letter if letter.isalnum() or letter in "-+." else "" if letter == ":" else "-" for letter in part)


def _condition(run: Run, group: dict[str, list[Measurement]]) -> Condition:
    lines = {name: Line(name, tuple(sorted(found, key=_mode))) for name, found in group.items()}
    case = next(iter(group.values()))[0].case
    return Condition(case, tuple(lines[name] for name in _twins_last(run, list(lines))), _how(run, case))


def _how(run: Run, case: Case) -> tuple[str, ...]:
    """What of the settings changes a figure as much as the case does: threads, compilation, graphs."""
    threads = run.environment.machine.get("threads", "")
    said = [f"{threads} thread{'s' * (threads != '1')}"] if threads and case.device == "cpu" else []
    said += ["compiled"] if run.settings.compile else []
    return (*said, "CUDA graph") if run.settings.cuda_graph and case.device != "cpu" else tuple(said)


def _mode(one: Measurement) -> bool:
    return one.case.mode != INFERENCE


def _twins_last(run: Run, names: list[str]) -> Iterator[str]:
    """Each twin right after its reference; all else as it was."""
    named = {one.name: one.reference for one in run.upsamplers if one.name in names and one.reference in names}
    twins = {name: reference for name, reference in named.items() if reference not in named}
    for name in names:
        if name not in twins:
            yield name
            yield from (twin for twin in names if twins.get(twin) == name)


def _unexplained(status: str) -> str:
    return "" if status == MEASURED else f"{status}, no reason recorded"
