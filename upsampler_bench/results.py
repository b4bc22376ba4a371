"""What a run leaves: frozen records, and the versioned results.json that both halves meet in."""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate

from upsampler_bench.case import SHAPES, TORCH, Case, Settings
from upsampler_bench.stats import Estimate, between_processes, estimate_rounds, paired_ratio

SCHEMA = 3
MEASURED, SKIPPED, FAILED, INTERRUPTED = "measured", "skipped", "failed", "interrupted"
COMPLETE, PARTIAL = "complete", "partial"
# The moment of a condition that is the same call timed on each of several devices.
CONTROL = "control"
# The unit of a relative error.
ERROR = "error"
# How the note begins that a reading has if the device, or the process by its CPU quota, was throttled.
THROTTLED = "throttled during the run"
# Letters of a piece of a raster.
PIECE = 1000


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """What a column is.

    Attributes:
        unit: "s", "B", "J", "W", "MAC", "1", "px" (of the low resolution), "share" (of one), "error" (relative) or
            "bool" (1 is yes, 0 is no).
        mode: the kind of case it is measured on.
        exact: it has no noise.
        once: it has noise, but is sampled once, as it takes long.
        additive: the paper writes it as an addition over the baseline ("+0.4") rather than as it is.
        relative: reports show it as a ratio to the baseline too.
        bounds: the metric that this is a lower bound of; reports show the ratio of the two. Empty: none.
        place: columns stand in this order.
    """

    name: str
    title: str
    unit: str
    mode: str
    lower_is_better: bool = True
    exact: bool = False
    once: bool = False
    additive: bool = False
    relative: bool = False
    bounds: str = ""
    place: int = 50
    description: str = ""

    @property
    def is_single(self) -> bool:
        """Whether one sample says all there is, so that it has no interval."""
        return self.exact or self.once or bool(self.bounds) or self.unit == ERROR


@dataclass(frozen=True, slots=True)
class Part:
    """What a step spends in one operation, or on a GPU in one kernel, of one module.

    Attributes:
        name: of the operation or kernel, shortened.
        category: the kind of work: "convolution", "softmax", "copy", ...
        within: the path of the submodule that called it, with the stage of it that the operator names, such as
            "softmax"; empty: the operator or model itself.
        calls: a step.
        seconds: a step.
        traffic: bytes that it reads and writes, each tensor once per operation.
        multiply_adds: of products and convolutions.
    """

    name: str
    category: str
    within: str
    calls: int
    seconds: float
    traffic: int = 0
    multiply_adds: int = 0

    def plus(self, other: Part) -> Part:
        """Both together, by the name of this one."""
        return replace(
            self,
            calls=self.calls + other.calls,
            seconds=self.seconds + other.seconds,
            traffic=self.traffic + other.traffic,
            multiply_adds=self.multiply_adds + other.multiply_adds,
        )


