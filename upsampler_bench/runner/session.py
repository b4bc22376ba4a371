"""One run from a plan to a folder: what the command line and the Python interface share."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

from upsampler_bench import capabilities, device, metrics, models, plan, storage
from upsampler_bench.case import PROBE, Case, Settings
from upsampler_bench.errors import NothingMeasured, OutputError, PlanError, ResultsError
from upsampler_bench.plan import Plan
from upsampler_bench.results import INTERRUPTED, Environment, Measurement, Run
from upsampler_bench.runner import operators, scheduler
from upsampler_bench.runner.job import Job, ProgressListener

PARTIAL_FILE = "results.partial.json"
PREVIOUS_FILE = "results.previous.json"
REPORTS = Path("reports")
CAPABILITIES = "capabilities"
WRITING_SHARE = 20
START_SECONDS = 4.0
LONGER = 3


@dataclass
class ResultWriter:
    """Writes a growing run to disk, soon after it grows, at no more than a twentieth of the time.

    Attributes:
        folder: where; None: reports/<device>, once the device is known.
        wanted: False where nothing is to be written.
        below: a folder inside reports/<device>; empty: none.
    """

    folder: Path | None
    wanted: bool = True
    below: str = ""
    _next: float = field(default=0.0, init=False)
    _kept: Run | None = field(default=None, init=False)

    def __call__(self, run: Run) -> None:
        """Keeps this state of the run."""
        now = time.monotonic()
        if not self.wanted or not run.environment.device_name or now < self._next or run is self._kept:
            return
        storage.save(run, self.place(run.environment) / PARTIAL_FILE)
        self._kept = run
        self._next = time.monotonic() + WRITING_SHARE * (time.monotonic() - now)

    def place(self, environment: Environment) -> Path:
        """The folder of a run."""
        return self.folder or REPORTS / environment.slug / self.below

    def finish(self, run: Run) -> Path | None:
        """Writes the final results.json, keeps the one before beside it, and drops the partial one.

        Returns:
            The folder, or None where nothing is to be written.
        """
        if not self.wanted:
            return None
        folder = self.place(run.environment)
        if (folder / storage.FILE).exists():
            (folder / storage.FILE).replace(folder / PREVIOUS_FILE)
        storage.save(run, folder)
        (folder / PARTIAL_FILE).unlink(missing_ok=True)
        return folder


@dataclass(frozen=True)
class Session:
    """A plan made ready to run: its cases are known and the place is there.

    Attributes:
        job: what will be measured.
        writer: where it will be kept.
    """

    job: Job
    writer: ResultWriter

    @property
    def cases(self) -> tuple[Case, ...]:
        """What will be measured."""
        return self.job.cases

    def run(self, listener: ProgressListener) -> Run:
        """Measures, and keeps what it measured.

        Raises:
            NothingMeasured: not a single reading came of it.
        """
        found = scheduler.run(self.job, listener, self.writer)
        if found.ended == INTERRUPTED and not any(True for _ in found.readings()):
            raise KeyboardInterrupt
        if not any(True for _ in found.readings()):
            reasons = {one.reason for one in found.measurements if one.reason}
            raise NothingMeasured(f"nothing could be measured: {'; '.join(sorted(reasons))}")
        found = replace(found, measurements=_in_order(found, self.job.cases))
        self.writer.finish(found)
        return found


def prepare(
    wanted: Plan, output: str | Path | None, *, resume: bool = False, write: bool = True, below: str = ""
) -> Session:
    """Checks everything that can be checked before the first measurement.

    Args:
        wanted: the sweep.
        output: the folder; None: reports/<device>, and below that capabilities/ where nothing else is measured.
        below: another folder below reports/<device>.
        resume: go on from what the folder holds.
        write: False leaves nothing on disk.

    Raises:
        PlanError, DeviceError, OutputError, ResultsError: the run cannot begin.
    """
    operators.load(wanted.plugin)
    operators.add_variants(wanted.upsampler)
    for model in filter(None, wanted.model):
        models.check(model)
    place = device.resolve(wanted.device)
    names = operators.names()
    cases = plan.cases(wanted, names, place, operators.names(place))
    cases = tuple(case for case in cases if metrics.for_case(case, wanted.settings.metrics))
    if not cases:
        raise PlanError(f"none of {', '.join(wanted.settings.metrics)} is measured in mode {', '.join(wanted.mode)}")
    chosen = [name for name in names if any(case.upsampler == name for case in cases)]
    below = below or (CAPABILITIES if all(case.mode == PROBE for case in cases) else "")
    writer = ResultWriter(Path(output) if output else None, write, below)
    if write:
        _refuse_unwritable(writer.folder or REPORTS)
    stored = {key: _plain(value) for key, value in asdict(wanted).items() if key not in ("settings", "plugin")}
    previous = _previous(writer, wanted, stored, place) if resume else None
    job = Job(
        cases=cases,
        settings=wanted.settings,
        upsamplers=tuple(operators.info(name) for name in chosen),
        plan=stored,
        plugins=wanted.plugin,
        specs=operators.pickled(chosen),
        previous=previous,
    )
    return Session(job, writer)


def expectation(session: Session) -> tuple[float, float]:
    """Seconds that a run will take: expected, and at most as long as no operator hangs."""
    settings, probing = session.job.settings, _probing_seconds(session)
    cases = sum(case.mode != PROBE for case in session.cases)
    start = START_SECONDS * len({case.group for case in session.cases})
    expected, most = min(6.0, settings.max_time) * cases + start, (settings.max_time + 3.0) * cases + start
    if settings.budget:
        expected, most = min(expected, settings.budget + start), min(most, settings.budget + 3.0 * cases + start)
    return expected + probing, most + LONGER * probing


def _probing_seconds(session: Session) -> float:
    probes = metrics.for_case(Case("", PROBE), session.job.settings.metrics).values()
    one = sum(probe.SECONDS for probe in probes if capabilities.is_probe(probe))
    return one * sum(case.mode == PROBE for case in session.cases)


def _previous(writer: ResultWriter, wanted: Plan, stored: dict[str, object], place: str) -> Run | None:
    folder = writer.place(Environment(device.label(place), ""))
    found = [path for path in (folder / PARTIAL_FILE, folder / storage.FILE) if path.exists()]
    if not found:
        raise ResultsError(f"nothing to resume in {folder}; run without --resume")
    run = storage.load(found[0])
    if other := differing(run, stored, wanted.settings, place):
        raise PlanError(f"{found[0]} is of another run: {', '.join(other)} differ; run without --resume")
    return run


def differing(run: Run, plan: Mapping[str, object], settings: Settings, place: str) -> list[str]:
    """What of a stored run differs from a plan, settings, a device (resolved) and the torch that is here."""
    theirs, ours = {**run.plan, **asdict(run.settings)}, {**plan, **asdict(settings)}
    found = sorted(key for key in ours if _plain(ours[key]) != _plain(theirs.get(key)))
    now = {"device_name": device.label(place), "torch": version("torch")}
    then = {"device_name": run.environment.device_name, "torch": run.environment.versions.get("torch", "")}
    return found + [key for key in now if now[key] != then[key]]


def _plain(value: object) -> object:
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else value


def _refuse_unwritable(folder: Path) -> None:
    probe = folder / ".writable"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
        for name in (storage.FILE, PARTIAL_FILE, PREVIOUS_FILE):
            if (folder / name).is_dir():
                raise IsADirectoryError(None, f"{name} is a folder")
    except OSError as problem:
        raise OutputError(f"cannot write into {folder}: {problem.strerror or problem}") from problem


def _in_order(run: Run, cases: Sequence[Case]) -> tuple[Measurement, ...]:
    return tuple(one for one in (run.measurement(case) for case in cases) if one is not None)