@dataclass(frozen=True, slots=True)
class Raster:
    """An image of bytes.

    Attributes:
        height, width: in pixels.
        channels: 1, or 3 for red, green and blue.
        packed: the bytes row by row, compressed by zlib, in base64, in pieces as short as stored texts must be.
    """

    height: int
    width: int
    channels: int
    packed: tuple[str, ...]

    @classmethod
    def pack(cls, rows: Sequence[Sequence[int]], channels: int = 1) -> Raster:
        """The raster of rows of numbers from 0 to 255, of each pixel its channels one after the other."""
        text = base64.b64encode(zlib.compress(b"".join(map(bytes, rows)), 9)).decode()
        pieces = tuple(text[start : start + PIECE] for start in range(0, len(text), PIECE))
        return cls(len(rows), len(rows[0]) // channels, channels, pieces)

    @property
    def bytes(self) -> bytes:
        """The bytes row by row.

        Raises:
            ValueError: they are damaged, or not as many as the size says.
        """
        size = self.height * self.width * self.channels
        try:
            # No more than asked for is unpacked, whatever a stranger's file contains.
            unpacked = zlib.decompressobj().decompress(base64.b64decode("".join(self.packed)), max(size, 0) + 1)
        except zlib.error as problem:
            raise ValueError(f"expected compressed bytes, found {problem}") from problem
        if len(unpacked) != size:
            raise ValueError(f"expected {self.height}x{self.width}x{self.channels} bytes, found other than that")
        return unpacked


@dataclass(frozen=True, slots=True)
class Live:
    """Tensors that are alive when a step's memory is at its peak.

    Attributes:
        name: of the operation that made them.
        within: as of a part.
        bytes: of all together.
    """

    name: str
    within: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Span:
    """One thing that took place in a step.

    Attributes:
        name: of the operation, range or kernel.
        kind: "operation", "range" (a submodule, a stage of an operator, a node of backward) or "kernel".
        within: as of a part.
        begin: seconds after the first step began.
    """

    name: str
    kind: str
    within: str
    begin: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Reading:
    """One metric of one case: raw samples by round (one sample in one round where exact).

    Attributes:
        metric: the name of a MetricInfo of the run.
        rounds: samples in the metric's base unit (seconds, bytes, counts), in the order they were taken; empty if
            a capability does not apply or there is no value, with the reason in the notes.
        method: how they were taken; readings of different methods are never compared.
        notes: what a reader must know ("launches not hidden", "throttled"), each one short sentence.
        facts: what was recorded beside the samples, e.g. "stop" (why sampling ended) and "first_call" (s).
        parts: of a profile, what the step consists of, longest first.
        picture: what the number was taken from, where that is an image.
        live: of a profile, what is alive at the peak of memory, largest first.
        spans: of a profile, some steps as they took place.
        processes: how many of the rounds each process took, one process after the other; empty: one took all.
    """

    metric: str
    rounds: tuple[tuple[float, ...], ...]
    method: str
    notes: tuple[str, ...] = ()
    facts: Mapping[str, float | str] = field(default_factory=dict)
    parts: tuple[Part, ...] = ()
    picture: Raster | None = None
    live: tuple[Live, ...] = ()
    spans: tuple[Span, ...] = field(default=(), repr=False)
    processes: tuple[int, ...] = ()

    @property
    def by_process(self) -> tuple[tuple[tuple[float, ...], ...], ...]:
        """The rounds of each process."""
        counts = self.processes or (len(self.rounds),)
        return tuple(self.rounds[end - count : end] for count, end in zip(counts, accumulate(counts), strict=True))

    def followed_by(self, other: Reading) -> Reading:
        """This reading with that of a further process, whose facts replace these."""
        return replace(
            self,
            rounds=(*self.rounds, *other.rounds),
            notes=tuple(dict.fromkeys((*self.notes, *other.notes))),
            facts={**self.facts, **other.facts},
            processes=(*map(len, self.by_process), len(other.rounds)),
        )

    def of_first(self, processes: int) -> Reading:
        """What so many processes read, the first ones; why the last one ended sampling is left out with it."""
        counts = tuple(map(len, self.by_process))
        if processes >= len(counts):
            return self
        facts = {name: fact for name, fact in self.facts.items() if name != "stop"}
        kept = counts[:processes]
        return replace(self, rounds=self.rounds[: sum(kept)], processes=kept if processes > 1 else (), facts=facts)

    @property
    def samples(self) -> tuple[float, ...]:
        """All samples in order."""
        return tuple(sample for samples in self.rounds for sample in samples)

    @property
    def estimate(self) -> Estimate:
        """The median over rounds with its 95 % interval; of several processes, that between them."""
        return between_processes([estimate_rounds(rounds) for rounds in self.by_process])

    @property
    def is_usable(self) -> bool:
        """Whether there are samples, all of them finite."""
        return any(self.rounds) and all(math.isfinite(sample) for samples in self.rounds for sample in samples)


@dataclass(frozen=True, slots=True)
class Origin:
    """The one device that something was measured on; empty in runs of before.

    Attributes:
        host: its host's name.
        device: the device as the host counts it, e.g. "cuda:3"; of a process that was bound to one core, e.g. "cpu:1".
        uuid: a GPU's, as its driver prints it.
    """

    host: str = ""
    device: str = ""
    uuid: str = ""


@dataclass(frozen=True, slots=True)
class Training:
    """One small network that was trained with an operator, and what it scored.

    Attributes:
        task: "shapes" or "reconstruction".
        seed: of the network's weights, the batches and the scenes.
        steps: of the optimiser, as many as were asked for.
        size: the side of the images in pixels.
        losses: one per step that was taken.
        scores: by name, on scenes that were not trained on.
        seconds: wall time.
        parameters: of its upsamplers together.
        data: what was trained on: "shapes", or "fashion-mnist".
        predictions: for the scenes of the run, in their order: label maps, or grey images; empty: not kept.
        failure: why there are no scores; empty: there are.
    """

    task: str
    seed: int
    steps: int
    size: int
    losses: tuple[float, ...] = ()
    scores: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    parameters: int = 0
    data: str = SHAPES
    predictions: tuple[Raster, ...] = ()
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Scene:
    """What the predictions of a task are shown beside: an image, and where it has labels the right answer."""

    task: str
    image: Raster
    answer: Raster | None = None


@dataclass(frozen=True, slots=True)
class Measurement:
    """One case's readings and trainings, and why it is incomplete if it is.

    Attributes:
        origin: of its timed readings; deterministic ones are the same on every device of a model.
    """

    case: Case
    status: str = MEASURED
    reason: str = ""
    readings: tuple[Reading, ...] = ()
    trainings: tuple[Training, ...] = ()
    origin: Origin = field(default_factory=Origin)

    @property
    def has_results(self) -> bool:
        """Whether there is a reading, or a training that did not fail."""
        return bool(self.readings) or any(not training.failure for training in self.trainings)

    def reading(self, metric: str) -> Reading | None:
        """The reading of this metric, or None."""
        return next((reading for reading in self.readings if reading.metric == metric), None)


@dataclass(frozen=True, slots=True)
class Accuracy:
    """A figure of a published table that needs training, as a user gave it for an operator.

    Attributes:
        table: e.g. "table4".
        row: the operator, with its backbone where the table has several: "mine", "mine (R101)".
        figure: with its unit, e.g. "mIoU (%)".
        text: the number as it is printed.
    """

    table: str
    row: str
    figure: str
    text: str


@dataclass(frozen=True, slots=True)
class UpsamplerInfo:
    """What a report shows of an operator besides its readings."""

    name: str
    paper: str = ""
    needs_guide: bool = False
    accuracy: tuple[Accuracy, ...] = ()


@dataclass(frozen=True, slots=True)
class Environment:
    """The machine, versions and conditions of a run.

    Attributes:
        device_name: as its maker prints it, e.g. "NVIDIA H200".
        device_kind: "cpu" or "cuda".
        versions: of python, torch, the driver and so on.
        machine: what stays as it is during a run (processor, cores, governor, allocator, TF32).
        conditions: readings at moments of the run ("at": "start", "end"): load, clocks, temperature, throttling.
            Of a run on several devices also "control": the time of the same call on each.
        origin: the device of the first process.
    """

    device_name: str
    device_kind: str
    versions: Mapping[str, str] = field(default_factory=dict)
    machine: Mapping[str, str] = field(default_factory=dict)
    conditions: tuple[Mapping[str, float | str], ...] = ()
    origin: Origin = field(default_factory=Origin)

    @property
    def slug(self) -> str:
        """The device's name as a folder's name, e.g. 'nvidia-h200'."""
        kept = "".join(letter if letter.isalnum() else "-" for letter in self.device_name.lower())
        return "-".join(part for part in kept.split("-") if part) or "device"


@dataclass(frozen=True)
class Run:
    """Everything that one run measured, self-describing: a report needs nothing else."""

    environment: Environment
    settings: Settings
    metrics: tuple[MetricInfo, ...]
    upsamplers: tuple[UpsamplerInfo, ...]
    measurements: tuple[Measurement, ...] = field(default=(), repr=False)
    plan: Mapping[str, object] = field(default_factory=dict)
    started: str = ""
    finished: str = ""
    ended: str = PARTIAL
    schema: int = SCHEMA
    scenes: tuple[Scene, ...] = field(default=(), repr=False)

    def metric(self, name: str) -> MetricInfo | None:
        """The metric's description in this run, or None."""
        return next((info for info in self.metrics if info.name == name), None)

    def measurement(self, case: Case) -> Measurement | None:
        """The measurement of exactly this case, or None."""
        return self._by_case.get(case)

    @cached_property
    def _by_case(self) -> dict[Case, Measurement]:
        return {measurement.case: measurement for measurement in self.measurements}

    def readings(self) -> Iterator[tuple[Measurement, Reading]]:
        """Every reading with the measurement it belongs to."""
        return ((measurement, reading) for measurement in self.measurements for reading in measurement.readings)

    @cached_property
    def backends(self) -> tuple[str, ...]:
        """The backends of its cases, in order."""
        return tuple(dict.fromkeys(measurement.case.backend for measurement in self.measurements))

    def baseline_of(self, case: Case, operator: str = "") -> Case:
        """What a case is compared with: the baseline on torch where the run has it, else on the case's own backend.

        Args:
            case: of any operator.
            operator: to compare with; by default the run's baseline.
        """
        baseline = case.of(operator or self.settings.baseline)
        return baseline.on(TORCH) if self.measurement(baseline.on(TORCH)) else baseline

    def ratio(self, case: Case, metric: str, to: Case | None = None) -> Estimate | None:
        """This case's metric over another case's of the same group and device, paired by round, or None.

        Args:
            case: of this operator.
            metric: its name.
            to: the other case; by default the baseline's.
        """
        ours, theirs = self.measurement(case), self.measurement(to or self.baseline_of(case))
        if ours is None or theirs is None or ours.origin != theirs.origin:
            return None
        mine, base = ours.reading(metric), theirs.reading(metric)
        if not (mine and base and mine.method == base.method and all(base.samples)):
            return None
        pairs = zip(mine.by_process, base.by_process, strict=False)
        ratios = [ratio for ours, theirs in pairs if (ratio := paired_ratio(ours, theirs))]
        return between_processes(ratios) if ratios else None

    def with_measurement(self, measurement: Measurement) -> Run:
        """The run with this measurement added, or in the place of an earlier one of the same case."""
        kept = tuple(other for other in self.measurements if other.case != measurement.case)
        return replace(self, measurements=(*kept, measurement))
